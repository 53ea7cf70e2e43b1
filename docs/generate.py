"""Writes docs/manifest.md from the schemas: `python docs/generate.py`, or to stdout with `-`.

No generator of schema documentation is used: none knows what this one is for, that dsrun adds
constants and derived values, so that what the API requires a manifest may leave out.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dsrun.common.resources import read_schema
from dsrun.service.catalog import load_catalog
from dsrun.service.catalog_words import fill_words, limits_of, price_words, rate_words
from dsrun.service.operation import Operation
from dsrun.service.tables import Table

HERE = Path(__file__).resolve().parent
Schema = Mapping[str, Any]

HEAD = """\
# The manifest, key by key

Made from the schemas by `python docs/generate.py`; change those, not this page. The README explains
how the parts work together, [recipes.md](recipes.md) shows them at work, and
`dsrun schema manifest` prints the same for editors.

Every value of `input` and `parameters` can also be a template, such as `"{{ subject }}"`, or
`{file: NAME}`, the text of a file. The limits then hold for what comes out, in every job. Where the
API takes the address of a file, `{upload: NAME}` names one of yours.
"""


def main() -> None:
    """Write the page."""
    text = manifest_page()
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(text)
    else:
        (HERE / "manifest.md").write_text(text, encoding="utf-8")


def manifest_page() -> str:
    """The whole page, as Markdown."""
    frame = json.loads(read_schema("frame.json"))
    catalog = load_catalog()
    parts = [HEAD, *_frame_parts(frame)]
    for name in catalog.names:
        parts += _operation_parts(catalog[name])
    return "\n".join(parts)


def _frame_parts(frame: Schema) -> Iterator[str]:
    step, matrix = frame["$defs"]["step"], frame["$defs"]["matrix"]
    execution = frame["$defs"]["execution"]
    yield "## The whole\n"
    yield _table(frame, frame)
    yield "## A step\n\nBelow `steps`, by name.\n"
    yield _table(step, frame)
    yield "## matrix\n\nEvery key but these is the name of an axis.\n"
    yield _table(matrix, frame)
    yield from _inner_tables("matrix", matrix, frame)
    yield "## An axis\n\nEither of these.\n"
    yield _table({"properties": dict(_axis_forms(frame["$defs"]["axis"]))}, frame)
    yield f"## execution\n\n{execution['description']}\n"
    yield _table(execution, frame)
    yield from _inner_tables("execution", execution, frame)
    notify = frame["$defs"]["notify"]
    yield f"## notify\n\n{notify['description']}\n"
    yield _table(notify, frame)
    yield "## schedule\n\nA cron expression, or a mapping of these.\n"
    *_, mapping = frame["properties"]["schedule"]["anyOf"]
    yield _table(mapping, frame)


def _inner_tables(name: str, schema: Schema, frame: Schema) -> Iterator[str]:
    for key, inner in schema["properties"].items():
        if "properties" in inner:
            yield f"### {name}.{key}\n\n{inner['description']}\n"
            yield _table(inner, frame)
        elif "$ref" in (by_name := inner.get("additionalProperties") or {}):
            yield f"### {name}.{key}, by model\n\n{inner['description']}\n"
            yield _table(_resolved(by_name, frame), frame)


def _axis_forms(axis: Schema) -> Iterator[tuple[str, Schema]]:
    for form in axis["anyOf"]:
        if "then" in form:  # a step, or else values that stand somewhere
            either = {**form["else"]["properties"], **form["then"]["properties"]}
            yield from either.items()
        else:
            yield "[…]", {**form, "description": "These values, of any type."}


def _operation_parts(operation: Operation) -> Iterator[str]:
    yield f"## Operation {operation.name}\n"
    yield f"{operation.description}\n"
    yield f"Costs {price_words(operation)}. Published limits: {rate_words(operation)}.\n"
    if operation.outputs:
        named = ", ".join(f"`output.{name}`" for name in operation.outputs)
        yield f"Steps below it can read {named}.\n"
    for name in ("input", "parameters"):
        section = operation.schema["properties"].get(name)
        if section is not None:
            yield f"### {name} of {operation.name}\n\n{section['description']}\n"
            if section["properties"]:
                yield _table(section, operation.schema, operation=operation, at=(name,))
            yield from _inner_parts(operation, name, section)
    if operation.short is not None:
        keys = ", ".join(f"`{key}`" for key in operation.short.keys)
        yield f"In `input`, {keys} may stand for the parts of the message:\n"
        yield "| key | stands for |\n|---|---|"
        for part in operation.short.parts:
            each = " for each" if part.is_many else ""
            yield f"| `{part.key}` | a part `{{{part.becomes}: …}}`{each} |"
        yield ""


def _inner_parts(operation: Operation, name: str, schema: Schema) -> Iterator[str]:
    """The fields of mappings and of the items of lists, however deep."""
    for key, inner in schema["properties"].items():
        place = f"{name}.{key}[]" if "items" in inner else f"{name}.{key}"
        holder = inner.get("items", inner)
        if "properties" in holder:
            yield f"#### {place} of {operation.name}\n"
            yield _table(holder, operation.schema)
            yield from _inner_parts(operation, place, holder)


def _table(
    schema: Schema, root: Schema, *, operation: Operation | None = None, at: tuple[str, ...] = ()
) -> str:
    rows = ["| key | allowed | when absent | |", "|---|---|---|---|"]
    for key, inner in schema["properties"].items():
        value = _resolved(inner, root)
        absent = _absent((*at, key), value, schema, operation)
        cells = [f"`{key}`", _allowed(value), absent, value.get("description", "")]
        rows.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join([*rows, ""])


def _resolved(schema: Schema, root: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    below: Any = root
    for step in schema["$ref"].removeprefix("#/").split("/"):
        below = below[step]
    return {**below, **schema}


def _allowed(schema: Schema) -> str:
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    own = schema.get("errorMessage", {}).get("pattern")
    words = limits_of(schema).replace("object", "mapping").replace("array", "list")
    forms = [form["title"] for form in schema.get("anyOf", ())]
    return "; ".join(text for text in (" or ".join(forms) or words, own) if text)


def _absent(at: tuple[str, ...], value: Schema, parent: Schema, operation: Operation | None) -> str:
    fills = operation.fills if operation else ()
    fill = next((fill for fill in fills if fill.at == at), None)
    if fill is not None:
        if fill.derive:
            return "derived from the job"
        is_table = isinstance(fill.value, Table)
        return f"{fill_words(fill) if is_table else f'`{fill.value}`'}, which dsrun sends"
    if "const" in value and operation:
        return "dsrun adds it"
    if at[-1] in parent.get("required", ()):
        return "**required**"
    if "default" not in value:
        return ""
    default = value["default"]
    told = default if isinstance(default, str) else json.dumps(default)
    return f"`{told}`" + (", by the service" if operation else "")


def _cell(text: str) -> str:
    """Without what a table or Markdown would take for its own, outside of `code`."""
    parts = text.replace("|", "\\|").split("`")
    for number in range(0, len(parts), 2):
        for sign in "*_<>":
            if parts[number] != "**required**":
                parts[number] = parts[number].replace(sign, f"\\{sign}")
    return "`".join(parts)


if __name__ == "__main__":
    main()
