"""Changing the ends of files: small ones in memory, large ones by rewriting them on disk."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

ENDS = 1 << 18  # bytes at either end of a file that a change may look at
_AT_ONCE = 1 << 20


class Ends(NamedTuple):
    """The first and the last ENDS bytes of a file of `size` bytes; they may overlap."""

    head: bytes
    tail: bytes
    size: int


class Splice(NamedTuple):
    """The new file is `before`, then bytes `start` to `stop` of the old one, then `after`."""

    before: bytes
    start: int
    stop: int
    after: bytes = b""

    def parts(self, data: bytes) -> list[bytes | memoryview]:
        """The new file in pieces, without a copy of the old one."""
        return [self.before, memoryview(data)[self.start : self.stop], self.after]

    def apply(self, data: bytes) -> bytes:
        return b"".join(self.parts(data))


Change = Callable[[Ends], Splice | None]  # None: the file stays as it is


class Written(NamedTuple):
    """A file as it is on disk."""

    sha256: str
    size: int


def ends_of(data: bytes) -> Ends:
    return Ends(data[:ENDS], data[-ENDS:], len(data))


def rewrite(path: Path, change: Change, *, sha256: str | None = None) -> Written | None:
    """Change a file in one synced step; None where it stays as it is. Raises OSError.

    With `sha256` it stays as it is unless that is what it becomes. Another name of the same file
    keeps the old bytes.
    """
    new = path.with_name(f"{path.name}-new")
    with path.open("rb") as old:
        splice = change(_ends(old))
        if splice is None:
            return None
        try:
            with new.open("xb") as file:
                written = _copy(old, file, splice)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            new.unlink()
            raise
    if sha256 not in (None, written.sha256):
        new.unlink()
        return None
    new.replace(path)
    return written


def _ends(file: BinaryIO) -> Ends:
    size = os.fstat(file.fileno()).st_size
    head = file.read(ENDS)
    file.seek(max(size - ENDS, 0))
    return Ends(head, file.read(ENDS), size)


def _copy(old: BinaryIO, new: BinaryIO, splice: Splice) -> Written:
    state, size = hashlib.sha256(), 0
    for part in _parts(old, splice):
        state.update(part)
        size += new.write(part)
    return Written(state.hexdigest(), size)


def _parts(old: BinaryIO, splice: Splice) -> Iterator[bytes]:
    yield splice.before
    old.seek(splice.start)
    for at in range(splice.start, splice.stop, _AT_ONCE):
        yield old.read(min(_AT_ONCE, splice.stop - at))
    yield splice.after
