"""Runs of one output root that go on at the same time: what both plan is paid once."""

import asyncio
import random
import signal
import sqlite3
import time
from contextlib import closing

import pytest

import dsrun

SLOW = {"rate": "4/s", "concurrency": 4}  # the first run is still at it when the second begins
QUICK = {"rate": "30/s", "concurrency": 8}


@pytest.fixture
def hold_up(work, serve, standing_clock):
    """Starts a run and returns it with its service, whose tasks do not end: 4 are under way."""

    def start(jobs):
        service = serve(clock=standing_clock)
        run = work.spawn(work.posters(jobs, concurrency=4))
        work.until(lambda: service.paid() == 4, what="creates of the first run")
        return run, service

    return start


def test_a_pipeline_that_is_edited_and_run_again_meanwhile_pays_for_what_is_new(
    work, hold_up, standing_clock
):
    first, service = hold_up(12)
    second = work.spawn(work.posters(14, concurrency=4))
    second.wait_for_words("another run in progress has jobs")
    standing_clock.release()
    outcome = second.end()
    assert (outcome.code, first.end().code) == (0, 0), outcome
    assert work.statuses() == {"succeeded": 14}
    assert set(service.creates().values()) == {1}
    assert len(service.creates()) == 14


@pytest.mark.parametrize("number", [2, 4])
def test_runs_that_begin_at_once_pay_for_what_they_share_once(work, emulator, number):
    runs = [
        work.spawn(work.posters(8 + extra, path=f"{extra}.yaml", **SLOW)) for extra in range(number)
    ]
    outcomes = [run.end() for run in runs]
    assert [outcome.code for outcome in outcomes] == [0] * number, outcomes
    assert set(emulator.creates().values()) == {1}
    assert len(emulator.creates()) == 8 + number - 1


def test_what_a_killed_run_has_left_is_taken_over(work, hold_up, standing_clock):
    first, service = hold_up(40)
    second = work.spawn(work.posters(8, concurrency=4))
    second.wait_for_words("another run in progress has jobs")
    first.kill()
    standing_clock.release()
    outcome = second.end()
    assert outcome.code == 0, outcome
    assert work.statuses() == {"succeeded": 8}
    assert set(service.creates().values()) == {1}


def test_what_is_taken_over_counts_for_max_cost(work, hold_up, standing_clock):
    first, _ = hold_up(40)
    second = work.spawn(work.posters(30, concurrency=4, max_cost="0.8 CNY"))
    second.wait_for_words("another run in progress has jobs")
    first.kill()
    standing_clock.release()
    outcome = second.end()
    assert outcome.code == 3, outcome
    counts = work.query("SELECT outcome, count(*) FROM attempt WHERE phase = 'create' GROUP BY 1")
    creates = {row["outcome"]: row["count(*)"] for row in counts}
    taken_over = creates.get("shared", 0)  # paid already, and seen through whatever it costs
    assert taken_over + creates.get("accepted", 0) == max(5, taken_over)  # at 0.16 CNY each


def test_what_a_killed_run_has_made_is_not_paid_again_by_another_pipeline(work, emulator):
    """It had no time to give its last results to the cache."""
    first = work.spawn(work.posters(40, **SLOW))
    work.until(lambda: emulator.paid() >= 1, what="a create")
    work.until(lambda: work.statuses().get("succeeded", 0) >= 4, what="finished jobs")
    first.kill()
    outcome = work.dsrun(work.posters(8, **SLOW))
    assert outcome.code == 0, outcome
    assert set(emulator.creates().values()) == {1}
    assert "from the cache" in outcome.err


def test_what_another_run_fails_to_make_is_sent_then(work, serve):
    emulator = serve("failed-task=0.5", seed=3)
    first = work.spawn(work.posters(10, **SLOW))
    work.until(lambda: emulator.paid() >= 1, what="a create of the first run")
    outcome = work.dsrun(work.posters(6, **SLOW))
    assert outcome.code in (0, 1)
    first.end()
    assert not {"pending", "submitting", "submitted"} & set(work.statuses())


def test_an_interrupt_ends_the_wait_for_another_run(work, emulator):
    first = work.spawn(work.posters(60, **SLOW))
    work.until(lambda: emulator.paid() >= 1, what="a create of the first run")
    second = work.spawn(work.posters(61, **SLOW))
    own = "a lantern 60"
    work.until(lambda: any(own in body for body in emulator.creates()), what="its own job")
    second.send(signal.SIGINT)
    outcome = second.end()
    first.kill()
    assert outcome.code == 130
    assert "goes on where this run stopped" in outcome.err
    assert set(emulator.creates().values()) == {1}


def test_a_run_that_wants_nothing_of_others_waits_for_none(work, emulator):
    first = work.spawn(work.posters(60, **SLOW))
    work.until(lambda: emulator.paid() >= 1, what="a create of the first run")
    outcome = work.dsrun(work.posters(3), "--no-cache")
    assert (outcome.code, first.process.poll()) == (0, None)


def test_two_runs_of_one_program_pay_once_too(work, emulator):
    pipelines = [work.posters(6 + 2 * number, path=f"{number}.yaml", **SLOW) for number in range(2)]

    async def run_both():
        return await asyncio.gather(*(dsrun.run(dsrun.load(path)) for path in pipelines))

    results = asyncio.run(run_both())
    assert [result.exit_code for result in results] == [0, 0]
    assert set(emulator.creates().values()) == {1}


def test_a_run_at_another_address_is_no_neighbour(work, serve, hold_up):
    first, _ = hold_up(40)
    serve()
    outcome = work.dsrun(work.posters(8))
    assert (outcome.code, first.process.poll()) == (0, None), outcome
    assert "another run" not in outcome.err


def test_what_a_living_run_has_made_is_taken_at_once(work, hold_up, standing_clock):
    """Not only when it gives it to the cache, at its end or after ten seconds."""
    first, _ = hold_up(60)
    standing_clock.advance(60)
    work.until(lambda: work.statuses().get("succeeded", 0) == 4, what="finished jobs")
    outcome = work.dsrun(work.posters(4))
    assert (outcome.code, first.process.poll()) == (0, None), outcome
    assert "4 succeeded (4 from the cache); cost so far: 0 CNY" in outcome.err


def test_a_plan_says_what_another_run_has_in_hand(work, hold_up):
    first, _ = hold_up(60)
    pipeline = work.posters(63)
    plan = work.dsrun("plan", pipeline, "--json").answer
    assert (plan["to_send"] + plan["cached"], plan["to_send"] - plan["in_hand"]) == (63, 3)
    assert "left to a run in progress; cost" in work.dsrun("plan", pipeline).out
    first.kill()
    assert work.dsrun("plan", pipeline, "--json").answer["in_hand"] == 0


def test_a_selection_is_held_like_the_rest(work, hold_up, standing_clock):
    first, service = hold_up(9)
    second = work.spawn(work.posters(20), "--only", "number > 6 and number < 12")
    second.wait_for_words("another run in progress has jobs")
    standing_clock.release()
    outcome = second.end()
    assert (outcome.code, first.end().code) == (0, 0), outcome
    assert work.statuses() == {"pending": 15, "succeeded": 5}
    assert set(service.creates().values()) == {1}


def test_voices_are_held_too(work, emulator):
    steps = """
steps:
  voices:
    operation: qwen-voice-design
    matrix: {tone: [NAMES]}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: "a {{ tone }} voice"
      preview_text: hi
"""
    tones = ["calm", "deep", "warm", "thin", "loud", "hoarse"]
    first = work.spawn(work.pipeline(steps.replace("NAMES", ", ".join(tones[:5])), **SLOW))
    work.until(lambda: emulator.paid() >= 1, what="a create of the first run")
    outcome = work.dsrun(work.pipeline(steps.replace("NAMES", ", ".join(tones)), **SLOW))
    assert (outcome.code, first.end().code) == (0, 0), outcome
    assert sorted(emulator.creates().values()) == [1] * 6


def test_an_emulated_run_beside_a_real_one_has_its_own_results(work, hold_up):
    first, _ = hold_up(60)
    outcome = work.dsrun(work.posters(2), "--emulate")
    assert (outcome.code, first.process.poll()) == (0, None)
    assert "another run" not in outcome.err


@pytest.mark.parametrize(
    "faults", [(), ("reset=0.15",), ("lost-answer=0.1",)], ids=["good", "resets", "lost answers"]
)
def test_rivals_that_are_killed_at_random_moments_pay_once(work, serve, faults):
    """Where two of them lose an answer in the same moment, nobody can tell whose task is whose.

    A kill loses answers too.
    """
    emulator, rng = serve(*faults, seed=1), random.Random(1)
    files = [work.posters(30 + 5 * extra, path=f"{extra}.yaml", **QUICK) for extra in range(3)]
    runs = {file: work.spawn(file) for file in files}
    for _ in range(12):
        time.sleep(rng.uniform(0.1, 0.8))
        file = rng.choice(files)
        runs[file].kill()
        runs[file] = work.spawn(file)
    outcomes = [run.end() for run in runs.values()]
    assert {outcome.code for outcome in outcomes} <= {0, 1}, "\n".join(map(str, outcomes))
    assert set(emulator.creates().values()) == {1}
    left = {"pending", "submitting", "submitted", "failed", "partial", "cancelled"}
    assert not left & set(work.statuses())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE job SET submitted_at = '2026-01-01T00:00:00.000Z'",
        "UPDATE run SET endpoint = 'https://elsewhere.example/api/v1'",
    ],
    ids=["long ago", "at another address"],
)
def test_a_doubt_that_nobody_can_settle_here_holds_up_no_other_run(work, serve, change):
    """What it may have paid is not to be had here: the job of this run is judged by itself."""
    serve("no-list", "lost-answer")
    assert work.dsrun(work.posters(1)).code == 1
    assert work.statuses() == {"unknown": 1}
    with closing(sqlite3.connect(work.run_dir() / "ledger.sqlite3")) as db, db:
        db.execute(change)
    emulator = serve("server-error")
    emulator.strike_only(1)
    outcome = work.dsrun(work.posters(2, concurrency=1))
    assert (outcome.code, work.statuses()) == (0, {"succeeded": 2}), outcome
    lost = "SELECT 1 FROM attempt JOIN job USING (job_id) WHERE outcome = 'lost' AND idx = 0"
    assert work.query(lost)
    assert set(emulator.creates().values()) == {1}
