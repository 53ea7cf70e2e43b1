"""Runs many jobs side by side, within bounds, until the sources are empty or the run stops.

Jobs come from async iterators, so that a source may grow while the run goes on; a failed job
is a value. An exception from here means a broken ledger, a broken disk or a bug.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

from dsrun.common.models import JobResult, OpenJob
from dsrun.engine.control import RunControl
from dsrun.engine.places import held


class WakingSource(Protocol):
    """A source whose jobs may wait for others: None stands for no job now, but perhaps later."""

    async def __anext__(self) -> OpenJob | None: ...
    async def ready(self) -> None:
        """Returns once it is worth asking again."""


Source = AsyncIterator[OpenJob] | WakingSource
RunJob = Callable[[OpenJob], Awaitable[JobResult | None]]
OnEnd = Callable[[OpenJob, JobResult | None], None]


async def run_jobs(
    sources: Sequence[Source],
    *,
    run_job: RunJob,
    on_end: OnEnd,
    concurrency: int,
    control: RunControl,
) -> None:
    """Run every job of every source, at most `concurrency` of them at once.

    Each source keeps its own order and has an even share of the places, so that slow jobs of one
    never hold up another; what an ended source no longer needs goes to the others, and one that has
    no job now lends its places. When the run stops no further job is taken, and the jobs under way
    end as `control` lets them. A job that waits for others leaves its place to one of its own
    source.
    """
    places = asyncio.Semaphore(concurrency)
    shares = _Shares(concurrency, sources=len(sources))

    async def work(source: _SharedSource, share: asyncio.Semaphore) -> None:
        def let_in() -> None:
            group.create_task(work(source, share))

        while not source.has_ended:
            await source.ready()
            async with held(share, places, let_in=let_in):
                if control.is_stopping:
                    break
                job = await source.next()
                if job is not None:
                    on_end(job, await run_job(job))
        shares.close(share)

    async with asyncio.TaskGroup() as group:
        for source, share in zip(sources, tuple(shares.open), strict=True):
            shared = _SharedSource(source)
            for _ in range(concurrency):
                group.create_task(work(shared, share))


class _Shares:
    """Even shares of the places, which grow as sources end."""

    def __init__(self, places: int, *, sources: int) -> None:
        self._places = places
        self._size = max(1, places // max(1, sources))
        self.open = [asyncio.Semaphore(self._size) for _ in range(sources)]

    def close(self, share: asyncio.Semaphore) -> None:
        """Its source has ended; the others get more."""
        if share not in self.open:
            return
        self.open.remove(share)
        size = max(1, self._places // max(1, len(self.open)))
        for other in self.open:
            for _ in range(size - self._size):
                other.release()
        self._size = size


class _SharedSource:
    """Lets many workers draw from one iterator, one at a time."""

    def __init__(self, source: Source) -> None:
        self.has_ended = False
        self._source = source
        self._turn = asyncio.Lock()  # an async generator cannot be asked twice at once

    async def next(self) -> OpenJob | None:
        """The next job; None where there is none now, or `has_ended`."""
        async with self._turn:
            try:
                return await self._source.__anext__()
            except StopAsyncIteration:
                self.has_ended = True
                return None

    async def ready(self) -> None:
        if not isinstance(self._source, AsyncIterator):
            await self._source.ready()
