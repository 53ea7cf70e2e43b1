"""Many jobs: bounded, side by side, until the sources are empty or the run stops.

Jobs come from async iterators, so that a source may grow while the run goes on; a failed job
is a value. What comes out as an exception is a broken ledger or disk, or a bug.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from dsrun.control import RunControl
from dsrun.records import JobResult, OpenJob

Source = AsyncIterator[OpenJob]
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
    """Run every job of every source; at most `concurrency` at once in all.

    Sources are served side by side, each in its own order. When the run stops no further job
    is taken, and the jobs under way end as `control` lets them.
    """
    places = asyncio.Semaphore(concurrency)
    async with asyncio.TaskGroup() as group:
        for source in sources:
            shared = _SharedSource(source)
            for _ in range(concurrency):
                group.create_task(_work(shared, run_job, on_end, places, control))


async def _work(
    source: "_SharedSource",
    run_job: RunJob,
    on_end: OnEnd,
    places: asyncio.Semaphore,
    control: RunControl,
) -> None:
    while True:
        async with places:
            job = None if control.is_stopping else await source.next()
            if job is None:
                return
            on_end(job, await run_job(job))


class _SharedSource:
    """Lets many workers draw from one iterator, one at a time."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._turn = asyncio.Lock()  # an async generator cannot be asked twice at once

    async def next(self) -> OpenJob | None:
        async with self._turn:
            return await anext(self._source, None)
