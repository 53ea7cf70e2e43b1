"""Problems and warnings of a pipeline: told to a person, to a program, to GitHub."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from dsrun.cli.snippets import problem_text
from dsrun.common.console import is_terminal, say
from dsrun.common.errors import Problem
from dsrun.common.escaping import Shown, escaped, shown_lines
from dsrun.common.messages import row_words
from dsrun.common.redaction import mask
from dsrun.common.settings import wants_color


def tell(problems: Iterable[Problem], *, label: str = "") -> None:
    """Each problem on stderr, with its line of the file."""
    color = is_terminal(sys.stderr) and wants_color()
    for problem in problems:
        say(problem_text(problem, color=color, label=label))


def warn(warnings: Iterable[Problem]) -> None:
    """Each warning on stderr, as `warning: file:line:column: ...`."""
    tell(warnings, label="warning: ")


def as_json(problem: Problem) -> dict[str, Any]:
    """The keys that README documents."""
    rows = problem.rows
    first = rows and {
        "index": rows.index,
        "matrix": rows.matrix,
        "data": [{"file": file, "line": line} for file, line in rows.data],
    }
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "end_column": problem.end_column,
        "where": problem.where,
        "message": mask(problem.message),
        "jobs": rows and {"count": rows.count, "of": rows.of, "first": first},
    }


def annotations(problems: Sequence[Problem], *, level: str) -> Iterable[str]:
    """GitHub's workflow commands, which mark the line in the diff; `level` is error or warning."""
    for problem in problems:
        at = {"file": problem.file}
        if problem.line:
            at |= {"line": str(problem.line), "col": str(problem.column)}
        if problem.end_column:
            at["endColumn"] = str(problem.end_column)
        lines = [f"{problem.where}: {problem.message}" if problem.where else problem.message]
        if problem.rows is not None:
            lines.append(row_words(problem.rows.index, problem.rows.matrix))
        keys = ",".join(f"{key}={_escaped(escaped(value), ':,')}" for key, value in at.items())
        yield Shown(f"::{level} {keys}::{_escaped(shown_lines(map(mask, lines)))}")


def _escaped(text: str, also: str = "") -> str:
    """The runner reads a command to the end of its line, and a property to a comma."""
    for char in f"%\r\n{also}":
        text = text.replace(char, f"%{ord(char):02X}")
    return text
