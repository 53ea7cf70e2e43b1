"""A small request of an operation, as a step of a manifest would give it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dsrun.common.json_schema import SchemaValidator
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath
from dsrun.service.operation import Operation
from dsrun.service.operation_file import constants, schema_at
from dsrun.service.request import fill_request, laid_over
from dsrun.service.short_form import Part, write_out

_TEXT = "A paper lantern over a quiet river"
_LANGUAGE = "en"
_ADDRESS = "https://example.com/picture.png"
_ADDRESSES = {"audio": "https://example.com/recording.wav", "video": "https://example.com/film.mp4"}
_NAME = "narrator"


def example_request(operation: Operation) -> dict[str, Json]:
    """`input`, and `parameters` where some are required, in the short form where there is one.

    Where the schema alone gives nothing valid it is the file's own `sample`.
    """
    made = [*_from_schema(operation), *_from_sample(operation)]
    return next((one for one in made if _is_valid(one, operation)), made[0])


def _from_schema(operation: Operation) -> Iterator[dict[str, Json]]:
    properties = operation.schema["properties"]
    own = {
        name: value
        for name in ("input", "parameters")
        if name in properties and (value := _object(operation, properties[name], (name,)))
    }
    if operation.short is None:
        yield own
        return
    parts = short_parts(operation)
    yield own | {"input": _short(part for part in parts if part.becomes == "text")}
    yield own | {"input": _short(parts)}


def _from_sample(operation: Operation) -> Iterator[dict[str, Json]]:
    request = operation.schema["x-dsrun"].get("sample", {}).get("request")
    if isinstance(request, Mapping):
        yield {key: value for key, value in request.items() if key in ("input", "parameters")}


def short_parts(operation: Operation) -> list[Part]:
    """The keys of the short form that the operation's messages have a place for."""
    form = operation.short
    if form is None:
        return []
    content = schema_at(operation.schema, form.content)
    known = content.get("items", {}).get("properties", {})
    return [part for part in form.parts if part.becomes in known or not known]


def _short(parts: Iterable[Part]) -> dict[str, Json]:
    values: dict[str, Json] = {}
    for part in parts:
        value = _TEXT if part.becomes == "text" else _ADDRESS
        values[part.key] = [value] if part.is_many else value
    return values


def _is_valid(request: dict[str, Any], operation: Operation) -> bool:
    whole = laid_over(constants(operation.schema), write_out(request, operation.short).body)
    fill_request(whole, operation=operation, replica=0)
    return SchemaValidator(operation.schema).is_valid(whole)


def _object(operation: Operation, schema: Mapping[str, Json], at: KeyPath) -> dict[str, Json]:
    """What is required, but for what dsrun gives itself, and the language of the texts."""
    filled = [fill.at for fill in operation.fills]
    properties = schema.get("properties", {})
    made = {
        key: _value(operation, properties.get(key, {}), (*at, key))
        for key in schema.get("required", ())
        if "const" not in properties.get(key, {}) and (*at, key) not in filled
    }
    named = (rule.named_by for rule in operation.languages if rule.default != _LANGUAGE)
    return made | {each[-1]: _LANGUAGE for each in named if each and each[:-1] == at}


def _value(operation: Operation, schema: Mapping[str, Json], at: KeyPath) -> Json:
    for word in ("enum", "examples"):
        if schema.get(word):
            return schema[word][0]
    if "default" in schema:
        return schema["default"]
    kind = schema.get("type")
    if kind == "object":
        return _object(operation, schema, at)
    if kind == "array":
        return [_value(operation, schema.get("items", {}), (*at, "0"))]
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    return kind == "boolean" or _text(schema, _address(operation, at))


def _address(operation: Operation, at: KeyPath) -> str:
    """Of a file of the kind that stands there."""
    fields = operation.uploads.fields if operation.uploads else ()
    kinds = (field.media for field in fields if field.at == at)
    return _ADDRESSES.get(next(kinds, "image"), _ADDRESS)


def _text(schema: Mapping[str, Json], address: str) -> str:
    fitting = (text for text in (_TEXT, address, _NAME) if _fits(text, schema))
    return next(fitting, _TEXT)


def _fits(text: str, schema: Mapping[str, Json]) -> bool:
    return SchemaValidator(schema).is_valid(text)
