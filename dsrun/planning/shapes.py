"""What templates can read of an axis that runs through a step."""

from collections.abc import Mapping, Sequence
from typing import Any

from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, value_at
from dsrun.manifest.late_values import StepAxis
from dsrun.manifest.matrix import StepSource
from dsrun.manifest.model import Step
from dsrun.service.operation import Operation


def shape_of(
    step: Step, source: StepSource, *, axes: Mapping[str, StepAxis], operations: Sequence[Operation]
) -> StepAxis:
    """The shape of an axis that runs through `step`; `axes` are that step's own step axes."""
    kind = "file" if source.each else "group" if source.group_by else "row"
    named = [one.output_rules.keys() for one in operations]
    common = [name for name in named[0] if all(name in other for other in named)]
    counts = {constant_count(step.body, one) for one in operations}
    return StepAxis(
        step=step.name,
        kind=kind,
        axes={name: axes.get(name) for name in step.matrix.names},
        outputs={name: _schema_of(name, operations) for name in common},
        files=counts.pop() if len(counts) == 1 else None,
    )


def _schema_of(output: str, operations: Sequence[Operation]) -> dict[str, Json]:
    """What an output may be, by all operations; empty where one of them does not say."""
    each = [one.output_rules[output].types for one in operations]
    return {"type": list(dict.fromkeys(sum(each, ())))} if all(each) else {}


def constant_count(body: Mapping[str, Any], operation: Operation) -> int | None:
    """How many files every request asks for; None where that differs by row."""
    at = operation.main.count
    if at is None:
        return 1
    filled = {fill.at: fill.value for fill in operation.fills}
    count = value_at(body, at)
    count = filled.get(at) if count is None else count
    return count if isinstance(count, int) else None


def is_given(body: Any, at: KeyPath | None) -> bool:
    """Whether the manifest says something at a place of the body, or a template above it may."""
    for step in at or ():
        if not isinstance(body, Mapping):
            break
        body = body.get(step)
    return at is not None and body is not None
