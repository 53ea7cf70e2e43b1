"""What the API's answers say, read once into our own words. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from dsrun.common.models import JobError, Json
from dsrun.common.pointer import resolve
from dsrun.service.classify import Decision, Verdict, clean, error_of, judge_code
from dsrun.service.operation import MadeList, Operation

_NO_LIMIT = 2**62  # bytes
_MOST_MB = 2**40
_OK = 200  # a task's error comes with this status
_FAR_REACHING = (Decision.STOP, Decision.MODEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A judged answer. `payload` is its JSON, or None; `served_at` the epoch time of its header."""

    verdict: Verdict
    payload: Json
    request_id: str
    served_at: float | None = None


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


class TaskPhase(StrEnum):
    WAITING = "waiting"  # PENDING, RUNNING, and words that nobody has documented
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    GONE = "gone"  # UNKNOWN: expired, never there, or another account's


class Entry(NamedTuple):
    """One artifact of an answer: an address, or why there is none."""

    url: str | None
    code: str
    message: str

    @property
    def is_told(self) -> bool:
        """Whether there is an address, or a reason in the service's own words."""
        return self.url is not None or self.code != _NO_RESULT


_NO_RESULT = "NoResult"
_LONGEST_ID = 256  # characters; those of the service have 36
_PHASES = {
    "SUCCEEDED": TaskPhase.SUCCEEDED,
    "FAILED": TaskPhase.FAILED,
    "CANCELED": TaskPhase.CANCELLED,
    "CANCELLED": TaskPhase.CANCELLED,
    "UNKNOWN": TaskPhase.GONE,
}


def task_id_of(payload: Json) -> str | None:
    name = resolve(payload, "/output/task_id")
    return name if isinstance(name, str) and 0 < len(name) <= _LONGEST_ID else None


def holds_result(operation: Operation, payload: Json) -> bool:
    """Whether an answer has anything of what the operation makes at once."""
    spec = operation.artifacts
    places = [*operation.outputs.values(), *([spec.base64] if spec.base64 else [])]
    return any(resolve(payload, at) not in (None, "") for at in places)


def name_of_made(operation: Operation, payload: Json) -> str | None:
    """The name, such as that of a voice, under which a list shows what was made."""
    if not isinstance(operation.recovery, MadeList) or not operation.outputs:
        return None
    name = resolve(payload, next(iter(operation.outputs.values())))
    return name if isinstance(name, str) and name else None


def task_phase(payload: Json) -> TaskPhase:
    status = resolve(payload, "/output/task_status")
    return _PHASES.get(str(status).upper(), TaskPhase.WAITING)


def names_task_status(payload: Json) -> bool:
    return isinstance(resolve(payload, "/output/task_status"), str)


def task_error(
    payload: Json, *, code: str = "TaskFailed", message: str = "the service names no reason"
) -> JobError:
    """The reason of a failed task: inside `output`, or at the top as one API has it.

    `code` and `message` stand where it names none.
    """
    inner = resolve(payload, "/output")
    named = error_of(inner)
    if not named[0]:
        named = error_of(payload)
    return JobError(code=named[0] or code, message=named[1] or message, kind="job")


def error_decision(error: JobError) -> Decision:
    """What an error inside a task means; only STOP and MODEL reach beyond its job."""
    return judge_code(_OK, error.code, error.message)


def gravest(found: Sequence[Entry]) -> Entry | None:
    """Why artifacts are missing: the reason that reaches farthest, else the first."""
    refused = [entry for entry in found if entry.url is None]
    return min(refused, key=_reach, default=None)


_FORM_FIELDS = {
    "OSSAccessKeyId": "oss_access_key_id",
    "Signature": "signature",
    "policy": "policy",
    "x-oss-object-acl": "x_oss_object_acl",
    "x-oss-forbid-overwrite": "x_oss_forbid_overwrite",
}


def upload_policy(payload: Json) -> UploadPolicy | None:
    """The policy that an answer names, or None."""
    data = resolve(payload, "/data")
    wanted = ("upload_host", "upload_dir", *_FORM_FIELDS.values())
    if not isinstance(data, Mapping) or not all(isinstance(data.get(n), str) for n in wanted):
        return None
    return UploadPolicy(
        host=data["upload_host"],
        folder=data["upload_dir"],
        fields={field: data[name] for field, name in _FORM_FIELDS.items()},
        largest_bytes=_size_of(data.get("max_file_size_mb")),
    )


def _size_of(megabytes: Json) -> int:
    """Bytes; nothing is refused for a number that cannot be meant."""
    is_number = isinstance(megabytes, int | float) and not isinstance(megabytes, bool)
    return int(megabytes * 2**20) if is_number and 0 <= megabytes <= _MOST_MB else _NO_LIMIT


def host_refusal(status: int, body: bytes) -> HostRefusal:
    """What a file host says in its XML."""
    text = clean(body.decode("utf-8", "replace"))
    code, message = (_XML[name].search(text) for name in ("Code", "Message"))
    return HostRefusal(
        code[1] if code else f"HTTP {status}", message[1] if message else "no reason given"
    )


_XML = {name: re.compile(f"<{name}>([^<]{{1,500}})</{name}>") for name in ("Code", "Message")}


def entries(operation: Operation, payload: Json) -> list[Entry]:
    """The artifacts that an answer names, in its order."""
    spec = operation.artifacts
    items = resolve(payload, spec.list)
    found = []
    for item in items if isinstance(items, list) else []:
        url = resolve(item, spec.url)
        code, message = resolve(item, spec.error_code), resolve(item, spec.error_message)
        if isinstance(url, str) and url:
            found.append(Entry(url, "", ""))
        else:
            code, message = (
                clean(str(code or _NO_RESULT)),
                clean(str(message or "no address given")),
            )
            found.append(Entry(None, code, message))
    return found


def outputs(operation: Operation, payload: Json) -> dict[str, Json] | None:
    """What later steps may use."""
    if not operation.outputs:
        return None
    return {name: resolve(payload, at) for name, at in operation.outputs.items()}


def billed_units(operation: Operation, payload: Json, *, made: int, asked: int) -> int:
    """Units that the service says it bills, else what it made; what is beyond reason is not paid.

    Reason ends at what was `asked` for, or `made` unasked.
    """
    claimed = _claimed_units(operation, payload)
    return made if claimed is None else min(claimed, max(made, asked))


def overbilled(operation: Operation, payload: Json, *, made: int, asked: int) -> str:
    """Words for an answer that bills more than that; an empty text for any other."""
    claimed = _claimed_units(operation, payload)
    if claimed is None or claimed <= max(made, asked):
        return ""
    unit = operation.price.unit
    return (
        f"the answer bills {claimed} x {unit}, and {asked} x {unit} was asked for; {asked} counts"
    )


def _claimed_units(operation: Operation, payload: Json) -> int | None:
    found = resolve(payload, operation.price.billed)
    is_count = isinstance(found, int) and not isinstance(found, bool) and found >= 0
    return found if is_count else None


def task_duration_s(payload: Json) -> float | None:
    """Seconds from acceptance to end by the service's own clock."""
    begin, end = (resolve(payload, f"/output/{name}") for name in ("submit_time", "end_time"))
    try:
        return (
            datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(begin))
        ).total_seconds()
    except (ValueError, TypeError):
        return None


def request_id_of(payload: Json, headers: Mapping[str, str]) -> str:
    found = payload.get("request_id") if isinstance(payload, Mapping) else None
    return clean(str(found or headers.get("x-request-id", "")))


def _reach(entry: Entry) -> int:
    decision = judge_code(_OK, entry.code, entry.message)
    return _FAR_REACHING.index(decision) if decision in _FAR_REACHING else len(_FAR_REACHING)
