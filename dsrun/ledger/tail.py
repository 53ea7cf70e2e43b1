"""The newest facts of a ledger once more, in a small file beside it.

SQLite silently passes over a log that is gone, cut or garbled, and loses what it held. This file
says how many facts the ledger must have, so that a loss is noticed, and it repeats those that may
not be in the database file yet, so that they can be put back. Nothing waits for it: each commit is
appended right after SQLite has synced it, before anybody acts on it, and `kill -9` loses nothing
that is in the system's cache. A tail that is behind its ledger is healthy.
"""

import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import orjson

from dsrun.common.models import Json
from dsrun.common.systems import PLAIN, sync, sync_data, write_at
from dsrun.storage.layout import RunLayout

_HEAD_BYTES = 256
_FULL_BYTES = 8 << 20  # at this size it starts again, once the database file has everything
_SUM_BYTES = 9  # eight hex digits and a space
_NOTE = b"note "  # no entry begins like that


@dataclass(frozen=True, slots=True)
class Seal:
    """The whole database file, as the last run left it.

    `change` is SQLite's own count of writes to a file without a log: an edit through SQLite raises
    it, a flipped bit does not.
    """

    size: int
    change: int
    crc: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """`facts`: how many facts there are in all; `base`: how many came before the first entry."""

    ledger_id: str
    version: int  # of the ledger's tables
    facts: int
    base: int = 0
    seal: Seal | None = None


class Entry(NamedTuple):
    """One commit: how many facts the ledger had before and after, and what was written."""

    before: int
    after: int
    writes: Sequence[Sequence[Json]]  # (name of a Kind or SQL, values), in order


def _tail_of(ledger: Path) -> Path:
    """Where the tail of a ledger is."""
    return RunLayout.of(ledger.parent).tail


class Tail:
    """The tail of a ledger that is open for writing."""

    def __init__(self, ledger: Path, head: Head) -> None:
        """Begin anew after `head.facts`, and sync. Raises OSError."""
        path = _tail_of(ledger)
        is_new = not path.exists()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | PLAIN, 0o666)
        self._head = head
        self._end = _HEAD_BYTES
        self.restart()
        os.fsync(self._file)
        if is_new:
            sync(str(path.parent))

    @property
    def is_full(self) -> bool:
        return self._end >= _FULL_BYTES

    def append(self, facts: int, writes: str) -> None:
        """Add what a commit wrote, as JSON; the ledger has `facts` facts now. Raises OSError."""
        text = f"{self._head.facts} {facts} {writes}".encode()
        line = b"%08x %b\n" % (zlib.crc32(text), text)
        _write(self._file, line, self._end)
        self._end += len(line)
        self._put(replace(self._head, facts=facts, seal=None))

    def restart(self) -> None:
        """Drop all entries: the database file has everything. Raises OSError."""
        self._put(replace(self._head, base=self._head.facts, seal=None))
        os.ftruncate(self._file, _HEAD_BYTES)
        self._end = _HEAD_BYTES

    def sync(self) -> None:
        sync_data(self._file)

    def seal(self, seal: Seal | None, note: bytes = b"") -> None:
        """Seal a ledger that is closed, and whose file is whole. Raises OSError.

        The `note` is what a look at the ledger need not work out again while the seal fits.
        """
        self.restart()
        if seal is not None and note:
            _write(self._file, b"%b%08x %b\n" % (_NOTE, zlib.crc32(note), note), self._end)
        self._put(replace(self._head, seal=seal))
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)

    def _put(self, head: Head) -> None:
        _write(self._file, _encoded(head), 0)
        self._head = head


def read_head(ledger: Path) -> Head | None:
    """The head of a ledger's tail; None where there is none that can be read."""
    try:
        with _tail_of(ledger).open("rb") as file:
            return _decoded(file.read(_HEAD_BYTES))
    except OSError:
        return None


def read_note(ledger: Path) -> bytes | None:
    """What was noted with the seal of a ledger, which the caller has found to fit."""
    try:
        line = _tail_of(ledger).read_bytes()[_HEAD_BYTES:].rstrip(b"\n")
    except OSError:
        return None
    note = line.removeprefix(_NOTE)
    total, text = note[:_SUM_BYTES], note[_SUM_BYTES:]
    return text if note != line and total == b"%08x " % zlib.crc32(text) else None


def read_entries(ledger: Path, head: Head) -> Iterator[Entry]:
    """The commits after `head.base`, up to one that is cut or garbled."""
    facts = head.base
    try:
        lines = _tail_of(ledger).read_bytes()[_HEAD_BYTES:].split(b"\n")
    except OSError:
        return
    for line in lines:
        entry = _entry(line)
        if entry is None or entry.before != facts:
            return
        yield entry
        facts = entry.after


def seal_of(ledger: Path) -> Seal:
    """The seal that fits the database file as it is. Raises OSError."""
    crc = size = change = 0
    with ledger.open("rb") as file:
        while chunk := file.read(1 << 20):
            if not size:
                change = int.from_bytes(chunk[24:28])
            size += len(chunk)
            crc = zlib.crc32(chunk, crc)
    return Seal(size, change, crc)


def _entry(line: bytes) -> Entry | None:
    total, text = line[:_SUM_BYTES], line[_SUM_BYTES:]
    if total != b"%08x " % zlib.crc32(text):
        return None
    before, after, writes = text.split(b" ", 2)
    return Entry(int(before), int(after), orjson.loads(writes))


def _encoded(head: Head) -> bytes:
    text = orjson.dumps(head)
    return (b"%08x %b" % (zlib.crc32(text), text)).ljust(_HEAD_BYTES - 1) + b"\n"


def _decoded(data: bytes) -> Head | None:
    total, text = data[:_SUM_BYTES], data[_SUM_BYTES:].rstrip()
    if len(data) < _HEAD_BYTES or total != b"%08x " % zlib.crc32(text):
        return None
    values = orjson.loads(text)
    seal = values.pop("seal")
    return Head(**values, seal=None if seal is None else Seal(**seal))


def _write(file: int, data: bytes, at: int) -> None:
    while data:
        done = write_at(file, data, at)
        data, at = data[done:], at + done
