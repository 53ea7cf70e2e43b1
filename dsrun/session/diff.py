"""The difference between a plan and an earlier run, in a temporary table, for any number of jobs.

A job is the same where its id is. Else it is the change of the job that had its row, or, where
that row is gone, of the one that stood at its place; a job without either is new.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from dsrun.common.digest import json_text
from dsrun.common.models import Job
from dsrun.ledger.lookup import PlannedJob


class Difference(NamedTuple):
    """Numbers of jobs."""

    added: int
    removed: int
    changed: int
    same: int


class PlanDiff:
    """Takes the jobs of a plan in batches. Close it with `close()`."""

    def __init__(self, earlier: Iterable[Sequence[PlannedJob]]) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(
            """
            PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8000;
            CREATE TABLE old (id TEXT PRIMARY KEY, key BLOB, step TEXT, idx INT, met INT);
            CREATE TABLE new (id TEXT PRIMARY KEY, key BLOB, step TEXT, idx INT, was TEXT);
            BEGIN;
            """
        )
        for page in earlier:
            self._db.executemany(
                "INSERT INTO old VALUES (?, ?, ?, ?, 0)",
                [
                    (job.job_id, _key(job.step, job.replica, job.matrix), job.step, job.index)
                    for job in page
                ],
            )
        self._same = 0

    def close(self) -> None:
        self._db.close()

    def add(self, jobs: Sequence[Job]) -> None:
        """Jobs of the plan, each once."""
        marks = ",".join("?" * len(jobs))
        rows = self._db.execute(
            f"UPDATE old SET met = 1 WHERE id IN ({marks}) RETURNING id",  # noqa: S608
            [job.job_id for job in jobs],
        )
        same = {row[0] for row in rows}
        self._same += len(same)
        self._db.executemany(
            "INSERT INTO new VALUES (?, ?, ?, ?, NULL)",
            [
                (
                    job.job_id,
                    _key(job.step, job.replica, json_text(job.matrix)),
                    job.step,
                    job.index,
                )
                for job in jobs
                if job.job_id not in same
            ],
        )

    def end(self) -> Difference:
        """After the last job: who was who."""
        self._db.executescript(
            """
            CREATE INDEX old_key ON old (key) WHERE NOT met;
            CREATE INDEX old_place ON old (step, idx) WHERE NOT met;
            UPDATE new SET was = (SELECT id FROM old WHERE old.key = new.key AND NOT met);
            UPDATE old SET met = 1 WHERE id IN (SELECT was FROM new);
            UPDATE new SET was = (
                SELECT id FROM old WHERE old.step = new.step AND old.idx = new.idx AND NOT met
            ) WHERE was IS NULL;
            UPDATE old SET met = 1 WHERE id IN (SELECT was FROM new);
            """
        )
        changed, added = self._db.execute("SELECT count(was), sum(was IS NULL) FROM new").fetchone()
        removed = self._db.execute("SELECT count(*) FROM old WHERE NOT met").fetchone()[0]
        return Difference(added or 0, removed, changed, self._same)

    def earlier_id(self, job_id: str) -> str | None:
        """The id that the job had; its own where it is the same, None where it is new."""
        row = self._db.execute("SELECT was FROM new WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            return job_id
        return None if row[0] is None else str(row[0])


def _key(step: str, replica: int, matrix: str) -> bytes:
    return blake2b(f"{step}/{replica}/{matrix}".encode(), digest_size=16).digest()
