"""Problems of templates, led back to the file and the characters that a person wrote."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dsrun.common.errors import Problem
from dsrun.common.messages import nearest
from dsrun.common.yaml_document import YamlDocument, dotted
from dsrun.manifest.reader import Text
from dsrun.manifest.template_errors import TemplateProblem

_UNDEFINED = re.compile(r"'(\w+)' is undefined")


def text_problem(document: YamlDocument, root: Path, text: Text, error: TemplateProblem) -> Problem:
    """The problem of a text's template: in the manifest, a prompt file or an included file."""
    name = error.file or text.file
    if name is not None:
        return Problem(
            file=str(root / name),
            line=error.line,
            column=error.column,
            end_column=error.column + error.width if error.width else 0,
            where=dotted(text.at),
            message=str(error),
        )
    if error.offset < 0:
        return document.problem(text.at, str(error))
    line, column = document.place_inside(text.at, error.offset)
    last = document.place_inside(text.at, error.offset + max(error.width, 1) - 1)
    return Problem(
        file=document.file,
        line=line,
        column=column,
        end_column=last[1] + 1 if last[0] == line else 0,
        where=dotted(text.at),
        message=str(error),
    )


def name_known(problem: Problem, names: Iterable[str]) -> Problem:
    """The problem of an undefined variable, with the names that there are."""
    undefined = _UNDEFINED.fullmatch(problem.message)
    if undefined is None:
        return problem
    known = sorted(name for name in names if name not in ("range", "dict", "namespace"))
    message = f"{undefined[1]} is undefined{nearest(undefined[1], known)}; defined here: "
    return replace(problem, message=message + ", ".join(known))
