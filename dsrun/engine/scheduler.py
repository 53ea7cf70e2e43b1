"""Runs many jobs side by side, within bounds, until the sources are empty or the run stops.

Jobs come from async iterators, so that a source may grow while the run goes on; a failed job
is a value. An exception from here means a broken ledger, a broken disk or a bug.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from dsrun.common.models import JobResult, JobStatus, OpenJob
from dsrun.engine.control import RunControl
from dsrun.engine.places import Place, Places

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
    ahead: int = 1,
    on_places: Callable[[Places], None] | None = None,
) -> None:
    """Run every job of every source, at most `concurrency` of them at once.

    Each source keeps its own order and has an even share of the places, so that slow jobs of one
    never hold up another; what an ended source no longer needs goes to the others, and so does what
    a slow lane cannot use, or a source that has no job yet. A job that waits for its lane holds no
    place; while `ahead` jobs of a source do, no further one of it is taken. When the run stops no
    further job is taken, but for those that may be paid where `control` looks on, and the jobs
    under way end as it lets them. `on_places` is given what may change `concurrency` later.
    """
    places = Places(concurrency, sources=len(sources), ahead=ahead)
    if on_places is not None:
        on_places(places)

    async def see_through(job: OpenJob, place: Place) -> None:
        place.hold()
        try:
            on_end(job, await run_job(job))
        finally:
            place.leave()

    def is_left(job: OpenJob) -> bool:
        may_be_paid = control.is_looking_on and job.status is not JobStatus.PENDING
        return control.is_stopping and not may_be_paid

    async def feed(number: int, source: Source) -> None:
        while True:
            # Drawn before it has a place: a source may have to wait for jobs of another.
            is_at_end = control.is_stopping and not control.is_looking_on
            job = None if is_at_end else await anext(source, None)
            if job is None or is_left(job):
                places.close(number)
                return
            place = await places.enter(number)
            if is_left(job):
                place.leave()
                continue
            group.create_task(see_through(job, place))
            # It begins, and steps aside if its lane is busy, before the next one is taken.
            await asyncio.sleep(0)  # noqa: TID251  # no time passes

    async with asyncio.TaskGroup() as group:
        for number, source in enumerate(sources):
            group.create_task(feed(number, source))
