"""Reads the service's lists, page by page and within bounds: its tasks, and what it has made."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from random import Random
from typing import Generic, NamedTuple, Protocol, TypeVar

from dsrun.common.clock import Clock
from dsrun.common.errors import ApiError
from dsrun.common.models import Json
from dsrun.engine.backoff import retry_delay
from dsrun.engine.control import RunControl
from dsrun.engine.limits import RateLimiter
from dsrun.engine.matching import is_of_request
from dsrun.service.classify import Decision, Verdict
from dsrun.service.lists import Entry, MadeRow, Page, Row, TaskRow
from dsrun.service.operation import ByName, MadeList, Operation
from dsrun.service.replies import Refused, Unreadable

Told = TypeVar("Told")

_PAGE_SIZES = (100, 10)  # no maximum is documented; 10 is the default, which every server takes
_MOST_ROWS = 100_000  # of one list; nobody would wait for more
_LONGEST_S = 60.0  # to read one list


class ListApi(Protocol):
    async def list_tasks(
        self, query: Mapping[str, str]
    ) -> Page[TaskRow] | Refused | Unreadable: ...
    async def list_made(
        self, operation: Operation, recovery: MadeList, request: Json, *, number: int, size: int
    ) -> Page[MadeRow] | Refused: ...
    async def ask_by_name(
        self, operation: Operation, asking: ByName, name: str
    ) -> Entry | Refused: ...


class Listing(NamedTuple, Generic[Row]):
    """A list that was read to its end; `served_ahead_s` is its HTTP date less our clock."""

    rows: Sequence[Row]  # that may concern us
    names: Collection[str]  # of all rows
    served_ahead_s: float | None


class _List(NamedTuple, Generic[Row]):
    """How a list is read."""

    ask: Callable[[int, int], Awaitable[Page[Row] | Refused | Unreadable]]  # page from 0, rows
    concerns_us: Callable[[Row], bool]
    limiter: RateLimiter


class Unlisted(Exception):
    """The list cannot be read.

    `is_silent`: it did not answer, so that a later run may find out. `is_foreign`: what answered
    is not the API, as at a wrong base URL.
    """

    def __init__(self, reason: str, *, is_silent: bool = False, is_foreign: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_silent = is_silent
        self.is_foreign = is_foreign


class _PageRefused(Exception):
    """The server does not give so many rows on a page."""


class Lister:
    """Reads whole lists. Raises Unlisted where one cannot be read, Left where the run stops."""

    def __init__(
        self,
        *,
        api: ListApi,
        control: RunControl,
        clock: Clock,
        rng: Random,
        limiter: RateLimiter,
        max_attempts: int,
    ) -> None:
        """`limiter` keeps the rate of task queries, which the task list shares."""
        self._api = api
        self._control = control
        self._clock = clock
        self._rng = rng
        self._limiter = limiter
        self._max_attempts = max_attempts

    async def tasks(self, model: str, window: Mapping[str, str]) -> Listing[TaskRow]:
        """The account's tasks of a model; an empty window means the last 24 hours."""

        async def ask(number: int, size: int) -> Page[TaskRow] | Refused | Unreadable:
            query = {"model_name": model, **window, "page_no": str(number + 1)}
            async with self._limiter.slot():
                return await self._api.list_tasks(query | {"page_size": str(size)})

        return await self._read(_List(ask, lambda _: True, self._limiter))

    async def made(
        self, operation: Operation, recovery: MadeList, request: Json, limiter: RateLimiter
    ) -> Listing[MadeRow]:
        """What this very request may have made. `limiter` keeps the rate of the operation."""
        ask = self._asking_made(operation, recovery, request, limiter)
        return await self._read(
            _List(ask, lambda row: is_of_request(row, request, operation), limiter)
        )

    async def all_made(
        self, operation: Operation, recovery: MadeList, limiter: RateLimiter
    ) -> Listing[MadeRow]:
        """Everything that the account has of what an operation makes."""
        ask = self._asking_made(operation, recovery, {}, limiter)
        return await self._read(_List(ask, lambda _: True, limiter))

    async def by_name(
        self, operation: Operation, asking: ByName, name: str, limiter: RateLimiter
    ) -> Entry:
        """What the service says of one thing that it has made, or of deleting that."""

        async def ask() -> Entry | Refused:
            async with limiter.slot():
                return await self._api.ask_by_name(operation, asking, name)

        return await self._answer_of(ask, limiter, asked="the service")

    def _asking_made(
        self, operation: Operation, recovery: MadeList, request: Json, limiter: RateLimiter
    ) -> Callable[[int, int], Awaitable[Page[MadeRow] | Refused]]:
        async def ask(number: int, size: int) -> Page[MadeRow] | Refused:
            async with limiter.slot():
                return await self._api.list_made(
                    operation, recovery, request, number=number, size=size
                )

        return ask

    async def _read(self, source: _List[Row]) -> Listing[Row]:
        largest, usual = _PAGE_SIZES
        try:
            return await self._read_by(largest, source)
        except _PageRefused:
            return await self._read_by(usual, source)

    async def _read_by(self, size: int, source: _List[Row]) -> Listing[Row]:
        rows: dict[str, Row] = {}
        seen: set[str] = set()
        ahead_s = None
        give_up_at = self._clock.monotonic() + _LONGEST_S
        number, longest = 0, 0
        while True:
            page = await self._answer_of(
                partial(source.ask, number, size), source.limiter, asked="the list",
                may_be_size=(number, size) == (0, max(_PAGE_SIZES)),
            )  # fmt: skip
            if page.served_at is not None:
                ahead_s = page.served_at - self._clock.now().timestamp()
            rows.update((row.name, row) for row in page.rows if source.concerns_us(row))
            names = [row.name for row in page.rows]
            is_new = not seen.issuperset(names)
            seen.update(names)
            # A server may give fewer rows on every page than it was asked for, and not say so.
            is_short = not names or len(names) < longest
            longest = max(longest, len(names))
            is_whole = is_short if page.total is None else len(seen) >= page.total
            if is_whole or not is_new:
                return Listing(list(rows.values()), seen, ahead_s)
            if len(seen) >= _MOST_ROWS or self._clock.monotonic() >= give_up_at:
                raise Unlisted(f"the list has not come to its end after {len(seen)} rows")
            number += 1

    async def _answer_of(
        self,
        ask: Callable[[], Awaitable[Told | Refused | Unreadable]],
        limiter: RateLimiter,
        *,
        asked: str,
        may_be_size: bool = False,
    ) -> Told:
        """Ask until the answer comes. Raises Left, _PageRefused, Unlisted."""
        attempt = 0
        while True:
            with self._control.interruptible(may_be_paid=True):
                try:
                    reply = await ask()
                except ApiError as error:
                    why = Unlisted(f"{asked} does not answer: {error}", is_silent=True)
                else:
                    if not isinstance(reply, Refused):
                        limiter.speed_up()
                        if isinstance(reply, Unreadable):
                            raise Unlisted(reply.reason, is_foreign=True)
                        return reply
                    if _is_slowed(reply.verdict, limiter):
                        continue  # the limiter waits, and it costs no attempt
                    why = _why_refused(reply.verdict, asked=asked, may_be_size=may_be_size)
                attempt += 1
                if attempt >= self._max_attempts:
                    raise why
                await self._clock.sleep(retry_delay(attempt, rng=self._rng))


def _is_slowed(verdict: Verdict, limiter: RateLimiter) -> bool:
    """Slow down where a page was refused for its rate; whether waiting is still of use."""
    if verdict.decision is not Decision.THROTTLE:
        return False
    limiter.slow_down(verdict.retry_after_s)
    return not limiter.hopeless()


def _why_refused(verdict: Verdict, *, asked: str, may_be_size: bool) -> Unlisted:
    """Why an answer did not come that may be asked for again.

    Raises _PageRefused or Unlisted where it may not.
    """
    words = verdict.words
    if verdict.decision is Decision.THROTTLE:
        raise Unlisted(f"{asked} is throttled: {words}", is_silent=True)
    if verdict.decision in (Decision.RETRY, Decision.AMBIGUOUS):
        reason = f"{asked} does not answer: {words}"
        return Unlisted(reason, is_silent=verdict.is_foreign, is_foreign=verdict.is_foreign)
    if may_be_size:
        raise _PageRefused
    raise Unlisted(f"the list is refused: {words}" if asked == "the list" else words)
