"""Shows progress: a bar per step on a terminal, else at most one line every 30 s."""

import asyncio
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TextIO

from dsrun.common.clock import Clock
from dsrun.common.console import count_of, fit, say, show_above, speak
from dsrun.common.models import JobResult, JobStatus, OpenJob
from dsrun.common.units import Money, sum_money
from dsrun.engine.limits import Pace
from dsrun.ledger.totals import StepTotal
from dsrun.service.price import Price

_HEARTBEAT_S = 30.0
_SHOWN_EVERY_S = 0.1
_REDRAWN_EVERY_S = 0.5  # while nothing begins or ends
_MOST_BARS = 8  # more steps share one
_SHARED = "all steps"
_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"
_UNHAPPY = (*(s for s in JobStatus if s is not JobStatus.SUCCEEDED), "left")
_MARGIN = 3  # columns: the ^C that a terminal echoes must not begin a line
_UP = "\x1b[A"
_CLEAR_BELOW = "\r\x1b[J"

PaceOf = Callable[[str], Pace]  # of an operation, as the service lets it go now


@dataclass(slots=True)
class _Line:
    """The numbers behind one bar."""

    name: str
    total: int
    spent: list[Money]
    waiting: Counter[str] = field(default_factory=Counter)  # jobs not started, by operation
    bar: Any = None
    started: int = 0
    ended: Counter[str] = field(default_factory=Counter)

    @property
    def done(self) -> int:
        return self.ended.total() - self.ended["left"]

    @property
    def in_flight(self) -> int:
        return self.started - self.ended.total()


class Progress:
    """Counts jobs as they start and end, and shows the counts unless quiet."""

    def __init__(
        self,
        totals: list[StepTotal],
        *,
        prices: Mapping[str, Price],
        clock: Clock,
        quiet: bool,
        bar: bool,
        costs: bool = True,
        stream: TextIO | None = None,
    ) -> None:
        """`prices` are by operation. `costs`: whether money is spent, and to be shown."""
        self._stream = stream or sys.stderr
        self._clock = clock
        self._quiet = quiet
        self._costs = costs
        self._prices = prices
        self._lines = _lines(totals)  # of each step; steps may share one
        self._bars = list({id(line): line for line in self._lines.values()}.values())
        self._pace_of: PaceOf | None = None
        self._began_at = self._said_at = self._shown_at = clock.monotonic()
        self._columns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._has_bars = bar and not quiet and self._stream.isatty()
        if self._has_bars:
            self._open_bars()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._has_bars:
            show_above(None)
            self._show()
            for line in self._bars:
                line.bar.close()

    def watch(self, pace_of: PaceOf) -> None:
        """Use the pace that the service allows in estimates from now on."""
        self._pace_of = pace_of

    @contextmanager
    def kept_current(self) -> Iterator[None]:
        """Redraw the bars while no job ends: time, throttling and the window change them."""
        self._redraw_later()
        try:
            yield
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def job_started(self, job: OpenJob) -> None:
        line = self._lines[_step(job)]
        line.started += 1
        line.waiting[job.operation] -= 1
        self._show_now_and_then()

    def job_ended(self, job: OpenJob, result: JobResult | None) -> None:
        """`result` is None where the job is left for a later run."""
        line = self._lines[_step(job)]
        line.ended[result.status if result else "left"] += 1
        if result is not None:
            cost = self._prices[job.operation].of(result.units)
            line.spent = sum_money([*line.spent, cost])
        self._show_now_and_then()
        if not self._has_bars and not self._quiet:
            self._say_now_and_then()

    def jobs_skipped(self, job: OpenJob, skipped: Sequence[OpenJob]) -> None:
        """These never begin, since one that has ended did not give what they take."""
        for one in skipped:
            if line := self._lines.get(_step(one)):  # else it is not among those that were chosen
                self.job_started(one)
                line.ended[JobStatus.SKIPPED] += 1
        if skipped:
            self.note(f"skipped: {count_of(len(skipped), 'job')}, for {job.stems[0][0]}")

    def note(self, text: str) -> None:
        """A line that does not break the bars."""
        if self._has_bars:
            speak(text, show=self._print_above)
        elif self._stream is sys.stderr:
            say(text)
        else:
            print(fit(text), file=self._stream, flush=True)  # as the console does

    def _redraw_later(self) -> None:
        self._show_now_and_then()
        if self._has_bars:
            self._timer = asyncio.get_running_loop().call_later(
                _REDRAWN_EVERY_S, self._redraw_later
            )

    def _print_above(self, text: str) -> None:
        self._follow_window()  # else its clearing would take the text away
        self._stream.write(f"{_CLEAR_BELOW}{text}\n")
        self._show()

    def _open_bars(self) -> None:
        from tqdm import tqdm  # noqa: PLC0415  # start-up: only a run on a terminal pays for it

        columns = shutil.get_terminal_size().columns
        for place, line in enumerate(self._bars):
            line.bar = tqdm(
                total=line.total, desc=self._title(line, columns), position=place,
                file=self._stream, bar_format=_FORMAT, ncols=columns - _MARGIN,
            )  # fmt: skip
        if self._stream is sys.stderr:
            show_above(self._print_above)

    def _title(self, line: _Line, columns: int) -> str:
        """The name of a step, shortened in the middle where it would crowd out the numbers."""
        width = min(max(len(each.name) for each in self._bars), max(columns // 4, 12))
        name = line.name
        if len(name) > width:
            name = f"{name[: width - 7]}...{name[-4:]}"
        return name.ljust(width)

    def _show_now_and_then(self) -> None:
        now = self._clock.monotonic()
        if self._has_bars and now - self._shown_at >= _SHOWN_EVERY_S:
            self._shown_at = now
            self._show()

    def _follow_window(self) -> None:
        columns = shutil.get_terminal_size().columns
        if columns != self._columns:
            self._stream.write(_unbroken(self._columns, columns))
            for line in self._bars:
                # A new printer does not blank out as many columns as the old line had.
                line.bar.sp = line.bar.status_printer(self._stream)
        self._columns = columns

    def _show(self) -> None:
        self._follow_window()
        for line in self._bars:
            line.bar.ncols = self._columns - _MARGIN
            title = self._title(line, self._columns)
            line.bar.set_description_str(title, refresh=False)
            line.bar.n = line.done
            room = self._columns - _MARGIN - len(f"{title} 100%|-| {line.done}/{line.total}")
            line.bar.set_postfix_str(_fitting(self._words(line), room), refresh=False)
            line.bar.refresh()

    def _words(self, line: _Line) -> list[str]:
        """Most important first: a narrow terminal cuts off the last."""
        parts = [f"{line.ended[key]} {key}" for key in _UNHAPPY if line.ended[key]]
        paces = {name: self._pace_of(name) for name in line.waiting} if self._pace_of else {}
        if line.in_flight:
            parts.insert(0, self._time_to_go(line, paces))
            parts.append(f"{line.in_flight} in flight")
        if any(pace.is_throttled for pace in paces.values()):
            parts.append("throttled")
        if self._costs:
            parts += map(str, line.spent)
        return parts

    def _time_to_go(self, line: _Line, paces: Mapping[str, Pace]) -> str:
        """Estimated from the pace so far, but no less than the rate limits need."""
        waits = (pace.interval_s * line.waiting[name] for name, pace in paces.items())
        least = max(waits, default=0.0)
        elapsed = self._clock.monotonic() - self._began_at
        by_now = elapsed / line.done * (line.total - line.done) if line.done else 0.0
        seconds = round(max(least, by_now))
        if not seconds and not line.done:
            return "? to go"
        hours, rest = divmod(seconds, 3600)
        clock = (
            f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
        )
        return f"{clock} to go"

    def _say_now_and_then(self) -> None:
        now = self._clock.monotonic()
        if now - self._said_at >= _HEARTBEAT_S:
            self._said_at = now
            ended = sum((line.ended for line in self._bars), Counter[str]())
            total = sum(line.total for line in self._bars)
            counts = ", ".join(f"{ended[key]} {key}" for key in (*JobStatus, "left") if ended[key])
            self.note(f"{ended.total()} of {total} jobs: {counts}")


def _fitting(parts: list[str], room: int) -> str:
    """As many parts as fit, each whole: half of an amount reads as another amount."""
    words = ""
    for part in parts:
        longer = f"{words}, {part}" if words else part
        if len(longer) + len(", ") > room:
            break
        words = longer
    return words


def _unbroken(before: int, now: int) -> str:
    """The control codes that clear the bars after a window went from `before` to `now` columns.

    A terminal that got narrower has broken each line; the cursor is in the last piece of the first.
    """
    if not before:
        return ""
    return _UP * ((before - _MARGIN - 1) // now) + _CLEAR_BELOW


def _lines(totals: list[StepTotal]) -> dict[str, _Line]:
    shared = _Line(_SHARED, 0, []) if len({item.step for item in totals}) > _MOST_BARS else None
    lines: dict[str, _Line] = {}
    for item in totals:
        line = shared or lines.get(item.step) or _Line(item.step, 0, [])
        line.total += item.jobs
        line.waiting.update(item.operations)
        line.spent = sum_money([*line.spent, *item.spent])
        lines[item.step] = line
    return lines


def _step(job: OpenJob) -> str:
    return job.stems[0][0].partition("/")[0]
