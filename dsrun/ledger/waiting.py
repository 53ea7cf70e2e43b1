"""Jobs that wait for others: which are ready, in which order they go, and the facts about them.

`edges` has the SQL. The rest are functions of a reader, and what `Ledger` can do with such jobs.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import orjson

from dsrun.common.digest import json_text
from dsrun.common.models import JobStatus, OpenJob
from dsrun.ledger.edges import (
    CHILDREN,
    DIES,
    FORGET_ADDRESSES,
    READY,
    SLEEP,
    SLEEP_BELOW,
    SLEEPY,
    WAKE,
)  # fmt: skip
from dsrun.ledger.reader import LedgerReader
from dsrun.ledger.writes import REOPEN, Row, Statement

_PAGE = LATE_PAGE = 500


class Lives(NamedTuple):
    """How long addresses of files live that the service gave at an endpoint, by operation."""

    endpoint: str
    hours: Mapping[str, float]


def has_edges(reader: LedgerReader) -> bool:
    """Whether a job waits, or had to wait, for others."""
    return reader.row("SELECT 1 FROM edge WHERE takes IS NOT NULL LIMIT 1") is not None


def ready_ids(reader: LedgerReader, parents: Sequence[str] | None) -> Iterator[list[str]]:
    """Jobs that wait for nothing any more; of those that take of `parents`, or of all.

    They come in pages, and the caller wakes one before it asks for the next.
    """
    while parents is None and (rows := reader.rows(READY)):
        yield [row[0] for row in rows]
    for parent in parents or ():
        last = ""
        while rows := reader.rows(CHILDREN, (parent, last)):
            if ready := [row[0] for row in rows if row[1]]:
                yield list(dict.fromkeys(ready))
            last = rows[-1][0]


def sleepy_ids(reader: LedgerReader) -> list[str]:
    """Some jobs that take something of a job that is open again, and do not wait for it."""
    return [row[0] for row in reader.rows(SLEEPY)]


def ids_among(reader: LedgerReader, ids: Sequence[str], status: JobStatus) -> list[str]:
    """Those of some jobs that have this status."""
    sql = "SELECT job_id FROM job WHERE status = ? AND job_id IN (SELECT value FROM json_each(?))"
    return [row[0] for row in reader.rows(sql, (status, orjson.dumps(list(ids)).decode()))]


def late_jobs(
    reader: LedgerReader, *, operation: str, but: Collection[str], lives: Lives, now: str
) -> list[OpenJob]:
    """Some pending jobs that had to wait, but those that are named.

    First those that take an address, the one that dies soonest; then the deepest; then plan
    order. Fewer than LATE_PAGE are all that there are.
    """
    values = {
        "operation": operation, "but": orjson.dumps(list(but)).decode(), "most": LATE_PAGE,
        "hours": orjson.dumps(dict(lives.hours)).decode(), "endpoint": lives.endpoint,
        "now": now,
    }  # fmt: skip
    dies = f"{DIES} NULLS LAST, " if reader.row("SELECT 1 FROM address LIMIT 1") else ""
    rows = reader.rows(
        f"SELECT * FROM {reader.jobs} WHERE operation = :operation AND status = 'pending' "  # noqa: S608
        f"AND late IS NOT NULL {reader.not_held} "
        "AND job_id NOT IN (SELECT value FROM json_each(:but)) "
        f"ORDER BY {dies} depth DESC, position LIMIT :most",
        values,
    )
    return [reader.open_job(row) for row in rows]


def unsent_late(reader: LedgerReader, *statuses: JobStatus, operation: str) -> Iterator[OpenJob]:
    """The jobs of these statuses that take something of others, in plan order."""
    wanted, last = orjson.dumps(statuses).decode(), -1
    while rows := reader.rows(
        f"SELECT * FROM {reader.jobs} WHERE position > ? AND operation = ? "  # noqa: S608
        "AND status IN (SELECT value FROM json_each(?)) AND late IS NOT NULL "
        f"{reader.not_held} ORDER BY position LIMIT ?",
        (last, operation, wanted, _PAGE),
    ):
        yield from (reader.open_job(row) for row in rows)
        last = rows[-1]["position"]


class WaitingJobs:
    """What a ledger records of jobs that wait for others."""

    view: LedgerReader

    async def wake(self, at: str, *, parents: Sequence[str] | None = None) -> list[str]:
        """Wake what waits for nothing any more: of all jobs, or of those that take of `parents`.

        Returns the ids of the jobs that are skipped, since a job did not give what they take.
        """
        skipped: list[str] = []
        asked: list[Sequence[str] | None] = [parents]
        while asked:
            for ids in ready_ids(self.view, asked.pop()):
                await self._write(Statement(WAKE, (at, json_text(ids))))
                if lost := ids_among(self.view, ids, JobStatus.SKIPPED):
                    skipped += lost
                    asked.append(lost)
        return skipped

    async def let_wait(self) -> None:
        """Jobs wait again where a job that they take something of is open again."""
        while ids := sleepy_ids(self.view):
            await self._write(Statement(SLEEP, (json_text(ids),)))

    async def reconsider(self, parent: str) -> None:
        """What was skipped while `parent` was asked for the rest waits again, to be woken."""
        await self._write(Statement(SLEEP_BELOW, (parent,)))

    async def record_dead_addresses(self, job: OpenJob, *, at: str, message: str) -> None:
        """The service cannot fetch its own files for a job, which goes by upload: no attempt."""
        await self._write(
            Statement(FORGET_ADDRESSES, (job.job_id,)),
            Statement(f"{REOPEN}, attempts = attempts - 1 WHERE job_id = ?", (job.job_id,)),
            self._attempt(job, "upload", at, "failed", message=message),
        )

    @abstractmethod
    def _write(self, *write: Row | Statement) -> "asyncio.Future[None]": ...

    @abstractmethod
    def _attempt(
        self, job: OpenJob, phase: str, at: str, outcome: str, *, message: str | None = None
    ) -> Row: ...
