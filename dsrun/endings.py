"""How an invocation ends that did not go well: its last words, where no command has said them."""

import os
import sys
from contextlib import suppress

import click

from dsrun.errors import ExitCode


def say_last(text: str) -> None:
    """A line on stderr."""
    click.echo(text, err=True)


def report_bug(error: Exception) -> ExitCode:
    """One line on the terminal; the traceback goes to a file."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="dsrun-bug-", suffix=".log", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exception(error, file=file)
    say_last(f"this is a bug in dsrun: {type(error).__name__}: {error}; details: {file.name}")
    return ExitCode.BUG


def hush_stdout() -> None:
    """The reader of our output has gone; let the interpreter not complain when it closes."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
