"""Words on the terminal. Progress and notes go to stderr, results to stdout."""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from io import TextIOWrapper
from typing import TextIO

from dsrun.logs import WARNING, show_line, speak

_listener: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


def open_streams() -> None:
    """Make stdin, stdout and stderr fit to be used, whoever started us.

    One that was closed is empty, and a file that is opened later does not take its number. What a
    terminal cannot show, such as Chinese, is spelled out.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115  # to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """A line for the user: on stderr, or to the program that listens."""
    listener = _listener.get()
    if listener is not None:
        listener(text)
        return
    speak(text, show=show_line, level=_level(text))


def _level(text: str) -> int:
    return logging.WARNING if text.startswith(WARNING) else logging.INFO


@contextmanager
def heard_by(listener: Callable[[str], None]) -> Iterator[None]:
    """In here a program gets the lines; runs of other threads and tasks keep their own."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def answer(text: str) -> None:
    """A line of the command's result, on stdout."""
    print(text, flush=True)  # noqa: T201  # the console is where we print


def answer_pieces(pieces: Iterable[str]) -> None:
    """A long result on stdout, as it comes."""
    sys.stdout.writelines(pieces)
    sys.stdout.flush()


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def count_of(number: int, noun: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def table(rows: Iterable[Iterable[str]]) -> str:
    """Rows as left-aligned columns, two spaces apart."""
    lines = [list(row) for row in rows]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _width(text: str) -> int:
    """Columns on a terminal; letters such as 灯 take two."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth  # noqa: PLC0415  # start-up: only wide letters pay for it

    width: int = wcswidth(text)
    return len(text) if width < 0 else width
