"""Questions about the jobs of a ledger in SQL, which can read the ledger and do nothing else."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Any

from dsrun.common.digest import parse_json
from dsrun.common.errors import UsageError
from dsrun.common.sqlite import READ_FAULTS, disk_error
from dsrun.ledger.reader import LedgerReader
from dsrun.ledger.schema import results_view

JSON_COLUMNS = frozenset({"matrix", "request", "parents", "artifacts", "output"})
_ALLOWED = (
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
)
_PLAIN = re.compile(r"(?!\d+\Z)[^.\"]+").fullmatch  # a key that NAME.KEY can name
_ERRORS = {
    "jobs": "count(*)",
    "error_code": "error_code",
    "error_class": "error_class",
    "error_message": "error_message",
    "steps": "group_concat(DISTINCT step)",
    # SQLite takes bare columns from the row that has the one min() of the query.
    "first": "step || '/' || \"index\"",
}


class LedgerQuery:
    """The view `results` of a ledger, even of an older version, with a column for each axis."""

    def __init__(self, path: Path) -> None:
        """Raises SetupError where there is no readable ledger."""
        self._reader = LedgerReader(path)
        self._path = path
        version = self._reader.row("PRAGMA user_version")[0]
        self._reader.rows(f"CREATE TEMP VIEW results AS {results_view(version)}")
        self.columns = [row["name"] for row in self._reader.rows("PRAGMA temp.table_info(results)")]
        self.axes = self._find_axes()
        axes = "".join(f", {_extract('matrix', [name])} AS {_quoted(name)}" for name in self.axes)
        self._source = f"(SELECT results.*{axes} FROM temp.results) AS chosen"  # noqa: S608
        self._db = self._reader.connection()
        self._db.set_authorizer(_authorize)

    def close(self) -> None:
        self._reader.close()

    def rows(
        self, columns: Sequence[str], *, where: str = "", limit: int | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """Jobs in plan order. A column is one of `columns` or `axes`, or NAME.KEY inside JSON.

        `where` is an SQL expression over the same. Raises UsageError, SetupError.
        """
        chosen = ", ".join(self._column(name) for name in columns)
        return self._select(f"SELECT {chosen}", where, "ORDER BY position", limit)

    def left_out(self) -> int:
        """How many open jobs the last run was not about."""
        counts = self._reader.row(f"SELECT count(*) FROM job WHERE {self._reader.is_left_out}")  # noqa: S608
        return int(counts[0])

    def kinds(self, columns: Sequence[str], *, where: str = "") -> list[set[str]]:
        """The kinds of values in each column: integer, real, text; empty where it has none."""
        kinds: list[set[str]] = []
        for name in columns:
            head = f"SELECT DISTINCT typeof({self._column(name)})"
            kinds.append({row[0] for row in self._select(head, where, "", None)} - {"null"})
        return kinds

    def error_rows(self, *, where: str = "", limit: int | None = None) -> Iterator[tuple[Any, ...]]:
        """The errors of jobs, the commonest first, in the order of ERROR_COLUMNS."""
        head = "SELECT " + ", ".join(f"{sql} AS {name}" for name, sql in _ERRORS.items())
        open_too = "error_code IS NOT NULL AND status <> 'pending'"
        return self._select(
            head, where, "GROUP BY 2, 3, 4 ORDER BY jobs DESC, min(position)", limit, also=open_too
        )

    def _find_axes(self) -> list[str]:
        """The axes in the order of the matrices, without those that are named like a column."""
        rows = self._reader.rows(
            "SELECT key FROM job, json_each(job.matrix) "
            "GROUP BY key ORDER BY min(position), min(id)"
        )
        taken = {name.lower() for name in self.columns}
        return [row["key"] for row in rows if row["key"].lower() not in taken]

    def spread_axes(self) -> list[str]:
        """The axes, and of those whose values are rows the columns: `who.name`, `who.age`.

        By the first job of each step: the rows of a file have the same columns.
        """
        first = self._reader.rows("SELECT matrix, min(position) FROM job GROUP BY step ORDER BY 2")
        matrices = [parse_json(row["matrix"]) for row in first]
        names: dict[str, None] = {}
        for axis in self.axes:
            for value in (matrix[axis] for matrix in matrices if axis in matrix):
                names |= dict.fromkeys(_leaves(value, axis) or [axis])
        return list(names)

    def _column(self, name: str) -> str:
        known = [*self.columns, *self.axes]
        if name in known:
            return _quoted(name)
        first, *keys = name.split(".")
        if keys and (first in JSON_COLUMNS or first in self.axes):
            return _extract(_quoted(first), keys)
        raise UsageError(f"--columns: found {name}{_hint(name, known)}")

    def _select(
        self, head: str, where: str, tail: str, limit: int | None, *, also: str = "1"
    ) -> Iterator[tuple[Any, ...]]:
        # A line of its own: a comment at the end of the expression must not hide what follows.
        chosen = f"({where or 1}\n)"
        sql = f"{head} FROM {self._source} WHERE {also} AND {chosen} {tail} LIMIT ?"
        try:
            if where:
                self._db.execute(f"SELECT 1 FROM {self._source} WHERE {where}\nLIMIT 0")  # noqa: S608
            cursor = self._db.execute(sql, (-1 if limit is None else limit,))
        except (sqlite3.Error, sqlite3.Warning) as error:
            if where:
                raise UsageError(self._fault(where, str(error))) from error
            raise
        return _tuples(cursor, self._path)

    def _fault(self, where: str, words: str) -> str:
        known = [*self.columns, *self.axes]
        name = words.removeprefix("no such column: ")
        if name == words:
            hint = ', and the column "index" stands in quotes' if "index" in words else ""
            return (
                f"--where {where}: {words}; allowed: one SQL expression, such as "
                f"\"status = 'failed' and step = 'posters'\"{hint}"
            )
        first, _, key = name.partition(".")
        if first in [*JSON_COLUMNS, *self.axes]:
            return f"--where {where}: what is inside of {first} is written {first} ->> '{key}'"
        return f"--where {where}: found {name}{_hint(name, known)}"


ERROR_COLUMNS = tuple(_ERRORS)


def _tuples(cursor: sqlite3.Cursor, path: Path) -> Iterator[tuple[Any, ...]]:
    try:
        for row in cursor:
            yield tuple(row)
    except READ_FAULTS as error:
        if isinstance(error, sqlite3.OperationalError) and "UTF-8" not in str(error):
            # An expression may fail at a row, such as one with malformed JSON.
            raise UsageError(f"--where: {error}") from error
        raise disk_error(error, path) from error


def _hint(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"{f' (did you mean {near[0]}?)' if near else ''}; allowed: {', '.join(known)}"


def _leaves(value: Any, name: str) -> list[str]:
    """The columns of a row, named so that `rows` finds them; none where that cannot be."""
    if not isinstance(value, dict):
        return [name]
    below = [_leaves(item, f"{name}.{key}") for key, item in value.items() if _PLAIN(key)]
    return [*chain(*below)] if len(below) == len(value) and all(below) else []


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _extract(column: str, keys: Sequence[str]) -> str:
    """A value inside JSON; a key that is a number counts from 0."""
    path = "$" + "".join(f"[{key}]" if key.isdecimal() else f'."{key}"' for key in keys)
    return f"json_extract({column}, '{path.replace(chr(39), chr(39) * 2)}')"


def _authorize(
    action: int, first: str | None, second: str | None, database: str | None, via: str | None
) -> int:
    del first, database, via
    is_allowed = action in _ALLOWED and second != "load_extension"
    return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY


def decoded(name: str, value: Any) -> Any:
    """A value as JSON has it, where SQLite keeps text or a number."""
    if name in JSON_COLUMNS and value is not None:
        return parse_json(value)
    return bool(value) if name == "cached" else value
