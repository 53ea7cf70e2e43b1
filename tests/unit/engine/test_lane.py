"""A lane: so many creates at once, so many a second, and none after a stop."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsrun.common.errors import ExitCode
from dsrun.common.units import Rate
from dsrun.engine.backoff import PollEstimate
from dsrun.engine.control import Left, RunControl
from dsrun.engine.counters import OpenTasks, TokenWindow
from dsrun.engine.limits import PATIENCE_S, Group, Lane, RateLimiter
from dsrun.service.catalog import load_catalog
from dsrun.service.classify import Decision, Verdict, judge
from tests.fakes import ManualClock, open_job, settle

JOB = open_job()
ACCEPTED = Verdict(decision=Decision.ACCEPTED)
THROTTLED = Verdict(decision=Decision.THROTTLE, code="Throttling", message="too fast.")


def lane_of(clock, *, window=1, requests=100, is_open=True, **more):
    lane = Lane(
        load_catalog()["wanx-v1"],
        limiter=RateLimiter(Rate(requests=requests, per_s=1.0), clock=clock),
        submit_window=window,
        estimate=PollEstimate(first_s=3.0, max_s=15.0, learns=True),
        max_poll_s=15.0,
        **more,
    )
    if is_open:
        lane.learn(ACCEPTED, RunControl())
    return lane


class Shared:
    """Two lanes of one group: `requests` a second together, `running` tasks open together."""

    def __init__(self, clock, *, requests=100, running=None):
        open_tasks = None if running is None else OpenTasks(running, clock=clock)
        limiter = RateLimiter(Rate(requests=requests, per_s=1.0), clock=clock)
        self.lanes = [
            lane_of(clock, window=9, group=Group(limiter=limiter, open=open_tasks))
            for _ in range(2)
        ]
        self.sent = []
        self._clock = clock

    async def send(self, lane, number, *, took=0.0):
        job = open_job(f"{lane}-{number}")
        async with self.lanes[lane].turn(RunControl(), job):
            self.sent.append((lane, round(self._clock.monotonic() - 1000.0)))
        await self._clock.sleep(took)
        self.lanes[lane].end_task(job)

    async def all(self, number, **more):
        sends = [self.send(lane, each, **more) for lane in (0, 1) for each in range(number)]
        await self._clock.run(wait_for(sends))


async def test_a_create_passes_the_rate_of_its_group_too():
    shared = Shared(ManualClock(), requests=2)
    await shared.all(3)
    assert [at for _, at in sorted(shared.sent, key=lambda sent: sent[1])] == [0, 0, 1, 1, 2, 2]


async def test_the_open_tasks_of_a_group_are_counted_over_its_lanes():
    shared = Shared(ManualClock(), running=2)
    await shared.all(3, took=10.0)
    assert [at for _, at in shared.sent] == [0, 0, 10, 10, 20, 20]
    assert {lane for lane, _ in shared.sent} == {0, 1}


async def test_a_lane_that_waits_for_its_own_rate_takes_no_room_of_its_group():
    clock = ManualClock()
    shared = Shared(clock, running=1)
    shared.lanes[0].limiter.pause(60.0)
    waiting = asyncio.ensure_future(shared.send(0, 0))
    await settle()
    await clock.run(shared.send(1, 0))
    assert shared.sent == [(1, 0)]
    await clock.advance(60.0)
    await waiting
    assert [lane for lane, _ in shared.sent] == [1, 0]


@pytest.mark.parametrize("open_tasks", [1, 2])
async def test_no_more_tasks_are_open_than_the_queue_of_a_lane_takes(open_tasks):
    clock = ManualClock()
    lane = lane_of(clock, window=9, open_tasks=OpenTasks(open_tasks, clock=clock))
    for number in range(open_tasks):
        async with lane.turn(RunControl(), open_job(str(number))):
            pass
    waiting = asyncio.ensure_future(lane.turn(RunControl(), open_job("next")).__aenter__())
    await clock.advance(100.0)
    assert not waiting.done()
    lane.end_task(open_job("0"))
    await waiting


async def test_a_create_that_is_left_counts_as_no_open_task():
    clock, control = ManualClock(), RunControl()
    lane = lane_of(clock, open_tasks=OpenTasks(1, clock=clock))
    with pytest.raises(Left):
        async with lane.turn(control, open_job("refused")):
            raise Left
    async with lane.turn(control, open_job("next")):
        pass


async def test_tokens_bound_a_lane_beside_its_rate():
    clock, sent = ManualClock(), []
    lane = lane_of(clock, window=9, tokens=TokenWindow(Rate(requests=10, per_s=6.0), clock=clock))

    async def send(text):
        job = open_job(text, body=b'{"input":{"texts":["' + text.encode() + b'"]}}')
        async with lane.turn(RunControl(), job):
            sent.append((text, round(clock.monotonic() - 1000.0)))

    await clock.run(wait_for([send("abcdef"), send("ghij"), send("k")]))
    assert sent == [("abcdef", 0), ("ghij", 0), ("k", 6)]


class Creates:
    """Creates that each take a second; counts those under way."""

    def __init__(self, lane, clock, control):
        self.most = self.done = self.left = 0
        self._now = 0
        self._lane, self._clock, self._control = lane, clock, control

    async def send(self):
        try:
            async with self._lane.turn(self._control, JOB):
                self._now += 1
                self.most = max(self.most, self._now)
                await self._clock.sleep(1.0)
                self._now -= 1
                self.done += 1
        except Left:
            self.left += 1


@pytest.mark.parametrize("window", [1, 2, 5])
async def test_no_more_creates_are_under_way_than_the_window_has_room_for(window):
    clock = ManualClock()
    creates = Creates(lane_of(clock, window=window), clock, RunControl())
    await clock.run(wait_for([creates.send() for _ in range(7)]))
    assert (creates.most, creates.done) == (window, 7)


@pytest.mark.parametrize("decision", [Decision.STOP, Decision.MODEL, Decision.AMBIGUOUS])
async def test_the_first_create_goes_alone_until_the_service_takes_one(decision):
    clock, control = ManualClock(), RunControl()
    lane = lane_of(clock, window=5, is_open=False)
    lane.learn(Verdict(decision=decision), control)
    creates = Creates(lane, clock, control)
    await clock.run(wait_for([creates.send() for _ in range(3)]))
    assert creates.most == 1
    lane.learn(ACCEPTED, control)
    await clock.run(wait_for([creates.send() for _ in range(7)]))
    assert creates.most == 5


async def test_the_rate_holds_inside_a_wide_window():
    clock = ManualClock()
    creates = Creates(lane_of(clock, window=50, requests=2), clock, RunControl())
    await clock.run(wait_for([creates.send() for _ in range(6)]))
    assert (creates.most, creates.done) == (2, 6)


async def test_a_stop_lets_the_create_under_way_end_and_sends_no_other():
    clock, control = ManualClock(), RunControl()
    creates = Creates(lane_of(clock), clock, control)
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(creates.send())
        await settle()
        control.stop("interrupted", ExitCode.INTERRUPTED)
        await clock.advance(1.0)
    assert (creates.done, creates.left) == (1, 4)


async def test_who_leaves_gives_back_the_place_that_it_waited_for():
    clock = ManualClock()
    lane = lane_of(clock, window=1, requests=1)
    stopping, going = RunControl(), RunControl()
    first = Creates(lane, clock, going)
    await clock.run(first.send())
    second = Creates(lane, clock, stopping)
    waiting = asyncio.ensure_future(second.send())
    await settle()  # it holds the window and waits for the rate
    stopping.stop("interrupted", ExitCode.INTERRUPTED)
    await waiting
    last = Creates(lane, clock, going)
    await clock.run(last.send())
    assert (first.done, second.left, last.done) == (1, 1, 1)


async def test_a_refusal_narrows_the_window_and_taken_requests_widen_it():
    clock, control = ManualClock(), RunControl()
    lane = lane_of(clock, window=4)
    lane.learn(THROTTLED, control)
    await clock.advance(100.0)
    creates = Creates(lane, clock, control)
    await clock.run(wait_for([creates.send() for _ in range(8)]))
    for _ in range(20):
        lane.learn(ACCEPTED, control)
    widened = Creates(lane, clock, control)
    await clock.run(wait_for([widened.send() for _ in range(8)]))
    assert (creates.most, widened.most) == (2, 4)


async def test_an_ambiguous_answer_says_nothing_about_the_rate():
    clock = ManualClock()
    lane = lane_of(clock)
    lane.learn(THROTTLED, RunControl())
    for _ in range(100):
        lane.learn(Verdict(decision=Decision.AMBIGUOUS), RunControl())
    assert lane.limiter.pace.is_throttled


async def test_a_storm_of_refusals_closes_the_operation_with_words():
    clock, control = ManualClock(), RunControl()
    lane = lane_of(clock)
    lane.learn(THROTTLED, control)
    assert control.closed_operations == {}
    await clock.advance(PATIENCE_S)
    lane.learn(THROTTLED, control)
    words = (
        "Throttling: too fast. The service is throttling: it has refused every request for its "
        "rate for 15 minutes; run again later"
    )
    assert control.closed_operations == {"wanx-v1": words}
    assert not control.is_stopping


async def test_who_waits_for_a_closed_operation_leaves_without_waiting_for_its_rate():
    clock, control = ManualClock(), RunControl()
    lane = lane_of(clock, requests=1)
    control.close_operation("wanx-v1", "the model is retired")
    creates = Creates(lane, clock, control)
    await clock.run(wait_for([creates.send() for _ in range(100)]))
    assert (creates.done, creates.left, clock.monotonic()) == (0, 100, 1000.0)


async def wait_for(works):
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)


class TestAlone:
    """A lost create is looked for while no other create of the operation is under way."""

    async def test_waits_for_the_creates_under_way_and_holds_back_the_next(self):
        clock, control = ManualClock(), RunControl()
        lane = lane_of(clock, window=3)
        events = []

        async def create(name, seconds):
            async with lane.turn(control, JOB):
                events.append(f"{name} begins")
                await clock.sleep(seconds)
                events.append(f"{name} ends")

        async def lose(name):
            async with lane.turn(control, JOB):
                events.append(f"{name} is lost")
            async with lane.alone(control):
                events.append(f"{name} is looked for")
                await clock.sleep(5.0)

        async with asyncio.TaskGroup() as group:
            group.create_task(create("slow", 2.0))
            group.create_task(lose("mine"))
            await settle()
            group.create_task(create("next", 1.0))
            await clock.advance(20.0)
        assert events == [
            "slow begins",
            "mine is lost",
            "slow ends",
            "mine is looked for",
            "next begins",
            "next ends",
        ]

    async def test_two_that_are_lost_at_once_are_looked_for_one_after_the_other(self):
        clock, control = ManualClock(), RunControl()
        lane = lane_of(clock, window=2)
        looking, most = 0, 0

        async def lose():
            nonlocal looking, most
            async with lane.turn(control, JOB):
                pass
            async with lane.alone(control):
                looking += 1
                most = max(most, looking)
                await clock.sleep(1.0)
                looking -= 1

        await clock.run(wait_for([lose(), lose(), lose()]))
        assert most == 1

    async def test_a_stop_ends_the_wait_and_leaves_the_lane_open(self):
        clock, control = ManualClock(), RunControl()
        lane = lane_of(clock, window=2)
        under_way = Creates(lane, clock, control)
        sending = asyncio.ensure_future(under_way.send())
        await settle()

        async def lose():
            async with lane.alone(control):
                pytest.fail("another create is still under way")

        waiting = asyncio.ensure_future(lose())
        await settle()
        control.stop("interrupted", ExitCode.INTERRUPTED)
        with pytest.raises(Left):
            await waiting
        await clock.advance(1.0)
        await sending
        later = Creates(lane, clock, RunControl())
        await clock.run(later.send())
        assert (under_way.done, later.done) == (1, 1)


class TestDoubts:
    async def test_creates_go_on_beside_a_few_and_wait_while_there_are_too_many(self):
        clock, control = ManualClock(), RunControl()
        lane = lane_of(clock, window=1)
        for _ in range(4):
            await clock.run(Creates(lane, clock, control).send())
            lane.begin_doubt()
        held_up = Creates(lane, clock, control)
        sending = asyncio.ensure_future(held_up.send())
        await clock.advance(60.0)
        assert held_up.done == 0
        assert not lane.expects_creates
        lane.end_doubt()
        assert lane.expects_creates
        await clock.advance(1.0)
        await sending
        assert held_up.done == 1
        assert not lane.expects_creates

    async def test_four_answers_in_a_row_that_are_not_the_api_s_stop_the_run(self):
        clock, control = ManualClock(), RunControl()
        lane = lane_of(clock, window=1)
        foreign = judge(403, None, headers={})
        for _ in range(3):
            lane.learn(foreign, control)
        lane.learn(Verdict(decision=Decision.ACCEPTED), control)
        for _ in range(3):
            lane.learn(foreign, control)
        assert not control.is_stopping
        lane.learn(foreign, control)
        assert control.exit_code is ExitCode.INCOMPLETE
        assert "HTTP 403" in control.reason
        assert "base URL" in control.reason


class Sent:
    """Creates that are answered at once, and when each had its turn."""

    def __init__(self, lane, clock, control):
        self.at = []
        self._lane, self._clock, self._control = lane, clock, control

    async def send(self, number):
        async with self._lane.turn(self._control, open_job(str(number))):
            self.at.append(self._clock.monotonic() - 1000.0)

    def most_in(self, width):
        starts = self.at
        return max(sum(start <= at <= start + width for at in starts) for start in starts)


class TestOrders:
    """What `dsrun control` orders of a run that goes on."""

    async def test_a_pause_holds_back_every_create_that_has_no_turn_yet(self):
        clock, control = ManualClock(), RunControl()
        sent = Sent(lane_of(clock, window=9, requests=2), clock, control)
        sending = asyncio.ensure_future(wait_for([sent.send(number) for number in range(6)]))
        await clock.advance(0.5)
        assert len(sent.at) == 2
        control.pause()
        await clock.advance(600.0)
        assert len(sent.at) == 2
        control.resume()
        await clock.advance(60.0)
        assert len(sent.at) == 6
        await sending

    async def test_a_stop_ends_a_pause(self):
        clock, control = ManualClock(), RunControl()
        control.pause()
        waiting = asyncio.ensure_future(lane_of(clock).turn(control, JOB).__aenter__())
        await settle()
        control.stop("enough", ExitCode.INTERRUPTED)
        with pytest.raises(Left):
            await waiting

    async def test_a_lost_create_can_be_looked_for_during_a_pause(self):
        clock, control = ManualClock(), RunControl()
        lane = lane_of(clock)
        control.pause()
        waiting = asyncio.ensure_future(lane.turn(control, JOB).__aenter__())
        await settle()
        async with lane.alone(control):
            pass
        control.resume()
        await waiting

    async def test_a_rate_that_is_ordered_holds_beside_the_lanes_own(self):
        clock, control = ManualClock(), RunControl()
        lane = lane_of(clock, window=50, requests=2)
        lane.order_rate(Rate(requests=3, per_s=60.0))
        sent = Sent(lane, clock, control)
        await clock.run(wait_for([sent.send(number) for number in range(6)]))
        assert sent.most_in(60.0) == 3
        assert sent.most_in(1.0) == 2
        assert lane.pace.interval_s == 20.0

    async def test_who_waits_for_a_slow_rate_goes_on_at_once_when_it_is_taken_back(self):
        clock, control = ManualClock(), RunControl()
        lane = lane_of(clock, window=50)
        lane.order_rate(Rate(requests=1, per_s=3600.0))
        sent = Sent(lane, clock, control)
        sending = asyncio.ensure_future(wait_for([sent.send(number) for number in range(3)]))
        await clock.advance(5.0)
        assert len(sent.at) == 1
        lane.order_rate(Rate(requests=100, per_s=1.0))
        await clock.advance(2.0)
        assert len(sent.at) == 3
        await sending

    @given(
        orders=st.lists(
            st.tuples(
                st.integers(0, 64).map(lambda ticks: ticks / 16),
                st.integers(1, 100),
                st.sampled_from([0.25, 1.0, 4.0]),
            ),
            max_size=8,
        )
    )
    @settings(deadline=None, max_examples=60)
    async def test_no_orders_bring_more_creates_into_a_window_than_the_lane_allows(self, orders):
        clock, control = ManualClock(), RunControl()
        lane = lane_of(clock, window=50, requests=3)
        sent = Sent(lane, clock, control)
        sending = asyncio.ensure_future(wait_for([sent.send(number) for number in range(30)]))
        for after, requests, per_s in orders:
            await clock.advance(after)
            lane.order_rate(Rate(requests=requests, per_s=per_s))
        lane.order_rate(Rate(requests=3, per_s=1.0))
        await clock.advance(600.0)
        await sending
        assert len(sent.at) == 30
        assert sent.most_in(1.0) <= 3
