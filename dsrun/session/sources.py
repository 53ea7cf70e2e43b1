"""Where the jobs of a run come from: the ledger, page by page, and what wakes as others end."""

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Self

from dsrun.common.models import JobResult, JobStatus, OpenJob
from dsrun.engine.control import Left, RunControl
from dsrun.ledger.reader import LedgerReader
from dsrun.ledger.waiting import LATE_PAGE, Lives, has_edges, late_jobs
from dsrun.ledger.writer import Ledger

_PENDING = JobStatus.PENDING


class Sources:
    """The sources of all operations; they end together, since each may wake jobs of another."""

    def __init__(
        self,
        ledger: Ledger,
        control: RunControl,
        *,
        operations: Sequence[str],
        lives: Lives,
        now: Callable[[], str],
    ) -> None:
        """`now` gives the time as the ledger has it."""
        self._ledger = ledger
        self._now = now
        self._has_edges = has_edges(ledger.view)
        self._under_way = 0
        may_wake = self._may_wake if self._has_edges else None
        # Where places are few, what dies soonest is fetched first.
        self.all = [
            LedgerSource(ledger.view, control, name, lives=lives, now=now, may_wake=may_wake)
            for name in sorted(operations, key=lambda name: lives.hours.get(name, math.inf))
        ]

    def begin(self) -> None:
        """A job begins."""
        self._under_way += 1

    async def end(self, job: OpenJob, result: JobResult | None) -> Sequence[str]:
        """A job has ended, or is left: wake what waits for it. Returns what is skipped.

        Raises SetupError where the ledger cannot; the job has ended all the same.
        """
        try:
            return await self._wake(job, result) if self._has_edges else ()
        finally:
            self._under_way -= 1
            if self._has_edges:
                for one in self.all:
                    one.call(ended=job.job_id if result is not None else None)

    async def _wake(self, job: OpenJob, result: JobResult | None) -> Sequence[str]:
        if result is None or result.status is JobStatus.UNKNOWN:
            return ()
        if job.is_retry or job.part is not None:  # it may have looked ended before
            await self._ledger.reconsider(job.job_id)
        return await self._ledger.wake(self._now(), parents=[job.job_id])

    def _may_wake(self) -> bool:
        """Whether a job may become ready that is not now; where none may, all sources end."""
        if self._under_way or not all(one.is_empty for one in self.all):
            return True
        for one in self.all:
            one.release()
        return False


class LedgerSource:
    """The open jobs of one operation: those that are sent, those that had waited, the others."""

    def __init__(
        self,
        view: LedgerReader,
        control: RunControl,
        operation: str,
        *,
        lives: Lives,
        now: Callable[[], str],
        may_wake: Callable[[], bool] | None,
    ) -> None:
        """`may_wake`: whether jobs may still become ready; None where none waits for another."""
        self.is_empty = False
        self._view = view
        self._control = control
        self._operation = operation
        self._lives = lives
        self._now = now
        self._may_wake = may_wake
        self._early = view.open_jobs(operation=operation)
        self._next_early = next(self._early, None)
        self._late: Iterator[OpenJob] = iter(())
        self._is_short = True  # `_late` has all that there were
        self._is_stale = True  # jobs may have been woken since `_late` was read
        self._given: set[str] = set()  # jobs that take of others, and that a worker has
        self._called = asyncio.Event()
        self._called.set()

    def call(self, *, ended: str | None = None) -> None:
        """Jobs may have been woken, or none may be any more, since one has ended."""
        self._given.discard(ended or "")
        self._is_stale, self.is_empty = True, False
        self._called.set()

    def release(self) -> None:
        """Ask again, and end: no job can become ready any more."""
        self._called.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> OpenJob:
        """The next job, as soon as there is one; the end where none can become ready any more."""
        while True:
            is_begun = self._next_early is not None and self._next_early.status is not _PENDING
            job = self._woken() if self._may_wake and not is_begun else None
            if job is None:
                job, self._next_early = self._next_early, next(self._early, None)
            if job is not None:
                if job.late:
                    self._given.add(job.job_id)
                return job
            self.is_empty = True
            if self._may_wake is None or not self._may_wake():
                raise StopAsyncIteration
            self._called.clear()
            try:
                with self._control.interruptible():
                    await self._called.wait()
            except Left:
                raise StopAsyncIteration from None

    def _woken(self) -> OpenJob | None:
        """A job that has waited, in the order of its lane as of now.

        Of very many a page is given before they are put in order again.
        """
        job = None if self._is_stale and self._is_short else next(self._late, None)
        if job is None and (self._is_stale or not self._is_short):
            page = late_jobs(
                self._view,
                operation=self._operation,
                but=self._given,
                lives=self._lives,
                now=self._now(),
            )
            self._is_stale, self._is_short = False, len(page) < LATE_PAGE
            self._late = iter(page)
            job = next(self._late, None)
        return job
