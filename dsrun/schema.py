"""JSON Schema validation: a fast yes or no, and problems in words.

jsonschema-rs decides; jsonschema words the problems of the few values that fail.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from dsrun.records import Json

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError

_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaProblem:
    """One violation: where in the value, which rule, and words for a person."""

    path: tuple[str | int, ...]
    rule: str
    message: str
    of_key: bool = False


class SchemaValidator:
    """Holds values to one JSON Schema (2020-12)."""

    def __init__(self, schema: Mapping[str, Json]) -> None:
        import jsonschema_rs  # noqa: PLC0415  # start-up: only commands that validate pay for it

        self._schema = schema
        self.is_valid = jsonschema_rs.validator_for(dict(schema)).is_valid

    def problems(self, value: Json) -> list[SchemaProblem]:
        """Every violation, in order of place; at most one a rule and place."""
        found: dict[tuple[Any, str], SchemaProblem] = {}
        for error in self._worded.iter_errors(value):
            for problem in _iter_words(error):
                found.setdefault((problem.path, problem.rule), problem)
        return sorted(found.values(), key=lambda problem: [str(step) for step in problem.path])

    @cached_property
    def _worded(self) -> "Draft202012Validator":
        from jsonschema import Draft202012Validator  # noqa: PLC0415  # as above

        return Draft202012Validator(self._schema)


def show(value: Json, *, longest: int = _LONGEST_SHOWN) -> str:
    """A value as it may stand in a message: JSON, shortened."""
    try:
        text = orjson.dumps(value).decode()
    except (TypeError, orjson.JSONEncodeError):
        text = repr(value)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def nearest(word: str, known: Iterator[str] | list[str]) -> str:
    """` (did you mean NAME?)`, or nothing where no known word is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def _iter_words(error: "ValidationError") -> Iterator[SchemaProblem]:
    path = tuple(error.absolute_path)
    rule = str(error.validator)
    if rule == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        for key in error.instance:
            if key not in known:
                message = f"unknown key{nearest(key, known)}; allowed: {', '.join(known)}"
                yield SchemaProblem(
                    path=(*path, key), rule=rule, message=message, of_key=True
                )
        return
    if rule == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        for key in missing:
            what = error.schema.get("properties", {}).get(key, {}).get("description", "")
            message = f"missing; it is required{': ' + what if what else ''}"
            yield SchemaProblem(path=(*path, key), rule=f"required {key}", message=message)
        return
    if rule in ("anyOf", "oneOf") and error.context:
        yield from _closest_branch(error)
        return
    if "propertyNames" in error.absolute_schema_path:
        message = _words(error, rule)
        yield SchemaProblem(path=(*path, error.instance), rule=rule, message=message, of_key=True)
        return
    yield SchemaProblem(path=path, rule=rule, message=_words(error, rule))


def _closest_branch(error: "ValidationError") -> Iterator[SchemaProblem]:
    """Word the alternative that the value was probably meant for, else name them all."""
    branches: dict[int, list[ValidationError]] = {}
    for inner in error.context or ():
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
    titles = [
        str(branch.get("title") or branch.get("type")) for branch in error.validator_value
    ]
    yield SchemaProblem(
        path=tuple(error.absolute_path),
        rule=str(error.validator),
        message=f"found {show(error.instance)}; allowed: {' or '.join(titles)}",
    )


def _words(error: "ValidationError", rule: str) -> str:
    value, limit, schema = error.instance, error.validator_value, error.schema
    own = schema.get("errorMessage", {}).get(rule)
    if own:
        return f"found {show(value)}; allowed: {own}"
    if rule == "type":
        wanted = limit if isinstance(limit, str) else " or ".join(limit)
        return f"found {show(value)} ({json_type(value)}); allowed: {_article(wanted)}"
    if rule == "enum":
        options = ", ".join(_plain(item) for item in limit)
        near = nearest(value, [str(item) for item in limit]) if isinstance(value, str) else ""
        return f"found {show(value)}{near}; allowed: {options}"
    if rule == "const":
        return f"found {show(value)}; allowed: {_plain(limit)}"
    if rule in ("minimum", "maximum"):
        return f"found {show(value)}; allowed: {_range(schema)}"
    if rule == "maxLength":
        return f"found {len(value)} characters; allowed: at most {limit}"
    if rule == "minLength":
        return "found an empty text; allowed: at least one character"
    if rule == "pattern":
        return f"found {show(value)}; allowed: text that matches {limit}"
    if rule in ("minItems", "minProperties"):
        return f"found {show(value)}; allowed: at least {limit}"
    if rule in ("maxItems", "maxProperties"):
        return f"found {len(value)}; allowed: at most {limit}"
    return str(error.message)


def _range(schema: Mapping[str, Json]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"at least {low}" if low is not None else f"at most {high}"


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else show(value)


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "aio" else f"a {name}"


def json_type(value: Json) -> str:
    """The JSON word for a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    kinds = {str: "string", int: "integer", float: "number", dict: "mapping", list: "list"}
    return kinds.get(type(value), type(value).__name__)
