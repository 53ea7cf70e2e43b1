"""Flipped bytes in a ledger: every command answers rightly or says which ledger is damaged."""

import random
import shutil
import sqlite3
from contextlib import closing

import pytest

from dsrun.storage.layout import TAIL

JOBS = 6
PLACES = 128
COMMANDS = (
    ("status", "outputs/demo", "--json"),
    ("verify", "outputs/demo", "--json"),
    ("ledger", "outputs/demo", "--json"),
    ("explain", "posters/0", "outputs/demo", "--json"),
    ("cost", "--json"),
    ("history", "--json"),
    ("plan", "demo.yaml", "--json"),
    ("report", "outputs/demo"),
    ("demo.yaml", "--no-cache"),
)


def run_files(work):
    """Everything of the run directory but its pictures, to be put back."""
    folder = work.run_dir()
    return {p: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def put_back(files, folder):
    for path in folder.iterdir():
        if path.is_file() and path not in files:
            path.unlink()
        if path.is_dir() and path.name.startswith(".repair"):
            shutil.rmtree(path)
    for path, data in files.items():
        path.write_bytes(data)


def places(data, seed):
    """Seeded places: of the header, and of every page."""
    rng = random.Random(seed)
    pages = max(1, len(data) // 4096)
    yield from (rng.randrange(100) for _ in range(PLACES // 4))
    for number in range(PLACES - PLACES // 4):
        page = number % pages
        # Pages are filled from their end; what is in between is not used.
        inside = rng.choice((rng.randrange(40), rng.randrange(2048, 4096)))
        yield min(page * 4096 + inside, len(data) - 1)


def flip(path, place, rng):
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def answers(work):
    return {command: work.dsrun(*command) for command in COMMANDS[:-2]}


def judge(work, command, before):
    outcome = work.dsrun(*command)
    assert outcome.code in (0, 3), (command, outcome)
    if outcome.code == 3:
        assert "ledger.sqlite3" in outcome.err, outcome.err
    elif command in before:
        assert outcome.out == before[command].out
    return outcome.code


@pytest.fixture
def done(work, serve):
    service = serve()
    assert work.dsrun(work.posters(JOBS), "--no-cache").code == 0
    return service


def test_of_a_ledger_that_was_closed(work, done):
    files, before, rng = run_files(work), answers(work), random.Random(1)
    ledger = work.run_dir() / "ledger.sqlite3"
    told = 0
    for number, place in enumerate(places(files[ledger], seed=2)):
        flip(ledger, place, rng)
        for step in range(3):
            command = COMMANDS[(number * 3 + step) % len(COMMANDS)]
            told += judge(work, command, before) == 3
        put_back(files, work.run_dir())
    assert told > PLACES
    assert done.paid() == JOBS


def test_of_a_ledger_without_a_seal(work, done):
    (work.run_dir() / TAIL).unlink()
    files, rng = run_files(work), random.Random(3)
    ledger = work.run_dir() / "ledger.sqlite3"
    for number, place in enumerate(places(files[ledger], seed=4)):
        flip(ledger, place, rng)
        for step in range(3):
            judge(work, COMMANDS[(number * 3 + step) % len(COMMANDS)], {})
        put_back(files, work.run_dir())
    assert done.paid() == JOBS


@pytest.mark.parametrize("ending", ["", "-wal"], ids=["database", "log"])
def test_of_a_ledger_that_was_killed(work, serve, standing_clock, ending):
    service = serve(clock=standing_clock)
    child = work.spawn(work.posters(JOBS), "--no-cache")
    work.until(lambda: service.tasks_asked_for() == JOBS, what="all tasks asked for")
    child.kill()
    files, before, rng = run_files(work), answers(work), random.Random(5)
    target = work.run_dir() / f"ledger.sqlite3{ending}"
    for number, place in enumerate(places(files[target], seed=6)):
        flip(target, place, rng)
        for step in range(2):
            command = COMMANDS[(number * 2 + step) % (len(COMMANDS) - 1)]
            judge(work, command, before)
        put_back(files, work.run_dir())
    standing_clock.release()
    flip(target, min(5000, len(files[target]) - 1), rng)
    assert work.dsrun("demo.yaml", "--no-cache").code in (0, 3)
    assert service.paid() == JOBS


class TestRepair:
    def test_a_whole_ledger_is_left_as_it_is(self, work, done):
        before = run_files(work)
        outcome = work.dsrun("verify", "--repair", "outputs/demo")
        assert outcome.code == 0
        assert "nothing to repair" in outcome.err
        assert {p.name: d for p, d in run_files(work).items()} == {
            p.name: d for p, d in before.items()
        }

    @pytest.mark.parametrize("seed", range(12))
    def test_brings_every_job_back(self, work, done, seed):
        ledger, rng = work.run_dir() / "ledger.sqlite3", random.Random(seed)
        lines = work.results()
        for _ in range(1 + seed):
            flip(ledger, rng.randrange(ledger.stat().st_size), rng)
        damaged = ledger.read_bytes()
        assert work.dsrun("verify", "outputs/demo").code == 3
        outcome = work.dsrun("verify", "--repair", "outputs/demo")
        assert outcome.code == 0, outcome
        assert (work.run_dir() / "ledger.damaged-1.sqlite3").read_bytes() == damaged
        assert work.dsrun("demo.yaml", "--no-cache").code == 0
        assert done.paid() == JOBS
        keys = ("job_id", "status", "artifacts", "cost")
        told = [{key: line[key] for key in keys} for line in work.results()]
        assert told == [{key: line[key] for key in keys} for line in lines]

    @pytest.mark.parametrize("keeps_results", [True, False], ids=["results", "pictures alone"])
    def test_of_a_ledger_that_is_nothing_but_noise(self, work, done, keeps_results):
        ledger = work.run_dir() / "ledger.sqlite3"
        ledger.write_bytes(random.Random(7).randbytes(ledger.stat().st_size))
        if not keeps_results:
            (work.run_dir() / "results.jsonl").unlink()
        assert work.dsrun("verify", "--repair", "outputs/demo").code == 0
        assert work.dsrun("demo.yaml", "--no-cache").code == 0
        assert done.paid() == JOBS
        assert work.statuses() == {"succeeded": JOBS}

    def test_what_nobody_knows_is_not_paid_again_in_silence(self, work, done):
        run_dir = work.run_dir()
        ledger = run_dir / "ledger.sqlite3"
        ledger.write_bytes(random.Random(8).randbytes(ledger.stat().st_size))
        for name in ("results.jsonl", TAIL):
            (run_dir / name).unlink()
        shutil.rmtree(run_dir / "artifacts")
        work.dsrun("verify", "--repair", "outputs/demo")
        assert work.statuses() == {"unknown": JOBS}
        for _ in range(2):
            outcome = work.dsrun("demo.yaml", "--no-cache")
            assert outcome.code == 3
            assert "--resubmit-unknown" in outcome.err
        assert done.paid() == JOBS
        assert work.dsrun("demo.yaml", "--no-cache", "--resubmit-unknown").code == 0
        assert done.paid() == 2 * JOBS

    def test_of_a_killed_run_the_tasks_are_kept(self, work, serve, standing_clock):
        service = serve(clock=standing_clock)
        child = work.spawn(work.posters(JOBS), "--no-cache")
        work.until(lambda: service.tasks_asked_for() == JOBS, what="all tasks asked for")
        child.kill()
        standing_clock.release()
        ledger = work.run_dir() / "ledger.sqlite3"
        with closing(sqlite3.connect(ledger)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        data = bytearray(ledger.read_bytes())
        data[4096:] = bytes(len(data) - 4096)
        ledger.write_bytes(data)
        assert work.dsrun("demo.yaml").code == 3
        work.dsrun("verify", "--repair", "outputs/demo")
        assert work.statuses() == {"submitted": JOBS}
        assert work.dsrun("demo.yaml", "--no-cache").code == 0
        assert service.paid() == JOBS
