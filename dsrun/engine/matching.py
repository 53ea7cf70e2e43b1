"""Whose is it? Judges what the service lists against a create whose answer was lost. Pure.

Times are seconds since the epoch. A task list has no prompts, so a task is told by the create's
request id, by what it says of its own request, or by elimination: made while the create was under
way, and nobody else's. Elimination is no proof where the key is shared with others.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import NamedTuple

from dsrun.common.doubt import LATE_S, Doubt, Span
from dsrun.common.models import Json
from dsrun.common.pointer import resolve, resolve_each
from dsrun.service.catalog import asked_value
from dsrun.service.operation import MadeList, Operation, TaskList

_SERVICE_ZONE = timezone(timedelta(hours=8))  # of the service's times that name no zone
_EDGE_S = 0.05  # by which a time of the list may be off where our own tasks date it
_SURE_S = 2.0  # the same where a date, or tasks of another run, show how far clocks are apart
_WIDE_S = 600.0  # where nothing does
_MOVED_S = 2.0  # by which dates contradict each other where a clock was set
_LOOSE_S = 5.0  # beyond its doubt a dated task cannot be another's
_NEARBY_S = 3600.0  # a task of nobody so near to a create shows that others use the key
_DAY_S = 86400.0
_SOON_S = 1.0  # as late a create is accepted whose connection broke, and nobody has waited


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


_CALLER = ("api_key_id", "user_api_unique_key")


class Page(NamedTuple):
    traces: Sequence[Trace]  # those that may concern us
    names: Sequence[str]  # of all items
    total: int | None  # items of all pages


class Skew(NamedTuple):
    """How far the service's clock is ahead of ours, and by how much that may be wrong.

    What is farther off than `wide_s` cannot be; infinite where nothing dates the list for sure.
    """

    ahead_s: float
    doubt_s: float
    wide_s: float


class NotFound(Enum):
    ABSENT = "absent"  # the create was not accepted
    UNDECIDED = "undecided"  # it cannot be told


class Finding(NamedTuple):
    """What a list says of a doubt."""

    verdict: Trace | NotFound
    candidates: Sequence[Trace] = ()  # tasks that may be the doubt's
    is_proven: bool = False  # by the id of the request
    is_shared: bool = False  # the list has tasks of that time that nobody here has sent


class Evidence(Enum):
    """What a task says of the request that made it."""

    OURS = "ours"
    NOT_OURS = "not ours"
    SILENT = "silent"  # nothing that others could not say too


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
            item={key: item.get(key) for key in (*_CALLER, "status")},  # a list may be long
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
    traces: Sequence[Trace],
    *,
    known: Mapping[str, Span],
    served_ahead_s: float | None,
    run_id: int | None = None,
) -> Skew:
    """How far the clocks are apart: from our own tasks, else from the HTTP date, else unknown.

    `known` has when the creates of our own tasks were sent and answered: they were accepted in
    between. Only those of the doubt's own run, `run_id`, were dated by the same clock as the
    doubt, and only they can prove that a listed task is too far off.
    """
    own = {name: span for name, span in known.items() if span.run_id == run_id is not None}
    spans = [
        (trace.made_at[0] - span.answered, trace.made_at[0] - span.sent)
        for trace in traces
        if trace.made_at and (span := (own or known).get(trace.name))
    ]
    if not spans:
        if served_ahead_s is None:
            return Skew(0.0, _WIDE_S, math.inf)
        return Skew(served_ahead_s, _SURE_S, math.inf)
    least, most = max(low for low, _ in spans), min(high for _, high in spans)
    middle, half = (least + most) / 2, abs(most - least) / 2
    has_moved = least - most > _MOVED_S
    if not own or has_moved:
        return Skew(middle, _SURE_S + half, math.inf)
    is_whole = all(time.is_integer() for trace in traces for time in trace.made_at)
    doubt_s = _EDGE_S + half + (1.0 if is_whole else 0.0)
    return Skew(middle, doubt_s, doubt_s + _LOOSE_S)


def find_task(
    doubt: Doubt,
    traces: Sequence[Trace],
    *,
    skew: Skew,
    claimed: Iterable[str],
    rivals: Sequence[Doubt],
    callers: Collection[Caller] = (),
    usual_s: float = math.inf,
) -> Finding:
    """The one task that must be the doubt's, its absence, or neither.

    `claimed` are tasks of other jobs, here or in other run directories; `rivals` other creates
    whose tasks are not known. `callers` are those of our own tasks: what another has called is
    not adopted, but proves no absence either, unless tasks of the same run say that the key is
    the same. `usual_s`: within which creates of the doubt's run were accepted.
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
        return Finding(exact[0], is_proven=True)
    ours = [trace for trace in free if not callers or caller_of(trace) in callers]
    if callers and math.isfinite(skew.wide_s):
        free = ours

    def fits(each: Doubt, trace: Trace, *, late: bool = True) -> bool:
        if each.request_id and trace.request_id:
            return False  # both are known, and not the same
        end = _end_of(each, usual_s, late=late)
        return _may_be(each, trace, skew.ahead_s, skew.doubt_s, end)

    def is_taken_for(each: Doubt, trace: Trace) -> bool:
        return fits(each, trace, late=each is not doubt)

    # What was made while the create was under way; others may have made what came soon after.
    candidates = [trace for trace in ours if fits(doubt, trace, late=False)]
    nearby = [
        trace
        for trace in ours
        if trace.made_at and _may_be(doubt, trace, skew.ahead_s, _NEARBY_S, doubt.until)
    ]
    # More of them than creates of ours can have made are others'.
    is_shared = not _can_assign(nearby, (doubt, *rivals), is_taken_for)
    explained = [trace for trace in ours if any(fits(rival, trace) for rival in rivals)]
    verdict: Trace | NotFound = NotFound.ABSENT
    if candidates:
        rows = candidates + [trace for trace in explained if trace not in candidates]
        verdict = NotFound.UNDECIDED if is_shared else _only_way(candidates, rows, rivals, fits)
    if verdict is NotFound.ABSENT and any(
        _may_be(doubt, trace, skew.ahead_s, skew.wide_s, doubt.until)
        for trace in free
        if trace not in candidates and (trace not in explained or fits(doubt, trace))
    ):
        verdict = NotFound.UNDECIDED
    return Finding(verdict, candidates, is_shared=is_shared)


def _end_of(doubt: Doubt, usual_s: float, *, late: bool) -> float:
    """Until when a create is likely to have been accepted; `late`: although it was given up."""
    if doubt.is_seen:
        late_s = LATE_S if doubt.is_slow else _SOON_S
        return min(doubt.until, doubt.lost_at + late_s) if late else doubt.lost_at
    return min(max(doubt.since, doubt.until - LATE_S), doubt.since + usual_s)


def _only_way(
    candidates: Sequence[Trace],
    traces: Sequence[Trace],
    rivals: Sequence[Doubt],
    fits: Callable[[Doubt, Trace], bool],
) -> Trace | NotFound:
    """What must be the doubt's, since each of the traces is one doubt's, and each doubt has one."""
    ways = [
        choice
        for choice in (*candidates, None)
        if _can_assign([trace for trace in traces if trace is not choice], rivals, fits)
    ]
    if len(ways) != 1:
        return NotFound.UNDECIDED
    return ways[0] or NotFound.ABSENT


def _can_assign(
    traces: Sequence[Trace], doubts: Sequence[Doubt], fits: Callable[[Doubt, Trace], bool]
) -> bool:
    """Whether each trace can have a doubt of its own: a matching, by augmenting paths."""
    holder: dict[int, int] = {}  # of a doubt, the trace

    def place(number: int, tried: set[int]) -> bool:
        for other, doubt in enumerate(doubts):
            if other not in tried and fits(doubt, traces[number]):
                tried.add(other)
                if other not in holder or place(holder[other], tried):
                    holder[other] = number
                    return True
        return False

    return len(traces) <= len(doubts) and all(place(n, set()) for n in range(len(traces)))


def weigh(request: Json, payload: Json, recovery: TaskList) -> Evidence:
    """What a task's own answer says of the request that made it.

    A text that is the same proves it; a number that is the same could be another's too.
    """
    proof = Evidence.SILENT
    for asked, told in recovery.confirm.items():
        wanted = resolve(request, asked)
        values = [value for value in resolve_each(payload, told) if value not in (None, "")]
        if wanted is None or not values:
            continue
        if not all(_agree(wanted, value) for value in values):
            return Evidence.NOT_OURS
        if isinstance(wanted, str) and wanted in values:
            proof = Evidence.OURS
    return proof


def _agree(wanted: Json, told: Json) -> bool:
    """A service may cut a text that is too long for it, and blanks at its ends."""
    if isinstance(wanted, str) and isinstance(told, str):
        return wanted.strip().startswith(told.strip())
    return bool(wanted == told)


def caller_of(trace: Trace) -> Caller:
    return Caller(*(str(trace.item.get(key)) for key in _CALLER))


def find_made(
    doubt: Doubt, traces: Sequence[Trace], *, claimed: Iterable[str], is_dated: bool = True
) -> Trace | NotFound:
    """The newest thing that this very request made and nobody has.

    Its texts are the request's own, so the time only keeps out what was made days before; it does
    not count where the doubt's clock has moved and it is not `is_dated`.
    """
    taken = set(claimed)
    margin = _DAY_S if is_dated else math.inf
    free = [
        trace
        for trace in traces
        if trace.name not in taken and _may_be(doubt, trace, 0.0, margin, doubt.until)
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


def _may_be(doubt: Doubt, trace: Trace, ahead_s: float, doubt_s: float, until: float) -> bool:
    """Whether the thing may have been made between the create's sending and `until`."""
    return not trace.made_at or any(
        doubt.since - doubt_s <= moment - ahead_s <= until + doubt_s for moment in trace.made_at
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
