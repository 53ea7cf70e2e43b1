"""What the API answers, read once into values; no JSON of the wire travels beyond them. Pure.

Each `read_` function takes one HTTP answer. What a later step of a pipeline may use travels as
`output`, and what a task repeats of its own request as `echoes`: the operation file names both.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from dsrun.common.messages import show
from dsrun.common.models import JobError, Json
from dsrun.common.pointer import EACH, pointer, resolve, resolve_each
from dsrun.service.answer_json import parse_answer
from dsrun.service.classify import (
    ACCEPTED,
    Decision,
    Verdict,
    clean,
    error_of,
    is_own_failure,
    judge,
    judge_code,
    words,
)
from dsrun.service.operation import Operation, Success, TaskList
from dsrun.service.price import PriceItem
from dsrun.service.results import Missing, Result, holds_result, read_results

_NO_LIMIT = 2**62  # bytes
_MOST_MB = 2**40
_OK = 200  # a task's error comes with this status
_FAR_REACHING = (Decision.STOP, Decision.MODEL)
_LONGEST_ID = 256  # characters; those of the service have 36


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """An HTTP answer, read to its end. Header names are looked up in any case.

    `through` names a proxy that may have given it in place of the host.
    """

    status: int
    headers: Mapping[str, str]
    body: bytearray | bytes
    through: str = ""


class Accepted(NamedTuple):
    """A create that became a task."""

    task_id: str
    request_id: str  # empty where the answer names none, as everywhere below


class Running(NamedTuple):
    """The task has not ended: PENDING, RUNNING, and words that nobody has documented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A task that has succeeded, or a create that was answered with its result.

    `failure`: the answer itself says that it is none, and `billed` is what it costs all the same.
    """

    results: tuple[Result, ...]
    output: Mapping[str, Json] | None = None  # what later steps may use
    billed: Sequence[Decimal | None] = ()  # units that the service says it bills, by price item
    echoes: Mapping[str, Sequence[Json]]  # by pointer into the request, what the answer repeats
    request_id: str = ""
    took_s: float | None = None  # from acceptance to end by the service's own clock
    failure: JobError | None = None

    @property
    def main(self) -> tuple[Result, ...]:
        """The results of the main kind."""
        return tuple(result for result in self.results if result.kind == 0)


class Failed(NamedTuple):
    """A task that has ended without a result."""

    error: JobError
    is_cancelled: bool = False
    took_s: float | None = None
    billed: Sequence[Decimal | None] = ()  # as in Done


class Gone(NamedTuple):
    """A task that the service does not know: expired, never there, or another account's."""

    took_s: float | None = None


class Refused(NamedTuple):
    """The service, or what stands before it, has not done what was asked."""

    verdict: Verdict


class Lost(NamedTuple):
    """A create that may have been accepted: nobody can tell from its answer."""

    words: str
    request_id: str = ""
    is_foreign: bool = False  # what answered may not be the API
    is_slow: bool = False  # nobody waited for it to the end
    verdict: Verdict | None = None  # None where nothing answered, or where it was a yes


class Unreadable(NamedTuple):
    """An answer that is a yes, but lacks what the API puts into one."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPolicy:
    """A right to upload one file, signed by the service. `fields` go into the form as they are."""

    host: str  # address that the form is posted to
    folder: str
    fields: Mapping[str, str]
    largest_bytes: int


class HostRefusal(NamedTuple):
    """Why the file host did not take a file."""

    code: str
    message: str


Created = Accepted | Done | Refused | Lost
Ended = Done | Failed | Gone


def read_created(operation: Operation, reply: HttpReply) -> Created:
    """What became of a create. Only a clear yes is Accepted or Done, and a clear no Refused."""
    payload, verdict = judged(reply)
    request_id = request_id_of(payload, reply.headers)
    if verdict.decision is Decision.AMBIGUOUS:
        if verdict.is_foreign:  # its request id, too, may be that of a gateway
            return Lost(verdict.words, is_foreign=True, verdict=verdict)
        return Lost(verdict.words, request_id, is_slow=True, verdict=verdict)
    if verdict.decision is not Decision.ACCEPTED:
        return Refused(verdict)
    if operation.protocol == "task":
        task_id = _task_id(payload)
        if task_id is None:
            return Lost("the answer names no task", is_foreign=True)
        return Accepted(task_id, request_id)
    done = replace(_done(operation, payload), request_id=request_id)
    if done.failure is None and not holds_result(operation, payload):
        return Lost("the answer holds nothing that was made", is_foreign=True)
    return done


def verdict_of(created: Created) -> Verdict:
    """How the answer to a create was judged; a yes that names nothing is still a yes."""
    verdict = created.verdict if isinstance(created, Refused | Lost) else None
    return verdict or ACCEPTED


def read_task(operation: Operation, reply: HttpReply) -> Running | Ended | Refused:
    """Where a task stands.

    One that has ended may carry its error at the top, where a refused query has its own.
    """
    payload, verdict = judged(reply)
    status = resolve(payload, "/output/task_status")
    if verdict.decision is not Decision.ACCEPTED and not isinstance(status, str):
        return Refused(verdict)
    match str(status).upper():
        case "SUCCEEDED":
            return _done(operation, payload)
        case "FAILED":
            billed = _billed(operation, payload)
            return Failed(_task_error(payload), took_s=_task_duration_s(payload), billed=billed)
        case "CANCELED" | "CANCELLED":
            error = _task_error(payload, code="Cancelled", message="its task was cancelled")
            return Failed(error, is_cancelled=True, took_s=_task_duration_s(payload))
        case "UNKNOWN":
            return Gone(_task_duration_s(payload))
    return Running()


def read_policy(reply: HttpReply) -> UploadPolicy | Refused | Unreadable:
    """The right to upload a file."""
    payload, verdict = judged(reply)
    if verdict.decision is not Decision.ACCEPTED:
        return Refused(verdict)
    data = resolve(payload, "/data")
    wanted = ("upload_host", "upload_dir", *_FORM_FIELDS.values())
    if not isinstance(data, Mapping) or not all(isinstance(data.get(n), str) for n in wanted):
        return Unreadable("the service's answer holds no upload policy")
    return UploadPolicy(
        host=data["upload_host"],
        folder=data["upload_dir"],
        fields={field: data[name] for field, name in _FORM_FIELDS.items()},
        largest_bytes=_size_of(data.get("max_file_size_mb")),
    )


_FORM_FIELDS = {
    "OSSAccessKeyId": "oss_access_key_id",
    "Signature": "signature",
    "policy": "policy",
    "x-oss-object-acl": "x_oss_object_acl",
    "x-oss-forbid-overwrite": "x_oss_forbid_overwrite",
}


def read_host_refusal(reply: HttpReply) -> HostRefusal:
    """What a file host says in its XML."""
    text = clean(reply.body.decode("utf-8", "replace"))
    code, message = (_XML[name].search(text) for name in ("Code", "Message"))
    return HostRefusal(
        code[1] if code else f"HTTP {reply.status}", message[1] if message else "no reason given"
    )


_XML = {name: re.compile(f"<{name}>([^<]{{1,500}})</{name}>") for name in ("Code", "Message")}


def error_decision(error: JobError) -> Decision:
    """What an error inside a task means; only STOP and MODEL reach beyond its job."""
    return judge_code(_OK, error.code, error.message)


def is_services_own(error: JobError) -> bool:
    """Whether a task failed by no fault of its request."""
    return is_own_failure(_OK, error.code, error.message)


def gravest(results: Sequence[Result]) -> Missing | None:
    """Why results of the main kind are missing: what reaches farthest, else the first reason."""
    missing = [each for each in results if isinstance(each, Missing) and each.kind == 0]
    return min(missing, key=_reach, default=None)


def request_id_of(payload: Json, headers: Mapping[str, str]) -> str:
    """The id of the body, else of the header; empty where there is none."""
    named = payload.get("request_id") if isinstance(payload, dict) else None
    return words(named or headers.get("x-request-id", ""))


def judged(reply: HttpReply) -> tuple[Json, Verdict]:
    """The JSON of an answer and its verdict, for the readers here and in `lists` alone."""
    payload = parse_answer(reply.body)
    return payload, judge(reply.status, payload, headers=reply.headers, through=reply.through)


def _task_id(payload: Json) -> str | None:
    name = resolve(payload, "/output/task_id")
    return name if isinstance(name, str) and 0 < len(name) <= _LONGEST_ID else None


def _done(operation: Operation, payload: Json) -> Done:
    recovery = operation.recovery
    failure = _failure(operation.success, payload)
    return Done(
        results=read_results(operation, payload) if failure is None else (),
        output=_output(operation, payload),
        billed=_billed(operation, payload),
        echoes=_echoes(recovery, payload) if isinstance(recovery, TaskList) else {},
        took_s=_task_duration_s(payload),
        failure=failure,
    )


def _failure(success: Success | None, payload: Json) -> JobError | None:
    """Why an answer is none, where its operation has a word for that."""
    if success is None:
        return None
    found = resolve(payload, success.at)
    if found == success.value and isinstance(found, bool) is isinstance(success.value, bool):
        return None
    code, message = resolve(payload, success.code), resolve(payload, success.message)
    why = f"the answer has {show(found)} at {success.at}, where success is {show(success.value)}"
    return JobError(code=words(code or "NotSuccessful"), message=words(message or why), kind="job")


def _output(operation: Operation, payload: Json) -> dict[str, Json] | None:
    if not operation.outputs:
        return None
    return {
        name: [each for each in resolve_each(payload, at) if each is not None]
        if EACH in (pointer(at) or ())
        else resolve(payload, at)
        for name, at in operation.outputs.items()
    }


def _billed(operation: Operation, payload: Json) -> tuple[Decimal | None, ...]:
    """Of each item of the price, the first positive number among its places; else a zero there.

    Empty where the answer claims nothing.
    """
    claimed = [_claim(item, payload) for item in operation.price.items]
    return () if all(claim is None for claim in claimed) else tuple(claimed)


def _claim(item: PriceItem, payload: Json) -> Decimal | None:
    zero = None
    for at in item.billed:
        claim = item.claim(resolve(payload, at))
        if claim:
            return claim
        zero = zero if claim is None else claim
    return zero


def _echoes(recovery: TaskList, payload: Json) -> dict[str, Sequence[Json]]:
    """What a task repeats of its request, where it repeats anything."""
    return {
        asked: values
        for asked, told in recovery.confirm.items()
        if (values := [value for value in resolve_each(payload, told) if value not in (None, "")])
    }


def _task_error(
    payload: Json, *, code: str = "TaskFailed", message: str = "the service names no reason"
) -> JobError:
    """The reason of a failed task: inside `output`, or at the top as one API has it.

    `code` and `message` stand where it names none.
    """
    named = error_of(resolve(payload, "/output"))
    if not named[0]:
        named = error_of(payload)
    return JobError(code=named[0] or code, message=named[1] or message, kind="job")


def _task_duration_s(payload: Json) -> float | None:
    """Seconds from acceptance to end."""
    begin, end = resolve(payload, "/output/submit_time"), resolve(payload, "/output/end_time")
    try:
        return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()
    except (ValueError, TypeError):
        return None


def _size_of(megabytes: Json) -> int:
    """Bytes; nothing is refused for a number that cannot be meant."""
    is_number = isinstance(megabytes, int | float) and not isinstance(megabytes, bool)
    return int(megabytes * 2**20) if is_number and 0 <= megabytes <= _MOST_MB else _NO_LIMIT


def _reach(missing: Missing) -> int:
    decision = judge_code(_OK, missing.code, missing.message)
    return _FAR_REACHING.index(decision) if decision in _FAR_REACHING else len(_FAR_REACHING)
