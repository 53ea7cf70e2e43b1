"""The limiter against a service that counts what it receives."""

import asyncio

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsrun.limits import RateLimiter
from dsrun.records import Rate
from tests.fakes import ManualClock, settle

# Whole parts of 1024 make every sum of times exact, so that the edge of a window is sharp.
TICKS = st.integers(0, 256).map(lambda ticks: ticks / 64) | st.sampled_from(
    [1 / 1024, 511 / 1024, 1023 / 1024, 1025 / 1024]
)


class Service:
    """Notes when each request reaches it, on its own clock."""

    def __init__(self, limiter, clock):
        self.received = []
        self._limiter = limiter
        self._clock = clock

    async def call(self, *, arrives=0.0, there=0.0, back=0.0):
        await self._clock.sleep(arrives)
        async with self._limiter.slot():
            await self._clock.sleep(there)
            self.received.append(self._clock.monotonic())
            await self._clock.sleep(back)

    def most_in_a_window(self, width):
        """The largest number of requests in any window that holds one of its two ends."""
        return max(
            sum(start <= moment < start + width for moment in self.received)
            for start in self.received
        )


def limited(requests=2, per_s=1.0):
    clock = ManualClock()
    limiter = RateLimiter(Rate(requests=requests, per_s=per_s), clock=clock)
    return limiter, clock, Service(limiter, clock)


async def all_of(calls):
    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(call)


@given(
    requests=st.integers(1, 4),
    per_s=st.sampled_from([0.5, 1.0, 4.0]),
    calls=st.lists(st.tuples(TICKS, TICKS, TICKS), min_size=1, max_size=14),
)
@example(requests=1, per_s=1.0, calls=[(0.0, 0.0, 0.0), (1023 / 1024, 0.0, 0.0)])
@example(requests=1, per_s=1.0, calls=[(0.0, 4.0, 0.0), (0.5, 0.0, 0.0)])
@settings(max_examples=150)
def test_no_window_of_the_service_holds_more_than_allowed(requests, per_s, calls):
    async def scenario():
        _, clock, service = limited(requests, per_s)
        await clock.run(
            all_of(service.call(arrives=a, there=there, back=back) for a, there, back in calls)
        )
        return service

    service = asyncio.run(scenario())
    assert len(service.received) == len(calls)
    assert service.most_in_a_window(per_s) <= requests


@given(
    calls=st.lists(st.tuples(TICKS, TICKS, TICKS), min_size=2, max_size=10),
    refusals=st.lists(st.tuples(TICKS, st.none() | TICKS), max_size=4),
)
@settings(max_examples=100)
def test_refusals_at_any_time_never_raise_the_rate_nor_stop_it_for_good(calls, refusals):
    async def refuse(limiter, clock, at, retry_after_s):
        await clock.sleep(at)
        limiter.slow_down(retry_after_s)

    async def scenario():
        limiter, clock, service = limited()
        work = [service.call(arrives=a, there=there, back=back) for a, there, back in calls]
        await clock.run(all_of([*work, *(refuse(limiter, clock, *item) for item in refusals)]))
        return service

    service = asyncio.run(scenario())
    assert len(service.received) == len(calls)
    assert service.most_in_a_window(1.0) <= 2


async def test_a_service_that_answers_at_once_gets_the_full_rate():
    _, clock, service = limited(requests=2, per_s=1.0)
    await clock.run(all_of(service.call() for _ in range(6)))
    assert service.received == [1000.0, 1000.0, 1001.0, 1001.0, 1002.0, 1002.0]


async def test_requests_keep_the_order_in_which_they_asked():
    limiter, clock, _ = limited(requests=1)
    order = []

    async def call(number):
        async with limiter.slot():
            order.append(number)

    await clock.run(all_of(call(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]


async def test_a_request_under_way_holds_its_place_however_long_it_takes():
    _, clock, service = limited(requests=1)
    await clock.run(all_of([service.call(back=100.0), service.call()]))
    assert service.received == [1000.0, 1101.0]


async def test_a_failed_request_counts_like_any_other():
    limiter, clock, service = limited(requests=1)
    with pytest.raises(ConnectionResetError):
        async with limiter.slot():
            raise ConnectionResetError
    await clock.run(service.call())
    assert service.received == [1001.0]


async def test_who_is_cancelled_while_waiting_takes_no_place():
    limiter, clock, service = limited(requests=1)
    async with limiter.slot():
        waiting = asyncio.ensure_future(service.call())
        await settle()
        waiting.cancel()
        await settle()
    await clock.run(service.call())
    assert (waiting.cancelled(), service.received) == (True, [1001.0])


@pytest.mark.parametrize(
    ("retry_after_s", "resumed_at"),
    [
        pytest.param(None, 1002.0, id="nothing asked: the longer window"),
        pytest.param(0.25, 1002.0, id="less than that"),
        pytest.param(30.0, 1030.0, id="more than that"),
    ],
)
async def test_a_refusal_halves_the_rate_and_obeys_retry_after(retry_after_s, resumed_at):
    limiter, clock, service = limited(requests=1)
    await clock.run(service.call())
    limiter.slow_down(retry_after_s)
    assert limiter.is_throttled
    await clock.run(service.call())
    assert service.received == [1000.0, resumed_at]


async def test_the_rate_recovers_step_by_step_to_the_published_one():
    limiter, clock, service = limited(requests=1)
    limiter.slow_down(None)
    for _ in range(10):
        limiter.speed_up()
    assert not limiter.is_throttled
    await clock.advance(60.0)
    await clock.run(all_of([service.call(), service.call()]))
    assert service.received == [1060.0, 1061.0]


async def test_refusals_without_end_leave_a_rate_that_is_not_zero():
    limiter, clock, service = limited(requests=1)
    for _ in range(1000):
        limiter.slow_down(None)
    await clock.run(all_of([service.call(), service.call()]))
    assert service.received[1] - service.received[0] == 64.0
