"""Single keys of a terminal, without Enter; where stdin has none, only time passes."""

import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dsrun.common.clock import pause
from dsrun.common.systems import termios, tty

END = "\x04"  # Ctrl-D
Wait = Callable[[float], str]  # seconds to wait for a key: the key, or an empty text


@contextmanager
def pressed_keys() -> Iterator[Wait]:
    """Read keys as they are pressed in here. The terminal is as before afterwards."""
    if termios is None or not sys.stdin.isatty():
        yield _only_wait
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)

        def wait(seconds: float) -> str:
            ready, _, _ = select.select([descriptor], [], [], seconds)
            return _read(descriptor) if ready else ""

        yield wait
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _read(descriptor: int) -> str:
    """A key; that of the end (Ctrl-D) where the terminal has gone."""
    try:
        return os.read(descriptor, 1).decode("latin-1") or END
    except OSError:
        return END


def _only_wait(seconds: float) -> str:
    pause(seconds)
    return ""
