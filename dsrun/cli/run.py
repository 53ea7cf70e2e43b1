"""`dsrun run`: a run that a person or a scheduler asks for, with or without a terminal."""

import asyncio
import sys

from dsrun.cli.endings import hush_stdout
from dsrun.cli.problems import warn
from dsrun.common.console import answer_path, ask, say
from dsrun.session.host import Host
from dsrun.session.options import RunOptions
from dsrun.session.run import run_pipeline


def run(options: RunOptions) -> int:
    """The exit code of design 1.2. Raises DsrunError where the run cannot begin."""
    ending = run_pipeline(options, TERMINAL)
    if not (ending.is_skipped or ending.is_refused):
        try:
            answer_path(ending.layout.run_dir)
        except BrokenPipeError:  # nobody reads it; the exit code still says how the jobs ended
            hush_stdout()
    return ending.code


def _ask(words: str) -> bool:
    """Without a terminal --yes decides."""
    if not sys.stdin.isatty():
        say(f"{words}; add --yes to agree")
        return False
    return ask(f"{words}. Go on?")


TERMINAL = Host(
    owns_process=True,
    takes_signals=True,
    agree=lambda question: sys.stdin.isatty() and ask(question),
    confirm=_ask,
    warn=warn,
    drive=asyncio.run,
    check=lambda: None,
)
