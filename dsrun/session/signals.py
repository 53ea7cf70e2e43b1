"""Ctrl-C and SIGTERM: the first drains, the second stops at once."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dsrun.common.errors import ExitCode
from dsrun.engine.control import RunControl

_GRACE_S = 10.0  # for tasks that are paid and may end soon


@contextmanager
def draining_signals(
    control: RunControl, *, enabled: bool, say: Callable[[str], None]
) -> Iterator[None]:
    """First Ctrl-C or SIGTERM: submit nothing more, finish what is nearly done. Second: stop.

    Who had the signals before has them again afterwards. Not `enabled`: they stay with him.
    """
    if not enabled:
        yield
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    signalled: list[ExitCode] = []
    codes = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}

    def on_signal(code: ExitCode) -> None:
        if signalled and task is not None:
            task.cancel()
            return
        signalled.append(code)
        say("stopping: nothing more is submitted; once more stops at once")
        control.stop("interrupted" if code is ExitCode.INTERRUPTED else "terminated", code)
        loop.call_later(_GRACE_S, control.end_grace)

    before = {number: signal.getsignal(number) for number in codes}
    for number, code in codes.items():
        loop.add_signal_handler(number, on_signal, code)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            if handler is not None:  # else it was not Python's, and nobody can put it back
                signal.signal(number, handler)
