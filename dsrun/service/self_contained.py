"""Makes operation files of a user self-contained. Pure.

A schema may refer to parts of itself and of dsrun's own operations. What it refers to is put in
its place, so that no validator has anything left to resolve: nothing is fetched, and nothing is
read. A pattern must be one that an engine without backtracking can match, whose time is bounded.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from dsrun.common.messages import show
from dsrun.common.models import Json
from dsrun.common.picture_size import KEYWORD as SIZE
from dsrun.common.pointer import KeyPath, resolve

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_PARTS = 100_000
MAX_DEPTH = 100
_REFS = ("$ref", "$dynamicRef", "$recursiveRef")
_NAMES = ("$id", "$schema", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary", "$defs")
_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_VALUES = frozenset({"const", "enum", "default", "examples", "errorMessage", "x-dsrun"})
# Words beside a reference that say nothing of what is valid: they go before those of its target.
_NOTES = frozenset({"$comment", "title", "description", "default", "errorMessage"})
_END = "(?![\\s\\S])"  # as the bundled files write the end of a text, for all engines

Schemas = Mapping[str, Json]


class Fault(NamedTuple):
    """What is wrong with a file, at a path of it."""

    path: KeyPath
    message: str


class SchemaFault(Exception):
    """A schema cannot be made self-contained."""

    def __init__(self, path: KeyPath, message: str) -> None:
        super().__init__(message)
        self.path = path


class _Unresolved(Exception):
    """A reference leads nowhere, or where it must not; the message follows its text."""


def iter_patterns(schema: Json) -> Iterator[tuple[KeyPath, str]]:
    """Every regular expression of a schema, with its place."""
    for path, node in _schemas(schema, ()):
        if isinstance(pattern := node.get("pattern"), str):
            yield (*path, "pattern"), pattern
        if isinstance(named := node.get("patternProperties"), dict):
            yield from (((*path, "patternProperties", pattern), pattern) for pattern in named)


def iter_sizes(schema: Json) -> Iterator[tuple[KeyPath, Json]]:
    """Every `x-size` of a schema, with its place."""
    for path, node in _schemas(schema, ()):
        if SIZE in node:
            yield (*path, SIZE), node[SIZE]


def name_faults(schema: Json, others: Schemas) -> Iterator[Fault]:
    """References that lead out of the file, and what would change where they lead."""
    for path, node in _schemas(schema, ()):
        dialect = node.get("$schema")
        if isinstance(dialect, str) and dialect.rstrip("#") != DIALECT:
            message = f"found {show(dialect)}, which is not fetched; allowed: {DIALECT}"
            yield Fault((*path, "$schema"), message)
        if path and "$id" in node:
            message = "a part of an operation file has no $id; refer to it as #/$defs/NAME"
            yield Fault((*path, "$id"), message)
        for key in _REFS:
            if key in node:
                try:
                    _target(node[key], schema, others)
                except _Unresolved as error:
                    yield Fault((*path, key), f"found {show(node[key])}{error}")


def inlined(schema: Json, others: Schemas) -> dict[str, Json]:
    """The schema with everything in place of the references to it.

    Raises SchemaFault where one leads to itself, or all grow too large. `name_faults` are none.
    """
    whole: dict[str, Json] = _Inliner(schema, others).schema(schema, (), (), {})
    return whole


def with_plain_ends(pattern: str) -> str:
    """The pattern with `$` for the end of the text, which it is where no engine goes back."""
    return pattern.replace(_END, "$")


def linear(schema: Json) -> dict[str, Json]:
    """The schema with patterns as an engine without backtracking writes them."""
    for _, node in _schemas(schema, ()):
        if isinstance(node.get("pattern"), str):
            node["pattern"] = with_plain_ends(node["pattern"])
        if isinstance(named := node.get("patternProperties"), dict):
            node["patternProperties"] = {with_plain_ends(key): named[key] for key in named}
    whole: dict[str, Json] = schema
    return whole


class _Inliner:
    def __init__(self, root: Json, others: Schemas) -> None:
        self._root = root
        self._others = others
        self._left = MAX_PARTS

    def schema(self, node: Json, path: KeyPath, open_: tuple[int, ...], own: Json) -> Json:
        """`open_`: the targets within which this stands; `own`: the file that it is part of."""
        self._count(path)
        own = own or self._root
        if not isinstance(node, dict):
            return node
        parts = {
            key: self._part(key, value, (*path, key), open_, own)
            for key, value in node.items()
            if key not in (*_REFS, *_NAMES)
        }
        for key in _REFS:
            if key in node:
                parts = _joined(parts, self._referred(node[key], (*path, key), open_, own))
        return parts

    def _referred(self, ref: str, path: KeyPath, open_: tuple[int, ...], own: Json) -> Json:
        try:
            target, file = _target(ref, own, self._others)
        except _Unresolved as error:
            raise SchemaFault(path, f"found {show(ref)}{error}") from error
        if id(target) in open_:
            raise SchemaFault(path, f"{show(ref)} leads back to itself; write out what is meant")
        return self.schema(target, path, (*open_, id(target)), file)

    def _part(
        self, key: str, value: Json, path: KeyPath, open_: tuple[int, ...], own: Json
    ) -> Json:
        if key in _VALUES:
            return value
        if key in _MAPS and isinstance(value, dict):
            whole = (
                (name, self.schema(part, (*path, name), open_, own)) for name, part in value.items()
            )
            return {name: _written_out(part) for name, part in whole}
        if isinstance(value, list):
            return [self.schema(part, (*path, i), open_, own) for i, part in enumerate(value)]
        return self.schema(value, path, open_, own)

    def _count(self, path: KeyPath) -> None:
        self._left -= 1
        if self._left < 0:
            message = f"its references make it larger than {MAX_PARTS:,} parts; write it shorter"
            raise SchemaFault(path[:1], message)
        if len(path) > MAX_DEPTH:
            raise SchemaFault(path[:1], f"nested more than {MAX_DEPTH} levels deep")


def _written_out(schema: Json) -> Json:
    """A schema as a mapping, also where `true` or `false` stands for it."""
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    return schema


def _joined(parts: dict[str, Json], target: Json) -> dict[str, Json]:
    if isinstance(target, dict) and _NOTES.issuperset(parts):
        return {**target, **parts}
    return {**parts, "allOf": [*parts.get("allOf", ()), target]}


def _schemas(node: Json, path: KeyPath, *, is_map: bool = False) -> Iterator[tuple[KeyPath, Any]]:
    """Every mapping that can be a schema, with its path; what is only a value is left out."""
    if isinstance(node, list):
        for i, item in enumerate(node):
            yield from _schemas(item, (*path, i))
    if not isinstance(node, dict):
        return
    if not is_map:
        yield path, node
    for key, value in node.items():
        if is_map or key not in _VALUES:
            yield from _schemas(value, (*path, key), is_map=not is_map and key in _MAPS)


def _target(ref: Json, own: Json, others: Schemas) -> tuple[Json, Json]:
    """What a reference leads to, and the file that this is part of.

    Raises _Unresolved.
    """
    if not isinstance(ref, str):
        raise _Unresolved("; allowed: a text such as #/$defs/NAME")
    file, _, fragment = ref.partition("#")
    if file and file != own.get("$id"):
        if file not in others:
            known = ", ".join(f"{name}#/..." for name in others)
            raise _Unresolved(f"; nothing is fetched or read here; allowed: #/... or {known}")
        own = others[file]
    is_pointer = fragment[:1] in ("", "/")
    target = resolve(own, unquote(fragment)) if is_pointer else _anchored(own, fragment)
    if not isinstance(target, dict | bool):
        raise _Unresolved("; no schema stands there")
    return target, own


def _anchored(own: Json, name: str) -> Json:
    for _, node in _schemas(own, ()):
        if name in (node.get("$anchor"), node.get("$dynamicAnchor")):
            return node
    return None
