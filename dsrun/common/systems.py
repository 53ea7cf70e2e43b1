"""What not every system has: macOS lacks some of it, Windows most. Everything else is `os`."""

import os
import select
from collections.abc import Sequence
from importlib import import_module
from typing import Any


def flag(*names: str) -> int:
    """The flags of `os.open` of these names, as far as the system has them."""
    return sum(getattr(os, name, 0) for name in names)


def _module(name: str) -> Any:
    """The module; None where the system has none."""
    try:
        return import_module(name)
    except ImportError:
        return None


fcntl = _module("fcntl")
termios, tty = _module("termios"), _module("tty")  # keys of a terminal
# Windows changes line ends in a file that is opened without O_BINARY.
PLAIN = flag("O_BINARY", "O_CLOEXEC")


def write_at(descriptor: int, data: bytes, at: int) -> int:
    """Write to a place of a file; the number of bytes that were written. Raises OSError."""
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, data, at)
    os.lseek(descriptor, at, os.SEEK_SET)
    return os.write(descriptor, data)


def write_all(descriptor: int, parts: Sequence[bytes | memoryview]) -> None:
    """Write these pieces one after the other, in one call where the system can. Raises OSError."""
    if hasattr(os, "writev"):
        written = os.writev(descriptor, parts)
        if written == sum(map(len, parts)):
            return
        parts = [memoryview(b"".join(parts))[written:]]
    for part in parts:
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def has_input(descriptor: int) -> bool:
    """Whether a socket has bytes, or its end, that nobody has read; False where nobody can tell."""
    if not hasattr(select, "poll"):  # Windows
        return False
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(0))


def sync_data(descriptor: int) -> None:
    """Make the bytes of a file survive a crash of the machine. Raises OSError."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def sync(path: str) -> None:
    """Make a file or folder survive a crash of the machine. Raises OSError.

    Windows opens no folder, and syncs only what is open for writing.
    """
    if not hasattr(os, "O_DIRECTORY") and os.path.isdir(path):  # noqa: PTH112  # after every file
        return
    mode = os.O_RDONLY if hasattr(os, "O_DIRECTORY") else os.O_RDWR
    descriptor = os.open(path, mode | PLAIN)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
