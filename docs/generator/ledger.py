"""docs/reference/ledger.md, from the tables that the migrations make and the schema of a line."""

import json
import sqlite3  # noqa: TID251  # a ledger in memory, for its tables alone
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from dsrun.common.resources import read_schema
from dsrun.ledger.schema import VERSION, migrate
from generator.ledger_words import COLUMNS, TABLES
from generator.markdown import Schema, allowed, code, made_by, plain, resolved, table

HEAD = f"""\
# The ledger and results.jsonl

{made_by("the tables of `dsrun.ledger.schema` and from `schemas/results.json`")}
`ledger.sqlite3` in a run directory is the truth about a run: SQLite, tables that are STRICT, a
write-ahead log, version {VERSION} (`PRAGMA user_version`). A ledger of an older version is brought
up to date by the next run; other commands read it as it is. Times are UTC, ISO 8601 with
milliseconds.

Programs read the [views](#views), which stay as they are when a table changes, or `results.jsonl`.
Open the file for reading only, and copy a run directory as a whole: the newest facts are in
`ledger.sqlite3-wal`, and once more in `.ledger-tail`.

```sh
sqlite3 -readonly outputs/posters/latest/ledger.sqlite3 "SELECT * FROM spend"
```
"""  # noqa: S608  # an example, in prose

_COLUMNS = """
    SELECT name, type, CASE WHEN pk THEN 'key' WHEN "notnull" THEN '' ELSE 'may be NULL' END
    FROM pragma_table_info(?)
"""

_LINES = """\
## results.jsonl

One line for each job in the order of the plan, written anew from the ledger when a run ends.
`dsrun schema results` prints its JSON Schema.
"""


def ledger_page() -> str:
    """The whole page, as Markdown. Raises ValueError for a table or column without words."""
    with closing(sqlite3.connect(":memory:")) as db:
        migrate(db, Path("ledger.sqlite3"))
        views, tables = ([*_sections(db, kind)] for kind in ("view", "table"))
    lines = _line_parts(json.loads(read_schema("results.json")))
    return "\n".join([HEAD, "## Views\n", *views, "## Tables\n", *tables, _LINES, *lines])


def _sections(db: sqlite3.Connection, kind: str) -> Iterator[str]:
    """A part for each view, or each table; that of the jobs comes first."""
    names = "SELECT name FROM sqlite_master WHERE type = ? ORDER BY name <> 'job', name"
    for (name,) in db.execute(names, (kind,)).fetchall():
        if name not in TABLES:
            raise ValueError(f"generator/ledger_words.py says nothing of the {kind} {name}")
        yield f"### {name}\n\n{TABLES[name]}\n"
        columns = db.execute(_COLUMNS, (name,)).fetchall()
        if kind == "view":
            rows = [(code(column), plain(_words(name, column))) for column, *_ in columns]
            yield table(("column", ""), rows)
        else:
            rows = [(code(column), *held, plain(_words(name, column))) for column, *held in columns]
            yield table(("column", "type", "", ""), rows)


def _words(name: str, column: str) -> str:
    """What a column means: its own words in that table, or those of its name everywhere."""
    words = COLUMNS.get(f"{name}.{column}") or COLUMNS.get(column)
    if words is None:
        raise ValueError(f"generator/ledger_words.py says nothing of the column {name}.{column}")
    return words


def _line_parts(schema: Schema) -> Iterator[str]:
    yield _fields(schema, schema)
    for key, value in schema["properties"].items():
        for inner in _objects(value, schema):
            yield f"### {key} of a line\n"
            yield _fields(inner, schema)


def _objects(value: Schema, root: Schema) -> Iterator[Schema]:
    """The mapping of known keys that a field is, or is a list of."""
    for form in (value, *value.get("anyOf", ())):
        inner = resolved(form, root)
        inner = resolved(inner.get("items", inner), root)
        if "properties" in inner:
            yield inner


def _fields(schema: Schema, root: Schema) -> str:
    needed = schema.get("required", ())
    fields = {key: resolved(value, root) for key, value in schema["properties"].items()}
    rows = (
        (
            code(key),
            plain(_type_words(inner, root)),
            "" if key in needed else "may be absent",
            plain(inner.get("description", "")),
        )
        for key, inner in fields.items()
    )
    return table(("key", "holds", "", ""), rows)


def _type_words(schema: Mapping[str, object], root: Schema) -> str:
    forms = schema.get("anyOf")
    if isinstance(forms, list):
        return " or ".join(_type_words(resolved(form, root), root) for form in forms)
    return allowed(schema)
