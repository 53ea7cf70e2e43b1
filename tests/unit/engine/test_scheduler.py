"""Many jobs of several operations: bounded, side by side, none holds up another."""

import asyncio

import pytest

from dsrun.common.errors import ExitCode
from dsrun.common.models import JobStatus
from dsrun.engine.control import RunControl
from dsrun.engine.scheduler import run_jobs
from tests.fakes import ManualClock, settle


async def source(name, number):
    for each in range(number):
        yield f"{name}{each}"


class Work:
    """Jobs that take the seconds of their operation; counts those under way."""

    def __init__(self, clock, **seconds):
        self.most = 0
        self.ended = {}
        self.under_way = []
        self._clock = clock
        self._seconds = seconds

    async def run(self, job):
        self.under_way.append(job)
        self.most = max(self.most, len(self.under_way))
        await self._clock.sleep(self._seconds[job[0]])
        self.under_way.remove(job)
        self.ended[job] = self._clock.monotonic() - 1000.0

    async def all(self, *sources, concurrency, control=None):
        await run_jobs(
            sources,
            run_job=self.run,
            on_end=lambda job, result: None,
            concurrency=concurrency,
            control=control or RunControl(),
        )

    def last(self, name):
        return max(at for job, at in self.ended.items() if job[0] == name)


async def test_slow_jobs_of_one_operation_do_not_hold_up_another():
    clock = ManualClock()
    work = Work(clock, a=3600.0, b=1.0)
    await clock.run(work.all(source("a", 100), source("b", 20), concurrency=8))
    assert work.last("b") == 5.0  # four at once
    assert work.most == 8


@pytest.mark.parametrize("concurrency", [1, 2, 3, 8, 16])
async def test_no_more_jobs_than_the_concurrency_are_under_way_and_all_end(concurrency):
    clock = ManualClock()
    work = Work(clock, a=1.0, b=2.0, c=3.0)
    sources = source("a", 9), source("b", 7), source("c", 0)
    await clock.run(work.all(*sources, concurrency=concurrency))
    assert (work.most, len(work.ended)) == (min(concurrency, 16), 16)


async def test_the_places_of_an_operation_that_has_ended_go_to_the_others():
    clock = ManualClock()
    work = Work(clock, a=10.0, b=1.0)
    await clock.run(work.all(source("a", 12), source("b", 2), concurrency=4))
    assert work.last("a") == 10.0 + 20.0 + 1.0  # two at first, four from the first second on


async def test_one_operation_alone_has_all_places():
    clock = ManualClock()
    work = Work(clock, a=1.0)
    await clock.run(work.all(source("a", 8), concurrency=4))
    assert (work.most, work.last("a")) == (4, 2.0)


class Told(str):
    """A job with its status, which is called by its name."""

    __slots__ = ("status",)


async def source_of(**jobs):
    for name, status in jobs.items():
        job = Told(name)
        job.status = status
        yield job


async def test_where_no_more_is_sent_what_may_be_paid_is_still_taken_and_nothing_else():
    clock, control = ManualClock(), RunControl()
    work = Work(clock, a=1.0)
    control.stop_sending("max_cost would be passed")
    jobs = source_of(
        a0=JobStatus.SUBMITTING, a1=JobStatus.SUBMITTED, a2=JobStatus.SUBMITTED,
        a3=JobStatus.PENDING, a4=JobStatus.PENDING,
    )  # fmt: skip
    await clock.run(work.all(jobs, concurrency=2, control=control))
    assert sorted(work.ended) == ["a0", "a1", "a2"]


async def test_after_a_stop_no_job_is_taken_and_those_under_way_end():
    clock, control = ManualClock(), RunControl()
    work = Work(clock, a=5.0, b=5.0)
    running = asyncio.ensure_future(
        work.all(source("a", 50), source("b", 50), concurrency=4, control=control)
    )
    await settle()
    control.stop("interrupted", ExitCode.INTERRUPTED)
    await clock.run(running)
    assert sorted(work.ended) == ["a0", "a1", "b0", "b1"]
