"""Places: who waits for a lane holds none, and what a slow lane cannot use goes to the others."""

import asyncio

import pytest

from dsrun.engine.control import RunControl
from dsrun.engine.places import come_back, leave_place, step_aside
from dsrun.engine.scheduler import run_jobs
from tests.fakes import ManualClock, settle


async def source(name, number):
    for each in range(number):
        yield f"{name}{each}"


async def all_of(*sources, run, concurrency, ahead, control=None):
    await run_jobs(
        sources, run_job=run, on_end=lambda job, result: None,
        concurrency=concurrency, ahead=ahead, control=control or RunControl(),
    )  # fmt: skip


class Lanes:
    """Jobs wait for the turn of their lane, one every so many seconds, then take their time."""

    def __init__(self, clock, *, every, takes):
        self.begun, self.ended, self.most, self.drawn = {}, {}, 0, []
        self._under_way = 0
        self._clock, self._every, self._takes = clock, every, takes
        self._turns = {name: asyncio.Lock() for name in every}
        self._next = dict.fromkeys(every, clock.monotonic())

    async def run(self, job):
        name = job[0]
        self.drawn.append(job)
        step_aside()
        async with self._turns[name]:
            await self._clock.sleep(max(0.0, self._next[name] - self._clock.monotonic()))
            await come_back()
            self.begun[job] = self._clock.monotonic() - 1000.0
            self._next[name] = self._clock.monotonic() + self._every[name]
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        await self._clock.sleep(self._takes[name])
        self._under_way -= 1
        self.ended[job] = self._clock.monotonic() - 1000.0

    async def all(self, *sources, concurrency, ahead=2, control=None):
        await all_of(*sources, run=self.run, concurrency=concurrency, ahead=ahead, control=control)

    def times(self, name):
        return [at for job, at in self.begun.items() if job[0] == name]


@pytest.mark.parametrize("concurrency", [1, 2, 3])
async def test_slow_lanes_never_take_the_places_of_a_fast_one_while_they_wait(concurrency):
    clock = ManualClock()
    lanes = Lanes(clock, every={"a": 30.0, "b": 30.0, "c": 1.0}, takes={"a": 0, "b": 0, "c": 0})
    sources = source("a", 4), source("b", 4), source("c", 40)
    await clock.run(lanes.all(*sources, concurrency=concurrency))
    assert lanes.times("a") == lanes.times("b") == [0.0, 30.0, 60.0, 90.0]
    assert lanes.times("c") == [float(second) for second in range(40)]
    assert lanes.most <= concurrency


async def test_a_fast_lane_has_the_places_that_a_slow_one_cannot_use_but_one():
    clock = ManualClock()
    lanes = Lanes(clock, every={"a": 60.0, "b": 0.0}, takes={"a": 60.0, "b": 100.0})
    await clock.run(lanes.all(source("a", 3), source("b", 100), concurrency=16))
    at_first = [job for job, at in lanes.begun.items() if at == 0.0]
    assert sorted(job[0] for job in at_first) == ["a"] + ["b"] * 14
    assert lanes.times("a") == [0.0, 60.0, 120.0]
    assert lanes.most == 16


async def test_no_more_jobs_than_asked_for_wait_for_their_lane():
    clock = ManualClock()
    lanes = Lanes(clock, every={"a": 10.0}, takes={"a": 1.0})
    running = asyncio.ensure_future(lanes.all(source("a", 50), concurrency=16, ahead=2))
    await settle()
    assert lanes.drawn == ["a0", "a1", "a2"]  # one goes on, two wait
    running.cancel()


async def test_a_job_that_has_left_for_good_takes_no_place_again():
    clock, begun = ManualClock(), []

    async def run(job):
        if job == "a0":
            leave_place()
            step_aside()
            await clock.sleep(5.0)
            await come_back()
        else:
            await clock.sleep(60.0)
        begun.append((job, clock.monotonic() - 1000.0))

    await clock.run(all_of(source("a", 2), run=run, concurrency=1, ahead=1))
    assert begun == [("a0", 5.0), ("a1", 60.0)]


async def test_a_job_that_ends_while_it_waits_makes_room_for_the_next():
    clock, seen = ManualClock(), []

    async def run(job):
        seen.append(job)
        step_aside()
        await clock.sleep(1.0)

    await clock.run(all_of(source("a", 6), run=run, concurrency=1, ahead=1))
    assert len(seen) == 6


@pytest.mark.parametrize(("first", "then"), [(1, 4), (4, 1)])
async def test_another_number_of_places_holds_from_the_next_job_on(first, then):
    clock, under_way, seen = ManualClock(), set(), []
    places = []

    async def run(job):
        under_way.add(job)
        seen.append(len(under_way))
        await clock.sleep(1.0)
        under_way.discard(job)

    working = run_jobs(
        [source("a", 24)], run_job=run, on_end=lambda job, result: None, concurrency=first,
        ahead=2, control=RunControl(), on_places=places.append,
    )  # fmt: skip
    task = asyncio.ensure_future(working)
    await clock.advance(2.5)
    assert max(seen) == first
    places[0].change(then)
    before = len(seen)
    await clock.run(asyncio.wait_for(task, None))
    assert max(seen[before:]) == then
    assert len(seen) == 24
