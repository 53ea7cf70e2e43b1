"""What is wrong with the tables of an operation file: their rows, and the values that they give."""

import copy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dsrun.common.json_schema import SchemaValidator
from dsrun.common.messages import nearest, show
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, pointer, value_at
from dsrun.service.families import models_of
from dsrun.service.self_contained import Fault
from dsrun.service.tables import MISSING, MODEL, OTHERS, is_table, key_text, keys_in, leaves_of

_RULES = "vary"
_FILES = "uploads"


def table_faults(schema: Mapping[str, Json], frame: SchemaValidator) -> Iterator[Fault]:
    """Of a file with a sound frame, as it was written."""
    known = _models(schema)
    for path, table in _outer_tables(schema["x-dsrun"], ("x-dsrun",)):
        rows = list(_row_faults(table["table"], table["by"], (*path, "table"), known))
        yield from rows
        if not rows and _RULES not in path:
            yield from _leaf_faults(schema, path, table, frame)


def uncovered(schema: Mapping[str, Json]) -> Iterator[Fault]:
    """Values that a request of one model may have, and for which a price or a count has no row."""
    about = schema["x-dsrun"]
    filled = {fill["at"] for fill in about["fill"] if not _may_give_none(fill)}
    counts = [("artifacts", number, "asked") for number in range(len(about["artifacts"]))]
    amounts = [
        ("price", "items", number, "amount") for number in range(len(about["price"]["items"]))
    ]
    for place in (*amounts, *counts, *((*place, "at") for place in counts)):
        table = value_at(about, place)
        if is_table(table):
            by = table["by"]
            wanted = [_texts_at(schema, at, is_filled=at in filled) for at in by]
            yield from _gaps(table["table"], by, wanted, ("x-dsrun", *place))


def _outer_tables(value: Json, path: KeyPath) -> Iterator[tuple[KeyPath, Mapping[str, Json]]]:
    """Every table in a part of an operation file that stands in no other one, with its place."""
    if is_table(value):
        yield path, value
        return
    parts: Sequence[tuple[str | int, Json]] = ()
    if isinstance(value, Mapping):
        parts = [(key, part) for key, part in value.items() if key != "$comment"]
    elif isinstance(value, list):
        parts = list(enumerate(value))
    for key, part in parts:
        yield from _outer_tables(part, (*path, key))


def _models(schema: Mapping[str, Json]) -> tuple[str, ...]:
    family = models_of(schema)
    const = value_at(schema, ("properties", "model", "const"))
    return family or ((const,) if isinstance(const, str) else ())


def _row_faults(
    rows: Json, by: Sequence[str], path: KeyPath, models: Sequence[str]
) -> Iterator[Fault]:
    """Rows that are none, that stand twice, or that lack a model."""
    if not isinstance(rows, Mapping) or not rows:
        yield Fault(path, f"found {show(rows)}; allowed: rows by {by[0]}, as `by` says")
        return
    keys = keys_in(rows)
    for key, number in Counter(keys).items():
        if number > 1:
            yield Fault(path, f"{key} has {number} rows; allowed: one")
    if by[0] == MODEL and models:
        yield from _model_faults(rows, path, models)
    for names, below in rows.items() if len(by) > 1 else ():
        yield from _row_faults(below, by[1:], (*path, names), models)


def _model_faults(
    rows: Mapping[str, Json], path: KeyPath, models: Sequence[str]
) -> Iterator[Fault]:
    for names in rows:
        for name in keys_in({names: None}):
            if name not in (*models, OTHERS):
                words = f"found {show(name)}{nearest(name, models)}; allowed: a model of the file: "
                yield Fault((*path, names), words + ", ".join((*models, OTHERS)))
    if OTHERS not in rows:
        missing = [name for name in models if name not in keys_in(rows)]
        if missing:
            yield Fault(path, f"has no row for {', '.join(missing)}, and none for `{OTHERS}`")


def _leaf_faults(
    schema: Mapping[str, Json], path: KeyPath, table: Mapping[str, Json], frame: SchemaValidator
) -> Iterator[Fault]:
    """Values that must not stand where the table stands."""
    for below, leaf in leaves_of(table):
        if is_table(leaf):
            yield Fault((*path, *below), "is a table in a table; allowed: one, `by` several places")
            continue
        if leaf is None and _FILES in path:
            continue  # nothing is published of that model's files
        tried: Any = copy.deepcopy(dict(schema))
        value_at(tried, path[:-1])[path[-1]] = leaf
        found = [one for one in frame.problems(tried) if one.path[: len(path)] == path]
        if any(one.path == (*path, "by") for one in found):  # taken for a table, which it is not
            words = f"found {show(leaf)}; allowed: a value, since `by` names {len(table['by'])}"
            yield Fault((*path, *below), words)
            continue
        for one in found:
            yield Fault((*path, *below, *one.path[len(path) :]), one.message)


def _may_give_none(fill: Mapping[str, Json]) -> bool:
    value: Json = fill.get("value")
    return is_table(value) and any(leaf is None for _, leaf in leaves_of(value))


def _texts_at(schema: Mapping[str, Json], at: str, *, is_filled: bool) -> list[str] | None:
    """The keys of all values that a request may have at a place; None where they are endless."""
    field, is_needed = _field_at(schema, at)
    allowed = field.get("enum", [field["const"]] if "const" in field else None)
    if allowed is None and field.get("type") == "boolean":
        allowed = [False, True]
    if allowed is None:
        return None
    return [*map(key_text, allowed), *([] if is_filled or is_needed else [MISSING])]


def _field_at(schema: Mapping[str, Json], at: str) -> tuple[Mapping[str, Json], bool]:
    """The schema of a place, and whether every request has it."""
    here: Json = schema
    is_needed = True
    for step in pointer(at) or ():
        is_needed = is_needed and step in here.get("required", ())
        here = here.get("properties", {}).get(step, {})
        if not isinstance(here, Mapping):
            return {}, False
    return here, is_needed


def _gaps(
    rows: Mapping[str, Json], by: Sequence[str], wanted: Sequence[list[str] | None], path: KeyPath
) -> Iterator[Fault]:
    if OTHERS not in rows:
        texts = wanted[0]
        if texts is None:
            words = f"has no row for `{OTHERS}`, and {by[0]} may have any value"
            yield Fault(path, words)
        for text in sorted(set(texts or ()) - set(keys_in(rows))):
            named = f"a request without {by[0]} (`{MISSING}`)" if text == MISSING else text
            yield Fault(path, f"has no row for {named}, and none for `{OTHERS}`")
    for below in rows.values() if len(by) > 1 else ():
        yield from _gaps(below, by[1:], wanted[1:], path)
