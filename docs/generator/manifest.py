"""docs/reference/manifest.md, from the schema of the frame."""

import json
from collections.abc import Iterator

from dsrun.common.resources import read_schema
from generator.markdown import Schema, keys_table, made_by, plain, resolved

HEAD = f"""\
# The manifest, key by key

{made_by("the schemas")}
The fields of `input` and `parameters` are those of the operation that a step calls: each has a
[page of its own](operations.md). `dsrun schema manifest` prints the same for editors.

Every value of `input` and `parameters` can also be a template, such as `"{{{{ subject }}}}"`, or
`{{file: NAME}}`, the text of a file. The limits then hold for what comes out, in every job. Where
the API takes the address of a file, `{{upload: NAME}}` names one of yours.
"""


def manifest_page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([HEAD, *_parts(json.loads(read_schema("frame.json")))])


def _parts(frame: Schema) -> Iterator[str]:
    matrix, execution = frame["$defs"]["matrix"], frame["$defs"]["execution"]
    notify = frame["$defs"]["notify"]
    yield "## The whole\n"
    yield keys_table(frame, frame)
    yield "## A step\n\nBelow `steps`, by name.\n"
    yield keys_table(frame["$defs"]["step"], frame)
    yield "## matrix\n\nEvery key but these is the name of an axis.\n"
    yield keys_table(matrix, frame)
    yield from _inner_tables("matrix", matrix, frame)
    yield "## An axis\n\nEither of these.\n"
    yield keys_table({"properties": dict(_axis_forms(frame["$defs"]["axis"]))}, frame)
    yield f"## execution\n\n{plain(execution['description'])}\n"
    yield keys_table(execution, frame)
    yield from _inner_tables("execution", execution, frame)
    yield f"## notify\n\n{plain(notify['description'])}\n"
    yield keys_table(notify, frame)
    yield "## schedule\n\nA cron expression, or a mapping of these.\n"
    *_, mapping = frame["properties"]["schedule"]["anyOf"]
    yield keys_table(mapping, frame)


def _inner_tables(name: str, schema: Schema, frame: Schema) -> Iterator[str]:
    for key, value in schema["properties"].items():
        inner = resolved(value, frame)
        if "properties" in inner:
            yield f"### {name}.{key}\n\n{plain(inner['description'])}\n"
            yield keys_table(inner, frame)
        elif "$ref" in (by_name := inner.get("additionalProperties") or {}):
            yield f"### {name}.{key}, by model\n\n{plain(inner['description'])}\n"
            yield keys_table(resolved(by_name, frame), frame)


def _axis_forms(axis: Schema) -> Iterator[tuple[str, Schema]]:
    for form in axis["anyOf"]:
        if "then" in form:  # a step, or else values that stand somewhere
            either = {**form["else"]["properties"], **form["then"]["properties"]}
            yield from either.items()
        else:
            yield "[…]", {**form, "description": "These values, of any type."}
