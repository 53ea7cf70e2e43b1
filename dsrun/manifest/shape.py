"""The shape of a manifest: what is wrong with it, and what can be read all the same."""

from collections.abc import Iterator

import orjson

from dsrun.common.errors import Problem
from dsrun.common.json_schema import SchemaValidator
from dsrun.common.models import Json
from dsrun.common.resources import read_schema
from dsrun.common.yaml_document import YamlDocument

Path_ = tuple[str | int, ...]


def structure_problems(document: YamlDocument) -> Iterator[tuple[Path_, Problem]]:
    """What breaks the frame of every manifest, each with the path that it is about."""
    validator = SchemaValidator(orjson.loads(read_schema("frame.json")))
    if validator.is_valid(document.value):
        return
    is_nameless = _is_nameless(document.value)
    if is_nameless:
        message = "this stands where a step has its name; put it below one, such as `posters:`"
        yield ("steps",), document.problem(("steps", "operation"), message, of_key=True)
    for found in validator.problems(document.value):
        if is_nameless and found.path[:1] == ("steps",):
            continue
        problem = document.problem(found.path, found.message, of_key=found.of_key)
        yield found.path, problem


def _is_nameless(value: Json) -> bool:
    """Whether `steps` holds the keys of one step, instead of steps by name."""
    steps = value.get("steps") if isinstance(value, dict) else None
    return isinstance(steps, dict) and isinstance(steps.get("operation"), str)


def readable_parts(value: Json, bad: list[Path_]) -> dict[str, Json] | None:
    """The manifest without what its shape makes unreadable; None where too little is left.

    So that a slip in one place does not hide what is wrong in the others.
    """
    places = {path[:1] for path in bad} | {path[:2] for path in bad if path[:1] == ("steps",)}
    if not isinstance(value, dict) or () in bad or ("steps",) in bad or ("params",) in places:
        return None
    steps = value.get("steps")
    if not isinstance(steps, dict):
        return None
    readable = {name: step for name, step in steps.items() if ("steps", name) not in places}
    kept = {key: item for key, item in value.items() if (key,) not in places}
    return {"name": "", **kept, "steps": readable}


def sorted_maps(value: Json) -> Json:
    """Mappings in order of key, so that a template cannot see an order that the digest ignores.

    The order of steps and of the axes of a matrix is kept: it numbers the jobs.
    """
    return {
        **value,
        "params": _sorted(value.get("params") or {}),
        "steps": {
            name: {
                **step,
                "matrix": {key: _sorted(item) for key, item in (step.get("matrix") or {}).items()},
            }
            for name, step in value["steps"].items()
        },
    }


def _sorted(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value
