"""Exports rows in the formats that other programs read, a page at a time."""

import csv
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from dsrun.common.digest import json_text
from dsrun.common.errors import SetupError, UsageError
from dsrun.common.escaping import escaped, shown, shown_json
from dsrun.common.text_table import table
from dsrun.ledger.query import decoded

Row = tuple[Any, ...]
TEXT_FORMATS = ("table", "json", "jsonl", "csv")
_PAGE = 1000
_WIDEST = 48  # characters of a table's cell
_CUT = "..."
# What makes a spreadsheet compute a cell; some programs accept the full-width forms too.
_FORMULA = re.compile("[\t\r\n]|\\s*[-=+@\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WHOLE = frozenset({"job_id", "file", "error_message"})  # useless when cut


def to_text(
    form: str, columns: Sequence[str], rows: Iterable[Row], *, width: int | None = None
) -> Iterator[str]:
    """The text in pieces of whole lines; `form` is one of TEXT_FORMATS.

    `width`: of the terminal that a table is for; None for none.
    """
    if form == "table":
        return _as_table(columns, rows, width)
    return _WRITERS[form](columns, rows)


def write_parquet(
    path: Path, columns: Sequence[str], kinds: Sequence[set[str]], rows: Iterable[Row]
) -> None:
    """Replace a file atomically. `kinds` are the SQLite types in each column, or `vector`.

    JSON stays text.

    Raises UsageError where pyarrow is missing, SetupError where the file cannot be written.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415  # an extra, and heavy
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            "--format parquet needs pyarrow, which is not installed; "
            "`pip install 'dsrun[parquet]'` installs it; allowed without: "
            + ", ".join(TEXT_FORMATS)
        ) from error
    names = [_parquet_kind(name, kind) for name, kind in zip(columns, kinds, strict=True)]
    types = {
        "text": pa.string(), "real": pa.float64(), "integer": pa.int64(), "bool": pa.bool_(),
        "vector": pa.list_(pa.float32()),
    }  # fmt: skip
    schema = pa.schema([(name, types[kind]) for name, kind in zip(columns, names, strict=True)])
    convert = [_CONVERTED[kind] for kind in names]
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with parquet.ParquetWriter(temporary, schema) as writer:
            for page in _pages(rows):
                arrays = [
                    pa.array([None if cell is None else to(cell) for cell in column], kind)
                    for column, to, kind in zip(
                        zip(*page, strict=True), convert, schema.types, strict=True
                    )
                ]
                writer.write_batch(pa.record_batch(arrays, schema=schema))
        os.replace(temporary, path)  # noqa: PTH105  # as everywhere: the old file or the new one
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror or error}") from error


_CONVERTED: dict[str, Callable[[Any], Any]] = {
    "text": str, "real": float, "integer": int, "bool": bool, "vector": list,
}  # fmt: skip


def _parquet_kind(name: str, kinds: set[str]) -> str:
    if name == "cached":
        return "bool"
    if kinds in ({"integer"}, {"vector"}):
        return next(iter(kinds))
    return "real" if kinds and kinds <= {"integer", "real"} else "text"


def _pages(rows: Iterable[Row]) -> Iterator[list[Row]]:
    left = iter(rows)
    while page := list(islice(left, _PAGE)):
        yield page


def _objects(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield {name: decoded(name, cell) for name, cell in zip(columns, row, strict=True)}


def _as_jsonl(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    for item in _objects(columns, rows):
        yield shown_json(json_text(item)) + "\n"


def _as_json(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    yield "["
    before = "\n"
    for item in _objects(columns, rows):
        yield before + shown_json(json_text(item))
        before = ",\n"
    yield "\n]\n"


def _as_csv(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    for page in _pages(chain([tuple(columns)], rows)):
        buffer = io.StringIO()
        rows = (tuple(map(_data_cell, row)) for row in page)
        csv.writer(buffer, lineterminator="\n").writerows(rows)
        yield buffer.getvalue()


def _data_cell(cell: Any) -> Any:
    """A CSV cell that no spreadsheet computes and no terminal obeys; numbers stay numbers."""
    if not isinstance(cell, str):
        return cell
    text = shown(cell)
    return f"'{text}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else text


def _as_table(columns: Sequence[str], rows: Iterable[Row], width: int | None) -> Iterator[str]:
    """A table for each page, with its own column widths: a million rows need no memory."""
    head = list(columns)
    for page in _pages(rows):
        cells = ([_cell(*pair) for pair in zip(head, row, strict=True)] for row in page)
        yield table([head, *cells], titled=True, width=width) + "\n"


def _cell(name: str, value: Any) -> str:
    text = "" if value is None else escaped(str(value))
    return text if len(text) <= _WIDEST or name in _WHOLE else text[: _WIDEST - len(_CUT)] + _CUT


_WRITERS: dict[str, Callable[[Sequence[str], Iterable[Row]], Iterator[str]]] = {
    "json": _as_json,
    "jsonl": _as_jsonl,
    "csv": _as_csv,
}
