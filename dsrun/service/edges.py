"""Every limit of a request's schema, tried at its edge and one step beyond. Pure.

A limit is shown by two requests that differ in one value: the first is valid, the second is not,
and is refused at that value. Both are made from a sample request; where a limit holds only beside
another value, such as one function of several, that value is tried too.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice, pairwise
from typing import Any, NamedTuple

from dsrun.common.json_schema import SchemaProblem, SchemaValidator
from dsrun.common.models import Json
from dsrun.common.picture_size import KEYWORD as SIZE
from dsrun.common.pointer import EACH, KeyPath, dotted, iter_paths, value_at

# By the first word of a limit: the rules that a request beyond it breaks.
_TOLD = {"value": ("enum", "const", "type"), "maxContains": ("contains", "maxContains")}
_ABSENT = object()
_MOST_SURROUNDINGS = 400
_TINY = 0.001
_MANY_WORDS = 1000
_LONGEST = 2**25  # characters of a text that is made to try a limit
_MOST_ITEMS = 10_000
_TEXTS = ("a", "en", "a1", "https://pictures.example/a.png", "v-a", "#aabbcc", "25.00%")
_ODD = "\u2603 "  # a snowman, which no language is written with
_FOREIGN = "\u044f"  # a letter of another script than most texts
_SPOILT = ("{}\n", "", _ODD, "{}" + _ODD, "x" + _ODD + "{}", "{}" + _FOREIGN)
_WRONG_TYPES: tuple[Json, ...] = ([], {}, "a", 0.5)
_STRANGE_KEY = "no_such_key"

Schema = Mapping[str, Json]
Pair = tuple[Any, Any]  # a value within the limit, and one beyond it


class Limit(NamedTuple):
    """A limit at a place of the request, where `*` is any item of a list."""

    at: KeyPath
    rule: str
    pairs: Sequence[Pair]

    def __str__(self) -> str:
        return f"{dotted(self.at)}: {self.rule}"


class Edge(NamedTuple):
    """Two requests that show a limit: one at its edge, and one beyond."""

    limit: Limit
    good: Json
    bad: Json


def edges(schema: Schema, request: Json) -> tuple[list[Edge], list[Limit]]:
    """The limits that a sample request can show, each with its two requests; and the others."""
    validator = SchemaValidator(schema, is_foreign=True)
    around = list(islice(_surroundings(schema, request), _MOST_SURROUNDINGS))
    shown: list[Edge] = []
    hidden: list[Limit] = []
    for limit in _limits(schema, (), _Sample(schema, request)):
        edge = next(_shown(limit, schema, around, validator), None)
        if edge is None:
            hidden.append(limit)
        else:
            shown.append(edge)
    return shown, hidden


def _shown(
    limit: Limit, schema: Schema, around: Sequence[Json], validator: SchemaValidator
) -> Iterator[Edge]:
    for request in around:
        room = _with_room(request, limit.at, schema)
        for place in iter_paths(room, limit.at):
            for within, beyond in limit.pairs:
                good, bad = (_with(room, place, value) for value in (within, beyond))
                if not validator.is_valid(good) or validator.is_valid(bad):
                    continue
                if any(_is_of(limit, place, told) for told in validator.problems(bad)):
                    yield Edge(limit, good, bad)


def _is_of(limit: Limit, place: KeyPath, told: SchemaProblem) -> bool:
    """Whether a request is refused for this limit, and not for another one."""
    word = limit.rule.partition(" ")[0]
    return told.path[: len(place)] == place and told.rule.partition(" ")[0] in _TOLD.get(
        word, (word,)
    )


class _Sample(NamedTuple):
    """A valid request, with the schema that it follows."""

    schema: Schema
    request: Json

    def known(self, at: KeyPath) -> list[Json]:
        """What stands at a place of the sample, once for each item of a list."""
        there = (value_at(self.request, path) for path in iter_paths(self.request, at))
        found = [value for value in there if value is not None]
        return [*found, *_grown(self._at(at), found)]

    def values(self, at: KeyPath) -> list[Json]:
        """What may stand at a place: the sample's own values, and plain ones."""
        return [*self.known(at), *_values(self._at(at))]

    def _at(self, at: KeyPath) -> Json:
        schema: Json = self.schema
        for step in at:
            below = schema if isinstance(schema, Mapping) else {}
            schema = below.get("items") if step == EACH else below.get("properties", {}).get(step)
        return schema


def _grown(schema: Json, known: Sequence[Json]) -> Iterator[list[Json]]:
    """The lists with one item more, of each kind that its keys tell apart."""
    items = schema.get("items") if isinstance(schema, Mapping) else None
    kinds = items.get("properties", {}) if isinstance(items, Mapping) else {}
    for key, inner in kinds.items():
        for value in _values(inner):
            yield from ([{key: value}, *below] for below in known if isinstance(below, list))


def _surroundings(schema: Schema, request: Json) -> Iterator[Json]:
    """The sample itself, and with each other value that a rule may hang on."""
    yield request
    sample = _Sample(schema, request)
    lists = [(at, grown) for at in _lists(schema, ()) for grown in sample.known(at)]
    for at, value in [*lists, *_choices(schema, ())]:
        room = _with_room(request, at, schema)
        for place in iter_paths(room, at):
            yield _with(room, place, value)


def _lists(schema: Json, at: KeyPath) -> Iterator[KeyPath]:
    """The places of lists."""
    if isinstance(schema, Mapping):
        if "items" in schema:
            yield at
        for below, inner in _below(schema, at):
            yield from _lists(inner, below)


def _choices(schema: Json, at: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Values that may stand at places; an item of a list may also be missing."""
    if not isinstance(schema, Mapping):
        return
    if schema.get("type") != "object":
        yield from ((at, value) for value in _values(schema))
    if schema.get("type") == "integer" and "maximum" in schema:
        yield at, schema["maximum"]
    if "items" in schema:
        yield (*at, EACH), _ABSENT
    for below, inner in _below(schema, at):
        yield from _choices(inner, below)
    yield from _choices(schema.get("if"), at)


def _limits(schema: Json, at: KeyPath, sample: _Sample) -> Iterator[Limit]:
    if not isinstance(schema, Mapping):
        return
    for rule, pairs in _rules(schema, sample.known(at)):
        yield Limit(at, rule, pairs)
    for key in schema.get("required", ()):
        needed = (*at, key)
        yield Limit(needed, "required", [(value, _ABSENT) for value in sample.values(needed)])
    for below, inner in _below(schema, at):
        yield from _limits(inner, below, sample)


def _below(schema: Schema, at: KeyPath) -> Iterator[tuple[KeyPath, Json]]:
    """The schemas of parts, and those that hold for the same place beside this one."""
    for key, inner in schema.get("properties", {}).items():
        yield (*at, key), inner
    if "items" in schema:
        yield (*at, EACH), schema["items"]
    for inner in schema.get("allOf", ()):
        yield at, inner
    for word in ("then", "else"):
        if word in schema:
            yield at, schema[word]


def _rules(schema: Schema, known: Sequence[Json]) -> Iterator[tuple[str, list[Pair]]]:
    """Each limit of one place in words, with the values that can show it."""
    for name, pairs in (
        ("maxLength", _lengths(schema, known, step=1)),
        ("minLength", _lengths(schema, known, step=-1)),
        ("maximum", _bounds(schema, step=1)),
        ("minimum", _bounds(schema, step=-1)),
        ("maxItems", _counts(schema, known, step=1)),
        ("minItems", _counts(schema, known, step=-1)),
        ("pattern", _spoilt(known)),
        ("additionalProperties", _widened([*known, *_values(schema)])),
        ("maxContains", _doubled(known)),
    ):
        if name in schema and (name != "additionalProperties" or schema[name] is False):
            yield f"{name} {schema[name]}", list(pairs)
    for value in (*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())):
        yield f"value {value}", [(value, _ODD), (value, -1)]
    if "type" in schema:
        given = [*known, *_values(schema)]
        yield f"type {schema['type']}", [(v, wrong) for v in given for wrong in _WRONG_TYPES]
    for name, sizes in _sizes(schema.get(SIZE, {})):
        yield f"{SIZE} {name}", sizes


def _lengths(schema: Schema, known: Sequence[Json], *, step: int) -> Iterator[Pair]:
    length = schema.get("maxLength" if step > 0 else "minLength", 0)
    if length > _LONGEST:
        return
    starts = [text for text in known if isinstance(text, str)]
    for text in chain(starts, _TEXTS):
        whole = text + text[-1:] * (length + 1)
        yield whole[:length], whole[: max(length + step, 0)]


def _bounds(schema: Schema, *, step: int) -> Iterator[Pair]:
    edge = schema.get("maximum" if step > 0 else "minimum", 0)
    by_type: dict[str, list[float]] = {"integer": [1], "number": [_TINY]}
    sizes = by_type.get(str(schema.get("type")), [1, _TINY])
    yield from ((edge, edge + step * size) for size in sizes)


def _counts(schema: Schema, known: Sequence[Json], *, step: int) -> Iterator[Pair]:
    """Lists of as many items, made by doubling any one of the sample's, or the last taken away."""
    count = schema.get("maxItems" if step > 0 else "minItems", 0)
    if count > _MOST_ITEMS:
        return
    lists = [items for items in known if isinstance(items, list) and items]
    for items in (*lists, *([value] for value in _values(schema.get("items", {})))):
        for index in range(len(items)):
            rest = items[index + 1 :]
            long = [*items[: index + 1], *[items[index]] * (count + 1)]
            good, bad = (
                [*long[: max(size - len(rest), 0)], *rest][-size:] if size else []
                for size in (count, max(count + step, 0))
            )
            yield good, bad


def _spoilt(known: Sequence[Json]) -> Iterator[Pair]:
    for text in chain((text for text in known if isinstance(text, str)), _TEXTS):
        for form in _SPOILT:
            yield text, form.format(text)
        yield text, f"{text} " * _MANY_WORDS


def _widened(known: Sequence[Json]) -> Iterator[Pair]:
    for value in known:
        if isinstance(value, dict):
            yield value, {**value, _STRANGE_KEY: 1}


def _doubled(known: Sequence[Json]) -> Iterator[Pair]:
    for items in known:
        if isinstance(items, list):
            yield from ((items, [item, *items]) for item in items)


def _sizes(bounds: Mapping[str, Any]) -> Iterator[tuple[str, list[Pair]]]:
    for name in bounds.get("names", ()):
        yield f"name {name}", [(name, name + "+")]
    for word in ("pixels", "sides", "ratio"):
        for edge, step in zip(bounds.get(word, ()), (-1, 1), strict=False):
            yield f"{word} {edge:g}", list(_size_pairs(word, edge, step))


def _size_pairs(word: str, edge: float, step: int) -> Iterator[Pair]:
    """Sizes at an edge of one measure, and with the width a step further."""
    if word == "sides":
        other = [(edge, edge), (edge, edge + 256), (edge, max(edge - 256, 1))]
    elif word == "ratio":
        heights = (64 * number for number in range(1, 100))
        other = [(height * edge, height) for height in heights if height * edge % 1 == 0]
    else:
        root = int(edge**0.5)
        widths = (root - number for number in range(root - 1))
        other = [(edge // width, width) for width in widths if edge % width == 0]
    for width, height in other:
        yield f"{width:.0f}*{height:.0f}", f"{width + step:.0f}*{height:.0f}"


def _values(schema: Json) -> Iterator[Json]:
    """Plain values that a schema probably allows; none is promised to."""
    if not isinstance(schema, Mapping):
        return
    if "const" in schema:
        yield schema["const"]
    yield from schema.get("enum", ())
    if "default" in schema:
        yield schema["default"]
    kind = schema.get("type")
    if kind == "object":
        yield _filled({}, schema)
    elif kind == "array":
        item = next(_values(schema.get("items", {})), None)
        yield [item] * max(schema.get("minItems", 0), item is not None)
    elif kind in ("integer", "number"):
        yield schema.get("minimum", schema.get("maximum", 1))
    elif kind == "boolean":
        yield False
    elif kind == "string":
        for _, pairs in _sizes(schema.get(SIZE, {})):
            yield from (size for size, _ in pairs[:3])
        yield from _TEXTS


def _filled(value: Json, schema: Schema) -> Json:
    """A mapping with a plain value for each key that it needs."""
    known = schema.get("properties", {})
    return {key: next(_values(known.get(key, {})), None) for key in schema.get("required", ())} | (
        value
    )


def _with_room(request: Json, at: KeyPath, schema: Schema) -> Json:
    """The request with all that holds a place; what was missing has the keys that it needs."""
    room = copy.deepcopy(request)
    here: Any = room
    for step, following in pairwise(at):
        within = schema.get("items", {}) if step == EACH else schema.get("properties", {}).get(step)
        schema = within if isinstance(within, Mapping) else {}
        if isinstance(here, list):
            if not here:
                here.append(next(_values(schema), {}))
            here = here[0]
        elif isinstance(here, dict):
            if step not in here:
                item = next(_values(schema.get("items", {})), None)
                here[step] = [item] if following == EACH else _filled({}, schema)
            here = here[step]
    return room


def _with(request: Json, at: KeyPath, value: Any) -> Json:
    """The request with another value at a place, or without it."""
    if not at:
        return value
    changed = copy.deepcopy(request)
    holder = value_at(changed, at[:-1])
    last: Any = at[-1]
    if value is _ABSENT:
        if isinstance(holder, dict):
            holder.pop(last, None)
        elif isinstance(holder, list):
            del holder[last]
    elif isinstance(holder, dict | list):
        holder[last] = copy.deepcopy(value)
    return changed
