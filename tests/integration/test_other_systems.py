"""A system without `fcntl`, signal handlers of the loop, and the rest that Windows lacks."""

import signal
import sys
from pathlib import Path

import pytest

ELSEWHERE = Path(__file__).parents[1] / "elsewhere.py"


@pytest.fixture
def on_windows(work):
    """Start a command of dsrun there."""

    def start(*arguments):
        return work.spawn_command([sys.executable, ELSEWHERE, "windows", *map(str, arguments)])

    return start


def test_every_command_works(work, emulator, on_windows):
    pipeline = work.posters(3)
    assert on_windows("validate", pipeline).end().code == 0
    assert on_windows("plan", pipeline, "--json").end().answer["to_send"] == 3
    run = on_windows(pipeline).end()
    assert run.code == 0, run.err
    assert emulator.paid() == 3
    assert on_windows("status", pipeline, "--json").end().answer["jobs"]["succeeded"] == 3
    for command in ("report", "verify", "ledger"):
        outcome = on_windows(command, "outputs/demo").end()
        assert outcome.code == 0, outcome.err
    assert on_windows(pipeline).end().code == 0
    assert emulator.paid() == 3


def test_another_run_of_the_same_directory_is_locked_out_and_seen(
    work, serve, standing_clock, on_windows
):
    service = serve(clock=standing_clock)
    first = on_windows(work.posters(1))
    work.until(lambda: service.tasks_asked_for() == 1, what="a task")
    assert on_windows("demo.yaml").end().code == 75
    assert on_windows("status", "demo.yaml", "--json").end().answer["running"] is True
    standing_clock.release()
    assert first.end().code == 0
    assert on_windows("status", "demo.yaml", "--json").end().answer["running"] is False


def test_ctrl_c_lets_what_is_under_way_end(work, serve, standing_clock, on_windows):
    service = serve(clock=standing_clock)
    child = on_windows(work.posters(4, concurrency=1))
    work.until(lambda: service.tasks_asked_for() == 1, what="a task")
    child.send(signal.SIGINT)
    child.wait_for_words("once more stops at once")
    standing_clock.release()
    outcome = child.end()
    assert outcome.code == 130
    assert service.paid() == 1
    assert on_windows("demo.yaml").end().code == 0
    assert list(service.creates().values()) == [1, 1, 1, 1]


def test_a_second_ctrl_c_stops_at_once(work, serve, standing_clock, on_windows):
    service = serve(clock=standing_clock)
    child = on_windows(work.posters(1))
    work.until(lambda: service.tasks_asked_for() == 1, what="a task")
    child.send(signal.SIGINT)
    child.wait_for_words("once more stops at once")
    child.send(signal.SIGINT)
    assert child.end().code == 130
    standing_clock.release()
    assert on_windows("demo.yaml").end().code == 0
    assert service.paid() == 1
