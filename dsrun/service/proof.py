"""Whether an operation file proves itself: its sample against all that it says. Pure.

The documented request must be valid, and each limit must hold at its edge; the documented answer
must give the results, the outputs and the bill that the file says it has.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import orjson

from dsrun.common.json_schema import SchemaValidator
from dsrun.common.messages import show
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, iter_paths, pointer, put_at, resolve_each
from dsrun.service.edges import Edge, Limit, edges
from dsrun.service.operation import Operation
from dsrun.service.operation_file import constants, output_place
from dsrun.service.price import ABOUT, EXACT
from dsrun.service.replies import (
    Created,
    Done,
    Ended,
    HttpReply,
    Running,
    read_created,
    read_task,
)
from dsrun.service.request import artifact_count, bill_of, fill_request, laid_over, planned_units
from dsrun.service.results import Missing, Result
from dsrun.service.self_contained import Fault, linear

_SAMPLE: KeyPath = ("x-dsrun", "sample")
_OK = 200
_CODE = "InternalError.Timeout"


class Proof(NamedTuple):
    """What the sample of one model shows. `unseen` are limits that no request like it reaches."""

    operation: Operation
    request: Json  # as it would be sent
    faults: tuple[Fault, ...] = ()
    edges: tuple[Edge, ...] = ()
    unseen: tuple[Limit, ...] = ()


def prove(operation: Operation) -> Proof:
    """Hold the operation of one model to the sample of its file."""
    schema = linear(copy.deepcopy(operation.schema))
    sample = schema["x-dsrun"].get("sample")
    if sample is None:
        words = "missing; the documented request and answer prove the file"
        return Proof(operation, None, (Fault(_SAMPLE, words),))
    request = _as_sent(operation, sample["request"])
    wrong = [
        Fault((*_SAMPLE, "request", *problem.path), problem.message)
        for problem in SchemaValidator(schema, is_foreign=True).problems(request)
    ]
    faults = [*wrong, *_answer_faults(operation, schema["x-dsrun"])]
    if not wrong:
        faults += _price_faults(operation, request, sample["answer"])
    shown, unseen = ([], []) if wrong else edges(schema, request)
    told = tuple(Fault(at, _named(operation, words)) for at, words in faults)
    return Proof(operation, request, told, tuple(shown), tuple(unseen))


def _named(operation: Operation, words: str) -> str:
    """The words of a fault, with the model where a file has several."""
    return words if operation.name == operation.family else f"for {operation.name}: {words}"


def _as_sent(operation: Operation, sample: Json) -> dict[str, Any]:
    """The sample's request as dsrun would send it for this model."""
    request = laid_over(sample, constants(operation.schema))
    fill_request(request, operation=operation, replica=0)
    return request


def _answer_faults(operation: Operation, about: Mapping[str, Json]) -> Iterator[Fault]:
    answer = about["sample"]["answer"]
    path = (*_SAMPLE, "answer")
    done = _read(operation, answer)
    if not isinstance(done, Done):
        yield Fault(path, f"is no answer with a result; it is read as {_told(done)}")
        return
    if done.failure is not None:
        yield Fault(path, f"is no success: {done.failure.message}")
        return
    for result in done.results:
        if isinstance(result, Missing):
            yield Fault(path, f"an artifact is missing: {result.code}: {result.message}")
    yield from _kind_faults(operation, about["artifacts"], answer)
    yield from _success_faults(operation, about.get("success"), answer)
    yield from _pointer_faults(about)


def _read(operation: Operation, answer: Json) -> Created | Running | Ended:
    reply = HttpReply(status=_OK, headers={}, body=orjson.dumps(answer))
    return (read_task if operation.protocol == "task" else read_created)(operation, reply)


def _told(read: Any) -> str:
    """A reply in a word and its reason, if it has any."""
    words = getattr(read, "words", "") or getattr(getattr(read, "verdict", None), "words", "")
    error = getattr(read, "error", None)
    reason = words or (f"{error.code}: {error.message}" if error else "")
    name = type(read).__name__.lower()
    return f"{name} ({reason})" if reason else name


def _kind_faults(operation: Operation, kinds: Json, answer: Json) -> Iterator[Fault]:
    """Kinds of artifacts of which the sample has none, or whose failure would not be seen."""
    for number, kind in enumerate(kinds):
        if "of" in kind:
            continue
        path = ("x-dsrun", "artifacts", number)
        if not any(result.kind == number for result in _results(operation, answer)):
            yield Fault(path, f"the sample answer holds no {kind['media']} of this kind")
        elif "error" in kind:
            failed = _results(operation, _without_first(kind, answer))
            seen = [one.code for one in failed if isinstance(one, Missing) and one.kind == number]
            if seen != [_CODE]:
                yield Fault((*path, "error"), "a part that failed would not be seen there")


def _results(operation: Operation, answer: Json) -> Sequence[Result]:
    done = _read(operation, answer)
    return done.results if isinstance(done, Done) else ()


def _without_first(kind: Mapping[str, Json], answer: Json) -> Json:
    """The answer with an error in place of the first artifact of a kind."""
    changed = copy.deepcopy(answer)
    item = next(iter_paths(changed, pointer(kind.get("each")) or ()))
    for at, value in zip((kind["at"], *kind["error"]), (None, _CODE, "late"), strict=True):
        put_at(changed, (*item, *(pointer(at) or ())), value)
    return changed


def _price_faults(operation: Operation, request: Json, answer: Json) -> Iterator[Fault]:
    """A price that says what the sample costs, and bills something else."""
    path = ("x-dsrun", "price", "items")
    planned, done = planned_units(request, operation), _read(operation, answer)
    if planned is None:
        yield Fault(path, "nobody can tell what the sample request costs; bound it by `most`")
        return
    if not isinstance(done, Done):
        return
    claims = zip_longest(operation.price.items, done.billed)
    for number, (item, claimed) in enumerate(claims):
        if item.billed and claimed is None:
            yield Fault((*path, number, "billed"), "the sample answer bills no number there")
    if operation.price.sure == ABOUT:
        return
    made = artifact_count(request, operation)
    billed = bill_of(request, operation, done.billed, made=made, reserved=planned)
    is_right = billed.units == planned or (operation.price.sure != EXACT and billed.units < planned)
    if billed.warning or not is_right:
        words = f"the sample request costs {operation.price.of(planned)} by the plan, and "
        reason = billed.warning or f"its answer bills {operation.price.of(billed.units)}"
        yield Fault(path, words + reason)


def _success_faults(operation: Operation, success: Json, answer: Json) -> Iterator[Fault]:
    """A `success` that any answer would have."""
    if success is None:
        return
    changed = copy.deepcopy(answer)
    put_at(changed, pointer(success["at"]) or (), _CODE)
    done = _read(operation, changed)
    if not isinstance(done, Done) or done.failure is None:
        yield Fault(("x-dsrun", "success", "at"), "an answer that says no would not be seen there")


def _pointer_faults(about: Mapping[str, Json]) -> Iterator[Fault]:
    """Pointers into the answer that lead to nothing in the sample, and are not said to."""
    sample = about["sample"]
    absent = list(sample.get("absent", ()))
    for path, at in _answer_places(about):
        is_there = any(value is not None for value in resolve_each(sample["answer"], at))
        if at in absent:
            absent.remove(at)
            if is_there:
                words = f"found {show(at)}, which the sample answer has; take it out of absent"
                yield Fault((*_SAMPLE, "absent"), words)
        elif not is_there:
            words = f"found {show(at)}, where the sample answer has nothing"
            yield Fault(path, f"{words}; allowed: a place of it, or list it in sample.absent")
    for at in absent:
        yield Fault((*_SAMPLE, "absent"), f"found {show(at)}, which the file does not look at")


def _answer_places(about: Mapping[str, Json]) -> Iterator[tuple[KeyPath, str]]:
    """Every pointer into the answer, with its place in the file."""
    yield from _artifact_places(about["artifacts"], ("x-dsrun", "artifacts"))
    for name, at in about["outputs"].items():
        if place := output_place(at):
            yield ("x-dsrun", "outputs", name), place
    for number, item in enumerate(about["price"]["items"]):
        for index, at in enumerate(item.get("billed", ())):
            yield ("x-dsrun", "price", "items", number, "billed", index), at
    for asked, at in about.get("recovery", {}).get("confirm", {}).items():
        yield ("x-dsrun", "recovery", "confirm", asked), at


def _artifact_places(artifacts: Json, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Those of kinds that stand in the answer; a kind `of` another has its places in that file."""
    for number, kind in enumerate(artifacts):
        if "of" not in kind:
            for key in ("at", "format", "sample_rate"):
                if key in kind:
                    yield (*path, number, key), kind.get("each", "") + kind[key]
