"""The operation files: which calls exist, and what their requests must look like."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jsonschema_rs

from dsrun.emulator.pointers import read_pointer, schema_default
from dsrun.emulator.wire import Refusal, invalid_parameter

MEDIA = ("image", "audio")
LARGEST_SEED = 2**31 - 1
SIZE = ["parameters", "size"]
VOICE_TEXTS = {"preferred_name", "target_model", "voice_prompt", "preview_text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation file; `rules` is its `x-dsrun` object."""

    model: str
    path: str
    is_task: bool
    schema: Mapping[str, Any]
    rules: Mapping[str, Any]
    validator: jsonschema_rs.Validator

    @property
    def artifacts(self) -> Mapping[str, Any]:
        """The main kind of results."""
        layout: Mapping[str, Any] = self.rules["artifacts"][0]
        return layout

    @property
    def is_base64(self) -> bool:
        return self.artifacts.get("as") == "base64"

    def place_of_error(self, index: int) -> tuple[str, str]:
        """Where the code and the message of a failed result stand."""
        code, message = self.artifacts.get("error", ("/code", "/message"))
        place = self.place_of_part(index)
        return place + code, place + message

    @property
    def keeps_voices(self) -> bool:
        """Whether what it makes is a voice with the texts that the list of voices shows."""
        texts = read_pointer(self.schema, "/properties/input/properties") or {}
        is_listed = self.rules.get("recovery", {}).get("by") == "voice-list"
        return is_listed and texts.keys() >= VOICE_TEXTS

    @property
    def running_tasks(self) -> int | None:
        limit: int | None = self.rules.get("limits", {}).get("running_tasks")
        return limit

    def setting(self, body: Mapping[str, Any], pointer: str) -> Any:
        """The value in the request, else the default of the schema, else None."""
        value = read_pointer(body, pointer)
        return schema_default(self.schema, pointer) if value is None else value

    def count_parts(self, body: Mapping[str, Any]) -> int:
        """How many results the request asks for; the service's default where it does not say."""
        asked = self.artifacts.get("asked", 1)
        if isinstance(asked, Mapping):
            asked = asked["at"]
        return int(self.setting(body, asked) or 1) if isinstance(asked, str) else int(asked)

    def place_of_part(self, index: int) -> str:
        """Where a result stands: an item of the list, or of the list of its own choice."""
        places = str(self.artifacts.get("each", ""))
        return places.replace("*", str(index), 1).replace("*", "0")

    def choose_seed(self, body: Mapping[str, Any]) -> int:
        """The seed of the first result: the request's, else a random one."""
        pointer = self.artifacts.get("seed")
        seed = read_pointer(body, pointer) if pointer else None
        return random.randint(0, LARGEST_SEED) if seed is None else int(seed)

    @property
    def sizes(self) -> Sequence[str] | None:
        """The sizes that a picture may have; None where a request has no size."""
        size = read_pointer(self.schema, "/properties/parameters/properties/size")
        return size.get("enum", ()) if isinstance(size, Mapping) else None

    def check(self, body: Mapping[str, Any], *, any_size: bool = False) -> None:
        """Refuse a request that breaks the schema; `any_size`: in anything but its size."""
        if "input" not in body:
            raise _missing("Input")
        if self.validator.is_valid(body):
            return
        for error in self.validator.iter_errors(body):
            if not (any_size and list(error.instance_path) == SIZE):
                raise invalid_parameter(_word_error(self.schema, error))


class Catalog:
    """Operations by endpoint path and model, in the order of their files."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._by_route: dict[tuple[str, str], list[Operation]] = {}
        for one in operations:
            self._by_route.setdefault((one.path, one.model), []).append(one)
        self.paths = {one.path for one in operations}
        self._models = {one.model for one in operations}

    def find(self, path: str, body: Mapping[str, Any]) -> Operation:
        """The operation of a request: the last of its model's files that allows it."""
        model = body.get("model")
        rivals = self._by_route.get((path, model)) if isinstance(model, str) else None
        if rivals is not None:
            allowing = (one for one in reversed(rivals) if one.validator.is_valid(body))
            return next(allowing, rivals[-1])
        if model is None:
            raise _missing("Model")
        if path not in self.paths or model in self._models:
            raise invalid_parameter("url error, please check url!")
        raise invalid_parameter("Model not exist.")

    def has_model(self, model: str) -> bool:
        return model in self._models


def load_operations(extra: Sequence[str] = ()) -> Catalog:
    """The bundled files and more texts; of one model and path the last that allows a request."""
    folder = files("dsrun.schemas").joinpath("operations")
    bundled = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".json")),
        key=lambda entry: entry.name,
    )
    texts = [entry.read_text(encoding="utf-8") for entry in bundled]
    return Catalog([one for text in [*texts, *extra] for one in parse_operations(text)])


def parse_operations(text: str) -> list[Operation]:
    """The operations of a file: one for each of its models."""
    schema = json.loads(text)
    models = schema["properties"]["model"].get("enum")
    if models is None:
        return [_parse(schema)]
    return [_parse(_of_model(schema, model)) for model in models]


def _of_model(schema: Mapping[str, Any], model: str) -> dict[str, Any]:
    """A family's file as it reads for one of its models."""
    own: dict[str, Any] = json.loads(json.dumps(schema))
    own["properties"]["model"] = {"type": "string", "const": model}
    own["x-dsrun"] = rules = _of_tables(own["x-dsrun"], model)
    for place, limits in rules.pop("vary", {}).items():
        *folders, name = place.removeprefix("/").split("/")
        inner = own
        for folder in folders:
            inner = inner["items"] if folder == "*" else inner["properties"][folder]
        if limits is False:
            del inner["properties"][name]
        else:
            inner["properties"][name] |= limits
    return own


def _of_tables(value: Any, model: str) -> Any:
    """A value with the row of this model in place of each table."""
    if isinstance(value, list):
        if value and all(isinstance(item, dict) and "table" in item for item in value):
            return {item["at"]: _of_tables(_without_place(item), model) for item in value}
        return [_of_tables(item, model) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("by") == ["/model"] and "table" in value:
        rows = {name: row for key, row in value["table"].items() for name in key.split(" | ")}
        return rows[model] if model in rows else rows["*"]
    return {key: _of_tables(item, model) for key, item in value.items()}


def _without_place(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"by": item["by"], "table": item["table"]}


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


def _parse(schema: Mapping[str, Any]) -> Operation:
    rules = schema["x-dsrun"]
    media = rules["artifacts"][0]["media"]
    if media not in MEDIA:
        raise ValueError(f"the emulator makes {' and '.join(MEDIA)}, not {media}")
    return Operation(
        model=schema["properties"]["model"]["const"],
        path=rules["endpoint"]["path"],
        is_task=rules["protocol"] == "task",
        schema=schema,
        rules=rules,
        validator=jsonschema_rs.validator_for(dict(schema), keywords={"x-size": _SizeLimit}),
    )


def _missing(name: str) -> Refusal:
    message = f'Required parameter "{name.lower()}" missing from request.'
    return Refusal(400, f"BadRequest.Empty{name}", message)


def _word_error(schema: Mapping[str, Any], error: jsonschema_rs.ValidationError) -> str:
    """Field and limit in one sentence, without the value, which may be long."""
    field = ".".join(str(part) for part in error.instance_path) or "the request body"
    keyword = str(error.schema_path[-1])
    pointer = "".join(f"/{part}" for part in error.schema_path)
    limit = read_pointer(schema, pointer)
    if keyword == "enum":
        limit = ", ".join(str(value) for value in limit)
    wording = _WORDING.get(keyword, "violates {keyword}")
    return f"{field}: {wording.format(limit=limit, keyword=keyword, message=error.message)}."


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
