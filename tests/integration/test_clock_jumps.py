"""The machine's clock is set while a run goes on, and between two runs: nothing waits for it."""

import itertools
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from dsrun.common.clock import SystemClock

JUMPS = {
    "back 2 h": [0, -2],
    "back 3 d": [0, -72],
    "forward a year and back": [0, 24 * 366, 0],
    "to and fro": [0, 5, -5],
}


@pytest.fixture(params=JUMPS)
def jumping(request, monkeypatch):
    """The wall clock of this process, set again each few times that somebody looks at it."""
    hours = itertools.chain.from_iterable(itertools.repeat(h, 4) for h in JUMPS[request.param])
    last, true_now = [0.0], SystemClock.now

    def now(self):
        last[0] = next(hours, last[0])
        return true_now(self) + timedelta(hours=last[0])

    monkeypatch.setattr(SystemClock, "now", now)


def test_a_run_comes_to_its_end_pays_once_and_tells_how_long_it_took(work, emulator, jumping):
    began = time.monotonic()
    posters = work.posters(6, pictures=2)
    assert work.dsrun(posters, "--textfile", "demo.prom").code == 0
    took_s = time.monotonic() - began
    lines = Path("demo.prom").read_text().splitlines()
    metrics = dict(line.rsplit(" ", 1) for line in lines)
    assert 0 <= float(metrics['dsrun_last_run_duration_seconds{pipeline="demo"}']) <= took_s
    assert work.dsrun(posters).code == 0
    assert emulator.paid() == 6
    for run in work.dsrun("history", "demo", "--json").answer:
        assert run["duration_s"] >= 0


@pytest.mark.parametrize("hours", [-2, -72, 24 * 366], ids=["2 h", "3 d", "a year"])
@pytest.mark.parametrize("status", ["submitted", "succeeded"])
def test_a_run_whose_ledger_is_of_another_time_is_gone_on_with(work, emulator, hours, status):
    posters = work.posters(3)
    assert work.dsrun(posters).code == 0
    shift(work.run_dir(), hours, status)
    began = time.monotonic()
    assert work.dsrun(posters).code == 0
    assert time.monotonic() - began < 30
    assert emulator.paid() == 3
    assert work.statuses() == {"succeeded": 3}


def shift(run_dir, hours, status):
    """As if a clock that was so far off had been the machine's."""
    times = {
        "job": ["submitted_at", "ended_at"],
        "attempt": ["at"],
        "run": ["started_at", "ended_at"],
    }
    with closing(sqlite3.connect(run_dir / "ledger.sqlite3")) as db, db:
        for table, columns in times.items():
            for column in columns:
                db.execute(
                    f"UPDATE {table} SET {column} = "
                    f"strftime('%Y-%m-%dT%H:%M:%fZ', {column}, '{-hours} hours')"
                )
        db.execute("UPDATE job SET status = ?", (status,))
