"""Reads the service's lists, page by page and within bounds: its tasks, and what it has made."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from random import Random
from typing import NamedTuple, Protocol

import orjson

from dsrun.common.errors import ApiError
from dsrun.common.models import Json
from dsrun.common.pointer import put_at
from dsrun.engine.backoff import retry_delay
from dsrun.engine.control import RunControl
from dsrun.engine.limits import RateLimiter
from dsrun.engine.matching import Page, Trace, read_made, read_tasks
from dsrun.engine.ports import Clock
from dsrun.service.classify import Decision, Verdict
from dsrun.service.operation import MadeList, Operation
from dsrun.service.replies import Answer

_PAGE_SIZES = (100, 10)  # no maximum is documented; 10 is the default, which every server takes
_MOST_ROWS = 100_000  # of one list; more of them say nothing that a person would wait for
_LONGEST_S = 60.0  # to read one list

Ask = Callable[[int, int], Awaitable[Answer]]  # page from 0, items a page
Read = Callable[[Json], Page | None]


class ListApi(Protocol):
    async def list_tasks(self, query: Mapping[str, str]) -> Answer: ...
    async def call(self, operation: Operation, body: bytes) -> Answer: ...


class Listing(NamedTuple):
    """A list that was read to its end; `served_ahead_s` is its HTTP date less our clock."""

    traces: Sequence[Trace]
    names: Collection[str]  # of all rows, also of those that are no traces
    served_ahead_s: float | None


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
    """The server does not take so many items a page."""


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

    async def tasks(self, model: str, window: Mapping[str, str]) -> Listing:
        """The account's tasks of a model; an empty window means the last 24 hours."""

        async def ask(number: int, size: int) -> Answer:
            query = {"model_name": model, **window, "page_no": str(number + 1)}
            async with self._limiter.slot():
                return await self._api.list_tasks(query | {"page_size": str(size)})

        return await self._collect(ask, read_tasks, limiter=self._limiter)

    async def made(
        self, operation: Operation, recovery: MadeList, request: Json, limiter: RateLimiter
    ) -> Listing:
        """What this very request may have made. `limiter` keeps the rate of the operation."""

        async def ask(number: int, size: int) -> Answer:
            body = orjson.loads(orjson.dumps(recovery.body))
            put_at(body, recovery.page, number)
            put_at(body, recovery.page_size, size)
            async with limiter.slot():
                return await self._api.call(operation, orjson.dumps(body))

        read = partial(read_made, operation=operation, recovery=recovery, request=request)
        return await self._collect(ask, read, limiter=limiter)

    async def _collect(self, ask: Ask, read: Read, *, limiter: RateLimiter) -> Listing:
        largest, usual = _PAGE_SIZES
        try:
            return await self._collect_by(largest, ask, read, limiter)
        except _PageRefused:
            return await self._collect_by(usual, ask, read, limiter)

    async def _collect_by(self, size: int, ask: Ask, read: Read, limiter: RateLimiter) -> Listing:
        traces: dict[str, Trace] = {}
        seen: set[str] = set()
        ahead = None
        give_up_at = self._clock.monotonic() + _LONGEST_S
        number = 0
        while True:
            answer = await self._ask_page(ask, number, size, limiter)
            page = read(answer.payload)
            if page is None:
                raise Unlisted("what answered is not the list of the API", is_foreign=True)
            traces.update((trace.name, trace) for trace in page.traces)
            if answer.served_at is not None:
                ahead = answer.served_at - self._clock.now().timestamp()
            is_new = not seen.issuperset(page.names)
            seen.update(page.names)
            is_whole = len(page.names) < size if page.total is None else len(seen) >= page.total
            if is_whole or not is_new:
                return Listing(list(traces.values()), seen, ahead)
            if len(seen) >= _MOST_ROWS or self._clock.monotonic() >= give_up_at:
                raise Unlisted(f"the list has not come to its end after {len(seen)} rows")
            number += 1

    async def _ask_page(self, ask: Ask, number: int, size: int, limiter: RateLimiter) -> Answer:
        """One page, asked for until it comes. Raises Left, _PageRefused, Unlisted."""
        attempt = 0
        while True:
            async with self._control.interruptible():
                try:
                    answer = await ask(number, size)
                except ApiError as error:
                    why = Unlisted(f"the list does not answer: {error}", is_silent=True)
                else:
                    verdict = answer.verdict
                    if verdict.decision is Decision.ACCEPTED:
                        limiter.speed_up()
                        return answer
                    if verdict.decision is Decision.THROTTLE:
                        limiter.slow_down(verdict.retry_after_s)
                        if not limiter.hopeless():
                            continue  # the limiter waits, and no attempt is lost
                    why = _why_refused(verdict, may_be_size=(number, size) == (0, max(_PAGE_SIZES)))
                attempt += 1
                if attempt >= self._max_attempts:
                    raise why
                await self._clock.sleep(retry_delay(attempt, rng=self._rng))


def _why_refused(verdict: Verdict, *, may_be_size: bool) -> Unlisted:
    """Of a page that may be asked for again. Raises _PageRefused or Unlisted where it may not."""
    words = f"{verdict.code}: {verdict.message}"
    if verdict.decision is Decision.THROTTLE:
        raise Unlisted(f"the list is throttled: {words}", is_silent=True)
    if verdict.decision in (Decision.RETRY, Decision.AMBIGUOUS):
        reason = f"the list does not answer: {words}"
        return Unlisted(reason, is_silent=verdict.is_foreign, is_foreign=verdict.is_foreign)
    if may_be_size:
        raise _PageRefused
    raise Unlisted(f"the list is refused: {words}")
