"""How an invocation ends that did not go well: its last words, where no command has said them."""

import logging
import os
import sys
from contextlib import suppress
from functools import partial

import click

from dsrun.errors import ExitCode
from dsrun.logs import speak
from dsrun.masking import mask


def say_last(text: str) -> None:
    """A line on stderr."""
    speak(text, show=partial(click.echo, err=True), level=logging.ERROR)


def say_usage(error: click.ClickException) -> None:
    """What is wrong with a command line; click knows how a terminal shows it."""
    speak(error.format_message(), show=lambda _: error.show(), level=logging.ERROR)


def report_bug(error: Exception) -> ExitCode:
    """One line on the terminal; the traceback goes to a file."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="dsrun-bug-", suffix=".log", delete=False, encoding="utf-8"
    ) as file:
        file.write(mask("".join(traceback.format_exception(error))))
    say_last(f"this is a bug in dsrun: {type(error).__name__}: {error}; details: {file.name}")
    return ExitCode.BUG


def hush_stdout() -> None:
    """The reader of our output has gone; let the interpreter not complain when it closes."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
