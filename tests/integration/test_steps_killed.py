"""Steps that build on steps, killed at any moment: paid once each, and no job sleeps on."""

import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.test_steps_run import audiobook, change, steps_of, storyboard, texts

CHILD = Path(__file__).parents[1] / "torture/child.py"
BIG = {"picture_scale": 0.5}
ROUNDS = 20
MOST_RUNS = 4


def runs_to_the_end(work, pipeline, *options):
    """Run until all has succeeded; what is in doubt is looked for by each run."""
    codes = []
    while not codes or (codes[-1] and len(codes) < MOST_RUNS):
        codes.append(work.dsrun(pipeline, *options).code)
    return codes[-1]


@pytest.mark.parametrize(
    ("point", "number"),
    [
        (f"{when} {place}", number)
        for place, numbers in {
            "Ledger.record_result": (1, 2, 4),
            "Ledger.wake": (1, 2, 3, 5),
            "Ledger.record_intent": (1, 3, 5),
            "Ledger.record_task": (1, 4, 6),
            "ApiClient.create": (1, 3, 5),
            "Ledger.commit": (3, 8, 15, 25),
        }.items()
        for number in numbers
        for when in ("before", "after")
    ],
)
def test_a_run_killed_here_pays_once_and_leaves_none_asleep(work, serve, point, number):
    service = serve(**BIG)
    pipeline = storyboard(work, shots=3, concurrency=2)
    work.spawn_script(CHILD, point, str(number), "run", pipeline).end()
    assert runs_to_the_end(work, pipeline) == 0
    assert steps_of(work) == {("shots", "succeeded"): 3, ("edits", "succeeded"): 3}
    assert list(service.creates().values()) == [1] * 6


def test_what_was_left_asleep_between_two_pages_is_woken(work, serve):
    service = serve(**BIG)
    pipeline = storyboard(work, shots=3)
    work.dsrun(pipeline, "--step", "shots")
    change(work, "UPDATE job SET status = iif(idx < 2, 'waiting', 'pending') WHERE step = 'edits'")
    assert work.dsrun(pipeline).code == 0
    assert service.paid() == 6


def test_a_tail_gives_back_what_the_log_of_a_killed_run_has_lost(work, serve):
    service = serve(**BIG)
    pipeline = storyboard(work, shots=3)
    work.spawn_script(CHILD, "after Ledger.record_task", "5", "run", pipeline).end()
    for ending in ("-wal", "-shm"):
        (work.run_dir() / f"ledger.sqlite3{ending}").unlink(missing_ok=True)
    assert runs_to_the_end(work, pipeline) == 0
    assert list(service.creates().values()) == [1] * 6


def test_a_ledger_that_has_lost_its_facts_sends_no_child_before_the_lists_were_asked(work, serve):
    service = serve(**BIG)
    pipeline = storyboard(work, shots=2)
    work.spawn_script(CHILD, "after Ledger.record_task", "4", "run", pipeline).end()
    for ending in ("ledger.sqlite3-wal", "ledger.sqlite3-shm", ".ledger-tail"):
        (work.run_dir() / ending).unlink(missing_ok=True)
    outcome = work.dsrun(pipeline)
    assert (outcome.code, service.paid()) == (3, 4)
    assert "wan2.5-i2i-preview: the service has" in outcome.err


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_damaged_ledger_is_made_anew_with_what_jobs_are_made_of(work, serve, is_whole):
    service = serve(**BIG)
    pipeline = storyboard(work, shots=3)
    work.dsrun(pipeline) if is_whole else work.dsrun(pipeline, "--step", "shots")
    ledger = work.run_dir() / "ledger.sqlite3"
    data = bytearray(ledger.read_bytes())
    data[200:4096] = bytes(4096 - 200)
    ledger.write_bytes(data)
    assert work.dsrun("verify", "--repair", work.run_dir()).code == 0
    with closing(sqlite3.connect(ledger)) as db:
        assert db.execute("SELECT count(*) FROM edge").fetchone() == (3,)
    assert runs_to_the_end(work, pipeline) == 0
    assert steps_of(work) == {("shots", "succeeded"): 3, ("edits", "succeeded"): 3}
    assert list(service.creates().values()) == [1] * 6


def test_an_audiobook_killed_again_and_again_over_a_bad_line_is_read_whole(work, serve):
    service = serve("lost-answer=0.2", "server-error=0.1", seed=3)
    rng = random.Random(15)
    names = "abcde"
    lines = [(names[number % 5], f"line {number}") for number in range(60)]
    pipeline = audiobook(work, names, lines, concurrency=8, max_attempts=20)
    for _ in range(ROUNDS):
        point = rng.choice(["Ledger.commit", "Ledger.record_intent", "Ledger.record_result",
                            "ApiClient.create", "Ledger.wake", "Ledger.record_answer"])  # fmt: skip
        when, number = rng.choice(["before", "after"]), rng.randint(2, 12)
        child = work.spawn_script(CHILD, f"{when} {point}", str(number), "run", pipeline)
        child.end()
    service.heal()
    # Lost answers of lines can be more than their operation repeats, and voices lose a preview.
    assert work.dsrun(pipeline).code in (0, 1)
    assert runs_to_the_end(work, pipeline, "--resubmit-unknown") in (0, 1)
    ends = steps_of(work)
    assert ends["speech", "succeeded"] == 60
    assert not {status for _, status in ends} & {"waiting", "pending", "skipped", "unknown"}
    voices = [number for body, number in service.creates().items()
              if "voice_prompt" in json.loads(body)["input"]]  # fmt: skip
    assert voices == [1] * 5
    repeats = {
        json.loads(row["request"])["input"]["text"]: row["repeats"]
        for row in work.query(
            "SELECT request, repeats + (SELECT count(*) FROM attempt WHERE outcome = 'abandoned' "
            "AND attempt.job_id = job.job_id) AS repeats FROM job WHERE step = 'speech'"
        )
    }
    read = texts(service)
    assert read.keys() == repeats.keys()
    assert all(read[text] <= 1 + repeats[text] for text in read)


def test_a_ledger_that_cannot_wake_a_job_ends_the_run_and_cancels_none_under_way(work, serve):
    service = serve(task_time_s=2.0, **BIG)
    child = work.spawn("run", storyboard(work, shots=3))
    work.until(lambda: service.paid() == 3, what="the tasks of the pictures")
    change(
        work,
        "CREATE TRIGGER broken BEFORE UPDATE OF status ON job WHEN old.status = 'waiting' "
        "BEGIN SELECT abs(-9223372036854775808); END",
    )
    outcome = child.end()
    assert outcome.code == 3, outcome.err
    assert steps_of(work) == {("shots", "succeeded"): 3, ("edits", "waiting"): 3}


def test_a_run_that_max_cost_stops_fetches_what_was_sent_and_sends_no_child(work, serve):
    service = serve(**BIG)
    pipeline = storyboard(work, shots=3)
    work.spawn_script(CHILD, "after Ledger.record_task", "5", "run", pipeline).end()
    paid = service.paid()
    assert work.dsrun(pipeline, "--max-cost", "0.001").code == 3
    assert service.paid() == paid
    steps = steps_of(work)
    assert steps["shots", "succeeded"] == 3
    assert steps["edits", "succeeded"] == paid - 3
    assert ("edits", "submitted") not in steps
    assert runs_to_the_end(work, pipeline) == 0
    assert list(service.creates().values()) == [1] * 6
