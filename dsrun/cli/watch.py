"""`dsrun status --watch`: a view of a run, made anew each second until it ends."""

import signal
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dsrun.cli.control import in_force_words
from dsrun.cli.keys import END, pressed_keys
from dsrun.common.clock import SystemClock, pause
from dsrun.common.console import answer, count_of, is_terminal
from dsrun.common.errors import SetupError
from dsrun.common.escaping import shown
from dsrun.common.models import OPEN, JobStatus
from dsrun.common.settings import wants_color
from dsrun.common.units import duration_words
from dsrun.session.watching import Sight, look

_EVERY_S = 1.0
_LINE_EVERY_S = 30.0  # without a terminal
_LOOK_S = 0.5  # likewise, whether the run has ended
_UNDER_WAY = (JobStatus.SUBMITTING, JobStatus.SUBMITTED)
_UNHAPPY = (
    JobStatus.FAILED, JobStatus.PARTIAL, JobStatus.CANCELLED, JobStatus.SKIPPED, JobStatus.UNKNOWN,
)  # fmt: skip
_LEAVE = ("q", "Q", "\x1b", END)
_TRIES, _TRY_S = 5, 0.2  # of a look, while a run that begins or ends moves its log


def watch(run_dir: Path, *, is_live: Callable[[], bool]) -> None:
    """Show the run until it ends, or until q or Ctrl-C, which leave it alone. Raises SetupError."""
    console = Console(
        file=sys.stdout, no_color=not wants_color(), highlight=False, markup=False, emoji=False
    )
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # the terminal is put right
    try:
        if is_terminal(sys.stdout) and not console.is_dumb_terminal:
            _watch_on_terminal(console, run_dir, is_live)
        else:
            _watch_by_lines(run_dir, is_live)
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)


def _watch_on_terminal(console: Console, run_dir: Path, is_live: Callable[[], bool]) -> None:
    with pressed_keys() as wait, Live(console=console, screen=True, auto_refresh=False) as live:
        while is_live():
            live.update(_view(_look(run_dir), console.height), refresh=True)
            if wait(_EVERY_S) in _LEAVE:
                return


def _watch_by_lines(run_dir: Path, is_live: Callable[[], bool]) -> None:
    clock = SystemClock()
    next_at = clock.monotonic()
    while is_live():
        if clock.monotonic() >= next_at:
            answer(_line(_look(run_dir)))
            next_at = clock.monotonic() + _LINE_EVERY_S
        pause(_LOOK_S)


def _look(run_dir: Path) -> Sight:
    """Raises SetupError where the ledger cannot be read again and again."""
    for _ in range(_TRIES - 1):
        try:
            return look(run_dir)
        except SetupError:
            pause(_TRY_S)
    return look(run_dir)


def _line(sight: Sight) -> str:
    """The whole of it in one line: `12 of 40 jobs ended, 2 under way; 96 jobs a minute; ...`."""
    total = sum(sight.counts.values())
    under_way = sum(sight.counts.get(status, 0) for status in _UNDER_WAY)
    parts = [f"{sight.done} of {count_of(total, 'job')} ended, {under_way} under way"]
    parts += [f"{sight.counts[status]} {status}" for status in _UNHAPPY if status in sight.counts]
    parts += [words for name, words in _facts(sight) if name != "in force"]
    return "; ".join(["paused", *parts] if sight.is_paused else parts)


def _view(sight: Sight, height: int) -> RenderableType:
    facts = Table.grid(padding=(0, 2))
    for name, words in _facts(sight):
        facts.add_row(Text(name, style="dim"), Text(shown(words)))
    parts: list[RenderableType] = [_title(sight), Text(), _steps(sight, height), Text(), facts]
    if sight.failures:
        parts += [Text(), Text("last failures", style="dim"), *map(_failure, _failures(sight))]
    parts += [Text(), Text("q ends this view; the run goes on", style="dim")]
    return Group(*parts)


def _title(sight: Sight) -> Text:
    state, style = ("paused", "bold yellow") if sight.is_paused else ("running", "bold green")
    if not sight.is_running:
        state, style = "nobody runs it", "bold red"
    since = f" for {duration_words(sight.running_s)}" if sight.is_running else ""
    return Text.assemble((shown(str(sight.run_dir)), "bold"), "  ", (f"{state}{since}", style))


def _steps(sight: Sight, height: int) -> Table:
    """A bar for each step, as many as there is room for."""
    table = Table(box=None, padding=(0, 1), pad_edge=False, expand=True)
    table.add_column("step", no_wrap=True, ratio=2, overflow="ellipsis")
    table.add_column("", ratio=3, min_width=6)
    for name in ("ended", "under way", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    most = max(3, height - 16)
    for name, counts in list(sight.steps.items())[:most]:
        total = sum(counts.values())
        done = sum(number for status, number in counts.items() if status not in OPEN)
        unhappy = sum(counts.get(status, 0) for status in _UNHAPPY)
        table.add_row(
            Text(shown(name)),
            ProgressBar(total=total, completed=done),
            f"{done}/{total}",
            str(sum(counts.get(status, 0) for status in _UNDER_WAY)),
            Text(str(unhappy), style="bold red" if unhappy else ""),
        )
    if len(sight.steps) > most:
        table.add_row(f"and {count_of(len(sight.steps) - most, 'more step')}", "", "", "", "")
    return table


def _facts(sight: Sight) -> Iterator[tuple[str, str]]:
    now = sight.pulse
    pace = f"{now.ended * 60 / now.seconds:.3g} jobs a minute"
    yield "pace", f"{pace}, {now.creates / now.seconds:.2g} creates a second"
    if now.throttled:
        refused = f"{count_of(now.throttled, 'create')} refused for the rate"
        yield "throttled", f"{refused} in the last {duration_words(now.seconds)}"
    yield "spent", _cost_words(sight)
    to_go = "?" if sight.to_go_s is None else f"about {duration_words(sight.to_go_s)}"
    yield "to go", f"{count_of(now.left, 'job')}, {to_go} to go"
    if sight.in_force:
        yield "in force", in_force_words(sight.in_force)


def _cost_words(sight: Sight) -> str:
    words = f"{', '.join(map(str, sight.spent)) or 'nothing'} spent"
    if sight.emulated:
        words = "emulated, nothing is paid"
    left = sight.left_of_max_cost
    return words if left is None else f"{words}, {left} left of {sight.max_cost}"


def _failures(sight: Sight) -> list[tuple[str, str, str]]:
    return [(_clock_time(one.at), one.status, f"{one.name}: {one.words}") for one in sight.failures]


def _failure(told: tuple[str, str, str]) -> Text:
    at, status, words = told
    line = Text.assemble((f"{at} ", "dim"), (f"{status} ", "red"), shown(words))
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _clock_time(moment: str) -> str:
    """The time of day on this machine; the ledger has UTC."""
    return datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S") if moment else ""
