"""What the API's answers say, read once into our own words. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from dsrun.catalog import resolve
from dsrun.records import JobError, Json, Operation
from dsrun.verdict import Verdict, clean, error_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A judged answer. `payload` is its JSON, or None; `served_at` the epoch time of its header."""

    verdict: Verdict
    payload: Json
    request_id: str
    served_at: float | None = None


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


_PHASES = {
    "SUCCEEDED": TaskPhase.SUCCEEDED,
    "FAILED": TaskPhase.FAILED,
    "CANCELED": TaskPhase.CANCELLED,
    "CANCELLED": TaskPhase.CANCELLED,
    "UNKNOWN": TaskPhase.GONE,
}


def task_id_of(payload: Json) -> str | None:
    found = resolve(payload, "/output/task_id")
    return found if isinstance(found, str) and found else None


def task_phase(payload: Json) -> TaskPhase:
    status = resolve(payload, "/output/task_status")
    return _PHASES.get(str(status).upper(), TaskPhase.WAITING)


def names_task_status(payload: Json) -> bool:
    return isinstance(resolve(payload, "/output/task_status"), str)


def task_error(payload: Json) -> JobError:
    """The reason of a failed task: inside `output`, or at the top as one API has it."""
    inner = resolve(payload, "/output")
    code, message = error_of(inner)
    if not code:
        code, message = error_of(payload)
    return JobError(
        code=code or "TaskFailed", message=message or "the service names no reason", kind="job"
    )


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
            found.append(Entry(None, str(code or "NoResult"), str(message or "no address given")))
    return found


def outputs(operation: Operation, payload: Json) -> dict[str, Json] | None:
    """What later steps may use."""
    if not operation.outputs:
        return None
    return {name: resolve(payload, at) for name, at in operation.outputs.items()}


def billed_units(operation: Operation, payload: Json, *, made: int) -> int:
    """Units that the service says it bills, else what it made."""
    found = resolve(payload, operation.price.billed)
    is_count = isinstance(found, int) and not isinstance(found, bool) and found >= 0
    return found if is_count else made


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
