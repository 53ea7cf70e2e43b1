"""Files that a manifest names: rows of csv, tsv, json, jsonl, yaml and txt; texts; patterns.

Rows are read again for every pass, so that a file of a million rows needs no memory; a file
that changes between two passes is an error, since the digest speaks of the first.
"""

import codecs
import csv
import fnmatch
import hashlib
import os
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from io import BufferedReader, TextIOWrapper
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import orjson

from dsrun.common.digest import parse_json
from dsrun.common.errors import ManifestError, Problem
from dsrun.common.messages import closest, show
from dsrun.common.models import Json
from dsrun.common.user_files import (
    DATA_BYTES,
    TEXT_BYTES,
    Unreadable,
    is_below,
    open_file,
    read_file,
)
from dsrun.common.yaml_document import MAX_DEPTH, parse_yaml

_KEEP_BELOW_BYTES = 256 * 1024
_CHUNK = 1 << 20
_JSON_BYTES = 64 * 2**20
_LONGEST_LINE = 16 * 2**20
_WILD = re.compile(r"[*?\[]")
_MOST_NEAR = 1000  # names that a slip is compared with
MOST_ENTRIES = 100_000  # files and folders that a pattern may look at


class Source(NamedTuple):
    """A file to read: its place, its name in messages, and the folders that it must lie in."""

    path: Path
    name: str
    folders: Sequence[Path] | None = None

    def open(self) -> BufferedReader:
        """Raises ManifestError."""
        try:
            return open_file(self.path, most=DATA_BYTES, folders=self.folders)
        except Unreadable as error:
            raise _error(self.name, 0, str(error)) from error

    def read(self, most: int = TEXT_BYTES) -> bytes:
        """The whole content. Raises ManifestError."""
        try:
            return read_file(self.path, most=most, folders=self.folders)
        except Unreadable as error:
            raise _error(self.name, 0, str(error)) from error

    def text(self) -> str:
        """The text, without BOM and with line feeds only. Raises ManifestError."""
        try:
            return decoded(self.read())
        except UnicodeDecodeError as error:
            raise _not_utf8(self) from error

    def lines(self) -> Generator[str, None, None]:
        """The lines of a text. Raises ManifestError, also where one is too long to be meant."""
        with TextIOWrapper(self.open(), encoding="utf-8-sig") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE + 1):
                number += 1
                if len(line) > _LONGEST_LINE:
                    words = f"a line of more than {_LONGEST_LINE:,} characters"
                    raise _error(self.name, number, words)
                yield line


class DataFile:
    """The rows of one file, in order, as often as they are asked for."""

    def __init__(
        self,
        path: Path,
        *,
        shown_as: str,
        folders: Sequence[Path] | None = None,
        check: Callable[[str], None] | None = None,
    ) -> None:
        """`check` sees the digest before a row is read.

        Raises ManifestError where the file cannot be read or its kind is not known.
        """
        self.path = path
        self.name = shown_as
        self._source = Source(path, shown_as, folders)
        self._read = _reader(path, shown_as)
        self._stamp = self._state()
        self.sha256 = _sha256_of(self._source)
        if check is not None:
            check(self.sha256)
        self._kept: list[Json] | None = None
        if self._stamp[0] < _KEEP_BELOW_BYTES:
            self._kept = list(self._read(self._source))
            self._count = len(self._kept)
        else:
            self._count = sum(1 for _ in self._read(self._source))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Json]:
        if self._kept is not None:
            return iter(self._kept)
        if self._state() != self._stamp:
            raise _error(self.name, 0, "the file changed while dsrun was reading it; start again")
        return self._read(self._source)

    def open(self) -> BufferedReader:
        """Open the file, to copy its bytes. Raises ManifestError."""
        return self._source.open()

    def line_of(self, position: int) -> int:
        """The line (from 1) where row `position` (from 0) begins; 0 where it cannot be told."""
        try:
            return _line(self._source, position)
        except (ManifestError, OSError, ValueError):
            return 0  # the file has changed; the problem itself is told all the same

    def _state(self) -> tuple[int, int]:
        with self._source.open() as file:
            status = os.fstat(file.fileno())
        return status.st_size, status.st_mtime_ns


def files_matching(
    root: Path, pattern: str, allowed: Sequence[Path] = (), *, most: int = MOST_ENTRIES
) -> list[str]:
    """Names of the files below `root` that match, sorted, with forward slashes.

    `allowed`: further folders that they may lie in. Raises ValueError where the pattern is none,
    leads out of all these folders, or looks at more than `most` files.
    """
    if pattern.startswith(("/", "\\")) or Path(pattern).is_absolute():
        raise ValueError("leads out of the manifest's folder")
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    if ".." in parts and not allowed:
        raise ValueError("leads out of the manifest's folder (--allow-files DIR lets it)")
    if "\0" in pattern or any("**" in part and part != "**" for part in parts):
        raise ValueError("`**` stands for whole folders, and no name holds a NUL")
    return sorted(set(_Walk(root, parts, (root, *allowed), most).matches(0, "")))


class _Walk:
    """Goes through folders along the parts of a pattern; `**` is any number of folders."""

    def __init__(
        self, root: Path, parts: Sequence[str], folders: Sequence[Path], most: int
    ) -> None:
        self._root = root
        self._parts = parts
        self._folders = folders
        self._tests = [re.compile(fnmatch.translate(part)).match for part in parts]
        self._seen: set[tuple[str, int]] = set()
        self._most = self._left = most

    def matches(self, at: int, folder: str) -> Iterator[str]:
        """The files of `folder` (a name below the root) that match the parts from `at` on."""
        if (folder, at) in self._seen or at == len(self._parts):
            return
        self._seen.add((folder, at))
        part = self._parts[at]
        if part == "**":
            yield from self.matches(at + 1, folder)
            for entry in self._entries(folder):
                if entry.is_dir(follow_symlinks=False):
                    yield from self.matches(at, f"{folder}{entry.name}/")
        elif _WILD.search(part):
            for entry in self._entries(folder):
                if self._tests[at](entry.name):
                    yield from self._step(at, f"{folder}{entry.name}")
        else:
            yield from self._step(at, f"{folder}{part}")

    def _step(self, at: int, name: str) -> Iterator[str]:
        path = self._root / name
        if at < len(self._parts) - 1:
            if path.is_dir():
                yield from self.matches(at + 1, f"{name}/")
        elif path.is_file():
            self._check(name)
            yield name

    def _entries(self, folder: str) -> Iterator[os.DirEntry[str]]:
        self._check(folder)
        try:
            with os.scandir(self._root / folder) as entries:
                for entry in entries:
                    self._left -= 1
                    if self._left < 0:
                        raise ValueError(f"looks through more than {self._most:,} files")
                    yield entry
        except OSError:
            return  # what cannot be read matches nothing

    def _check(self, name: str) -> None:
        if not is_below(self._root / name, self._folders):
            words = "is a link that leads out of the manifest's folder (--allow-files DIR lets it)"
            raise ValueError(f"{name.rstrip('/')} {words}")


def text_sha256(path: Path, *, shown_as: str) -> str:
    """SHA-256 of a text file, the same with and without BOM and with any line ends."""
    return _sha256_of(Source(path, shown_as))


def _sha256_of(source: Source) -> str:
    state = hashlib.sha256()
    try:
        with TextIOWrapper(source.open(), encoding="utf-8-sig") as file:
            while chunk := file.read(_CHUNK):
                state.update(chunk.encode())
    except UnicodeDecodeError as error:
        raise _not_utf8(source) from error
    except OSError as error:
        words = f"cannot be read: {error.strerror or error}"
        raise _error(source.name, 0, words) from error
    return state.hexdigest()


def read_text(path: Path, *, shown_as: str, folders: Sequence[Path] | None = None) -> str:
    """The text of a file, without BOM and with line feeds only. Raises ManifestError."""
    return Source(path, shown_as, folders).text()


def decoded(data: bytes) -> str:
    """UTF-8 as text, without BOM and with line feeds only. Raises UnicodeDecodeError."""
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def _reader(path: Path, name: str) -> Callable[[Source], Iterator[Json]]:
    readers = {
        ".csv": _read_csv,
        ".tsv": _read_tsv,
        ".json": _read_json,
        ".jsonl": _read_jsonl,
        ".ndjson": _read_jsonl,
        ".yaml": _read_yaml,
        ".yml": _read_yaml,
        ".txt": _read_txt,
    }
    if path.suffix.lower() not in readers:
        raise _error(name, 0, f"found kind {path.suffix or 'none'}; allowed: {', '.join(readers)}")
    return readers[path.suffix.lower()]


def _read_csv(source: Source) -> Iterator[Json]:
    return map(itemgetter(1), _iter_table(source, delimiter=","))


def _read_tsv(source: Source) -> Iterator[Json]:
    return map(itemgetter(1), _iter_table(source, delimiter="\t"))


def _line(source: Source, position: int) -> int:
    kind = source.path.suffix.lower()
    if kind in (".csv", ".tsv"):
        rows = _iter_table(source, delimiter="\t" if kind == ".tsv" else ",")
        return next(islice(rows, position, None), (0, None))[0]
    if kind in (".txt", ".jsonl", ".ndjson"):
        lines = (number for number, line in enumerate(source.lines(), start=1) if line.strip())
        return next(islice(lines, position, None), 0)
    return parse_yaml(source.text(), file=source.name).place((position,))[0]  # JSON is YAML


def _iter_table(source: Source, *, delimiter: str) -> Iterator[tuple[int, Json]]:
    """Each row with the line where it begins."""
    # Line ends are made one kind, within quotes too: they are no part of the digest either.
    name, lines = source.name, source.lines()
    with closing(lines):
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        begins = 1
        try:
            header = next((row for row in rows if row), None)
            if header is None:
                raise _error(name, 1, "the file is empty; its first line must name the columns")
            _check_header(header, name, rows.line_num)
            while True:
                begins = rows.line_num + 1
                row = next(rows, None)
                if row is None:
                    return
                if not row:
                    continue
                if len(row) != len(header):
                    raise _error(name, begins, _ragged_words(row, header))
                yield begins, dict(zip(header, row, strict=True))
        except csv.Error as error:
            words = str(error).replace("unexpected end of data", "a quote here is never closed")
            raise _error(name, begins, f"not CSV: {words}") from error


def _ragged_words(row: list[str], header: list[str]) -> str:
    hint = "; put text that holds a separator in quotes" if len(row) > len(header) else ""
    found = f"found {len(row)} column{'' if len(row) == 1 else 's'}"
    return f"{found}; the first line names {len(header)} ({', '.join(header)}){hint}"


def _check_header(header: list[str], name: str, line: int) -> None:
    if len(header) == 1 and (sign := next((s for s in ";\t|" if s in header[0]), None)):
        message = f"found {show(sign)} between the columns; .csv takes commas, .tsv takes tabs"
        raise _error(name, line, message)
    for number, column in enumerate(header, start=1):
        if not column.strip():
            raise _error(name, line, f"column {number} has no name")
        if column in header[: number - 1]:
            raise _error(name, line, f"two columns are named {column}")


def _read_json(source: Source) -> Iterator[Json]:
    data = source.read(_JSON_BYTES).removeprefix(codecs.BOM_UTF8)
    yield from _as_list(_parse_json(data, source.name, 0), source.name)


def _read_jsonl(source: Source) -> Iterator[Json]:
    with source.open() as file:
        for number, line in enumerate(iter(partial(file.readline, _LONGEST_LINE + 1), b""), 1):
            if len(line) > _LONGEST_LINE:
                raise _error(source.name, number, f"a line of more than {_LONGEST_LINE:,} bytes")
            text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if text.strip():
                yield _parse_json(text, source.name, number)


def _parse_json(data: bytes, name: str, line: int) -> Json:
    try:
        value = parse_json(data)
    except orjson.JSONDecodeError as error:
        place = (line or error.lineno, error.colno)
        raise _error(name, place[0], f"not JSON: {error.msg}", column=place[1]) from error
    except (ValueError, RecursionError) as error:
        raise _error(name, line or 1, str(error)) from error
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise _error(name, line or 1, f"nested more than {MAX_DEPTH} levels deep")
    return value


def _is_deeper(value: Json, depth: int) -> bool:
    level = [value]
    for _ in range(depth + 1):
        level = [
            part
            for item in level
            if isinstance(item, dict | list)
            for part in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True


def _read_yaml(source: Source) -> Iterator[Json]:
    yield from _as_list(parse_yaml(source.text(), file=source.name).value, source.name)


def _read_txt(source: Source) -> Iterator[Json]:
    for line in source.lines():
        if line.strip():
            yield line.rstrip("\n")


def _as_list(value: Json, name: str) -> list[Json]:
    if not isinstance(value, list):
        raise _error(name, 1, "the file must hold a list, one item a row")
    return value


def _not_utf8(source: Source) -> ManifestError:
    """The problem of the first byte that is not UTF-8; the file is read again to find its line."""
    line, decoder = 1, codecs.getincrementaldecoder("utf-8")()
    with source.open() as file:
        try:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
                line += chunk.count(b"\n")
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            line += error.object.count(b"\n", 0, error.start)
            byte = error.object[error.start]
            words = f"not UTF-8: byte 0x{byte:02x}; save the file as UTF-8"
            return _error(source.name, line, words)
    return _error(source.name, 0, "the file changed while dsrun was reading it; start again")


def _error(name: str, line: int, message: str, *, column: int = 1) -> ManifestError:
    problem = Problem(file=name, line=line, column=column if line else 0, where="", message=message)
    return ManifestError([problem])


def near_file(root: Path, name: str) -> str:
    """The most similar name in the same folder, as `(did you mean …?)`; empty if there is none."""
    folder, slash, own = name.rpartition("/")
    try:
        known = [entry.name for entry in islice((root / folder).iterdir(), _MOST_NEAR)]
    except (OSError, ValueError):
        return ""
    near = closest(own, known)
    return f" (did you mean {folder}{slash}{near}?)" if near else ""
