"""Markdown that means what it says, and tables of the keys of a JSON Schema."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dsrun.service.catalog_words import fill_words, limits_of
from dsrun.service.operation import Operation
from dsrun.service.tables import Table

Schema = Mapping[str, Any]

_IN_BRACES = re.compile(r"\{[^{}]*\}")
_ESCAPES = str.maketrans({"*": "\\*", "_": "\\_", "<": "&lt;", ">": "&gt;"})
_HEADS = ("key", "allowed", "when absent", "")


def made_by(what: str) -> str:
    """The line under the title that keeps people from editing a page by hand."""
    return f"Made from {what} by `python docs/generate.py`; change those, not this page.\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a cell is Markdown already where it has been through `plain` or is `code`."""
    return "\n".join([_line(heads), "|---" * len(heads) + "|", *map(_line, rows), ""])


def _line(cells: Sequence[str]) -> str:
    return f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in cells)}|"


def code(text: str) -> str:
    return f"`{text}`"


def plain(text: str) -> str:
    """Without what a table or Markdown would take for its own, outside of `code`.

    What stands in braces becomes code: at the end of a cell MkDocs takes it for attributes.
    """
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    for number in range(0, len(parts), 2):
        parts[number] = _IN_BRACES.sub(lambda found: code(found[0]), parts[number])
    parts = "`".join(parts).split("`")
    parts[::2] = [part.translate(_ESCAPES) for part in parts[::2]]
    return "`".join(parts)


def keys_table(
    schema: Schema, root: Schema, *, operation: Operation | None = None, at: tuple[str, ...] = ()
) -> str:
    """A row for each key: what it may be, what stands for it, what it is for."""
    return table(
        _HEADS, (_key_row(key, schema, root, operation, at) for key in schema["properties"])
    )


def _key_row(
    key: str, schema: Schema, root: Schema, operation: Operation | None, at: tuple[str, ...]
) -> tuple[str, ...]:
    value = resolved(schema["properties"][key], root)
    absent = _absent((*at, key), value, schema, operation)
    return code(key), plain(allowed(value)), absent, plain(value.get("description", ""))


def resolved(schema: Schema, root: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    below: Any = root
    for step in schema["$ref"].removeprefix("#/").split("/"):
        below = below[step]
    return {**below, **schema}


def allowed(schema: Schema) -> str:
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return ", ".join(code(value) for value in schema["enum"])
    own = schema.get("errorMessage", {}).get("pattern")
    words = limits_of(schema).replace("object", "mapping").replace("array", "list")
    forms = [form["title"] for form in schema.get("anyOf", ()) if "title" in form]
    return "; ".join(text for text in (" or ".join(forms) or words, own) if text)


def _absent(at: tuple[str, ...], value: Schema, parent: Schema, operation: Operation | None) -> str:
    fills = operation.fills if operation else ()
    fill = next((fill for fill in fills if fill.at == at), None)
    if fill is not None:
        if fill.derive:
            return "derived from the job"
        is_table = isinstance(fill.value, Table)
        return (
            f"{plain(fill_words(fill)) if is_table else code(str(fill.value))}, which dsrun sends"
        )
    if "const" in value and operation:
        return "dsrun adds it"
    if at[-1] in parent.get("required", ()):
        return "**required**"
    if "default" not in value:
        return ""
    default = value["default"]
    told = default if isinstance(default, str) else json.dumps(default)
    return code(told) + (", by the service" if operation else "")
