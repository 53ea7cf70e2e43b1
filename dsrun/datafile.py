"""Data files whose rows become matrix values: csv, tsv, json, jsonl, yaml and txt.

Rows are read again for every pass, so that a file of a million rows needs no memory; a file
that changes between two passes is an error, since the digest speaks of the first.
"""

import csv
import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from operator import itemgetter
from pathlib import Path

import orjson

from dsrun.errors import ManifestError, Problem
from dsrun.records import Json
from dsrun.wording import show
from dsrun.yaml_source import parse_yaml

_KEEP_BELOW_BYTES = 256 * 1024
_CHUNK = 1 << 20


class DataFile:
    """The rows of one file, in order, as often as they are asked for."""

    def __init__(self, path: Path, *, shown_as: str) -> None:
        """Raises ManifestError where the file cannot be read or its kind is not known."""
        self.path = path
        self.name = shown_as
        self._read = _reader(path, shown_as)
        self._stamp = self._state()
        self.sha256 = text_sha256(path, shown_as=shown_as)
        self._kept: list[Json] | None = None
        if path.stat().st_size < _KEEP_BELOW_BYTES:
            self._kept = list(self._read(path, shown_as))
            self._count = len(self._kept)
        else:
            self._count = sum(1 for _ in self._read(path, shown_as))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Json]:
        if self._kept is not None:
            return iter(self._kept)
        if self._state() != self._stamp:
            raise _error(self.name, 0, "the file changed while dsrun was reading it; start again")
        return self._read(self.path, self.name)

    def line_of(self, position: int) -> int:
        """The line (from 1) where row `position` (from 0) begins; 0 where it cannot be told."""
        try:
            return _line(self.path, self.name, position)
        except (ManifestError, OSError, ValueError):
            return 0  # the file has changed; the problem itself is told all the same

    def _state(self) -> tuple[int, int]:
        try:
            found = self.path.stat()
        except OSError as error:
            raise _error(self.name, 0, f"cannot be read: {error.strerror}") from error
        return found.st_size, found.st_mtime_ns


def files_matching(root: Path, pattern: str) -> list[str]:
    """Names of the files below `root` that match, sorted, with forward slashes.

    Raises ValueError where the pattern is none, or leads out of the folder.
    """
    if (
        pattern.startswith(("/", "\\"))
        or Path(pattern).is_absolute()
        or ".." in Path(pattern).parts
    ):
        raise ValueError("leads out of the manifest's folder")
    base = root.resolve()
    found = [path for path in root.glob(pattern) if path.is_file()]
    for path in found:
        if not path.resolve().is_relative_to(base):
            raise ValueError(f"{path.name} is a link that leads out of the manifest's folder")
    return sorted(path.relative_to(root).as_posix() for path in found)


def text_sha256(path: Path, *, shown_as: str) -> str:
    """SHA-256 of a text file, the same with and without BOM and with any line ends."""
    state = hashlib.sha256()
    try:
        with path.open(encoding="utf-8-sig") as file:
            while chunk := file.read(_CHUNK):
                state.update(chunk.encode())
    except UnicodeDecodeError as error:
        raise _not_utf8(path, shown_as, error) from error
    except OSError as error:
        raise _error(shown_as, 0, f"cannot be read: {error.strerror}") from error
    return state.hexdigest()


def read_text(path: Path, *, shown_as: str) -> str:
    """A text file without BOM, every line end a line feed. Raises ManifestError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, shown_as, error) from error
    except OSError as error:
        raise _error(shown_as, 0, f"cannot be read: {error.strerror}") from error


def _reader(path: Path, name: str) -> Callable[[Path, str], Iterator[Json]]:
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


def _read_csv(path: Path, name: str) -> Iterator[Json]:
    return _read_table(path, name, delimiter=",")


def _read_tsv(path: Path, name: str) -> Iterator[Json]:
    return _read_table(path, name, delimiter="\t")


def _line(path: Path, name: str, position: int) -> int:
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv"):
        rows = _iter_table(path, name, delimiter="\t" if kind == ".tsv" else ",")
        return next(islice(rows, position, None), (0, None))[0]
    text = read_text(path, shown_as=name)
    if kind in (".txt", ".jsonl", ".ndjson"):
        lines = (number for number, line in enumerate(text.split("\n"), start=1) if line.strip())
        return next(islice(lines, position, None), 0)
    return parse_yaml(text, file=name).place((position,))[0]  # JSON is YAML


def _read_table(path: Path, name: str, *, delimiter: str) -> Iterator[Json]:
    return map(itemgetter(1), _iter_table(path, name, delimiter=delimiter))


def _iter_table(path: Path, name: str, *, delimiter: str) -> Iterator[tuple[int, Json]]:
    """Each row with the line where it begins."""
    # Line ends are made one kind, within quotes too: they are no part of the digest either.
    with path.open(encoding="utf-8-sig") as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
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


def _read_json(path: Path, name: str) -> Iterator[Json]:
    yield from _as_list(_parse_json(path.read_bytes().removeprefix(b"\xef\xbb\xbf"), name, 0), name)


def _read_jsonl(path: Path, name: str) -> Iterator[Json]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if text.strip():
                yield _parse_json(text, name, number)


def _parse_json(data: bytes, name: str, line: int) -> Json:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        place = (line or error.lineno, error.colno)
        raise _error(name, place[0], f"not JSON: {error.msg}", column=place[1]) from error


def _read_yaml(path: Path, name: str) -> Iterator[Json]:
    yield from _as_list(parse_yaml(read_text(path, shown_as=name), file=name).value, name)


def _read_txt(path: Path, name: str) -> Iterator[Json]:
    del name
    with path.open(encoding="utf-8-sig") as file:
        for line in file:
            if line.strip():
                yield line.rstrip("\n")


def _as_list(value: Json, name: str) -> list[Json]:
    if not isinstance(value, list):
        raise _error(name, 1, "the file must hold a list, one item a row")
    return value


def _not_utf8(path: Path, name: str, error: UnicodeDecodeError) -> ManifestError:
    data = path.read_bytes()
    try:
        data.decode()
    except UnicodeDecodeError as whole:
        error = whole  # its position counts from the start of the file, not of a chunk
    line = data.count(b"\n", 0, error.start) + 1
    return _error(name, line, f"not UTF-8: byte 0x{data[error.start]:02x}; save the file as UTF-8")


def _error(name: str, line: int, message: str, *, column: int = 1) -> ManifestError:
    problem = Problem(file=name, line=line, column=column if line else 0, where="", message=message)
    return ManifestError([problem])
