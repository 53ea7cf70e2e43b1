"""One run at a time in a run directory, across processes. The system frees a dead run's lock."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dsrun.common.errors import RunLocked, SetupError
from dsrun.common.systems import fcntl

_WAIT_S = 0.5  # between two checks that the run is still wanted
_LOOK_S = 0.25  # `dsrun status` holds the lock for a moment when it looks
_POLL_S = 0.05


@contextmanager
def run_lock(
    path: Path,
    *,
    if_running: str,
    describe_owner: Callable[[], str],
    say: Callable[[str], None],
    check: Callable[[], None],
) -> Iterator[bool]:
    """Hold the lock; False where another run holds it and `if_running` is `skip`.

    `fail` raises RunLocked; `wait` waits for the lock, or until `check` raises.
    """
    lock = FileLock(path)
    try:
        if not _try(lock, timeout_s=_LOOK_S):
            words = f"another run holds {path.parent}: {describe_owner()}"
            if if_running == "fail":
                raise RunLocked(f"{words}; --if-running wait waits for it")
            if if_running == "skip":
                say(f"{words}; skipped")
            else:
                say(f"{words}; waiting for it to end")
                check()
                while not _try(lock, timeout_s=_WAIT_S):
                    check()
    except OSError as error:
        raise SetupError(f"{path} cannot be locked: {error.strerror or error}") from error
    try:
        yield lock.is_locked
    finally:
        lock.release()


def _try(lock: FileLock, *, timeout_s: float) -> bool:
    """Whether the lock could be taken in this time."""
    try:
        lock.acquire(timeout=timeout_s, poll_interval=_POLL_S)
    except Timeout:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether a run holds the lock now. The file is only read: its folder may be read-only."""
    if fcntl is None:
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
    """`is_locked` where the system has no `flock`."""
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # the folder may be read-only
        return False
    lock.release()
    return False
