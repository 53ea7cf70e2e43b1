"""Whose is it? Judges what the service lists against a create whose answer was lost. Pure.

Times are seconds since the epoch. A task list has no prompts, so a task is recognized by the
create's request id, by what it repeats of its request, or by elimination: it was made while the
create was under way, and is nobody else's. Elimination is no proof where others use the key too.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from dsrun.common.doubt import LATE_S, Doubt, Span
from dsrun.common.models import Json
from dsrun.common.pointer import resolve
from dsrun.service.lists import Caller, MadeRow, TaskRow
from dsrun.service.operation import Operation
from dsrun.service.operation_file import asked_value

_EDGE_S = 0.05  # the error of the list's times where our own tasks date them
_SURE_S = 2.0  # the same where a date, or tasks of another run, show how far clocks are apart
_WIDE_S = 600.0  # the same where nothing shows it
_MOVED_S = 2.0  # by which dates must contradict each other to show that a clock was set
_LOOSE_S = 5.0  # so far beyond the doubt, a dated task cannot be the create's
_NEARBY_S = 3600.0  # around a create, a task of nobody's shows that others use the key
_DAY_S = 86400.0
_SOON_S = 1.0  # after its connection broke, a create may still be accepted


Listed = TaskRow | MadeRow


class Skew(NamedTuple):
    """How far the service's clock is ahead of ours, and by how much that may be wrong.

    What is farther off than `wide_s` cannot be; infinite where nothing dates the list for sure.
    """

    ahead_s: float
    doubt_s: float
    wide_s: float


class NotFound(Enum):
    ABSENT = "absent"  # the create was not accepted
    UNDECIDED = "undecided"  # nobody can tell


class Finding(NamedTuple):
    """What a list shows about a doubt."""

    verdict: Listed | NotFound
    candidates: Sequence[TaskRow] = ()  # that may be the doubt's
    is_proven: bool = False  # by the id of the request
    is_shared: bool = False  # the list has tasks of that time that nobody here has sent


class Evidence(Enum):
    """What a task says of the request that made it."""

    OURS = "ours"
    NOT_OURS = "not ours"
    SILENT = "silent"  # nothing that tasks of others could not say as well


def measure_skew(
    rows: Sequence[TaskRow],
    *,
    known: Mapping[str, Span],
    served_ahead_s: float | None,
    run_id: int | None = None,
) -> Skew:
    """How far apart the clocks are: by our own tasks, else by the HTTP date, else unknown.

    `known` says when the creates of our own tasks were sent and answered: they were accepted in
    between. Only those of the doubt's own run, `run_id`, were dated by the same clock as the
    doubt, and only they can prove that a listed task is too far off.
    """
    own = {name: span for name, span in known.items() if span.run_id == run_id is not None}
    spans = [
        (row.made_at[0] - span.answered, row.made_at[0] - span.sent)
        for row in rows
        if row.made_at and (span := (own or known).get(row.name))
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
    has_whole_seconds = all(time.is_integer() for row in rows for time in row.made_at)
    doubt_s = _EDGE_S + half + (1.0 if has_whole_seconds else 0.0)
    return Skew(middle, doubt_s, doubt_s + _LOOSE_S)


def find_task(
    doubt: Doubt,
    rows: Sequence[TaskRow],
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
    free = _unclaimed(rows, set(claimed), rivals)
    for row in free:
        if row.request_id and row.request_id == doubt.request_id:
            return Finding(row, is_proven=True)
    ours = [row for row in free if not callers or row.caller in callers]
    is_same_key = bool(callers) and math.isfinite(skew.wide_s)
    dates = _Dates(skew, usual_s)

    candidates = [row for row in ours if dates.fit(doubt, row)]
    is_shared = _is_shared(doubt, ours, rivals, dates)
    # A rival may have made these as well, even if it was given up.
    explained = [row for row in ours if any(dates.fit_late(rival, row) for rival in rivals)]
    verdict: TaskRow | NotFound = NotFound.ABSENT
    if candidates and is_shared:
        verdict = NotFound.UNDECIDED
    elif candidates:
        concerned = candidates + [row for row in explained if row not in candidates]
        verdict = _only_way(candidates, concerned, rivals, dates)
    if verdict is NotFound.ABSENT:
        unexplained = [
            row
            for row in (ours if is_same_key else free)
            if row not in candidates and (row not in explained or dates.fit_late(doubt, row))
        ]
        if any(dates.may_be(doubt, row) for row in unexplained):
            verdict = NotFound.UNDECIDED
    return Finding(verdict, candidates, is_shared=is_shared)


class _Dates(NamedTuple):
    """Judges by its time whether a create may have made a task."""

    skew: Skew
    usual_s: float  # within which a create whose end nobody saw was accepted

    def fit(self, doubt: Doubt, row: TaskRow) -> bool:
        """Whether the create probably made the task, before it was given up."""
        until = doubt.lost_at if doubt.is_seen else self._usual_end(doubt)
        return self._fits(doubt, row, until)

    def fit_late(self, doubt: Doubt, row: TaskRow) -> bool:
        """Whether it did so then, or soon after it was given up."""
        late_s = LATE_S if doubt.is_slow else _SOON_S
        is_seen = doubt.is_seen
        until = min(doubt.until, doubt.lost_at + late_s) if is_seen else self._usual_end(doubt)
        return self._fits(doubt, row, until)

    def may_be(self, doubt: Doubt, row: TaskRow) -> bool:
        """Whether the create can have made the task at all."""
        return _is_within(doubt, row, self.skew.ahead_s, self.skew.wide_s)

    def is_near(self, doubt: Doubt, row: TaskRow) -> bool:
        """Whether the task shows who used the key about that time."""
        return bool(row.made_at) and _is_within(doubt, row, self.skew.ahead_s, _NEARBY_S)

    def _fits(self, doubt: Doubt, row: TaskRow, until: float) -> bool:
        if doubt.request_id and row.request_id:
            return False  # both ids are known, and they differ
        return _is_within(doubt, row, self.skew.ahead_s, self.skew.doubt_s, until=until)

    def _usual_end(self, doubt: Doubt) -> float:
        return min(max(doubt.since, doubt.until - LATE_S), doubt.since + self.usual_s)


def _unclaimed(
    rows: Sequence[TaskRow], claimed: Collection[str], rivals: Sequence[Doubt]
) -> list[TaskRow]:
    """The tasks that no job has, and no rival by the id of its request."""
    spoken_for = {rival.request_id for rival in rivals if rival.request_id}
    return [
        row
        for row in rows
        if row.name not in claimed and not (row.request_id and row.request_id in spoken_for)
    ]


def _is_shared(
    doubt: Doubt, ours: Sequence[TaskRow], rivals: Sequence[Doubt], dates: _Dates
) -> bool:
    """Whether others use the key: there are more tasks of that time than ours can have made."""

    def fits(each: Doubt, row: TaskRow) -> bool:
        return dates.fit(each, row) if each is doubt else dates.fit_late(each, row)

    nearby = [row for row in ours if dates.is_near(doubt, row)]
    return not _can_assign(nearby, (doubt, *rivals), fits)


def _only_way(
    candidates: Sequence[TaskRow],
    rows: Sequence[TaskRow],
    rivals: Sequence[Doubt],
    dates: _Dates,
) -> TaskRow | NotFound:
    """The row that must be the doubt's, since each row is one create's and no create has two."""
    ways = [
        choice
        for choice in (*candidates, None)
        if _can_assign([row for row in rows if row is not choice], rivals, dates.fit_late)
    ]
    if len(ways) != 1:
        return NotFound.UNDECIDED
    return ways[0] or NotFound.ABSENT


def _can_assign(
    rows: Sequence[TaskRow], doubts: Sequence[Doubt], fits: Callable[[Doubt, TaskRow], bool]
) -> bool:
    """Whether every row can have a doubt of its own: a bipartite matching by augmenting paths."""
    row_of: dict[int, int] = {}  # by doubt

    def place(row: int, tried: set[int]) -> bool:
        for number, doubt in enumerate(doubts):
            if number not in tried and fits(doubt, rows[row]):
                tried.add(number)
                if number not in row_of or place(row_of[number], tried):
                    row_of[number] = row
                    return True
        return False

    return len(rows) <= len(doubts) and all(place(row, set()) for row in range(len(rows)))


def weigh(request: Json, echoes: Mapping[str, Sequence[Json]]) -> Evidence:
    """Who made a task, by what it repeats of its request.

    A text that is the same proves it; a number that is the same could be another's too.
    """
    proof = Evidence.SILENT
    for asked, values in echoes.items():
        wanted = resolve(request, asked)
        # A file to upload or a late value: what was sent in its place is told nowhere.
        if wanted is None or isinstance(wanted, dict):
            continue
        if not all(_agree(wanted, value) for value in values):
            return Evidence.NOT_OURS
        if isinstance(wanted, str) and wanted in values:
            proof = Evidence.OURS
    return proof


def _agree(wanted: Json, told: Json) -> bool:
    """Whether two values are the same, for a service that may shorten a text and trim it."""
    if isinstance(wanted, str) and isinstance(told, str):
        return wanted.strip().startswith(told.strip())
    return bool(wanted == told)


def find_made(
    doubt: Doubt, rows: Sequence[MadeRow], *, claimed: Iterable[str], is_dated: bool = True
) -> MadeRow | NotFound:
    """The newest thing that this very request made and nobody has.

    Its texts are the request's own, so the time only keeps out what was made days before; it does
    not count where the doubt's clock has moved and it is not `is_dated`.
    """
    taken = set(claimed)
    margin_s = _DAY_S if is_dated else math.inf
    free = [row for row in rows if row.name not in taken and _is_within(doubt, row, 0.0, margin_s)]
    if len(free) > 1 and not free[0].equal:
        return NotFound.UNDECIDED  # a name alone may be another's
    return free[0] if free else NotFound.ABSENT


def is_of_request(row: MadeRow, request: Json, operation: Operation) -> bool:
    """Whether this request made it, word by word."""
    return all(
        value == asked_value(request, operation, asked) for asked, value in row.equal.items()
    ) and all(_holds(text, resolve(request, asked)) for asked, text in row.holding.items())


def _holds(text: str, name: Json) -> bool:
    """Whether a text has the name in it, as a word of its own."""
    if not isinstance(name, str) or not name:
        return False
    return re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", text) is not None


def _is_within(
    doubt: Doubt, row: Listed, ahead_s: float, margin_s: float, *, until: float | None = None
) -> bool:
    """Whether it may have been made between the create's sending and `until`."""
    end = (doubt.until if until is None else until) + margin_s
    return not row.made_at or any(
        doubt.since - margin_s <= moment - ahead_s <= end for moment in row.made_at
    )
