"""Waiting for tasks: within the account's rate, in a fair order, and not for ever."""

import asyncio
from collections import defaultdict
from datetime import timedelta
from itertools import pairwise
from random import Random

import pytest

from dsrun.common.clock import stamp
from dsrun.common.errors import ExitCode
from dsrun.common.models import JobStatus, OpenJob
from dsrun.common.units import Rate
from dsrun.engine.backoff import PollEstimate
from dsrun.engine.control import Left, RunControl
from dsrun.engine.limits import PATIENCE_S, Lane, RateLimiter
from dsrun.engine.poll import Poller
from dsrun.manifest.execution import Execution
from dsrun.service.catalog import load_catalog
from dsrun.service.classify import judge
from dsrun.service.replies import Done, Refused, Running
from dsrun.service.results import Address
from tests.fakes import JumpingLoop, LoopClock

RATE = Execution().poll_rate
ACCOUNT = 20  # questions a second that the service allows


DONE = Done(results=(Address("http://files/a.png"),), echoes={})


class Service:
    """Tasks that end at their time; notes when each one is asked for."""

    def __init__(self, clock, *, ends_at):
        self.asked = defaultdict(list)
        self.refuses = lambda: False
        self._clock = clock
        self._ends_at = ends_at

    async def query(self, operation, task_id):
        await self._clock.sleep(0.02)
        self.asked[task_id].append(self._clock.monotonic())
        if self.refuses():
            payload = {"code": "Throttling", "message": "too fast.", "request_id": "r"}
            return Refused(judge(429, payload, headers={}))
        has_ended = self._clock.monotonic() >= self._ends_at(task_id)
        return DONE if has_ended else Running()

    def most_in_a_second(self):
        times = sorted(moment for asked in self.asked.values() for moment in asked)
        first = most = 0
        for last, moment in enumerate(times):
            while times[first] < moment - 1.0:
                first += 1
            most = max(most, last - first + 1)
        return most


class Recorder:
    async def record_trouble(self, job, *, at, phase, message):
        raise AssertionError(message)


class Run:
    """A poller and what it stands on."""

    def __init__(self, *, ends_at=lambda _: 0.0, rate=RATE):
        self.clock = LoopClock()
        self.service = Service(self.clock, ends_at=ends_at)
        self.control = RunControl()
        self.lane = Lane(
            load_catalog()["wanx-v1"],
            limiter=RateLimiter(Rate(requests=2, per_s=1.0), clock=self.clock),
            submit_window=1,
            estimate=PollEstimate(first_s=3.0, max_s=15.0, learns=False),
            max_poll_s=15.0,
        )
        self._poller = Poller(
            api=self.service,
            recorder=Recorder(),
            control=self.control,
            clock=self.clock,
            rng=Random(1),
            limiter=RateLimiter(rate, clock=self.clock),
            timeout_s=86400.0,
        )

    async def wait(self, task_id, *, age_s=0.0):
        """How the task ended, or None where it was left."""
        made = stamp(self.clock.now() - timedelta(seconds=age_s))
        job = OpenJob(
            job_id=task_id, operation="wanx-v1", body=b"{}", status=JobStatus.SUBMITTED,
            task_id=task_id, submitted_at=made, attempts=1, stems=(("posters/a",),),
        )  # fmt: skip
        try:
            return await self._poller.wait(job, task_id, self.lane, fresh=age_s == 0)
        except Left:
            return None


def in_no_time(scenario):
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(scenario())


async def all_of(waits):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(wait) for wait in waits]
    return [task.result() for task in tasks]


def test_thousands_of_tasks_are_asked_for_within_the_rate_and_all_in_their_turn():
    number, ends_at = 2000, 600.0

    async def scenario():
        run = Run(ends_at=lambda _: ends_at)
        ends = await all_of(run.wait(f"t{each}") for each in range(number))
        return run.service, ends

    service, ends = in_no_time(scenario)
    assert ends == [DONE] * number
    assert service.most_in_a_second() <= RATE.requests < ACCOUNT
    round_s = number / RATE.requests * (1 + 1 / 64)
    for asked in service.asked.values():
        gaps = [b - a for a, b in zip([0.0, *asked], asked, strict=False)]
        assert max(gaps) <= round_s + 20.0  # and the pause between two questions


def test_nobody_asks_before_a_task_is_expected_to_end():
    async def scenario():
        run = Run()
        await all_of(run.wait(f"t{each}") for each in range(100))
        return run.service

    first = [asked[0] for asked in in_no_time(scenario).asked.values()]
    assert len(first) == 100
    assert min(first) >= 3.0


def test_a_task_near_the_end_of_its_life_is_asked_for_before_the_others():
    async def scenario():
        run = Run(ends_at=lambda task_id: 1e9 if task_id == "old" else 300.0)
        group = asyncio.gather(*(run.wait(f"t{each}") for each in range(2000)))
        await run.clock.sleep(100.0)  # by now all wait for their turn
        old = asyncio.ensure_future(run.wait("old", age_s=23.5 * 3600))
        await group
        old.cancel()
        return run.service

    asked = in_no_time(scenario).asked["old"]
    assert asked[0] < 102.0
    assert max(b - a for a, b in pairwise(asked)) < 20.0


def test_refused_questions_slow_down_and_end_when_the_service_takes_them_again():
    async def scenario():
        run = Run()
        run.service.refuses = lambda: run.clock.monotonic() < 120.0
        return await all_of(run.wait(f"t{each}") for each in range(50)), run.control

    ends, control = in_no_time(scenario)
    assert ends == [DONE] * 50
    assert not control.is_stopping


@pytest.mark.parametrize("number", [1, 500])
def test_questions_that_are_refused_for_ever_end_the_run_and_leave_the_tasks(number):
    async def scenario():
        run = Run()
        run.service.refuses = lambda: True
        ends = await all_of(run.wait(f"t{each}") for each in range(number))
        return ends, run.control, run.clock.monotonic()

    ends, control, at = in_no_time(scenario)
    assert ends == [None] * number
    assert control.exit_code is ExitCode.INCOMPLETE
    assert control.reason == (
        "Throttling: too fast. Task queries are throttled: it has refused every request for its "
        "rate for 15 minutes"
    )
    assert PATIENCE_S <= at < PATIENCE_S + 120.0
