"""Finding a create again whose answer was lost, before anything is sent in its place."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from random import Random
from typing import NamedTuple

import orjson

from dsrun.answers import Answer
from dsrun.backoff import retry_delay
from dsrun.clock import stamp
from dsrun.control import RunControl
from dsrun.errors import ApiError
from dsrun.lane import Lane
from dsrun.limits import RateLimiter
from dsrun.ports import Claims, Clock, GenerationApi
from dsrun.records import Json, MadeList, OpenJob, TaskList
from dsrun.recovery import (
    Doubt,
    NotFound,
    Page,
    Span,
    Trace,
    caller_of,
    find_made,
    find_task,
    measure_skew,
    read_made,
    read_tasks,
    stamp_window,
)
from dsrun.verdict import Decision, Verdict

_RECORD_LIFE_S = 23.5 * 3600  # the service lists 24 h; some of it may pass while we look
_MARGIN_S = 180.0
_PAGE_SIZES = (100, 10)  # no maximum is documented; 10 is the default, which every server takes
_MOST_PAGES = 20_000
_LOOKS_S = (1.0, 2.0, 4.0)  # between two looks


class Undecided(NamedTuple):
    """Why nobody can tell whether the create was accepted.

    `is_silent`: the list did not answer, so that a later run may find out.
    """

    reason: str
    is_silent: bool = False


class _Listing(NamedTuple):
    traces: Sequence[Trace]
    served_ahead_s: float | None


Ask = Callable[[int, int], Awaitable[Answer]]  # page from 0, items a page
Read = Callable[[Json], Page | None]


class _PageRefused(Exception):
    """The server does not take so many items a page."""


class _Unlisted(Exception):
    """The list cannot be read."""

    def __init__(self, undecided: Undecided) -> None:
        super().__init__(undecided.reason)
        self.undecided = undecided


class Reconciler:
    """Looks for lost creates in the lists of the service."""

    def __init__(
        self,
        *,
        api: GenerationApi,
        claims: Claims,
        control: RunControl,
        clock: Clock,
        rng: Random,
        limiter: RateLimiter,
        max_attempts: int,
        grace_s: float,
    ) -> None:
        """`limiter` keeps the rate of task queries, which the list shares.

        Within `grace_s` seconds of its loss a create that was accepted must show up in the list.
        """
        self._api = api
        self._claims = claims
        self._control = control
        self._clock = clock
        self._rng = rng
        self._limiter = limiter
        self._max_attempts = max_attempts
        self._grace_s = grace_s

    async def find(self, job: OpenJob, lane: Lane, doubt: Doubt) -> Trace | Undecided | None:
        """What became of the create; None where it was not accepted. Raises Left.

        Another run may have sent the same job, and not know either: then none of them was.
        Call it where no other create of the lane is under way.
        """
        others = self._claims.same_job(job.job_id, since=self._listed_since())
        for each in dict.fromkeys((doubt, *others)):
            found = await self._find(job, lane, each)
            if found is not None:
                return found
        return None

    async def _find(self, job: OpenJob, lane: Lane, doubt: Doubt) -> Trace | Undecided | None:
        if lane.operation.recovery is None:
            return Undecided("the service has no list of what this operation makes")
        if self._now() - doubt.since > _RECORD_LIFE_S:
            return Undecided("it was sent more than a day ago, and the service lists one day")
        looks = 0
        # A killed run has not seen the end of its create: the grace begins with the first look.
        lost_at = doubt.lost_at if doubt.is_seen else min(self._now(), doubt.until)
        while True:
            is_last = self._now() - lost_at >= self._grace_s
            try:
                found = await self._look(job, lane, doubt)
            except _Unlisted as unlisted:
                return unlisted.undecided
            if isinstance(found, Trace):
                return found
            if is_last:
                return _conclude(found)
            async with self._control.interruptible():
                await self._clock.sleep(
                    min(_LOOKS_S[min(looks, len(_LOOKS_S) - 1)], max(0.05, self._grace_s / 2))
                )
            looks += 1

    async def _look(self, job: OpenJob, lane: Lane, doubt: Doubt) -> Trace | NotFound | Undecided:
        recovery = lane.operation.recovery
        if isinstance(recovery, MadeList):
            return await self._look_for_made(job, lane, doubt, recovery)
        # The zone of the window's times is not documented, so a narrow list proves presence, and
        # absence only where it shows a task that must be in it.
        try:
            narrow = await self._list_tasks(lane, stamp_window(doubt, margin_s=_MARGIN_S))
        except _Unlisted as unlisted:
            if unlisted.undecided.is_silent:
                raise
        else:
            known = self._claims.accepted([trace.name for trace in narrow.traces])
            found = self._judge_tasks(lane, doubt, narrow, known)
            if isinstance(found, Trace) or (known and self._reaches(narrow, known)):
                return found
        whole = await self._list_tasks(lane, {})
        known = self._claims.accepted([trace.name for trace in whole.traces])
        found = self._judge_tasks(lane, doubt, whole, known)
        is_unproven = found is NotFound.ABSENT and not known
        # A list that lacks all of our own tasks of the day proves nothing yet: it may be late.
        if is_unproven and self._claims.has_accepted(
            lane.operation.name, since=self._listed_since()
        ):
            return Undecided("the list does not show tasks that must be in it")
        return found

    def _reaches(self, narrow: _Listing, known: dict[str, Span]) -> bool:
        """Whether the narrow list holds all that may be ours, though it was cut by our clock."""
        skew = measure_skew(narrow.traces, known=known, served_ahead_s=None)
        return abs(skew.ahead_s) + skew.wide_s < _MARGIN_S

    def _judge_tasks(
        self, lane: Lane, doubt: Doubt, listing: _Listing, known: dict[str, Span]
    ) -> Trace | NotFound:
        name, names = lane.operation.name, [trace.name for trace in listing.traces]
        # Rivals first: one that gets its task in between is then both, and never neither.
        rivals = self._claims.rivals(name, job_id=doubt.job_id)
        return find_task(
            doubt,
            listing.traces,
            skew=measure_skew(listing.traces, known=known, served_ahead_s=listing.served_ahead_s),
            claimed=self._claims.claimed(name, names, job_id=doubt.job_id),
            rivals=rivals,
            callers={caller_of(trace) for trace in listing.traces if trace.name in known},
        )

    async def _list_tasks(self, lane: Lane, window: dict[str, str]) -> _Listing:
        recovery = lane.operation.recovery
        model = recovery.model_name if isinstance(recovery, TaskList) else ""

        async def ask(number: int, size: int) -> Answer:
            query = {"model_name": model, **window, "page_no": str(number + 1)}
            async with self._limiter.slot():
                return await self._api.list_tasks(query | {"page_size": str(size)})

        return await self._collect(ask, read_tasks, limiter=self._limiter)

    async def _look_for_made(
        self, job: OpenJob, lane: Lane, doubt: Doubt, recovery: MadeList
    ) -> Trace | NotFound:
        operation, request = lane.operation, orjson.loads(job.body)

        async def ask(number: int, size: int) -> Answer:
            body = orjson.loads(orjson.dumps(recovery.body))
            _put(body, recovery.page, number)
            _put(body, recovery.page_size, size)
            async with lane.limiter.slot():
                return await self._api.call(operation, orjson.dumps(body))

        read = partial(read_made, operation=operation, recovery=recovery, request=request)
        listing = await self._collect(ask, read, limiter=lane.limiter)
        names = [trace.name for trace in listing.traces]
        claimed = self._claims.claimed(operation.name, names, job_id=job.job_id)
        return find_made(doubt, listing.traces, claimed=claimed)

    async def _collect(self, ask: Ask, read: Read, *, limiter: RateLimiter) -> _Listing:
        """Every page of a list. Raises _Unlisted."""
        largest, usual = _PAGE_SIZES
        try:
            return await self._collect_by(largest, ask, read, limiter)
        except _PageRefused:
            return await self._collect_by(usual, ask, read, limiter)

    async def _collect_by(self, size: int, ask: Ask, read: Read, limiter: RateLimiter) -> _Listing:
        traces: dict[str, Trace] = {}
        seen: set[str] = set()
        ahead = None
        for number in range(_MOST_PAGES):
            answer = await self._ask_page(ask, number, size, limiter)
            page = read(answer.payload)
            if page is None:
                raise _Unlisted(Undecided("what answered is not the list of the API"))
            traces.update((trace.name, trace) for trace in page.traces)
            if answer.served_at is not None:
                ahead = answer.served_at - self._now()
            is_new = not seen.issuperset(page.names)
            seen.update(page.names)
            is_whole = len(page.names) < size if page.total is None else len(seen) >= page.total
            if is_whole or not is_new:
                break
        else:
            raise _Unlisted(Undecided("the list does not come to an end"))
        return _Listing(list(traces.values()), ahead)

    async def _ask_page(self, ask: Ask, number: int, size: int, limiter: RateLimiter) -> Answer:
        """One page, asked for until it comes. Raises Left, _PageRefused, _Unlisted."""
        attempt = 0
        while True:
            async with self._control.interruptible():
                try:
                    found = await ask(number, size)
                except ApiError as error:
                    why = Undecided(f"the list does not answer: {error}", is_silent=True)
                else:
                    verdict = found.verdict
                    if verdict.decision is Decision.ACCEPTED:
                        limiter.speed_up()
                        return found
                    if verdict.decision is Decision.THROTTLE:
                        limiter.slow_down(verdict.retry_after_s)
                        if not limiter.hopeless():
                            continue  # the limiter waits, and no attempt is lost
                    why = _why_refused(verdict, may_be_size=(number, size) == (0, max(_PAGE_SIZES)))
                attempt += 1
                if attempt >= self._max_attempts:
                    raise _Unlisted(why)
                await self._clock.sleep(retry_delay(attempt, rng=self._rng))

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _listed_since(self) -> str:
        """What was made before is not listed any more."""
        return stamp(self._clock.now() - timedelta(seconds=_RECORD_LIFE_S))


def _why_refused(verdict: Verdict, *, may_be_size: bool) -> Undecided:
    """Of a page that may be asked for again. Raises _PageRefused or _Unlisted where it may not."""
    words = f"{verdict.code}: {verdict.message}"
    if verdict.decision is Decision.THROTTLE:
        raise _Unlisted(Undecided(f"the list is throttled: {words}", is_silent=True))
    if verdict.decision in (Decision.RETRY, Decision.AMBIGUOUS):
        return Undecided(f"the list does not answer: {words}", verdict.is_foreign)
    if may_be_size:
        raise _PageRefused
    raise _Unlisted(Undecided(f"the list is refused: {words}"))


def _conclude(found: NotFound | Undecided) -> Undecided | None:
    if found is NotFound.ABSENT:
        return None
    if found is NotFound.UNDECIDED:
        return Undecided("several tasks of that time may be it, and the list has no prompts")
    return found


def _put(body: dict[str, Json], at: tuple[str, ...], value: int) -> None:
    for step in at[:-1]:
        body = body[step]
    body[at[-1]] = value
