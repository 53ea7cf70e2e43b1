"""What breaks the schema that every manifest shares, with what was probably meant."""

import re
from collections.abc import Iterator, Mapping

from dsrun.common.errors import Problem
from dsrun.common.json_schema import SchemaProblem, shipped_validator
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, value_at
from dsrun.common.yaml_document import YamlDocument
from dsrun.manifest.calls import chosen_operation
from dsrun.service.catalog import Catalog
from dsrun.service.operation import Operation
from dsrun.service.operation_file import schema_at

_MONEY = re.compile(r"[0-9]+(\.[0-9]+)? *[A-Z]{3}")
_BUDGET: KeyPath = ("execution", "budget")
_ANY_MONEY = "such as 40 CNY"  # how the schema's words about an amount end
_OF_STEP = 3  # parts of the path of a key of a step


def frame_problems(document: YamlDocument, catalog: Catalog) -> Iterator[tuple[KeyPath, Problem]]:
    """Each problem with its path."""
    validator = shipped_validator("frame.json")
    if validator.is_valid(document.value):
        return
    is_nameless = _is_nameless(document.value)
    if is_nameless:
        message = "this stands where a step has its name; put it below one, such as `posters:`"
        yield ("steps",), document.problem(("steps", "operation"), message, of_key=True)
    amount = _amount_alone(value_at(document.value, _BUDGET))
    if amount:
        message = f"an amount stands here alone; write {{amount: {amount}, per: month}}"
        yield _BUDGET, document.problem(_BUDGET, message)
    found = validator.problems(document.value)
    homes = {broken.path: _home(broken, document.value, catalog) for broken in found}
    at_home = {(*path[:-1], home) for path, home in homes.items() if home}
    for broken in found:
        is_told = (is_nameless and broken.path[:1] == ("steps",)) or (
            amount and broken.path[:2] == _BUDGET
        )
        is_echo = broken.rule.startswith("required") and broken.path in at_home
        if not is_told and not is_echo:
            words = _words(broken, document.value, homes[broken.path])
            yield broken.path, document.problem(broken.path, words, of_key=broken.of_key)


def _words(broken: SchemaProblem, value: Json, home: str) -> str:
    if home:
        key, allowed = broken.path[-1], broken.message.partition(";")[2]
        return f"unknown key here, it belongs below {home}: `{home}: {{{key}: ...}}`;{allowed}"
    found = value_at(value, broken.path)
    is_amount = isinstance(found, int | float) and not isinstance(found, bool) and found >= 0
    if is_amount and broken.message.endswith(_ANY_MONEY):
        return f"{broken.message}; write {found} CNY"
    return broken.message


def _home(broken: SchemaProblem, value: Json, catalog: Catalog) -> str:
    """The section of the request that has this unknown key of a step; empty where none has it."""
    path = broken.path
    if broken.rule != "additionalProperties" or len(path) != _OF_STEP or path[0] != "steps":
        return ""
    step = value_at(value, path[:2])
    named = step.get("operation") if isinstance(step, Mapping) else None
    if not isinstance(named, str):
        return ""
    models = [chosen_operation(step, catalog), *catalog.families.get(named, ())]
    operations = [catalog[name] for name in models if name in catalog]
    for section in ("input", "parameters"):
        if any(path[2] in _keys(operation, section) for operation in operations):
            return section
    return ""


def _keys(operation: Operation, section: str) -> set[str]:
    """The keys of a section of the request, also those of its short form."""
    short = operation.short.keys if operation.short and section == "input" else ()
    return {*schema_at(operation.schema, (section,)).get("properties", {}), *short}


def _amount_alone(value: Json) -> str:
    """The amount of a budget that is written as `5 CNY` or `{5 CNY}`; else empty."""
    if isinstance(value, dict) and len(value) == 1 and [*value.values()] == [None]:
        value = next(iter(value))
    return value if isinstance(value, str) and _MONEY.fullmatch(value) else ""


def _is_nameless(value: Json) -> bool:
    """Whether `steps` holds the keys of one step, instead of steps by name."""
    steps = value.get("steps") if isinstance(value, dict) else None
    return isinstance(steps, dict) and isinstance(steps.get("operation"), str | list)
