"""Requests with late values: how they are identified, and how they are checked before a run.

In a planned request a late value stands in its JSON form, which enters the job's id. To hold such a
request to its schema, a stand-in takes the place of each: an address for a file, and for what a job
says the shortest text. What only the value itself can show is checked again before it is sent.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from dsrun.common.json_schema import SchemaProblem, SchemaValidator
from dsrun.common.late import Late, LateText
from dsrun.common.models import Json
from dsrun.common.pointer import EACH, KeyPath, fits, put_at
from dsrun.service.operation_file import schema_at

LateValues = Mapping[KeyPath, Late | LateText]

NO_LATE: LateValues = MappingProxyType({})
_ADDRESS = "https://late.invalid"
_SHORTEST = "x"
_MADE = "found what another step makes"
_MADE_FILE = "found a file that another step makes, and this field takes no file"
_STAND_INS = rf"^(?:{_SHORTEST}|{re.escape(_ADDRESS)}/[0-9]+)$"


def late_values(request: Any) -> dict[KeyPath, Late | LateText]:
    """The late values of a request, by their place."""
    return dict(_iter_late(request, ()))


def put_forms(request: Any, late: LateValues) -> None:
    """Put the JSON form of each late value in its place."""
    for at, value in late.items():
        put_at(request, at, value.as_json())


def put_stand_ins(request: Any, late: LateValues) -> None:
    for number, (at, value) in enumerate(late.items()):
        put_at(request, at, _stand_in(value, number))


class LateRules:
    """Holds requests with late values to the schema of one operation."""

    def __init__(
        self, schema: Mapping[str, Json], *, needed: Collection[KeyPath], files: Collection[KeyPath]
    ) -> None:
        """`needed`: places whose value must be known before the run; `files`: that take a file."""
        self._schema = schema
        self._needed = needed
        self._files = files
        self._validators: dict[frozenset[tuple[KeyPath, bool]], SchemaValidator] = {}

    def is_valid(self, request: Json, late: LateValues) -> bool:
        """Whether a request, with its stand-ins, may fit the schema once the values are there."""
        return self._validator(late).is_valid(request) and not self.misplaced(late)

    def problems(self, request: Json, late: LateValues) -> list[SchemaProblem]:
        """What is wrong with it all the same."""
        return self._validator(late).problems(request)

    def misplaced(self, late: LateValues) -> list[tuple[KeyPath, str]]:
        """Each place that takes no late value of this kind, with what it takes, in words."""
        wrong: list[tuple[KeyPath, str]] = []
        for at, value in late.items():
            if words := self._fault(at, value):
                wrong.append((at, words))
        return wrong

    def _fault(self, at: KeyPath, value: Late | LateText) -> str:
        """Why a place takes no such value; an empty text where it does."""
        schema = schema_at(self._schema, at)
        type_ = schema.get("type")
        is_file = isinstance(value, Late) and value.file is not None
        if _is_among(at, self._needed) or (type_ and not _fits(value, type_)):
            allowed = " or ".join(type_) if isinstance(type_, list) else str(type_ or "a value")
            return f"{_MADE}; allowed: {allowed}, known before the run"
        if is_file and not _is_among(at, self._files) and not _takes_addresses(schema):
            return f"{_MADE_FILE}; allowed: a text, such as an output of that step"
        return ""

    def takes_list_of(self, at: KeyPath, value: Late | LateText) -> bool:
        """Whether a place takes a list of such values, and not one alone."""
        is_list = schema_at(self._schema, at).get("type") == "array"
        return is_list and not _is_among(at, self._needed) and not self._fault((*at, 0), value)

    def _validator(self, late: LateValues) -> SchemaValidator:
        """The schema, in which stand-ins may take the places of late values."""
        places = frozenset(
            (
                tuple(EACH if isinstance(key, int) else key for key in at),
                isinstance(value, LateText),
            )
            for at, value in late.items()
        )
        if places not in self._validators:
            schema = self._schema
            for at, is_text in places:
                schema = _opened(schema, at, is_text=is_text)
            self._validators[places] = SchemaValidator(schema)
        return self._validators[places]


def _is_among(at: KeyPath, places: Collection[KeyPath]) -> bool:
    return any(fits(at, place) for place in places)


def _takes_addresses(schema: Mapping[str, Json]) -> bool:
    """Whether a text is held to be an address: by its pattern, which takes no plain words."""
    holds = SchemaValidator({key: schema[key] for key in ("pattern",) if key in schema})
    return holds.is_valid(f"{_ADDRESS}/0") and not holds.is_valid(_SHORTEST)


def _fits(value: Late | LateText, type_: Json) -> bool:
    if isinstance(value, LateText) or value.file is not None:
        types: tuple[str, ...] = ("string",)
    else:
        types = value.given
    taken = set(type_ if isinstance(type_, list) else [type_])
    if "number" in taken:
        taken.add("integer")
    return not types or not taken.isdisjoint(types)


def _opened(schema: Mapping[str, Json], at: KeyPath, *, is_text: bool) -> Mapping[str, Json]:
    """A schema that takes a stand-in at a place; of a text it says how long it may be."""
    if not at:
        if is_text:
            return {key: schema[key] for key in ("maxLength",) if key in schema}
        return {"anyOf": [schema, {"pattern": _STAND_INS}]}
    head, *rest = at
    if head == EACH:
        items = schema.get("items")
        below = items if isinstance(items, Mapping) else {}
        return {**schema, "items": _opened(below, tuple(rest), is_text=is_text)}
    inner = schema.get("properties", {})
    if head not in inner:
        return schema  # an unknown key, which the schema refuses
    return {
        **schema,
        "properties": {**inner, head: _opened(inner[head], tuple(rest), is_text=is_text)},
    }


def _stand_in(value: Late | LateText, number: int) -> str:
    if isinstance(value, LateText):
        parts = (part if isinstance(part, str) else _SHORTEST for part in value.parts)
        return "".join(parts)
    return f"{_ADDRESS}/{number}" if value.file is not None else _SHORTEST


def _iter_late(value: Any, at: KeyPath) -> Iterator[tuple[KeyPath, Late | LateText]]:
    if isinstance(value, Late | LateText):
        yield at, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _iter_late(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _iter_late(item, (*at, index))
