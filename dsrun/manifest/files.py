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
from dsrun.common.names import name_fault
from dsrun.common.user_files import (
    DATA_BYTES,
    TEXT_BYTES,
    Unreadable,
    is_below,
    open_file,
    read_file,
)
from dsrun.common.yaml_document import MAX_DEPTH, parse_yaml
from dsrun.manifest.misread import EncodingDoubt, Misread
from dsrun.manifest.oddities import Oddities, begins_plainly, is_blank

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
        encoding = EncodingDoubt()
        self.sha256 = _sha256_of(self._source, encoding)
        if check is not None:
            check(self.sha256)
        oddities = Oddities()
        rows = self._read(self._source, oddities)
        self._kept = list(rows) if self._stamp[0] < _KEEP_BELOW_BYTES else None
        self._count = sum(1 for _ in rows) if self._kept is None else len(self._kept)
        self.warnings = [
            *misread_problems(shown_as, encoding.found()),
            *oddities.problems(shown_as),
        ]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Json]:
        if self._kept is not None:
            return iter(self._kept)
        if self._state() != self._stamp:
            raise _error(self.name, 0, "the file changed while dsrun was reading it; start again")
        return self._read(self._source, Oddities())

    def open(self) -> BufferedReader:
        """Open the file, to copy its bytes. Raises ManifestError."""
        return self._source.open()

    def line_of(self, position: int) -> int:
        """The line (from 1) where row `position` (from 0) begins; 0 where nobody knows."""
        try:
            return _line(self._source, position)
        except (ManifestError, OSError, ValueError):
            return 0  # the file has changed; the problem itself is still reported

    def _state(self) -> tuple[int, int]:
        with self._source.open() as file:
            status = os.fstat(file.fileno())
        return status.st_size, status.st_mtime_ns


def files_matching(
    root: Path, pattern: str, allowed: Sequence[Path] = (), *, most: int = MOST_ENTRIES
) -> list[str]:
    """Names of the files below `root` that match, sorted, with forward slashes.

    `allowed`: further folders that they may lie in. Raises ValueError where the pattern is invalid,
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
            if fault := name_fault(name):
                raise ValueError(f"matches {name}: {fault}")
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


def _sha256_of(source: Source, encoding: EncodingDoubt | None = None) -> str:
    state = hashlib.sha256()
    try:
        with TextIOWrapper(source.open(), encoding="utf-8-sig") as file:
            while chunk := file.read(_CHUNK):
                state.update(chunk.encode())
                if encoding is not None:
                    encoding.see(chunk)
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


def _reader(path: Path, name: str) -> Callable[[Source, Oddities], Iterator[Json]]:
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


def _read_csv(source: Source, oddities: Oddities) -> Iterator[Json]:
    return map(itemgetter(1), _iter_table(source, _csv_rows, oddities))


def _read_tsv(source: Source, oddities: Oddities) -> Iterator[Json]:
    return map(itemgetter(1), _iter_table(source, _tsv_rows, oddities))


def _line(source: Source, position: int) -> int:
    kind, unseen = source.path.suffix.lower(), Oddities()
    if kind in (".csv", ".tsv"):
        rows = _iter_table(source, _tsv_rows if kind == ".tsv" else _csv_rows, unseen)
        return next(islice(rows, position, None), (0, None))[0]
    if kind == ".txt":
        return next(islice(_iter_txt(source, unseen), position, None), (0, None))[0]
    if kind in (".jsonl", ".ndjson"):
        lines = (number for number, line in enumerate(source.lines(), start=1) if line.strip())
        return next(islice(lines, position, None), 0)
    return parse_yaml(source.text(), file=source.name).place((position,))[0]  # JSON is YAML


_Cells = Iterator[tuple[int, list[str]]]  # of each row, with the line where it begins


def _csv_rows(source: Source, lines: Iterator[str], oddities: Oddities) -> _Cells:
    del oddities
    rows = csv.reader(lines, strict=True)
    begins = 1
    try:
        for row in rows:
            yield begins, row
            begins = rows.line_num + 1
    except csv.Error as error:
        words = str(error).replace("unexpected end of data", "a quote here is never closed")
        raise _error(source.name, begins, f"not CSV: {words}") from error


def _tsv_rows(source: Source, lines: Iterator[str], oddities: Oddities) -> _Cells:
    """In TSV a quote is a character, and a line is a row."""
    del source
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\n")
        cells = text.split("\t") if text else []
        if '"' in text:
            oddities.look_at_quotes(number, cells)
        yield number, cells


def _iter_table(
    source: Source,
    rows_of: Callable[[Source, Iterator[str], Oddities], _Cells],
    oddities: Oddities,
) -> Iterator[tuple[int, Json]]:
    """Each row that is not blank, with the line where it begins."""
    # Line ends are made one kind, within quotes too: they are no part of the digest either.
    name, lines = source.name, source.lines()
    header: list[str] = []
    count, width = -1, 0  # of the named columns, and of all that the header has room for
    with closing(lines):
        for begins, row in rows_of(source, lines, oddities):
            if len(row) == count and begins_plainly(row[0]):
                yield begins, dict(zip(header, row, strict=True))
            elif is_blank(row):
                if row:
                    oddities.note_blank(begins)
            elif not header:
                header, width = _named_columns(row), len(row)
                count = len(header)
                _check_header(header, name, begins)
            else:
                oddities.look_at(begins, row[0])
                if len(row) != count:
                    _check_width(row, header, width, name, begins)
                yield begins, dict(zip(header, row, strict=False))
    if not header:
        raise _error(name, 1, "the file is empty; its first line must name the columns")


def _named_columns(row: list[str]) -> list[str]:
    """The header without the nameless columns that a spreadsheet leaves at its end."""
    count = len(row)
    while is_blank(row[count - 1 : count]):
        count -= 1
    return row[:count]


def _check_width(row: list[str], header: list[str], width: int, name: str, line: int) -> None:
    """Beyond the named columns there may be nothing. Raises ManifestError."""
    if not len(header) <= len(row) <= width:
        raise _error(name, line, _ragged_words(row, header))
    for number, cell in enumerate(row[len(header) :], start=len(header) + 1):
        if not is_blank([cell]):
            words = f"column {number} holds {show(cell)}, but has no name in the first line"
            raise _error(name, line, f"{words}; name the column, or empty it")


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


def _read_json(source: Source, _: Oddities) -> Iterator[Json]:
    data = source.read(_JSON_BYTES).removeprefix(codecs.BOM_UTF8)
    yield from _as_list(_parse_json(data, source.name, 0), source.name)


def _read_jsonl(source: Source, _: Oddities) -> Iterator[Json]:
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


def _read_yaml(source: Source, _: Oddities) -> Iterator[Json]:
    yield from _as_list(parse_yaml(source.text(), file=source.name).value, source.name)


def _read_txt(source: Source, oddities: Oddities) -> Iterator[Json]:
    return map(itemgetter(1), _iter_txt(source, oddities))


def _iter_txt(source: Source, oddities: Oddities) -> Iterator[tuple[int, Json]]:
    for number, line in enumerate(source.lines(), start=1):
        text = line.rstrip("\n")
        if begins_plainly(text):
            yield number, text
        elif not is_blank([text]):
            oddities.look_at(number, text)
            yield number, text
        elif text:
            oddities.note_blank(number)


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


def misread_problems(file: str, found: Misread | None) -> Iterator[Problem]:
    """The warning of a file that seems to be misread, if any."""
    if found is not None:
        yield Problem(
            file=file, line=found.line, column=found.column, where="", message=found.message
        )


def near_file(root: Path, name: str) -> str:
    """The most similar name in the same folder, as `(did you mean …?)`; empty if there is none."""
    folder, slash, own = name.rpartition("/")
    try:
        known = [entry.name for entry in islice((root / folder).iterdir(), _MOST_NEAR)]
    except (OSError, ValueError):
        return ""
    near = closest(own, known)
    return f" (did you mean {folder}{slash}{near}?)" if near else ""
