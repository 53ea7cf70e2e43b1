"""Request rates as the service counts them: so many in any window of time.

A plain token bucket lets a burst through at a window's edge. Here a request takes its place
until one window after its *answer*: the service received it before that, so however the
network delays requests, no window on the service's clock ever holds more than allowed.

A `Lane` is what the jobs of one model share: its window, its rate, its open tasks, how long they
take. A `Group` is what several lanes share.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from dsrun.common.clock import Clock
from dsrun.common.errors import ExitCode
from dsrun.common.models import OpenJob
from dsrun.common.units import Rate
from dsrun.engine.backoff import PollEstimate
from dsrun.engine.control import Left, RunControl
from dsrun.engine.counters import OpenTasks, TokenWindow
from dsrun.engine.places import come_back, step_aside
from dsrun.service.classify import Decision, Verdict
from dsrun.service.operation import Operation, Repeat, TaskList
from dsrun.service.request import tokens_bound

PATIENCE_S = 900.0  # of nothing but refusals; the service's own pages say "within a minute"
_SLOWEST = 8.0  # the rate falls to an eighth; refusals after that only make the pauses longer
_RECOVERY = 0.8
_LONGEST_PAUSE_S = 64.0  # after several refusals in a row
_LOOK_S = 1.0  # the rate may have changed meanwhile
_MARGIN = 1 / 64  # clocks tick, and a service may count both ends of a window


class Pace(NamedTuple):
    """How fast requests may go now: seconds per request, and whether the service slowed them."""

    interval_s: float
    is_throttled: bool


class RateLimiter:
    """At most `rate.requests` in a window; slower after a refusal, then gradually faster again."""

    def __init__(self, rate: Rate, *, clock: Clock, used: int = 0) -> None:
        """`used`: requests that an earlier process may have sent just before."""
        self._rate = rate
        self._clock = clock
        self._answered = deque([clock.monotonic()] * min(used, rate.requests))
        self._under_way = 0
        self._waiting = 0
        self._stretch = 1.0
        self._paused_until = 0.0
        self._refused_since: float | None = None
        self._refusals = 0  # in a row
        self._turn = asyncio.Lock()  # waiting requests keep their order
        self._queue = asyncio.Lock()  # only one request that is not urgent waits for the turn
        self._changed = asyncio.Event()

    def change(self, rate: Rate) -> None:
        """Keep another rate from now on."""
        self._rate = rate
        self._changed.set()

    def beside(self, rate: Rate) -> "RateLimiter":
        """A limiter of its own, by the same clock."""
        return RateLimiter(rate, clock=self._clock)

    @property
    def pace(self) -> Pace:
        interval = self._rate.per_s * self._stretch / self._rate.requests
        return Pace(interval_s=interval, is_throttled=self._stretch > 1.0)

    def hopeless(self) -> str:
        """Why it is no use to wait for the service today; an empty text while it is."""
        if self._refused_since is None:
            return ""
        now = self._clock.monotonic()
        if self._paused_until - now > PATIENCE_S:
            return f"it asks to wait for {self._paused_until - now:.0f} s"
        if now - self._refused_since >= PATIENCE_S:
            return f"it has refused every request for its rate for {PATIENCE_S / 60:.0f} minutes"
        return ""

    @asynccontextmanager
    async def slot(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """Hold a place for one request, from before it is sent until it is answered."""
        await self.take(urgent=urgent)
        try:
            yield
        finally:
            self.give_back()

    async def take(self, *, urgent: bool = False) -> None:
        """Wait for a place; `give_back` it when the request is answered.

        Whoever has waited longest is next. Urgent requests wait for each other, and for at most one
        of the rest.
        """
        if not self._waiting and self._wait_s() == 0:
            self._under_way += 1
            return
        self._waiting += 1
        try:
            async with nullcontext() if urgent else self._queue, self._turn:
                await self._wait_for_room()
                self._under_way += 1
        finally:
            self._waiting -= 1

    def give_back(self) -> None:
        self._under_way -= 1
        self._answered.append(self._clock.monotonic())
        self._changed.set()

    def take_back(self) -> None:
        """Give a place back that was not used after all."""
        self._under_way -= 1
        self._changed.set()

    def pause(self, seconds: float) -> None:
        """Let no request through for a while."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def slow_down(self, retry_after_s: float | None) -> None:
        """The service refused a request for its rate: halve the rate and pause.

        A single refusal costs one short pause; only several in a row make the pauses long.
        """
        now = self._clock.monotonic()
        if now >= self._paused_until:  # else it was sent before the last refusal came
            self._stretch = min(_SLOWEST, self._stretch * 2)
            self._refusals += 1
        self._refused_since = now if self._refused_since is None else self._refused_since
        patience = min(_LONGEST_PAUSE_S, min(1.0, self._rate.per_s) * 2.0 ** (self._refusals - 1))
        self._paused_until = max(
            self._paused_until,
            now + max(retry_after_s or 0.0, self.pace.interval_s, patience),
        )

    def speed_up(self) -> None:
        """The service has taken a request: recover a little."""
        self._stretch = max(1.0, self._stretch * _RECOVERY)
        self._refused_since = None
        self._refusals = 0

    async def _wait_for_room(self) -> None:
        while (wait := self._wait_s()) != 0:
            if wait is not None:
                await self._clock.sleep(min(wait, _LOOK_S))
            else:
                self._changed.clear()
                await self._changed.wait()

    def _wait_s(self) -> float | None:
        """Seconds until there may be room: 0 is now; None means that an answer must come first."""
        now = self._clock.monotonic()
        if now < self._paused_until:
            return self._paused_until - now
        # A slow rate means fewer in the same window, and only below one a longer window:
        # what was sent at full rate must not hold up a minute's limit for an hour.
        room = max(1, int(self._rate.requests / self._stretch))
        window = self._rate.per_s + min(1.0, self._rate.per_s) * _MARGIN
        window *= max(1.0, self._stretch / self._rate.requests)
        while self._answered and self._answered[0] <= now - window:
            self._answered.popleft()
        excess = self._under_way + len(self._answered) - room
        if excess < 0:
            return 0
        return self._answered[excess] + window - now if excess < len(self._answered) else None


class SubmitWindow:
    """How many requests may be under way: half as many after a refusal, then one more each time.

    It opens with the first request that is taken: a bad key costs one refusal, not a windowful.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 1.0
        self._is_open = False
        self._taken = 0
        self._waiting = 0
        self._turn = asyncio.Lock()  # waiting requests keep their order
        self._changed = asyncio.Event()

    async def take(self) -> None:
        """Wait for a place; `give_back` it afterwards."""
        if not self._waiting and self._taken < int(self._size):
            self._taken += 1
            return
        self._waiting += 1
        try:
            async with self._turn:
                while self._taken >= int(self._size):
                    self._changed.clear()
                    await self._changed.wait()
                self._taken += 1
        finally:
            self._waiting -= 1

    def give_back(self) -> None:
        self._taken -= 1
        self._changed.set()

    def shrink(self) -> None:
        self._size = max(1.0, self._size / 2)

    def grow(self) -> None:
        """One more place for every windowful of accepted requests."""
        more = self._size + 1 / self._size if self._is_open else self._most
        self._is_open = True
        self._size = min(float(self._most), more)
        self._changed.set()


_MORE_DOUBTS = 3  # than creates at once: later creates show whether a lost one was accepted
_APART_S = 1.2  # between a lost create and the next
_APART_UNDATED_S = 3.2  # the same where no task of its run says how far the list's clock is off
_MOST_FOREIGN = 4  # creates in a row that something other than the API has answered


class Group(NamedTuple):
    """What several lanes share: their rate, and how many of their tasks are open together."""

    limiter: RateLimiter
    open: OpenTasks | None = None


class Lane:
    """All creates of one model pass through here: a few at once, and a few a second.

    A create passes the limits of its model first, then those that the model shares with others:
    while it waits for its own it holds up no other model.
    """

    def __init__(
        self,
        operation: Operation,
        *,
        limiter: RateLimiter,
        submit_window: int,
        estimate: PollEstimate,
        max_poll_s: float,
        open_tasks: OpenTasks | None = None,
        tokens: TokenWindow | None = None,
        group: Group | None = None,
    ) -> None:
        self._counts = [each for each in (open_tasks, group and group.open) if each is not None]
        self._open = open_tasks
        self._ordered: RateLimiter | None = None  # beside the lane's own
        self._tokens = tokens
        self._group = group
        self.operation = operation
        self.limiter = limiter
        self.estimate = estimate
        self.max_poll_s = max_poll_s
        self._window = SubmitWindow(submit_window)
        self._under_way = 0
        self._quiet = asyncio.Event()  # no create is under way
        self._quiet.set()
        self._waiting = 0  # creates that want a turn
        self._looks = 0
        self._clear = asyncio.Event()  # nobody looks for a lost create
        self._clear.set()
        self._looking = asyncio.Lock()
        self._doubts = 0
        self._settled = asyncio.Event()
        self._most_doubts = submit_window + _MORE_DOUBTS
        self._foreign_answers = 0  # in a row
        self._is_dated = False  # a task of this run dates the list

    def order_rate(self, rate: Rate) -> None:
        """Keep this rate too from now on, until another is ordered; the lane's own always holds."""
        if self._ordered is None:
            self._ordered = self.limiter.beside(rate)
        self._ordered.change(rate)

    @property
    def pace(self) -> Pace:
        """How fast creates may go now."""
        own = self.limiter.pace
        if self._ordered is None:
            return own
        return own._replace(interval_s=max(own.interval_s, self._ordered.pace.interval_s))

    @property
    def expects_creates(self) -> bool:
        """Whether a create is under way, or may be soon."""
        is_held_up = self._doubts >= self._most_doubts or any(
            count.is_full_of(self._doubts) for count in self._counts
        )
        return self._under_way > 0 or (self._waiting > 0 and not is_held_up)

    def begin_doubt(self, *, is_foreign: bool = False) -> None:
        """A create is lost. While too many are, no other is sent until one of them is settled.

        The next create waits a little, so that the times of the two tell them apart in a list.
        `is_foreign`: what answered is not the API, so that it has hardly been reached.
        """
        self._doubts += 1
        self.keep_apart(0.0, is_dated=self._is_dated or is_foreign)

    def keep_apart(self, lost_for_s: float, *, is_dated: bool) -> None:
        """Let the next create wait, so that its time tells it from one lost so long ago.

        `is_dated`: a task of the run that lost it shows how far the service's clock is off.
        """
        if isinstance(self.operation.recovery, Repeat):
            return
        is_narrow = is_dated or not isinstance(self.operation.recovery, TaskList)
        self.limiter.pause((_APART_S if is_narrow else _APART_UNDATED_S) - max(0.0, lost_for_s))

    @property
    def latest_witness_s(self) -> float:
        """How long after a loss the next create may be held, which may show what became of it."""
        return _APART_S if self._is_dated else _APART_UNDATED_S

    def note_task(self) -> None:
        """The service has named the task of a create of this run, so that the list is dated."""
        self._is_dated = True

    def end_doubt(self) -> None:
        self._doubts -= 1
        self._settled.set()

    def add_task(self, job: OpenJob) -> None:
        """Count a job whose task is open already."""
        for count in self._counts:
            count.add(job.job_id)

    def end_task(self, job: OpenJob) -> None:
        """The job has no task at the service, or none any more."""
        for count in self._counts:
            count.close(job.job_id)

    def turn(self, control: RunControl, job: OpenJob) -> "_Turn":
        """Wait for the right to send the create of a job, and hold it: `async with` it.

        From then on its task counts as open, until `end_task`. While the job waits it leaves its
        place to others. Raises Left when the run stops or the operation is closed.
        """
        return _Turn(self, control, job)

    async def begin_turn(self, control: RunControl, job: OpenJob) -> "_Create":
        tokens = 0 if self._tokens is None else tokens_bound(job.request)
        create = _Create(job.job_id, tokens)
        with control.interruptible():
            self._waiting += 1
            step_aside()
            try:
                await self._take_turn(control, create)
            finally:
                self._waiting -= 1
        self._under_way += 1
        self._quiet.clear()
        return create

    def end_turn(self, create: "_Create") -> None:
        self.limiter.give_back()
        if create.ordered is not None:
            create.ordered.give_back()
        if self._tokens is not None:
            self._tokens.give_back(create.tokens)
        if self._group is not None:
            self._group.limiter.give_back()
        self._under_way -= 1
        if not self._under_way:
            self._quiet.set()
        self._window.give_back()

    @asynccontextmanager
    async def alone(self, control: RunControl) -> AsyncIterator[None]:
        """Hold back all creates of the operation, so that a lost one can be told apart.

        Raises Left when the run stops.
        """
        self._looks += 1
        self._clear.clear()
        try:
            with control.interruptible(may_be_paid=True):
                await self._quiet.wait()
                await self._looking.acquire()
            try:
                yield
            finally:
                self._looking.release()
        finally:
            self._looks -= 1
            if not self._looks:
                self._clear.set()

    def learn(self, verdict: Verdict, control: RunControl) -> None:
        """Adapt rate and window to an answer; close the operation if it is refused for too long."""
        self._foreign_answers = self._foreign_answers + 1 if verdict.is_foreign else 0
        if self._foreign_answers >= _MOST_FOREIGN:
            words = f"{self._foreign_answers} creates in a row: {verdict.words}"
            hint = "is the base URL right, or does a proxy or firewall stand before the API?"
            control.stop(f"{words}; {hint}", ExitCode.INCOMPLETE)
        if verdict.is_foreign and verdict.is_crowded:
            self.limiter.slow_down(verdict.retry_after_s)
        if verdict.decision in (Decision.AMBIGUOUS, Decision.MODEL, Decision.STOP):
            return
        if verdict.decision is not Decision.THROTTLE:
            self.limiter.speed_up()
            self._window.grow()
            return
        self.limiter.slow_down(verdict.retry_after_s)
        self._window.shrink()
        if reason := self.limiter.hopeless():
            words = f"{verdict.words} The service is throttling: {reason}"
            control.close_operation(self.operation.name, f"{words}; run again later")

    async def _take_turn(self, control: RunControl, create: "_Create") -> None:
        await self._window.take()
        try:
            control.check(self.operation.name)  # first: who leaves does not wait for the rate
            await self._take_room(control, create)
        except BaseException:
            self._window.give_back()
            raise

    async def _take_room(self, control: RunControl, create: "_Create") -> None:
        while self._doubts >= self._most_doubts:
            self._settled.clear()
            await self._settled.wait()
        while True:
            await self._clear.wait()
            await control.unpaused()
            taken: list[Callable[[], None]] = []
            is_had = False
            try:
                await self._pass(create, taken)
                is_had = not self._looks and not control.is_paused
            finally:
                if not is_had:
                    for give_back in reversed(taken):
                        give_back()
            if is_had:
                return
            step_aside()  # a look may need a place itself

    async def _pass(self, create: "_Create", taken: "list[Callable[[], None]]") -> None:
        """Take room from every limit in turn; each of `taken` gives some of it back."""
        if self._open is not None:
            await self._open.take(create.job_id)
            taken.append(partial(self._open.close, create.job_id))
        create.ordered = self._ordered
        if create.ordered is not None:
            await create.ordered.take()
            taken.append(create.ordered.take_back)
        await self.limiter.take()
        taken.append(self.limiter.take_back)
        if self._tokens is not None:
            await self._tokens.take(create.tokens)
            taken.append(partial(self._tokens.take_back, create.tokens))
        if self._group is not None:
            if self._group.open is not None:
                await self._group.open.take(create.job_id)
                taken.append(partial(self._group.open.close, create.job_id))
            await self._group.limiter.take()
            taken.append(self._group.limiter.take_back)
        await come_back()


@dataclass(slots=True)
class _Create:
    job_id: str
    tokens: int
    ordered: RateLimiter | None = None  # that it has a place of


class _Turn:
    """A job's turn in a lane, while it sends a create."""

    __slots__ = ("_control", "_create", "_job", "_lane")

    def __init__(self, lane: Lane, control: RunControl, job: OpenJob) -> None:
        self._lane, self._control, self._job = lane, control, job

    async def __aenter__(self) -> None:
        self._create = await self._lane.begin_turn(self._control, self._job)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Left):
            self._lane.end_task(self._job)
        self._lane.end_turn(self._create)
