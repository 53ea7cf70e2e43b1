"""`dsrun run`: a run that a person or a scheduler asks for, with or without a terminal."""

import sys

from dsrun.cli.endings import hush_stdout
from dsrun.cli.problems import warn
from dsrun.common import fast
from dsrun.common.console import answer_json, answer_path, ask, say
from dsrun.common.models import JobStatus, Json
from dsrun.common.redaction import mask
from dsrun.common.units import first_as_json
from dsrun.session.host import Ending, Host
from dsrun.session.options import RunOptions
from dsrun.session.run import run_pipeline


def run(options: RunOptions, *, as_json: bool = False) -> int:
    """The exit code of design 1.2. Raises DsrunError where the run cannot begin."""
    ending = run_pipeline(options, TERMINAL)
    layout = ending.layout
    try:
        if as_json:
            answer_json(_answer_of(ending), indent=False)
        elif not (ending.is_skipped or ending.is_refused):
            answer_path(layout.run_dir)
    except BrokenPipeError:  # nobody reads it; the exit code still says how the jobs ended
        hush_stdout()
    return ending.code


def _answer_of(ending: Ending) -> dict[str, Json]:
    """`jobs` are those selected; `cost` is that of the whole directory."""
    layout = ending.layout
    return {
        "directory": str(layout.run_dir),
        "results": str(layout.results),
        "report": str(layout.report) if layout.report.is_file() else None,
        "digest": ending.digest,
        "exit_code": int(ending.code),
        "reason": mask(ending.reason) or None,
        "skipped": ending.is_skipped,
        "jobs": {status.value: ending.counts.get(status, 0) for status in JobStatus},
        "cached": ending.cached,
        "cost": first_as_json(() if layout.emulated else ending.spent),
    }


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
    drive=fast.run,
    check=lambda: None,
)
