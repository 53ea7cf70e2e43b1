"""The last words of an invocation that failed, where no command has said them."""

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from io import StringIO

import click

from dsrun.common.console import fit, speak
from dsrun.common.errors import DsrunError, ExitCode, ManifestError, Problem
from dsrun.common.escaping import shown_lines
from dsrun.common.messages import closest
from dsrun.common.redaction import mask

_SAME_WORD = 0.75  # how alike a mistyped option is to the one that was meant


def say_last(text: str) -> None:
    """A line on stderr."""
    speak(text, show=partial(click.echo, err=True), level=logging.ERROR)


def with_owners(error: click.NoSuchOption, cli: click.Group) -> click.NoSuchOption:
    """The error with a near spelling, or else with the commands that have the option."""
    name = error.option_name
    known = error.possibilities or ()
    begun = next((word for word in known if word.startswith(name)), "")
    near = begun or closest(name, known, cutoff=_SAME_WORD)
    owners = [
        command.name
        for command in cli.commands.values()
        if command.name and any(name in parameter.opts for parameter in command.params)
    ]
    hint = f" It is an option of {', '.join(owners)}." if owners and not near else ""
    near_words = [near] if near else None
    return click.NoSuchOption(name, f"{error.message}{hint}", near_words, error.ctx)


def say_usage(error: click.ClickException) -> None:
    """What is wrong with a command line; click knows how a terminal shows it."""
    words, shown = error.format_message(), StringIO()
    error.show(file=shown)
    whole = shown.getvalue().rstrip("\n").replace(words, fit(words))
    speak(words, show=lambda _: click.echo(whole, err=True), level=logging.ERROR)


def report_bug(error: Exception) -> ExitCode:
    """One line on the terminal; the traceback goes to a file."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="dsrun-bug-", suffix=".log", delete=False, encoding="utf-8"
    ) as file:
        text = "".join(traceback.format_exception(error))
        file.write(shown_lines(mask(text).split("\n")))
    say_last(f"this is a bug in dsrun: {type(error).__name__}: {error}; details: {file.name}")
    return ExitCode.BUG


def hush_stdout() -> None:
    """The reader of our output has gone: keep the interpreter from complaining when it exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell_error(
    error: click.ClickException | DsrunError, cli: click.Group, *, as_json: bool
) -> ExitCode:
    """Say what is wrong, to a program that asked for JSON on stdout too."""
    problems: Sequence[Problem] = ()
    if isinstance(error, click.ClickException):
        code = ExitCode.INVALID
        unknown = with_owners(error, cli) if isinstance(error, click.NoSuchOption) else None
        say_usage(unknown or error)
    elif isinstance(error, ManifestError):
        from dsrun.cli.problems import tell

        code, problems = error.exit_code, error.problems
        tell(problems)
    else:
        code = error.exit_code
        say_last(str(error))
    if as_json:
        from dsrun.cli.problems import answer_error

        words = error.format_message() if isinstance(error, click.ClickException) else str(error)
        answer_error(words, problems, code=code)
    return code
