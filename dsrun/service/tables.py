"""Tables of an operation file: values that hang on the request, such as a price.

`{"by": ["/model", "/parameters/resolution"], "table": {"m1 | m2": {"720P": "0.20", "*": "0.25"}}}`
stands in place of a value. A key is a value as text, or several joined by ` | `; `-` is a value
that the request does not have, `*` all others. A table computes nothing.

The model is known when a file is loaded, so a table by the model first loses that step at once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, pointer, value_at

MODEL = "/model"
OTHERS = "*"
MISSING = "-"
_OR = " | "


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A value that is looked up with a request: mappings by text, one in another for each place."""

    by: tuple[KeyPath, ...]
    rows: Mapping[str, Any]

    def leaves(self) -> Iterator[Any]:
        """Every value that a request may get."""
        level: list[Any] = [self.rows]
        for _ in self.by:
            level = [below for rows in level for below in rows.values()]
        yield from level

    def keyed(self) -> Iterator[tuple[tuple[str, ...], Any]]:
        """The keys that lead to each value, and the value."""
        level: list[tuple[tuple[str, ...], Any]] = [((), self.rows)]
        for _ in self.by:
            level = [((*keys, key), below) for keys, rows in level for key, below in rows.items()]
        yield from level


def key_values(key: str) -> list[str]:
    """The values of a request that a key stands for."""
    return key.split(_OR)


def is_table(value: Json) -> bool:
    """Whether a table stands where a value is allowed."""
    return isinstance(value, Mapping) and isinstance(value.get("by"), list) and "table" in value


def each_table(value: Json, path: KeyPath) -> Iterator[tuple[KeyPath, Mapping[str, Json]]]:
    """Every table in a part of an operation file, those within tables too, with its place."""
    if is_table(value):
        yield path, value
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from each_table(part, (*path, key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from each_table(part, (*path, number))


def parse_table(value: Json, parse: Callable[[Json], Any]) -> Any:
    """A Table whose leaves are parsed, or the parsed value where no table stands."""
    if not is_table(value):
        return parse(value)
    by = tuple(pointer(at) or () for at in value["by"])
    return Table(by=by, rows=_parsed(value["table"], len(by), parse))


def lookup(table: Any, request: Json) -> Any:
    """What a request gets: the leaf of a Table, or the value itself where it is no Table.

    Raises KeyError, naming place and value, where no row fits.
    """
    if not isinstance(table, Table):
        return table
    value: Any = table.rows
    for at in table.by:
        value = row_of(value, key_text(value_at(request, at)))
    return value


def row_of(rows: Mapping[str, Any], text: str) -> Any:
    """The row of a key. Raises KeyError where none fits."""
    if text in rows:
        return rows[text]
    for names, value in rows.items():
        if text in names.split(_OR):
            return value
    if OTHERS in rows:
        return rows[OTHERS]
    raise KeyError("a table")


def leaves_of(table: Mapping[str, Json]) -> Iterator[tuple[KeyPath, Json]]:
    """Every leaf of a table of a file, with its place below the table."""
    level: list[tuple[KeyPath, Any]] = [(("table",), table["table"])]
    for _ in table["by"]:
        level = [((*path, names), below) for path, rows in level for names, below in rows.items()]
    yield from level


def keys_in(rows: Mapping[str, Json]) -> list[str]:
    """Every key of a mapping of a table, with those that are joined apart."""
    return [key for names in rows for key in names.split(_OR)]


def key_text(value: Json) -> str:
    """The key of a value of a request: `true`, `5`, `-` for none."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else OTHERS


def specialised(value: Json, model: str) -> Json:
    """A part of an operation file with the row of one model in each table that begins with it.

    Raises KeyError where a table has no row for it.
    """
    if is_table(value) and value["by"][:1] == [MODEL]:
        row = row_of(value["table"], model)
        rest = value["by"][1:]
        return {**value, "by": rest, "table": row} if rest else row
    if isinstance(value, Mapping):
        return {key: specialised(item, model) for key, item in value.items()}
    if isinstance(value, list):
        return [specialised(item, model) for item in value]
    return value


def without(value: Json, is_gone: Callable[[str], bool]) -> Json:
    """A part of an operation file whose tables have lost the places that no request has.

    Raises KeyError where a table has no row for a missing value.
    """
    if is_table(value):
        by, rows = value["by"], value["table"]
        for depth in reversed([depth for depth, at in enumerate(by) if is_gone(at)]):
            by, rows = [*by[:depth], *by[depth + 1 :]], _row_of_missing(rows, depth)
        return {**value, "by": by, "table": rows} if by else rows
    if isinstance(value, Mapping):
        return {key: without(item, is_gone) for key, item in value.items()}
    if isinstance(value, list):
        return [without(item, is_gone) for item in value]
    return value


def _row_of_missing(rows: Mapping[str, Json], depth: int) -> Json:
    if not depth:
        return row_of(rows, MISSING)
    return {names: _row_of_missing(below, depth - 1) for names, below in rows.items()}


def _parsed(value: Any, depth: int, parse: Callable[[Json], Any]) -> Any:
    if not depth:
        return parse(value)
    return {names: _parsed(below, depth - 1, parse) for names, below in value.items()}
