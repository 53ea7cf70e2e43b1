"""Words on the terminal. Progress and notes go to stderr, results to stdout."""

import logging
import sys
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from dsrun.logs import WARNING, speak
from dsrun.records import JobResult, JobStatus

_HEARTBEAT_S = 30.0


class Clock(Protocol):
    def monotonic(self) -> float: ...


def say(text: str) -> None:
    """A line for the user, on stderr."""
    speak(text, show=_print_line, level=_level(text))


def _print_line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  # the console is where we print


def _level(text: str) -> int:
    return logging.WARNING if text.startswith(WARNING) else logging.INFO


def answer(text: str) -> None:
    """A line of the command's result, on stdout."""
    print(text, flush=True)  # noqa: T201  # as above


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def count_of(number: int, noun: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def table(rows: Iterable[Iterable[str]]) -> str:
    """Rows as left-aligned columns, two spaces apart."""
    lines = [list(row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


class Progress:
    """A bar on a terminal, else a line every 30 s at most; nothing when quiet."""

    def __init__(
        self, *, total: int, clock: Clock, quiet: bool, bar: bool, stream: TextIO | None = None
    ) -> None:
        self._stream = stream or sys.stderr
        self._total = total
        self._clock = clock
        self._quiet = quiet
        self._ended: Counter[str] = Counter()
        self._said_at = clock.monotonic()
        self._bar = self._open_bar() if bar and not quiet and self._stream.isatty() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def job_ended(self, result: JobResult | None) -> None:
        self._ended[result.status if result else "left"] += 1
        if self._bar is not None:
            self._bar.update(1)
            self._bar.set_postfix_str(self._words(), refresh=False)
        elif not self._quiet and self._clock.monotonic() - self._said_at >= _HEARTBEAT_S:
            self._said_at = self._clock.monotonic()
            self.note(f"{sum(self._ended.values())} of {self._total} jobs: {self._words()}")

    def note(self, text: str) -> None:
        """A line that does not break the bar."""
        speak(text, show=self._show)

    def _show(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)  # as above

    def _open_bar(self) -> Any:
        from tqdm import tqdm  # noqa: PLC0415  # start-up: only a run on a terminal pays for it

        return tqdm(total=self._total, unit="job", file=self._stream, dynamic_ncols=True)

    def _words(self) -> str:
        return ", ".join(
            f"{self._ended[key]} {key}" for key in (*JobStatus, "left") if self._ended[key]
        )
