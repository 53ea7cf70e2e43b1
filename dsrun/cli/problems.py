"""Shows problems and warnings of a pipeline to a person, a program or GitHub."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from dsrun.common.console import answer_json, is_terminal, say
from dsrun.common.errors import Problem
from dsrun.common.escaping import Shown, escaped, shown, shown_lines
from dsrun.common.messages import row_words
from dsrun.common.redaction import mask
from dsrun.common.settings import wants_color
from dsrun.common.text_table import width_of


def tell(problems: Iterable[Problem], *, label: str = "") -> None:
    """Each problem on stderr, with its line of the file."""
    color = is_terminal(sys.stderr) and wants_color()
    for problem in problems:
        say(problem_text(problem, color=color, label=label))


def warn(warnings: Iterable[Problem]) -> None:
    """Each warning on stderr, as `warning: file:line:column: ...`."""
    tell(warnings, label="warning: ")


def as_json(problem: Problem) -> dict[str, Any]:
    """The keys that the manual documents."""
    rows = problem.rows
    first = rows and {
        "index": rows.index,
        "matrix": rows.matrix,
        "data": [{"file": place.file, "line": place.line} for place in rows.data],
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


def answer_error(words: str, problems: Sequence[Problem], *, code: int) -> None:
    """Why a command has no answer, as JSON on stdout."""
    told = [as_json(problem) for problem in problems]
    with suppress(BrokenPipeError):  # nobody reads it, and stderr has said it
        answer_json(
            {"valid": False, "exit_code": int(code), "error": mask(words), "problems": told}
        )


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
    """A command ends with its line, and a property with a comma."""
    for char in f"%\r\n{also}":
        text = text.replace(char, f"%{ord(char):02X}")
    return text


_WIDEST = 100  # columns of a line that is shown
_LEAD = 40  # columns kept before the caret of a longer line
_CUT = "..."
_TAB = "    "
_BOLD, _RED, _BLUE = "1", "1;31", "1;34"

Paint = Callable[[str, str], str]  # style and text in, text out


def problem_text(problem: Problem, *, color: bool = False, label: str = "") -> Shown:
    """The problem in words and, where its line can be read, that line with a caret.

    Below them are the first job that has the problem, and its line of a data file.
    """
    paint = _painted if color else _plain
    head = shown(f"{label}{problem}").removeprefix(label)
    place, _, rest = head.partition(": ")
    return Shown("\n".join([f"{label}{paint(_BOLD, place + ':')} {rest}", *_lines(problem, paint)]))


def _lines(problem: Problem, paint: Paint) -> Iterator[str]:
    data = problem.rows.data if problem.rows else ()
    gutter = len(str(max([problem.line, *(place.line for place in data)])))
    numbered = partial(_numbered, gutter=gutter, paint=paint)
    text = _line_of(problem.file, problem.line) if problem.line else ""
    if text.strip():
        part, before, marked = _window(text, problem.column, problem.end_column)
        yield numbered(str(problem.line), part)
        yield numbered("", " " * before + paint(_RED, "^" * marked))
    if problem.rows is None:
        return
    words = row_words(problem.rows.index, problem.rows.matrix)
    yield paint(_BLUE, f"  {'':{gutter}} = ") + shown(words)
    for place in data:
        yield paint(_BLUE, f"  {'':{gutter}} --> ") + shown(str(place))
        text = _line_of(place.file, place.line)
        part, before, _ = _window(text, place.column or 1, 0)
        yield numbered(str(place.line), part)
        if place.column:
            yield numbered("", " " * before + paint(_RED, "^"))


def _numbered(number: str, text: str, *, gutter: int, paint: Paint) -> str:
    return (paint(_BLUE, f"  {number:>{gutter}} |") + f" {text}").rstrip()


def _line_of(file: str, number: int) -> str:
    """One line of a file; empty where it cannot be read, and the message then stands alone."""
    try:
        with Path(file).open(encoding="utf-8-sig", errors="replace") as lines:
            return next(islice(lines, number - 1, None), "").rstrip("\n")
    except OSError:
        return ""


def _window(text: str, column: int, end_column: int) -> tuple[str, int, int]:
    """The line as it is shown, the columns before the caret, and the columns of the caret."""
    start = min(column - 1, len(text))
    end = max(end_column - 1, start + 1)
    before, marked, after = map(_printable, (text[:start], text[start:end], text[end:]))
    if width_of(before + marked + after) > _WIDEST:
        if width_of(before) > _LEAD:
            before = _CUT + _cut(before, _LEAD - len(_CUT), from_end=True)
        room = _WIDEST - len(_CUT) - width_of(before)
        whole = marked + after
        if width_of(whole) > room:
            marked = _cut(marked, room)
            after = _cut(whole, room)[len(marked) :] + _CUT
    return before + marked + after, width_of(before), max(1, width_of(marked))


def _cut(text: str, width: int, *, from_end: bool = False) -> str:
    """As much of the text as fits into `width` columns."""
    while width_of(text) > width:
        over = max(1, (width_of(text) - width) // 2)
        text = text[over:] if from_end else text[:-over]
    return text


def _printable(text: str) -> str:
    """The text without characters that move the cursor or change the direction of writing."""
    return escaped(text.replace("\t", _TAB))


def _painted(style: str, text: str) -> str:
    return f"\x1b[{style}m{text}\x1b[0m"


def _plain(style: str, text: str) -> str:
    del style
    return text
