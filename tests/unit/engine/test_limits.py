"""The limiter against a service that counts what it receives."""

import asyncio

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsrun.common.units import Rate
from dsrun.engine.limits import PATIENCE_S, RateLimiter, SubmitWindow
from tests.fakes import ManualClock, settle

# Whole parts of 1024 make every sum of times exact, so that the edge of a window is sharp.
TICKS = st.integers(0, 256).map(lambda ticks: ticks / 64) | st.sampled_from(
    [1 / 1024, 511 / 1024, 1023 / 1024, 1025 / 1024]
)

WINDOW = 1 + 1 / 64  # of a rate a second, with its margin


class Service:
    """Notes when each request reaches it, on its own clock."""

    def __init__(self, limiter, clock):
        self.received = []
        self.begun = 0
        self._limiter = limiter
        self._clock = clock

    async def call(self, *, arrives=0.0, there=0.0, back=0.0):
        await self._clock.sleep(arrives)
        async with self._limiter.slot():
            self.begun += 1
            try:
                await self._clock.sleep(there)
            finally:  # what is on its way when its sender dies arrives all the same
                self.received.append(self._clock.monotonic())
            await self._clock.sleep(back)

    def restart(self, limiter):
        """Go on with the limiter of a new process."""
        self._limiter = limiter

    def most_in_a_window(self, width):
        """The largest number of requests in any window, both of its ends included."""
        return max(
            (
                sum(start <= moment <= start + width for moment in self.received)
                for start in self.received
            ),
            default=0,
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
    begins = [1000.0, 1000.0 + WINDOW, 1000.0 + 2 * WINDOW]
    assert service.received == [moment for moment in begins for _ in range(2)]


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
    assert service.received == [1000.0, 1100.0 + WINDOW]


async def test_a_failed_request_counts_like_any_other():
    limiter, clock, service = limited(requests=1)
    with pytest.raises(ConnectionResetError):
        async with limiter.slot():
            raise ConnectionResetError
    await clock.run(service.call())
    assert service.received == [1000.0 + WINDOW]


async def test_who_is_cancelled_while_waiting_takes_no_place():
    limiter, clock, service = limited(requests=1)
    async with limiter.slot():
        waiting = asyncio.ensure_future(service.call())
        await settle()
        waiting.cancel()
        await settle()
    await clock.run(service.call())
    assert (waiting.cancelled(), service.received) == (True, [1000.0 + WINDOW])


@pytest.mark.parametrize(
    ("retry_after_s", "resumed_at"),
    [
        pytest.param(None, 1000.0 + 2 * WINDOW, id="nothing asked: the longer window"),
        pytest.param(0.25, 1000.0 + 2 * WINDOW, id="less than that"),
        pytest.param(30.0, 1030.0, id="more than that"),
    ],
)
async def test_a_refusal_halves_the_rate_and_obeys_retry_after(retry_after_s, resumed_at):
    limiter, clock, service = limited(requests=1)
    await clock.run(service.call())
    limiter.slow_down(retry_after_s)
    assert limiter.pace.is_throttled
    await clock.run(service.call())
    assert service.received == [1000.0, resumed_at]


async def test_the_rate_recovers_step_by_step_to_the_published_one():
    limiter, clock, service = limited(requests=1)
    limiter.slow_down(None)
    for _ in range(10):
        limiter.speed_up()
    assert not limiter.pace.is_throttled
    await clock.advance(60.0)
    await clock.run(all_of([service.call(), service.call()]))
    assert service.received == [1060.0, 1060.0 + WINDOW]


async def test_refusals_without_end_leave_a_rate_that_is_not_zero():
    limiter, clock, service = limited(requests=1)
    for _ in range(20):
        limiter.slow_down(None)
        await clock.advance(100.0)
    await clock.run(all_of([service.call(), service.call()]))
    assert service.received[1] - service.received[0] == 8.0 * WINDOW


async def test_refusals_one_upon_the_other_are_asked_less_and_less_often():
    limiter, clock, service = limited()
    for _ in range(10):
        await clock.run(service.call())
        limiter.slow_down(None)
    gaps = [b - a for a, b in zip(service.received, service.received[1:], strict=False)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == 64.0


async def test_refusals_now_and_then_do_not_bring_the_requests_to_a_stop():
    limiter, clock, service = limited(requests=2)
    began = clock.monotonic()
    for number in range(60):
        await clock.run(service.call())
        if number % 3:
            limiter.speed_up()
        else:
            limiter.slow_down(None)
    assert clock.monotonic() - began < 60 * 4.0


async def test_the_refusals_of_one_burst_slow_down_once():
    limiter, clock, service = limited(requests=8)
    await clock.run(all_of(service.call() for _ in range(8)))
    for _ in range(8):
        limiter.slow_down(None)
    await clock.advance(100.0)
    await clock.run(all_of(service.call() for _ in range(8)))
    assert service.received[8:] == [1100.0] * 4 + [1100.0 + WINDOW] * 4


async def test_a_limit_a_minute_is_tried_again_after_a_minute_however_much_was_sent_before():
    limiter, clock, service = limited(requests=100, per_s=60.0)
    await clock.run(all_of(service.call() for _ in range(100)))
    for _ in range(20):
        limiter.slow_down(None)
        await clock.advance(100.0)
        await clock.run(service.call())
    gaps = [b - a for a, b in zip(service.received[100:], service.received[101:], strict=False)]
    assert max(gaps) < 101.0


@given(
    requests=st.integers(1, 4),
    per_s=st.sampled_from([0.5, 1.0, 60.0]),
    before=st.lists(st.tuples(TICKS, TICKS, TICKS), min_size=1, max_size=8),
    after=st.lists(st.tuples(TICKS, TICKS, TICKS), min_size=1, max_size=8),
    dies_after=TICKS,
)
@settings(max_examples=100)
def test_no_window_holds_more_across_a_kill_and_a_restart(
    requests, per_s, before, after, dies_after
):
    async def scenario():
        _, clock, service = limited(requests, per_s)
        calls = all_of(service.call(arrives=a, there=there) for a, there, _ in before)
        killed = asyncio.ensure_future(calls)
        await clock.advance(dies_after)
        killed.cancel()
        await asyncio.wait([killed])
        sent = service.begun
        again = RateLimiter(Rate(requests=requests, per_s=per_s), clock=clock, used=sent)
        service.restart(again)
        await clock.run(
            all_of(service.call(arrives=a, there=there, back=back) for a, there, back in after)
        )
        return service

    service = asyncio.run(scenario())
    assert service.most_in_a_window(per_s) <= requests


async def test_an_urgent_request_waits_for_one_of_the_rest_at_most():
    limiter, clock, _ = limited(requests=1)
    order = []

    async def call(name, *, urgent=False):
        async with limiter.slot(urgent=urgent):
            order.append(name)

    calls = [call("a"), call("b"), call("c"), call("urgent", urgent=True)]
    await clock.run(all_of([*calls, call("also urgent", urgent=True)]))
    assert order == ["a", "b", "urgent", "also urgent", "c"]


async def test_a_storm_of_refusals_is_hopeless_after_its_time_and_not_before():
    limiter, clock, _ = limited()
    assert limiter.hopeless() == ""
    limiter.slow_down(None)
    await clock.advance(PATIENCE_S - 1)
    limiter.slow_down(None)
    assert limiter.hopeless() == ""
    await clock.advance(1.0)
    assert limiter.hopeless() == "it has refused every request for its rate for 15 minutes"


async def test_one_request_that_is_taken_ends_a_storm():
    limiter, clock, _ = limited()
    limiter.slow_down(None)
    await clock.advance(PATIENCE_S)
    limiter.speed_up()
    limiter.slow_down(None)
    assert limiter.hopeless() == ""


async def test_a_wait_that_is_longer_than_the_patience_is_hopeless_at_once():
    limiter, _, _ = limited()
    limiter.slow_down(3600.0)
    assert limiter.hopeless() == "it asks to wait for 3600 s"


async def test_the_window_halves_with_each_refusal_and_comes_back_one_by_one():
    window = SubmitWindow(8)
    window.grow()
    window.shrink()
    assert await places_of(window) == 4
    for _ in range(10):
        window.shrink()
    assert await places_of(window) == 1
    window.grow()
    assert await places_of(window) == 2
    for _ in range(100):
        window.grow()
    assert await places_of(window) == 8


async def test_a_window_opens_with_the_first_request_that_is_taken():
    window = SubmitWindow(8)
    assert await places_of(window) == 1
    window.shrink()
    assert await places_of(window) == 1
    window.grow()
    assert await places_of(window) == 8


async def test_a_window_that_shrinks_lets_go_what_it_has_and_takes_no_more():
    window = SubmitWindow(2)
    window.grow()
    await window.take()
    await window.take()
    window.shrink()
    waiting = asyncio.ensure_future(window.take())
    window.give_back()
    await settle()
    assert not waiting.done()
    window.give_back()
    await waiting


async def places_of(window):
    """How many can be taken at once."""
    taken = []
    while True:
        request = asyncio.ensure_future(window.take())
        await settle()
        if not request.done():
            request.cancel()
            break
        taken.append(request)
    for _ in taken:
        window.give_back()
    return len(taken)
