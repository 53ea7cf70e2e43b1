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

_LINES = """\
## results.jsonl

One line for each job in the order of the plan, written anew from the ledger when a run ends.
`dsrun schema results` prints its JSON Schema.
"""


def ledger_page() -> str:
    """The whole page, as Markdown. Raises ValueError for a table or column without words."""
    kinds: dict[str, list[tuple[str, list[tuple[str, str, str]]]]] = {"view": [], "table": []}
    with closing(sqlite3.connect(":memory:")) as db:
        migrate(db, Path("ledger.sqlite3"))
        for kind, name in db.execute(
            "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') "
            "ORDER BY type DESC, name = 'job' DESC, rowid"
        ).fetchall():
            columns = db.execute(
                "SELECT name, type, CASE WHEN pk THEN 'key' WHEN \"notnull\" THEN '' "
                "ELSE 'may be NULL' END FROM pragma_table_info(?)",
                (name,),
            )
            kinds[kind].append((name, list(columns)))
    parts = [HEAD, "## Views\n", *_sections(kinds["view"], is_view=True)]
    parts += ["## Tables\n", *_sections(kinds["table"], is_view=False)]
    return "\n".join([*parts, _LINES, *_line_parts(json.loads(read_schema("results.json")))])


def _sections(
    found: list[tuple[str, list[tuple[str, str, str]]]], *, is_view: bool
) -> Iterator[str]:
    for name, columns in found:
        if name not in TABLES:
            raise ValueError(f"generator/ledger_words.py says nothing of the table {name}")
        yield f"### {name}\n\n{TABLES[name]}\n"
        if is_view:
            rows = [(code(column), plain(_words(name, column))) for column, _, _ in columns]
            yield table(("column", ""), rows)
        else:
            told = (
                (code(column), kind, key, plain(_words(name, column)))
                for column, kind, key in columns
            )
            yield table(("column", "type", "", ""), told)


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
