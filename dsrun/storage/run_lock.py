"""One run at a time in a run directory, across processes. The system frees a dead owner's lock."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dsrun.common.errors import RunLocked, SetupError

if sys.platform != "win32":
    import fcntl

_WAIT_S = 0.5  # between two questions whether the wait goes on
_LOOK_S = 0.25  # `dsrun status` holds the lock for a moment when it looks


@contextmanager
def run_lock(
    path: Path,
    *,
    if_running: str,
    describe_owner: Callable[[], str],
    say: Callable[[str], None],
    check: Callable[[], None],
) -> Iterator[bool]:
    """Hold the lock; gives False where another run has it and `if_running` is `skip`.

    Raises RunLocked for `fail`; `wait` waits for its turn, until `check` raises.
    """
    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=_LOOK_S, poll_interval=_LOOK_S / 5)
        except Timeout:
            words = f"another run holds {path.parent}: {describe_owner()}"
            if if_running == "skip":
                say(f"{words}; skipped")
                yield False
                return
            if if_running == "fail":
                raise RunLocked(f"{words}; --if-running wait waits for it") from None
            say(f"{words}; waiting for it to end")
            _wait(lock, check)
    except OSError as error:
        raise SetupError(f"{path} cannot be locked: {error.strerror or error}") from error
    try:
        yield True
    finally:
        lock.release()


def _wait(lock: FileLock, check: Callable[[], None]) -> None:
    while True:
        check()
        try:
            lock.acquire(timeout=_WAIT_S)
        except Timeout:
            continue
        return


def is_locked(path: Path) -> bool:
    """Whether a run holds the lock now. The file is only read: its folder may be read-only."""
    if sys.platform == "win32":
        return _cannot_be_acquired(path)
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    finally:
        os.close(descriptor)
    return False


def _cannot_be_acquired(path: Path) -> bool:
    """The same where the system has no `flock`."""
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
