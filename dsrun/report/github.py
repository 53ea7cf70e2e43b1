"""How a run ended, as Markdown for the page of a GitHub workflow run."""

import re

from dsrun.common.escaping import escaped
from dsrun.common.models import JobStatus
from dsrun.common.redaction import mask
from dsrun.common.run_summary import RunEnd

_SIGNS = re.compile(r"([\\`*_{}\[\]<>|#!~&@]|^\s*[-+=])")


def step_summary(end: RunEnd) -> str:
    """A heading, a table of counts, and the first errors; foreign text is never Markdown."""
    cost = "emulated" if end.emulated else ", ".join(map(str, end.cost)) or "nothing"
    lines = [
        f"### dsrun {_plain(end.pipeline)}: {end.outcome}",
        "",
        "| exit code | jobs | cost | duration |",
        "|---|---|---|---|",
        f"| {end.exit_code} | {_counts(end)} | {_plain(cost)} | {end.duration_s:.0f} s |",
        "",
    ]
    if end.reason:
        lines += [_plain(end.reason), ""]
    lines += [f"- {number} x {_plain(f'{code}: {words}')}" for code, words, number in end.errors]
    return "\n".join([*lines, "", f"Files: {_plain(end.directory)}", "", ""])


def _counts(end: RunEnd) -> str:
    return ", ".join(f"{end.jobs[name]} {name}" for name in JobStatus if end.jobs.get(name)) or "0"


def _plain(text: str) -> str:
    return _SIGNS.sub(r"\\\1", escaped(mask(text)))
