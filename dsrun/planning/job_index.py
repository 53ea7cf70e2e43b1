"""Finds equal jobs and clashing file names among any number of jobs, and keeps the chosen ones.

All in little memory: temporary SQLite databases without a name live in their page cache and spill
to disk.
"""

import sqlite3
import unicodedata
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from types import TracebackType
from typing import NamedTuple, Self

from dsrun.common.models import Job


class Clash(NamedTuple):
    """Two jobs of a step that would write the same file."""

    step: str
    first_index: int
    second_index: int


class ChosenJob(NamedTuple):
    """The fields of a Job that are kept when a selection picks it."""

    job_id: str
    step: str
    units: int


_PAGE = 500
_SETTINGS = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8000;"


class ChosenJobs:
    """The jobs that a selection picks, each once, in plan order. Close it with `close()`."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(
            f"{_SETTINGS} CREATE TABLE job (number INTEGER PRIMARY KEY, id TEXT UNIQUE, step TEXT, "
            "units INT, lot BLOB); BEGIN;"
        )
        self._count = 0

    def close(self) -> None:
        self._db.close()

    def __len__(self) -> int:
        return self._count

    def add(self, job: Job, *, lot: bytes | None = None) -> None:
        """Add a job unless it is here already; a sample takes the smallest lots."""
        values = (job.job_id, job.step, job.units, lot)
        sql = "INSERT OR IGNORE INTO job (id, step, units, lot) VALUES (?, ?, ?, ?)"
        self._count += self._db.execute(sql, values).rowcount

    def keep_sample(self, size: int) -> None:
        """Drop all but the `size` smallest lots."""
        sql = "DELETE FROM job WHERE id NOT IN (SELECT id FROM job ORDER BY lot, number LIMIT ?)"
        self._count -= self._db.execute(sql, (size,)).rowcount

    def keep_first(self, count: int) -> None:
        sql = "DELETE FROM job WHERE number NOT IN (SELECT number FROM job ORDER BY number LIMIT ?)"
        self._count -= self._db.execute(sql, (count,)).rowcount

    def pages(self) -> Iterator[list[ChosenJob]]:
        last = 0
        sql = "SELECT id, step, units, number FROM job WHERE number > ? ORDER BY number LIMIT ?"
        while rows := self._db.execute(sql, (last, _PAGE)).fetchall():
            yield [ChosenJob(*row[:3]) for row in rows]
            last = rows[-1][3]

    def ids(self) -> Iterator[list[str]]:
        """The ids of each page."""
        return ([job.job_id for job in page] for page in self.pages())

    def among(self, job_ids: Sequence[str]) -> set[str]:
        """The ids that are chosen, out of these."""
        marks = ",".join("?" * len(job_ids))
        sql = f"SELECT id FROM job WHERE id IN ({marks})"  # noqa: S608  # only question marks
        return {row[0] for row in self._db.execute(sql, job_ids)}


class PlanIndex:
    """Takes jobs in batches; tells which are new, and which file names clash."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(
            _SETTINGS
            + """
            CREATE TABLE job (id BLOB PRIMARY KEY) WITHOUT ROWID;
            CREATE TABLE stem (key BLOB PRIMARY KEY, job BLOB, step TEXT, idx INT, clash INT)
                WITHOUT ROWID;
            BEGIN;
            """
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._db.close()

    def add(self, jobs: Sequence[Job]) -> list[bool]:
        """Whether each job is the first with its id."""
        ids = [bytes.fromhex(job.job_id)[:16] for job in jobs]
        marks = ",".join("?" * len(ids))
        query = f"SELECT id FROM job WHERE id IN ({marks})"  # noqa: S608  # only question marks
        seen = {row[0] for row in self._db.execute(query, ids)}
        new = []
        for job_id in ids:
            new.append(job_id not in seen)
            seen.add(job_id)
        self._db.executemany("INSERT OR IGNORE INTO job VALUES (?)", [(i,) for i in ids])
        self._db.executemany(
            "INSERT INTO stem VALUES (?, ?, ?, ?, NULL) ON CONFLICT DO UPDATE "
            "SET clash = excluded.idx WHERE stem.clash IS NULL AND stem.job <> excluded.job",
            [
                (_key(job.step, stem), job_id + bytes([number]), job.step, job.index)
                for job, job_id in zip(jobs, ids, strict=True)
                for number, stem in enumerate(job.stems)
            ],
        )
        return new

    def clashes(self) -> list[Clash]:
        """The clashes, at most one a step."""
        rows = self._db.execute(
            "SELECT step, min(idx), clash FROM stem WHERE clash IS NOT NULL GROUP BY step"
        )
        return [Clash(*row) for row in rows]


def _key(step: str, stem: str) -> bytes:
    """A key that is equal for names that some file system takes for one: by case or composition."""
    name = f"{step}/{stem}"
    if not name.isascii():
        name = unicodedata.normalize("NFC", name)
    return blake2b(name.casefold().encode(), digest_size=16).digest()
