"""How long one task took in earlier runs, from the newest ledgers below an output directory."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from dsrun.common.errors import DsrunError
from dsrun.ledger.reader import LedgerReader, checked
from dsrun.storage.layout import RunLayout, recent_run_dirs

_MOST_LEDGERS = 20
_MOST_TASKS = 200  # of an operation: enough for a mean


class TaskTime(NamedTuple):
    """The mean time of one task in seconds, and of how many tasks it is the mean."""

    seconds: float
    tasks: int


class _Span(NamedTuple):
    """From when a task was sent until its end was seen, in seconds since the epoch."""

    sent: float
    ended: float


def task_times(
    out: Path, running: Mapping[str, int | None], *, emulated: bool
) -> dict[str, TaskTime]:
    """The time of a task of each operation of which an earlier run knows any.

    `running`: how many tasks of each operation run at a time; None where that is not limited. Real
    tasks tell nothing of emulated ones, nor the other way round. A ledger that cannot be read is
    passed over: `history` and `verify` tell about it.
    """
    times: dict[str, list[float]] = {name: [] for name in running}
    for folder in recent_run_dirs(out, emulated=emulated)[:_MOST_LEDGERS]:
        wanted = [name for name, known in times.items() if len(known) < _MOST_TASKS]
        if not wanted:
            break
        try:
            with closing(LedgerReader(RunLayout.of(folder).ledger)) as reader:
                for name in wanted:
                    times[name] += busy_times(_spans(reader, name), at_a_time=running[name])
        except DsrunError:
            continue
    return {name: TaskTime(fmean(known), len(known)) for name, known in times.items() if known}


def busy_times(spans: Sequence[_Span], *, at_a_time: int | None) -> Iterator[float]:
    """How long each task itself ran, without the time that it waited for the tasks before it.

    `spans` are in the order of their ends. Where `at_a_time` tasks run, a task cannot have begun
    before the end of the one that many places before it.
    """
    for number, span in enumerate(spans):
        before = number - at_a_time if at_a_time is not None else -1
        began = max(span.sent, spans[before].ended) if before >= 0 else span.sent
        yield max(0.0, span.ended - began)


@checked
def _spans(reader: LedgerReader, operation: str) -> list[_Span]:
    """Tasks that began and ended within one invocation; another sees an end only when it begins."""
    starts = [_seconds(row["started_at"]) for row in reader.rows("SELECT started_at FROM run")]
    starts.sort()
    rows = reader.rows(
        "SELECT submitted_at, ended_at FROM job WHERE operation = ? AND NOT cached "
        "AND status IN ('succeeded', 'partial') AND submitted_at <= ended_at "
        "ORDER BY ended_at DESC LIMIT ?",
        (operation, _MOST_TASKS),
    )
    spans = [_Span(_seconds(row["submitted_at"]), _seconds(row["ended_at"])) for row in rows]
    return [
        span
        for span in reversed(spans)
        if bisect_right(starts, span.sent) == bisect_right(starts, span.ended)
    ]


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
