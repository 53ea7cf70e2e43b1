"""One owner of every reason to stop: signals, bad keys, budgets, too many failures."""

import asyncio
from decimal import Decimal
from enum import IntEnum
from types import TracebackType
from typing import NamedTuple, Protocol

from dsrun.common.errors import ExitCode


class Left(Exception):
    """The job is left as it is in the ledger; a later run goes on with it."""


class RunControl:
    """Knows whether the run goes on; when it does not, it wakes whatever waits.

    Jobs wait inside `interruptible()`. A request to stop ends those waits at once; waits for
    a task that is already paid (`paid=True`) go on until the grace time is over. Where only no
    more is to be sent, the search for what may be paid (`may_be_paid=True`) goes on as well.
    """

    def __init__(self, *, max_failures: int | None = None, budget: "Budget | None" = None) -> None:
        self.reason = ""
        self.exit_code: ExitCode | None = None
        self.budget = budget or Budget()
        self.unfetched = ""
        self._max_failures = max_failures
        self._failures = 0
        self._closed_operations: dict[str, str] = {}
        self._waits: dict[_Interruptible, None] = {}  # in the order in which they began
        self._ended: _Wait | None = None  # waits up to this one end at once
        self._going = asyncio.Event()  # creates may be sent
        self._going.set()

    @property
    def is_stopping(self) -> bool:
        return self.exit_code is not None

    @property
    def is_looking_on(self) -> bool:
        """Whether the run stops, and still looks for and fetches what may be paid."""
        return self._ended is _Wait.TO_SEND

    @property
    def is_paused(self) -> bool:
        return not self._going.is_set()

    def pause(self) -> None:
        """Send no more creates for now; what is under way goes on, and is fetched."""
        self._going.clear()

    def resume(self) -> None:
        self._going.set()

    async def unpaused(self) -> None:
        """Wait until creates may be sent. Within `interruptible()`: a pause never ends a wait."""
        await self._going.wait()

    @property
    def closed_operations(self) -> dict[str, str]:
        """Operations whose jobs cannot succeed, each with the service's reason."""
        return dict(self._closed_operations)

    def stop(self, reason: str, exit_code: ExitCode) -> None:
        """Submit nothing more, and look for nothing more. Only the first reason counts."""
        self._stop(reason, exit_code, _Wait.MAY_BE_PAID)

    def stop_sending(self, reason: str) -> None:
        """Submit nothing more; to look costs nothing, and what is paid lives for a day alone."""
        self._stop(reason, ExitCode.INCOMPLETE, _Wait.TO_SEND)

    def end_grace(self) -> None:
        """Stop waiting for tasks as well; they stay in the ledger as submitted."""
        self._interrupt(_Wait.PAID)

    def close_operation(self, operation: str, reason: str) -> None:
        """No further job of this operation is submitted."""
        self._closed_operations.setdefault(operation, reason)

    def check(self, operation: str) -> None:
        """Raises Left where no job of the operation may be submitted any more."""
        if self.is_stopping or operation in self._closed_operations:
            raise Left

    def note_failure(self) -> None:
        self._failures += 1
        if self._max_failures is not None and self._failures >= self._max_failures:
            jobs = "1 job" if self._failures == 1 else f"{self._failures} jobs"
            self.stop_sending(f"{jobs} failed; max_failures is {self._max_failures}")

    def note_unfetched(self, reason: str) -> None:
        """A paid result is waiting at the service, but its file did not come."""
        self.unfetched = self.unfetched or reason

    def interruptible(self, *, paid: bool = False, may_be_paid: bool = False) -> "_Interruptible":
        """Wait in here; raises Left as soon as the run stops."""
        wait = _Wait.PAID if paid else _Wait.MAY_BE_PAID if may_be_paid else _Wait.TO_SEND
        if self._ended is not None and wait <= self._ended:
            raise Left
        return _Interruptible(self._waits, wait)

    def _stop(self, reason: str, exit_code: ExitCode, last: "_Wait") -> None:
        if self.exit_code is None:
            self.reason, self.exit_code = reason, exit_code
        self._interrupt(last)

    def _interrupt(self, last: "_Wait") -> None:
        self._ended = last if self._ended is None else max(self._ended, last)
        loop = asyncio.get_running_loop()
        for scope in self._waits:
            if scope.wait <= self._ended:
                loop.call_soon(scope.end)  # who stops the run may be in such a wait itself


class _Wait(IntEnum):
    """What a job waits for; the first are ended first."""

    TO_SEND = 0
    MAY_BE_PAID = 1
    PAID = 2


class _Interruptible:
    """A wait that RunControl can end, as `asyncio.timeout` would.

    Every request passes through some, so it holds no timer, and entering it is a plain call.
    """

    __slots__ = ("_cancelling", "_is_ended", "_task", "_waits", "wait")

    def __init__(self, waits: "dict[_Interruptible, None]", wait: _Wait) -> None:
        self.wait = wait
        self._waits = waits
        self._is_ended = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can wait")
        self._task, self._cancelling = task, task.cancelling()
        self._waits[self] = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        del self._waits[self]
        if not self._is_ended:
            return
        others = self._task.uncancel()
        if others <= self._cancelling and isinstance(error, asyncio.CancelledError):
            raise Left from None

    def end(self) -> None:
        """End the wait, unless it has just ended by itself."""
        if self in self._waits and not self._is_ended:
            self._is_ended = True
            self._task.cancel()


class Reserved(NamedTuple):
    """What is set aside for a create, and when it was sent: in a period it counts from then on."""

    amount: Decimal
    at: str = ""


class SharedBudget(Protocol):
    """What all runs of an output root may spend together; they cannot pass it at once."""

    def reserve(self, amount: Decimal, *, at: str) -> str: ...
    def settle(self, reserved: Decimal, spent: Decimal, *, at: str) -> None: ...
    def recount(self) -> None: ...
    def words(self) -> str: ...


class Budget:
    """What may still be spent: `max_cost` less what is spent and what is under way.

    Beside that, `shared` is what other runs spend from as well.
    """

    def __init__(
        self,
        *,
        limit: Decimal | None = None,
        spent: Decimal = Decimal(0),
        under_way: Decimal = Decimal(0),
        shared: SharedBudget | None = None,
    ) -> None:
        self.limit = limit
        self.spent = spent
        self.under_way = under_way
        self.shared = shared
        self.is_lowered = False  # by an order to this run, below what the next one will have
        self.refusal = ""  # of the shared budget, in words

    def reserve(self, amount: Decimal, *, at: str = "") -> Reserved | None:
        """Set an amount aside for a create that is sent now; None where it would pass a limit."""
        if self.limit is not None and self.spent + self.under_way + amount > self.limit:
            return None
        if self.shared is not None:
            self.refusal = self.shared.reserve(amount, at=at)
            if self.refusal:
                return None
        self.under_way += amount
        return Reserved(amount, at)

    def recount(self, *, spent: Decimal, under_way: Decimal) -> None:
        """Start again from what the ledger says, while no job runs."""
        self.spent, self.under_way = spent, under_way

    def settle(self, reserved: Reserved, spent: Decimal) -> None:
        self.under_way -= reserved.amount
        self.spent += spent
        if self.shared is not None and spent != reserved.amount:
            self.shared.settle(reserved.amount, spent, at=reserved.at)

    def give_up(self, reserved: Reserved) -> None:
        """A create in doubt is sent again, as the user wants; `shared` counts it, as ledgers do."""
        self.under_way -= reserved.amount
