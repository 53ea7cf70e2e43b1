"""All that differs between the two callers of a run: `cli.run` and `api`."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from dsrun.common.errors import ExitCode, Problem
from dsrun.common.models import JobStatus
from dsrun.common.units import Money
from dsrun.engine.control import RunControl
from dsrun.storage.layout import RunLayout

STOPPED_BY_ORDER = "ordered by `dsrun control`"
_GRACE_S = 10.0  # for tasks that are paid and may end soon


class Ending(NamedTuple):
    """How an invocation ended. `is_skipped`: another run had the directory.

    `is_refused`: the user did not agree to what it costs, so there may be no directory at all.

    `counts` are of the selected jobs, `spent` of the whole directory.
    """

    code: ExitCode
    layout: RunLayout
    digest: str  # of the plan
    counts: Mapping[JobStatus, int] = {}
    spent: tuple[Money, ...] = ()
    reason: str = ""
    cached: int = 0
    is_skipped: bool = False
    is_refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """`owns_process`: nothing else runs here, so the collector is ours to tune.

    `agree` asks whether something is allowed, `confirm` agrees to what a run costs, `drive` runs
    the session to its end, and `check` raises where the run is no longer wanted.
    """

    owns_process: bool
    takes_signals: bool
    agree: Callable[[str], bool]
    confirm: Callable[[str], bool]
    warn: Callable[[Iterable[Problem]], None]
    drive: Callable[[Coroutine[Any, Any, Ending]], Ending]
    check: Callable[[], None]


def drain(control: RunControl, reason: str, code: ExitCode) -> None:
    """Submit nothing more; what is paid and nearly done has a moment to end."""
    control.stop(reason, code)
    asyncio.get_running_loop().call_later(_GRACE_S, control.end_grace)


@contextmanager
def draining_signals(
    control: RunControl, *, enabled: bool, say: Callable[[str], None]
) -> Iterator[None]:
    """First Ctrl-C or SIGTERM: submit nothing more, finish what is nearly done. Second: stop.

    The handlers of before are put back afterwards. Without `enabled` signals are left alone.
    """
    if not enabled:
        yield
        return
    task = asyncio.current_task()
    signalled: list[ExitCode] = []
    codes = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}

    def on_signal(code: ExitCode) -> None:
        if signalled and task is not None:
            task.cancel()
            return
        signalled.append(code)
        say("stopping: nothing more is submitted; once more stops at once")
        drain(control, "interrupted" if code is ExitCode.INTERRUPTED else "terminated", code)

    with ExitStack() as stack:
        for number, code in codes.items():
            stack.enter_context(calling_on_signal(number, partial(on_signal, code)))
        yield


@contextmanager
def calling_on_signal(number: int, action: Callable[[], None]) -> Iterator[None]:
    """Call `action` on the running loop for each signal. The handler of before is put back."""
    loop, before = asyncio.get_running_loop(), signal.getsignal(number)
    try:
        loop.add_signal_handler(number, action)
    except NotImplementedError:  # the loops of Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(action))
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            loop.remove_signal_handler(number)
        if before is not None:  # else it was not Python's, and nobody can put it back
            signal.signal(number, before)
