"""JSON Schema validation: a fast yes or no, and problems in words.

jsonschema-rs decides; jsonschema describes the problems of the few values that fail.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from dsrun.common.messages import closest, json_type, nearest, show
from dsrun.common.models import Json
from dsrun.common.picture_size import KEYWORD as SIZE
from dsrun.common.picture_size import SizeRule, fits, size_words
from dsrun.common.pointer import KeyPath, pointer, value_at
from dsrun.common.resources import read_schema

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError


_MOST_PROBLEMS = 1000  # of one value; nobody reads more
_LONGEST = 500  # characters of a message that is not ours


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaProblem:
    """One violation: where in the value, which rule, and a message for a person.

    `size` is the number that was compared with a limit: a value, or a count of characters.
    `meant` is the known key that an unknown one probably stands for.
    """

    path: KeyPath
    rule: str
    message: str
    of_key: bool = False
    size: float | None = None
    meant: str = ""


class SchemaValidator:
    """Checks values against one JSON Schema (2020-12), which refers to nothing outside itself.

    `is_foreign`: a user's schema, whose patterns are matched by an engine without backtracking.
    """

    def __init__(self, schema: Mapping[str, Json], *, is_foreign: bool = False) -> None:
        """Raises ValueError."""
        import jsonschema_rs  # noqa: PLC0415  # start-up: only commands that validate pay for it

        self._schema = schema
        self._is_foreign = is_foreign
        options = jsonschema_rs.RegexOptions() if is_foreign else None
        self.is_valid = jsonschema_rs.Draft202012Validator(
            dict(schema),
            retriever=_fetch_nothing,
            pattern_options=options,
            keywords={SIZE: SizeRule},
        ).is_valid

    def problems(self, value: Json) -> list[SchemaProblem]:
        """The violations by place: at most one for each rule and place, and a bounded number."""
        problems: dict[tuple[Any, str], SchemaProblem] = {}
        worded = (
            words for error in self._worded.iter_errors(value) for words in _iter_words(error)
        )
        for problem in map(self._at_home, islice(worded, _MOST_PROBLEMS)):
            problems.setdefault((problem.path, problem.rule), problem)
        return sorted(
            _without_echoes(problems.values()), key=lambda problem: _in_order(problem.path)
        )

    def _at_home(self, problem: SchemaProblem) -> SchemaProblem:
        """Say where an unknown key belongs when a section beside it knows it."""
        if problem.rule != "additionalProperties" or not problem.path:
            return problem
        *around, key = problem.path
        holder = self._schema
        for step in around:
            holder = self._below(holder, step)
        sections = {**holder.get("properties", {})}
        if len(around) == 1:  # a section of the request may know what another one is given
            sections |= self._schema.get("properties", {})
        homes = [
            name
            for name, inner in sections.items()
            if key in self._resolved(inner).get("properties", {})
        ]
        if not homes:
            return problem
        message = problem.message.partition(";")[2]
        message = f"unknown key here, it belongs below {homes[0]};{message}"
        return replace(problem, message=message, meant="")

    def _below(self, schema: Mapping[str, Json], step: str | int) -> Mapping[str, Json]:
        """What a schema says of one value in its mapping or list; empty where it says nothing."""
        if isinstance(step, int):
            return self._resolved(schema.get("items"))
        others = schema.get("additionalProperties")
        return self._resolved(schema.get("properties", {}).get(step, others))

    def _resolved(self, schema: Json) -> Mapping[str, Json]:
        if not isinstance(schema, Mapping):
            return {}
        at = pointer(str(schema.get("$ref", "")).removeprefix("#")) or ()
        named = value_at(self._schema, at) if at else schema
        return named if isinstance(named, Mapping) else {}

    @cached_property
    def _worded(self) -> "Draft202012Validator":
        from jsonschema import Draft202012Validator  # noqa: PLC0415  # as above
        from jsonschema.validators import extend  # noqa: PLC0415  # as above
        from referencing import Registry  # noqa: PLC0415  # as above

        words = {SIZE: _size_rule} | (_WITHOUT_BACKTRACKING if self._is_foreign else {})
        kind: type[Draft202012Validator] = extend(Draft202012Validator, words)  # type: ignore[no-untyped-call]  # it has none
        return kind(self._schema, registry=Registry())  # an empty one fetches nothing


@cache
def shipped_validator(name: str) -> SchemaValidator:
    """That of `schemas/NAME`, made once. Raises SetupError when the installation lacks it."""
    return SchemaValidator(orjson.loads(read_schema(name)))


def _fetch_nothing(address: str) -> Json:
    raise LookupError(f"{address} is not fetched")


@lru_cache
def matcher(pattern: str) -> Callable[[str], bool]:
    """A test whether a text holds a match, in linear time. Raises ValueError."""
    return SchemaValidator({"pattern": pattern}, is_foreign=True).is_valid


def _size_rule(validator: Any, bounds: Json, value: Json, schema: Json) -> Iterator[Any]:
    from jsonschema import ValidationError  # noqa: PLC0415  # as above

    del validator, schema
    if isinstance(value, str) and not fits(bounds, value):
        yield ValidationError(size_words(bounds))


def _pattern(validator: Any, pattern: str, value: Json, schema: Json) -> Iterator[Any]:
    from jsonschema import ValidationError  # noqa: PLC0415  # as above

    del validator, schema
    if isinstance(value, str) and not matcher(pattern)(value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Json, value: Json, schema: Json) -> Iterator[Any]:
    del schema
    if isinstance(value, dict):
        for pattern, part in patterns.items():
            for key in filter(matcher(pattern), value):
                yield from validator.descend(value[key], part, path=key, schema_path=pattern)


def _other_properties(validator: Any, others: Json, value: Json, schema: Json) -> Iterator[Any]:
    from jsonschema import ValidationError  # noqa: PLC0415  # as above

    if not isinstance(value, dict):
        return
    tests = [matcher(pattern) for pattern in schema.get("patternProperties", {})]
    known = schema.get("properties", {})
    extra = [key for key in value if key not in known and not any(t(key) for t in tests)]
    if isinstance(others, dict):
        for key in extra:
            yield from validator.descend(value[key], others, path=key)
    elif not others and extra:
        yield ValidationError(f"unknown keys: {', '.join(extra)}")


_WITHOUT_BACKTRACKING = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _other_properties,
}


def _without_echoes(problems: Collection[SchemaProblem]) -> Iterator[SchemaProblem]:
    """Leave out the problems that only repeat another one.

    A value of the wrong type may fail enum and range too, and a misspelt key is also missing.
    """
    mistyped = {problem.path for problem in problems if problem.rule == "type"}
    misspelt = {(*problem.path[:-1], problem.meant) for problem in problems if problem.meant}
    for problem in problems:
        if problem.rule.startswith("required ") and problem.path in misspelt:
            continue
        if problem.rule == "type" or problem.path not in mistyped:
            yield problem


def _in_order(path: KeyPath) -> list[tuple[int, str]]:
    """Sorts items by number, keys by name."""
    return [(step, "") if isinstance(step, int) else (-1, step) for step in path]


def check_schema(schema: Json) -> None:
    """Raises ValueError where this is no JSON Schema."""
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415  # as above

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"not a JSON Schema: {error.message[:_LONGEST]}") from error


class _Violation:
    """A jsonschema error, its loosely typed parts read once."""

    def __init__(self, error: "ValidationError") -> None:
        self.path: KeyPath = tuple(error.absolute_path)
        self.rule = str(error.validator)
        self.limit: Any = error.validator_value
        self.value: Any = error.instance
        self.schema: Mapping[str, Any] = error.schema if isinstance(error.schema, dict) else {}
        self.is_name = "propertyNames" in error.absolute_schema_path
        self.fallback = str(error.message)
        self.inner: list[ValidationError] = list(error.context or ())

    @property
    def properties(self) -> Mapping[str, Any]:
        return self.schema.get("properties", {})  # type: ignore[no-any-return]


def _iter_words(error: "ValidationError") -> Iterator[SchemaProblem]:
    violation = _Violation(error)
    if violation.rule == "additionalProperties":
        yield from _unknown_keys(violation)
    elif violation.rule == "required":
        yield from _missing_keys(violation)
    elif violation.rule in ("anyOf", "oneOf") and violation.inner:
        yield from _closest_branch(violation)
    elif violation.is_name:
        path = (*violation.path, violation.value)
        yield SchemaProblem(path=path, rule=violation.rule, message=_words(violation), of_key=True)
    else:
        yield SchemaProblem(
            path=violation.path,
            rule=violation.rule,
            message=_words(violation),
            size=_size(violation),
        )


def _unknown_keys(violation: _Violation) -> Iterator[SchemaProblem]:
    known = sorted(key for key in violation.properties if key != "$comment")
    patterns = tuple(violation.schema.get("patternProperties", {}))
    for key in violation.value:
        if key not in violation.properties and not any(matcher(p)(key) for p in patterns):
            message = f"unknown key{nearest(key, known)}; allowed: {', '.join(known)}"
            yield SchemaProblem(
                path=(*violation.path, key),
                rule=violation.rule,
                message=message,
                of_key=True,
                meant=closest(key, known),
            )


def _missing_keys(violation: _Violation) -> Iterator[SchemaProblem]:
    for key in violation.limit:
        if key not in violation.value:
            schema = violation.properties.get(key, {})
            what = schema.get("description", "")
            options = ", ".join(map(_plain, schema.get("enum", ())))
            allowed = f" Allowed: {options}." if what and options else ""
            yield SchemaProblem(
                path=(*violation.path, key),
                rule=f"required {key}",
                message=f"missing; it is required{': ' + what if what else ''}{allowed}",
            )


def _closest_branch(violation: _Violation) -> Iterator[SchemaProblem]:
    """Describe the alternative that was probably meant, or else name them all."""
    branches: dict[int, list[ValidationError]] = {}
    for inner in violation.inner:
        branches.setdefault(int(inner.relative_schema_path[0]), []).append(inner)
    fitting = [
        errors
        for errors in branches.values()
        if not any(inner.validator == "type" and not inner.relative_path for inner in errors)
    ]
    if len(fitting) == 1:
        for inner in fitting[0]:
            yield from _iter_words(inner)
        return
    titles = [str(branch.get("title") or branch.get("type")) for branch in violation.limit]
    message = f"found {show(violation.value)}; allowed: {' or '.join(titles)}"
    yield SchemaProblem(path=violation.path, rule=violation.rule, message=message)


def _words(violation: _Violation) -> str:
    own = violation.schema.get("errorMessage", {})
    if violation.rule in own or (violation.rule == "type" and "pattern" in own):
        return f"found {_typed(violation)}; allowed: {own.get(violation.rule) or own['pattern']}"
    words = _WORDS.get(violation.rule)
    return words(violation) if words else violation.fallback


def _size(violation: _Violation) -> float | None:
    if violation.rule in ("minimum", "maximum"):
        return float(violation.value)
    return len(violation.value) if violation.rule == "maxLength" else None


def _type_words(violation: _Violation) -> str:
    names = [violation.limit] if isinstance(violation.limit, str) else violation.limit
    wanted = " or ".join(_article(_TYPES.get(name, name)) for name in names)
    is_unspaced = isinstance(violation.value, str) and re.match(r"[\w-]+:(?!//)\S", violation.value)
    hint = " (a blank belongs behind the colon of a key)" if is_unspaced else ""
    return (
        f"found {_typed(violation)}{hint if violation.limit == 'object' else ''}; allowed: {wanted}"
    )


def _typed(violation: _Violation) -> str:
    """The value, and its type where that is what is wrong."""
    is_plain = violation.rule != "type" or violation.value is None
    return show(violation.value) + ("" if is_plain else f" ({json_type(violation.value)})")


def _enum_words(violation: _Violation) -> str:
    options = [_plain(item) for item in violation.limit]
    # Of sizes, 1472*1104 is no spelling of 1024*1024.
    is_word = isinstance(violation.value, str) and re.search(r"[^\W\d_]", violation.value)
    near = nearest(violation.value, options) if is_word else ""
    return f"found {show(violation.value)}{near}; allowed: {', '.join(options)}"


def _range_words(violation: _Violation) -> str:
    return f"found {show(violation.value)}; allowed: {_range(violation.schema)}"


def _size_words(violation: _Violation) -> str:
    count = len(violation.value)
    size = "no item" if not count else "1 item" if count == 1 else f"{count} items"
    bound = "least" if violation.rule.startswith("min") else "most"
    return f"found {size}; allowed: at {bound} {violation.limit}"


_TYPES = {"object": "mapping", "array": "list"}
_WORDS: Mapping[str, Callable[[_Violation], str]] = {
    "type": _type_words,
    "enum": _enum_words,
    "const": lambda violation: f"found {show(violation.value)}; allowed: {_plain(violation.limit)}",
    "minimum": _range_words,
    "maximum": _range_words,
    "maxLength": lambda v: f"found {len(v.value)} characters; allowed: at most {v.limit}",
    "minLength": lambda _: "found an empty text; allowed: at least one character",
    "pattern": lambda v: f"found {show(v.value)}; allowed: text that matches {v.limit}",
    SIZE: lambda v: f"found {show(v.value)}; allowed: {size_words(v.limit)}",
    "minItems": _size_words,
    "minProperties": _size_words,
    "maxItems": _size_words,
    "maxProperties": _size_words,
}


def _range(schema: Mapping[str, Json]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return str(low) if low == high else f"{low} to {high}"
    return f"at least {low}" if low is not None else f"at most {high}"


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else show(value)


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "aio" else f"a {name}"
