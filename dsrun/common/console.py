"""Words on the terminal. Progress and notes go to stderr, results to stdout.

What came from outside may hold what a terminal obeys, so all but `Shown` text is made one line
without hidden signs here, whoever says it.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from dsrun.common.escaping import DEGRADED, Shown, shown, shown_json, shown_lines
from dsrun.common.logs import WARNING, fit, show_line, speak
from dsrun.common.models import Json
from dsrun.common.settings import terminal_encoding

_listener: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


def open_streams() -> None:
    """Make stdin, stdout and stderr fit to be used, whoever started us.

    One that was closed is empty, and a file that is opened later does not take its number. A
    terminal gets the encoding of its locale, files and pipes UTF-8; what that cannot hold, such as
    an emoji, is spelled out.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115  # to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding=terminal_encoding(stream), errors=DEGRADED)
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(encoding=terminal_encoding(sys.stdin), errors="replace")


def say(text: str) -> None:
    """A line for the user, or what is Shown: on stderr, or to the program that listens."""
    listener = _listener.get()
    if listener is not None:
        listener(fit(text))
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
    """A line of the command's result, or what is Shown, on stdout."""
    print(shown(text), flush=True)  # noqa: T201  # the console is where we print


def answer_json(value: Json, *, indent: bool = True) -> None:
    """The command's result for a program."""
    answer(shown_json(_as_json(value, indent=indent)))


def _as_json(value: Json, *, indent: bool) -> str:
    import orjson  # noqa: PLC0415  # start-up

    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else None).decode()
    except TypeError:  # a path whose bytes are no text, or an integer past 64 bits
        separators = None if indent else (",", ":")
        return json.dumps(value, indent=2 if indent else None, separators=separators)


def answer_path(path: Path) -> None:
    """The name of a file on stdout; a program that reads it gets the very name."""
    name = str(path)
    answer(name if is_terminal(sys.stdout) else Shown(name))


def answer_text(text: str) -> None:
    """A text on stdout that another program reads, letter by letter; a terminal sees it fit."""
    lines = text.split("\n")
    answer(shown_lines(lines) if is_terminal(sys.stdout) else Shown(text))


def answer_pieces(pieces: Iterable[str]) -> None:
    """A long result on stdout, as it comes, made fit where the pieces are made."""
    sys.stdout.writelines(pieces)
    sys.stdout.flush()


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def count_of(number: int, noun: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def table(rows: Iterable[Iterable[str]]) -> Shown:
    """Rows as left-aligned columns, two spaces apart."""
    lines = [list(map(shown, row)) for row in rows]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    return Shown(
        "\n".join(
            "  ".join(
                cell + " " * (width - _width(cell))
                for cell, width in zip(line, widths, strict=True)
            ).rstrip()
            for line in lines
        )
    )


def ask(question: str) -> bool:
    """Whether who sits at the terminal says yes."""
    import click  # noqa: PLC0415  # start-up

    return click.confirm(shown(question), err=True)


def _width(text: str) -> int:
    """Columns on a terminal; letters such as 灯 take two."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth  # noqa: PLC0415  # start-up: only wide letters pay for it

    width: int = wcswidth(text)
    return len(text) if width < 0 else width
