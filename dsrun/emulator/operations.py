"""The operation files: which calls exist, and what their requests must look like."""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import jsonschema_rs
import orjson

from dsrun.emulator.forms import Rules, for_model, has_tables, settle
from dsrun.emulator.pointers import places, read_pointer, schema_default, split_pointer
from dsrun.emulator.wire import Refusal, invalid_parameter

ROOT = "/api/v1"
MEDIA = ("image", "audio", "video", "text", "json", "model", "captions")
LARGEST_SEED = 2**31 - 1
SIZE = ("parameters", "size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One model of an operation file; `rules` is its `x-dsrun` object, `later` what varies."""

    model: str
    schema: Mapping[str, Any]
    rules: Rules
    validator: jsonschema_rs.Validator
    later: Sequence[Mapping[str, Any]] = ()
    has_tables: bool = field(default=False)

    @property
    def is_task(self) -> bool:
        return bool(self.rules["protocol"] == "task")

    @property
    def keeps_list(self) -> bool:
        """Whether what it makes stays in a list of the account, as voices do."""
        return bool(self.rules.get("recovery", {}).get("by") == "made-list")

    def rules_for(self, body: Mapping[str, Any]) -> Rules:
        """The rules without their tables, as they read for a request."""
        if not self.has_tables:
            return self.rules
        asked = {name: rule for name, rule in self.rules.items() if name != "sample"}
        settled: Rules = settle(asked, lambda pointer: read_pointer(body, pointer))
        return {**settled, "sample": self.rules.get("sample", {})}

    def setting(self, body: Mapping[str, Any], pointer: str) -> Any:
        """The value in the request, else the default of the schema, else None."""
        value = read_pointer(body, pointer)
        return schema_default(self.schema, pointer) if value is None else value

    def count(self, kind: Rules, body: Mapping[str, Any]) -> int:
        """How many of a kind the request asks for; where the model decides, always as many."""
        asked = kind.get("asked", 1)
        if isinstance(asked, Mapping):
            most = max(1, int(self.setting(body, asked["at"]) or 1))
            return 1 + int(digest(body)[:8], 16) % most if asked.get("at_most") else most
        return int(self.setting(body, asked) or 1) if isinstance(asked, str) else int(asked)

    def choose_seed(self, body: Mapping[str, Any]) -> int:
        """The seed of the first result: the request's, else a random one."""
        pointer = self.rules["artifacts"][0].get("seed")
        seed = read_pointer(body, pointer) if isinstance(pointer, str) else None
        return random.randint(0, LARGEST_SEED) if seed is None else int(seed)

    @property
    def sizes(self) -> Sequence[str] | None:
        """The sizes that a picture may have; None where a request has no size."""
        size = read_pointer(self.schema, "/properties/parameters/properties/size")
        return size.get("enum", ()) if isinstance(size, Mapping) else None

    def check(self, body: Mapping[str, Any], *, any_size: bool = False) -> None:
        """Refuse a request that breaks the schema; `any_size`: in anything but its size."""
        if "input" in self.schema.get("required", ()) and "input" not in body:
            raise _missing("Input")
        if not self.validator.is_valid(body):
            for error in self.validator.iter_errors(body):
                if not (any_size and tuple(error.instance_path) == SIZE):
                    raise invalid_parameter(_word_error(self.schema, error))
        for rule in self.later:
            limits = settle(rule["limits"], lambda pointer: read_pointer(body, pointer))
            for place in places(body, rule["at"]):
                if not (any_size and split_pointer(place) == SIZE):
                    _check_place(body, place, limits)

    def count_faults(self, body: Mapping[str, Any]) -> int:
        """In how many ways a request breaks the schema, or else whether it does at all."""
        if not self.validator.is_valid(body):
            return sum(1 for _ in self.validator.iter_errors(body))
        try:
            self.check(body)
        except Refusal:
            return 1
        return 0


class Catalog:
    """Operations by root, endpoint path and model, in the order of their files."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._by_route: dict[tuple[str, str], list[Operation]] = {}
        self.paths: set[str] = set()
        for one in operations:
            for path in _paths(one):
                self.paths.add(path)
                self._by_route.setdefault((path, one.model), []).append(one)
        self._models = {one.model for one in operations}

    def find(self, path: str, body: Mapping[str, Any]) -> Operation:
        """The operation of a request: of its model's files the last that allows it best."""
        model = body.get("model")
        rivals = self._by_route.get((path, model)) if isinstance(model, str) else None
        if rivals is not None:
            here = [one for one in reversed(rivals) if path in _path(one, body)]
            return min(here or rivals[-1:], key=lambda one: one.count_faults(body))
        if model is None:
            raise _missing("Model")
        if path not in self.paths or (isinstance(model, str) and model in self._models):
            raise invalid_parameter("url error, please check url!")
        raise invalid_parameter("Model not exist.")

    def has_model(self, model: str) -> bool:
        return model in self._models


def load_operations(extra: Sequence[str] = ()) -> Catalog:
    """The bundled files and more texts; of one model and path the last that allows a request."""
    return Catalog([*_bundled(), *(one for text in extra for one in parse_operations(text))])


@cache
def _bundled() -> Sequence[Operation]:
    """Read once: a process may start many emulators, and each takes megabytes of schemas."""
    folder = files("dsrun.schemas").joinpath("operations")
    bundled = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".json")),
        key=lambda entry: entry.name,
    )
    texts = [entry.read_text(encoding="utf-8") for entry in bundled]
    return [one for text in texts for one in parse_operations(text)]


def parse_operations(text: str) -> list[Operation]:
    """The operations of a file: one for each of its models."""
    schema = json.loads(text)
    named = schema["properties"]["model"]
    return [_parse(schema, model) for model in named.get("enum") or [named["const"]]]


def digest(body: Mapping[str, Any]) -> str:
    """What tells one request from another."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


class _SizeLimit:
    """`x-size`: bounds of a text such as 1024*768."""

    def __init__(self, parent_schema: Any, value: Mapping[str, Any], schema_path: Any) -> None:
        del parent_schema, schema_path
        self._limits = value

    def validate(self, instance: Any) -> None:
        if instance in self._limits.get("names", ()):
            return
        sides: list[float] = [int(side) for side in str(instance).split("*") if side.isdecimal()]
        if len(sides) != 2 or min(sides) == 0:  # noqa: PLR2004
            raise ValueError("must be width*height")
        measured: dict[str, list[float]] = {
            "sides": sides,
            "pixels": [sides[0] * sides[1]],
            "ratio": [sides[0] / sides[1]],
        }
        for name, numbers in measured.items():
            low, high = self._limits.get(name, (0, float("inf")))
            if not all(low <= number <= high for number in numbers):
                raise ValueError(f"{name} must be from {low} to {high}")


def _parse(schema: Mapping[str, Any], model: str) -> Operation:
    own, later = for_model(schema, model)
    for kind in own["x-dsrun"]["artifacts"]:
        if kind["media"] not in MEDIA:
            known = f"{', '.join(MEDIA[:-1])} and {MEDIA[-1]}"
            raise ValueError(f"the emulator makes {known}, not {kind['media']}")
    rules = own["x-dsrun"]
    return Operation(
        model=model,
        schema=own,
        rules=rules,
        validator=jsonschema_rs.validator_for(own, keywords={"x-size": _SizeLimit}),
        later=later,
        has_tables=has_tables({name: rules[name] for name in rules if name != "sample"}),
    )


def _paths(operation: Operation) -> set[str]:
    """Every path that the endpoint may have, with its root."""
    return set(_leaves(operation.rules["endpoint"]["path"], operation))


def _path(operation: Operation, body: Mapping[str, Any]) -> set[str]:
    return set(_leaves(operation.rules_for(body)["endpoint"]["path"], operation))


def _leaves(path: Any, operation: Operation) -> list[str]:
    if isinstance(path, str):
        return [operation.rules["endpoint"].get("root", ROOT) + path.rstrip("/")]
    rows = (path.get("table", path) if isinstance(path, dict) else {}).values()
    return [leaf for row in rows for leaf in _leaves(row, operation)]


def _check_place(body: Mapping[str, Any], place: str, limits: Any) -> None:
    field_name = ".".join(split_pointer(place))
    if limits is False:
        raise invalid_parameter(f"{field_name}: is not supported with these parameters.")
    if limits is None:
        return
    error = next(_validator(json.dumps(limits)).iter_errors(read_pointer(body, place)), None)
    if error is not None:
        raise invalid_parameter(_word_error(limits, error, start=field_name))


@lru_cache(maxsize=1024)
def _validator(limits: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(json.loads(limits), keywords={"x-size": _SizeLimit})


def _missing(name: str) -> Refusal:
    message = f'Required parameter "{name.lower()}" missing from request.'
    return Refusal(400, f"BadRequest.Empty{name}", message)


def _word_error(
    schema: Mapping[str, Any], error: jsonschema_rs.ValidationError, *, start: str = ""
) -> str:
    """Field and limit in one sentence, without the value, which may be long."""
    way = [start] if start else []
    place = ".".join([*way, *(str(part) for part in error.instance_path)]) or "the request body"
    keyword = str(error.schema_path[-1])
    pointer = "".join(f"/{part}" for part in error.schema_path)
    limit = read_pointer(schema, pointer)
    if keyword == "enum":
        limit = ", ".join(str(value) for value in limit)
    wording = _WORDING.get(keyword, "violates {keyword}")
    return f"{place}: {wording.format(limit=limit, keyword=keyword, message=error.message)}."


_WORDING = {
    "required": "{message}",
    "additionalProperties": "{message}",
    "maxLength": "length must be at most {limit} characters",
    "minLength": "length must be at least {limit}",
    "maximum": "must be at most {limit}",
    "minimum": "must be at least {limit}",
    "enum": "must be one of {limit}",
    "const": "must be {limit}",
    "type": "must be of type {limit}",
    "pattern": "does not match the allowed pattern",
}
