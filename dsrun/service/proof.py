"""Whether an operation file proves itself: its sample against all that it says. Pure.

The documented request must be valid, and each limit must hold at its edge; the documented answer
must give the results, the outputs and the bill that the file says it has.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from dsrun.common.json_schema import SchemaValidator
from dsrun.common.messages import show
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, resolve, resolve_each
from dsrun.service.edges import Edge, Limit, edges
from dsrun.service.operation import Operation
from dsrun.service.operation_file import constants
from dsrun.service.replies import Done, HttpReply, Missing, read_created, read_task
from dsrun.service.request import fill_request, laid_over
from dsrun.service.self_contained import Fault, linear

_SAMPLE: KeyPath = ("x-dsrun", "sample")
_OK = 200


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
    sample = about["sample"]
    path = (*_SAMPLE, "answer")
    reply = HttpReply(status=_OK, headers={}, body=orjson.dumps(sample["answer"]))
    is_task = operation.protocol == "task"
    done = read_task(operation, reply) if is_task else read_created(operation, reply)
    if not isinstance(done, Done):
        yield Fault(path, f"is no answer with a result; it is read as {_told(done)}")
        return
    yield from _result_faults(done, path)
    yield from _pointer_faults(about)


def _told(read: Any) -> str:
    """A reply in a word and its reason, if it has any."""
    words = getattr(read, "words", "") or getattr(getattr(read, "verdict", None), "words", "")
    error = getattr(read, "error", None)
    reason = words or (f"{error.code}: {error.message}" if error else "")
    name = type(read).__name__.lower()
    return f"{name} ({reason})" if reason else name


def _result_faults(done: Done, path: KeyPath) -> Iterator[Fault]:
    if not done.results:
        yield Fault(path, "holds none of the artifacts that the file says it has")
    for result in done.results:
        if isinstance(result, Missing):
            yield Fault(path, f"an artifact is missing: {result.code}: {result.message}")


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
        yield ("x-dsrun", "outputs", name), at
    billed = resolve(about, "/price/billed")
    if billed is not None:
        yield ("x-dsrun", "price", "billed"), billed
    for asked, at in about.get("recovery", {}).get("confirm", {}).items():
        yield ("x-dsrun", "recovery", "confirm", asked), at


def _artifact_places(artifacts: Json, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    each = f"{artifacts['list']}/*" if "list" in artifacts else ""
    if "url" in artifacts:
        yield (*path, "url"), each + artifacts["url"]
    for name in ("base64", "format", "sample_rate"):
        if name in artifacts:
            yield (*path, name), artifacts[name]
