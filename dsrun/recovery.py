"""Whose is it? Judges what the service lists against a create whose answer was lost. Pure.

Times are seconds since the epoch. A task list has no prompts, so a task is told by the create's
request id, or by elimination: made while the create was under way, and nobody else's.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import NamedTuple

from dsrun.catalog import asked_value, resolve
from dsrun.records import Json, MadeList, Operation

_SERVICE_ZONE = timezone(timedelta(hours=8))  # of the service's times that name no zone
_SURE_S = 2.0  # doubt of times where our own tasks, or a date, show how far clocks are apart
_LOOSE_S = 30.0  # beyond which they show that it cannot be
_WIDE_S = 600.0  # where nothing does; an HTTP date is a gateway's, and proves no absence
_DAY_S = 86400.0
_DEFAULT_LIFE_S = 300.0  # of a create whose end nobody saw
_LATE_S = 30.0  # a service may accept what its client has given up


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A create that left at `since` by our clock, whose answer was given up at `lost_at`.

    The service may have accepted it `until` then.
    """

    job_id: str
    since: float
    lost_at: float
    until: float
    request_id: str | None = None
    is_seen: bool = True  # the loss; else the run was killed, and lost_at is `since`


class Trace(NamedTuple):
    """One thing that the service lists. `made_at` has every time that its text may mean."""

    name: str  # task id, or the name of what was made
    request_id: str | None
    made_at: tuple[float, ...]
    item: Mapping[str, Json]


class Caller(NamedTuple):
    """Who made a task, as far as the list tells."""

    api_key_id: str
    unique_key: str  # group, task, function and model of the call


class Page(NamedTuple):
    traces: Sequence[Trace]  # those that may concern us
    names: Sequence[str]  # of all items
    total: int | None  # items of all pages


class Skew(NamedTuple):
    """How far the service's clock is ahead of ours: tightly, and beyond any doubt."""

    ahead_s: float
    doubt_s: float
    wide_s: float


class Span(NamedTuple):
    """When a create was sent and answered, by our clock."""

    sent: float
    answered: float


class NotFound(Enum):
    ABSENT = "absent"  # the create was not accepted
    UNDECIDED = "undecided"  # it cannot be told


def doubt_of(job_id: str, submitted_at: str, lost_at: str | None, request_id: str | None) -> Doubt:
    """The doubt of a ledger row: from the intent until it can no longer arrive."""
    since = epoch(submitted_at)
    until = epoch(lost_at) if lost_at else since + _DEFAULT_LIFE_S
    return Doubt(
        job_id=job_id,
        since=since,
        lost_at=epoch(lost_at) if lost_at else since,
        until=until + _LATE_S,
        request_id=request_id,
        is_seen=lost_at is not None,
    )


def epoch(stamp: str) -> float:
    """Seconds since the epoch of a time of the ledger."""
    return datetime.fromisoformat(stamp).timestamp()


def read_tasks(payload: Json) -> Page | None:
    """A page of the task list; None where the answer is not one."""
    items = resolve(payload, "/data")
    if not isinstance(items, list):
        return None
    traces = [
        Trace(
            name=str(item["task_id"]),
            request_id=str(item["request_id"]) if item.get("request_id") else None,
            made_at=_epoch_ms(item.get("gmt_create")),
            item=item,
        )
        for item in items
        if isinstance(item, dict) and item.get("task_id")
    ]
    return Page(traces, [trace.name for trace in traces], _count(resolve(payload, "/total")))


def read_made(payload: Json, *, operation: Operation, recovery: MadeList, request: Json) -> Page:
    """A page of what was made; its traces are the items that this request made word by word."""
    items = resolve(payload, recovery.items)
    names, traces = [], []
    for number, item in enumerate(items if isinstance(items, list) else []):
        named = {name: resolve(item, at) for name, at in recovery.outputs.items()}
        name = str(next(iter(named.values()), number))
        names.append(name)
        if _is_of_request(item, operation=operation, recovery=recovery, request=request):
            made_at = _zoneless(resolve(item, recovery.made_at))
            traces.append(Trace(name=name, request_id=None, made_at=made_at, item=item))
    return Page(traces, names, _count(resolve(payload, recovery.total)))


def measure_skew(
    traces: Iterable[Trace], *, known: Mapping[str, Span], served_ahead_s: float | None
) -> Skew:
    """How far the clocks are apart: from tasks of our own, else from the HTTP date, else unknown.

    `known` has when the creates of our own tasks were sent and answered: they were accepted in
    between. What would prove absence gets the doubt of a bad clock in every case.
    """
    spans = [
        (trace.made_at[0] - known[trace.name].answered, trace.made_at[0] - known[trace.name].sent)
        for trace in traces
        if trace.made_at and trace.name in known
    ]
    if spans:
        least, most = max(low for low, _ in spans), min(high for _, high in spans)
        doubt_s = _SURE_S + abs(most - least) / 2  # where they contradict, a clock has moved
        return Skew((least + most) / 2, doubt_s, max(doubt_s, _LOOSE_S))
    if served_ahead_s is not None:
        return Skew(served_ahead_s, _SURE_S, _WIDE_S)
    return Skew(0.0, _WIDE_S, _WIDE_S)


def find_task(
    doubt: Doubt,
    traces: Sequence[Trace],
    *,
    skew: Skew,
    claimed: Iterable[str],
    rivals: Sequence[Doubt],
    callers: Collection[Caller] = (),
) -> Trace | NotFound:
    """The one task that must be the doubt's.

    `claimed` are tasks of other jobs, here or in other run directories; `rivals` other creates
    whose tasks are not known. `callers` are those of our own tasks: another's is not adopted, but
    proves no absence either, since our key may be a new one.
    """
    taken = set(claimed)
    spoken_for = {rival.request_id for rival in rivals if rival.request_id}
    free = [
        trace
        for trace in traces
        if trace.name not in taken and not (trace.request_id and trace.request_id in spoken_for)
    ]
    exact = [trace for trace in free if trace.request_id and trace.request_id == doubt.request_id]
    if exact:
        return exact[0]
    inside = [trace for trace in free if _may_be(doubt, trace, skew.ahead_s, skew.doubt_s)]
    ours = [trace for trace in inside if not callers or caller_of(trace) in callers]
    if len(ours) == 1:
        [trace] = ours
        contradicts = doubt.request_id and trace.request_id  # both are known, and not the same
        if not contradicts and not any(
            _may_be(rival, trace, skew.ahead_s, skew.doubt_s)
            for rival in rivals
            if not (rival.request_id and trace.request_id)
        ):
            return trace
    if any(_may_be(doubt, trace, skew.ahead_s, skew.wide_s) for trace in free):
        return NotFound.UNDECIDED
    return NotFound.ABSENT


def caller_of(trace: Trace) -> Caller:
    return Caller(*(str(trace.item.get(key)) for key in ("api_key_id", "user_api_unique_key")))


def find_made(doubt: Doubt, traces: Sequence[Trace], *, claimed: Iterable[str]) -> Trace | NotFound:
    """The newest thing that this very request made and nobody has.

    Its texts are the request's own, so the time only keeps out what was made days before.
    """
    taken = set(claimed)
    free = [
        trace for trace in traces if trace.name not in taken and _may_be(doubt, trace, 0.0, _DAY_S)
    ]
    return free[0] if free else NotFound.ABSENT


def stamp_window(doubt: Doubt, *, margin_s: float) -> dict[str, str]:
    """The parameters of the task list that narrow it to the doubt, read in the service's zone."""
    return {
        name: datetime.fromtimestamp(moment, _SERVICE_ZONE).strftime("%Y%m%d%H%M%S")
        for name, moment in (
            ("start_time", doubt.since - margin_s),
            ("end_time", doubt.until + margin_s),
        )
    }


def _may_be(doubt: Doubt, trace: Trace, ahead_s: float, doubt_s: float) -> bool:
    """Whether the thing may have been made while the create was under way."""
    return not trace.made_at or any(
        doubt.since - doubt_s <= moment - ahead_s <= doubt.until + doubt_s
        for moment in trace.made_at
    )


def _is_of_request(item: Json, *, operation: Operation, recovery: MadeList, request: Json) -> bool:
    for asked, found in recovery.match.items():
        if resolve(item, found) != asked_value(request, operation, asked):
            return False
    return all(
        str(resolve(request, asked)) in str(resolve(item, found))
        for asked, found in recovery.holds.items()
    )


def _epoch_ms(value: Json) -> tuple[float, ...]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (value / 1000,) if is_number else ()


def _zoneless(text: Json) -> tuple[float, ...]:
    """Both times that a text without a zone may mean."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return ()
    zones = (moment.tzinfo,) if moment.tzinfo else (_SERVICE_ZONE, UTC)
    return tuple(moment.replace(tzinfo=zone).timestamp() for zone in zones)


def _count(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
