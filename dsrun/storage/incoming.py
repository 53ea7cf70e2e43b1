"""Bytes on their way to a file: counted, hashed, and told apart from half a file."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from dsrun.common.errors import SetupError
from dsrun.common.media import HEAD_BYTES, end_mark
from dsrun.storage.metadata.splice import Change, Written, ends_of, rewrite

_KEEP_IN_MEMORY = 1 << 20
_TAIL_BYTES = 8  # as long as the longest end mark


class Incoming:
    """Bytes on their way to a file: small ones wait in memory, large ones go to `.tmp/`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0  # as it came
        self.head = b""  # the first bytes, enough to identify the file
        self._tail = b""  # of what is on disk already
        self._has_end = False  # so does that
        self._hash = hashlib.sha256()
        self._parts: list[bytes] = []
        self._held = 0
        self._written: Written | None = None  # where it is not as it came

    @property
    def source_sha256(self) -> str:
        """Of the bytes as they came."""
        return self._hash.hexdigest()

    @property
    def written(self) -> Written:
        """What is on disk once `finish` has ended."""
        return self._written or Written(self.source_sha256, self.size)

    def add(self, chunk: bytes) -> None:
        """Take a chunk. Raises SetupError when the disk is full."""
        self._parts.append(chunk)
        self.size += len(chunk)
        self._held += len(chunk)
        if len(self.head) < HEAD_BYTES:
            self.head += chunk[: HEAD_BYTES - len(self.head)]
        if self._held > _KEEP_IN_MEMORY:
            self._has_end = self._has_end or self._shows_end()
            self._tail = self._parts[0][-_TAIL_BYTES:]
            with disk_faults(self.path):
                os.close(self.write())

    def is_cut_off(self) -> bool:
        """Whether the end is missing that its kind of file has; more may stand behind it."""
        return bool(end_mark(self.head)) and not self._has_end and not self._shows_end()

    def finish(self, change: Change | None) -> int:
        """Write the rest, and the whole with this change; gives the open file's descriptor."""
        is_on_disk = self._held < self.size
        if change is None or not is_on_disk:
            return self.write(change)
        os.close(self.write())
        self._written = rewrite(self.path, change)
        return os.open(self.path, os.O_RDONLY)

    def write(self, change: Change | None = None) -> int:
        """Write what is held, changed where that is all; gives the open file's descriptor."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._hash.update(data)
            rest = memoryview(data if change is None else self._changed(data, change))
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except BaseException:
            os.close(descriptor)
            raise
        self._parts.clear()
        self._held = 0
        return descriptor

    def _shows_end(self) -> bool:
        """Whether the mark stands in what is held, which is one piece from here on."""
        held = b"".join(self._parts)
        self._parts = [held]
        mark = end_mark(self.head)
        return held.endswith(mark) or mark in self._tail + held

    def _changed(self, data: bytes, change: Change) -> bytes:
        splice = change(ends_of(data))
        if splice is None:
            return data
        changed = splice.apply(data)
        self._written = Written(hashlib.sha256(changed).hexdigest(), len(changed))
        return changed

    def discard(self) -> None:
        self._parts.clear()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


class disk_faults:  # noqa: N801  # read as a word after `with`
    """Turns an operating system's refusal into words for the user."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise SetupError(
                f"cannot write {self._path}: {error.strerror or error}. Free the disk "
                "or make the folder writable, then run the same command again; nothing is lost."
            ) from error
