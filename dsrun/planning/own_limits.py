"""What a manifest says of rates and limits, held against what is published."""

from collections.abc import Iterable, Iterator

from dsrun.common.errors import Problem
from dsrun.common.messages import nearest, show
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath
from dsrun.common.units import Rate
from dsrun.manifest.execution import Execution
from dsrun.manifest.model import Manifest
from dsrun.service.agreement import limit_faults
from dsrun.service.catalog import Catalog
from dsrun.service.catalog_words import limit_words
from dsrun.service.operation import Limits, Operation

_PLACE = ("execution", "limits")


def limit_problems(manifest: Manifest, catalog: Catalog) -> Iterator[Problem]:
    """Limits of a model that dsrun does not know, or that contradict each other."""
    for model, own in manifest.execution.limits.items():
        for path, words in _faults(model, own, manifest.execution, catalog):
            yield manifest.document.problem((*_PLACE, model, *path), words)


def _faults(
    model: str, own: Json, execution: Execution, catalog: Catalog
) -> Iterator[tuple[KeyPath, str]]:
    if model not in catalog:
        if model in catalog.families:
            allowed = f"one of its models: {', '.join(catalog.families[model])}"
            yield (), f"found {show(model)}, a file of several models; allowed: {allowed}"
        else:
            near = nearest(model, catalog.names)
            yield (), f"found {show(model)}{near}; allowed: a model that `dsrun operations` lists"
        return
    operation = catalog[model]
    limits = execution.limits_of(operation)
    merged = {key: value for key, value in _known(limits).items() if value is not None} | own
    for fault in limit_faults(merged, operation.protocol):
        at = [key for key in fault.path[-1:] if key in own] or list(own)[:1]
        yield tuple(at), fault.message
    if "group_running" in own and not operation.limits.group:
        yield ("group_running",), f"{model} is in no group; take it out"
    if operation.limits.tokens is None and ("tokens" in own) != ("tokens_s" in own):
        yield (), "has to have both tokens and tokens_s, since none are published for it"


def _known(limits: Limits) -> dict[str, int | None]:
    return {"running_tasks": limits.running_tasks, "queued_tasks": limits.queued_tasks}


def operation_notes(manifest: Manifest, catalog: Catalog) -> list[str]:
    """What a user should know of the operations in use, and which limits are the user's own."""
    notes = []
    for name in sorted({name for step in manifest.steps for name in step.calls.operations}):
        operation = catalog[name]
        if operation.note:
            notes.append(f"{name}: {operation.note}")
        if name in manifest.execution.limits:
            own = manifest.execution.limits_of(operation)
            notes.append(
                f"{name}: limits of your account: {limit_words(own)} "
                f"(published: {limit_words(operation.limits)})"
            )
    return notes


def rate_warnings(manifest: Manifest, used: Iterable[Operation]) -> Iterator[Problem]:
    """Rates above the published ones; right for an account that has more."""
    execution = manifest.execution
    for name, operation in sorted({one.name: one for one in used}.items()):
        published = operation.limits.rate
        own = execution.limits.get(name, {})
        rate = execution.limits_of(operation).rate
        if _per_s(rate) > _per_s(published):
            place: KeyPath = ("execution", "rate")
            if own.keys() & {"requests", "per_s"}:
                place = (*_PLACE, name, "requests" if "requests" in own else "per_s")
            yield manifest.document.problem(
                place,
                f"more than the {published.requests} requests in {published.per_s:g} s that "
                f"are published for {name}; right only if your account has more",
            )


def _per_s(rate: Rate) -> float:
    return rate.requests / rate.per_s
