"""The texts of a step, compiled once: from the variables of a row to the values of its request."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from dsrun.common.errors import Problem
from dsrun.common.messages import nearest
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, dotted
from dsrun.common.yaml_document import YamlDocument
from dsrun.manifest.late_values import Reference, StepAxis
from dsrun.manifest.model import Text
from dsrun.manifest.template_errors import LITERAL, TemplateProblem
from dsrun.manifest.templates import Render, Template, Templates
from dsrun.service.operation_file import schema_at

_RAW = "raw %}"
_DOLLAR = "${{"
_SINGLE_BRACES = re.compile(r"(?<![{$])\{ *(\w+)((?:\.\w+)*) *\}(?!\})")
_BARE = re.compile(r"\s*\{\{[-+]?\s*\w+(?:\.\w+|\[[^\[\]]*\])*\s*[-+]?\}\}\s*").fullmatch
_NUMBERS = ("integer", "number", "boolean")
_MAY_HOLD_NULL = {type(None), dict, list}


class TextFailure(NamedTuple):
    """A text whose template cannot be rendered with the variables of a row."""

    text: Text
    error: TemplateProblem


class Failures(list[TextFailure]):
    """The texts of one row that have failed."""

    may_hold_null = False  # whether the value of another text is null, or may hold one


Variables = Mapping[str, Any]
# Gives the value; where a text fails, it is noted and None stands in its place.
Builder = Callable[[Variables, Failures], Json]


class TextCompiler:
    """Compiles the texts of one step, and notes what they use and what is wrong with them."""

    def __init__(
        self,
        templates: Templates,
        *,
        document: YamlDocument,
        root: Path,
        schema: Mapping[str, Json],
        axes: Mapping[str, StepAxis],
        steps: Iterable[str] = (),
        takes_late: bool = True,
        names: Iterable[str] = (),
    ) -> None:
        """`schema` is that of the request: a rendered text becomes what it asks for.

        `axes` run through steps, of which `steps` are all that they may run through; `takes_late`:
        the texts may take what these steps make. `names`: of all axes.
        """
        self.uses: dict[str, frozenset[str]] = {}  # variables of the templates, by their place
        self.run_values: set[str] = set()  # names that they read from `run`; "*": all of them
        self.printing: list[str] = []  # the templates that show values within a text
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.late: list[Reference] = []  # what the templates take of steps above
        self.axes = axes
        through = {axis.step: name for name, axis in axes.items()}
        self.steps = {name: through.get(name, "") for name in steps}  # with the axis through each
        self._takes_late = takes_late
        self._names = {*names, "params"}
        self.has_null = False  # whether the manifest itself says null
        self._templates = templates
        self._document = document
        self._root = root
        self._schema = schema

    def body(self, value: Any, at: KeyPath, parts: dict[KeyPath, Builder]) -> Builder:
        """The builder of a part of the request; those of all that is in it are put in `parts`."""
        build = self._part(value, at, parts)
        parts[at] = build
        return build

    def text(self, text: Text, wanted: str | None) -> Builder:
        """The builder of a text; `wanted` is the type that the schema asks for."""
        self._warn_of_single_braces(text)
        if not text.is_template:
            return _Constant(text.source.removesuffix("\n") if text.file else text.source)
        if _DOLLAR in text.source:
            self.warnings.append(self.problem(text, _dollar_hint(text.source)))
        try:
            template = self._templates.compile(text.source, axes=self.axes)
            self._note_late(text, template)
        except TemplateProblem as error:
            self.problems.append(self.problem(text, error))
            return _Constant(None)
        self.uses[dotted(text.at)] = template.uses
        self.run_values |= template.run_values
        if not (template.native and _keeps_type(text, wanted)):
            self.printing.append(text.source)
        return _rendered(text, template.render, wanted)

    def _warn_of_single_braces(self, text: Text) -> None:
        """`{subject}` of an axis or a param is sent as it stands."""
        found = () if _RAW in text.source else _SINGLE_BRACES.finditer(text.source)
        for match in found:
            if match[1] in self._names and (match[2] or match[1] != "params"):
                name = match[1] + match[2]
                words = f"`{match[0]}` is sent as it stands; did you mean {{{{ {name} }}}}?"
                span = (match.start(), len(match[0]))
                problem = TemplateProblem(words, span=span, source=text.source)
                self.warnings.append(self.problem(text, problem))
                return

    def _note_late(self, text: Text, template: Template) -> None:
        """Raises TemplateProblem where the text is needed before the run."""
        self.late += template.late
        if template.late and not self._takes_late:
            step, what = template.late[0].axis.step, text.at[-1]
            words = f"this is known only once {step} has run, and the {what} before; "
            raise TemplateProblem(words + "use what is known of its row: its axes, its request")

    def problem(self, text: Text, error: TemplateProblem) -> Problem:
        """The problem of a text's template: in the manifest, a prompt file or an included file."""
        if name := error.file or text.file:
            return Problem(
                file=str(self._root / name),
                line=error.line,
                column=error.column,
                end_column=error.column + error.width if error.width else 0,
                where=dotted(text.at),
                message=str(error),
            )
        if error.offset < 0:
            return self._document.problem(text.at, str(error))
        line, column = self._document.place_inside(text.at, error.offset)
        last = self._document.place_inside(text.at, error.offset + max(error.width, 1) - 1)
        return Problem(
            file=self._document.file,
            line=line,
            column=column,
            end_column=last[1] + 1 if last[0] == line else 0,
            where=dotted(text.at),
            message=str(error),
        )

    def _part(self, value: Any, at: KeyPath, parts: dict[KeyPath, Builder]) -> Builder:
        if isinstance(value, Text):
            return self.text(value, schema_at(self._schema, at).get("type"))
        if isinstance(value, dict):
            return _mapping({k: self.body(item, (*at, k), parts) for k, item in value.items()})
        if isinstance(value, list):
            items = [self.body(item, (*at, index), parts) for index, item in enumerate(value)]
            return lambda row, failures: [item(row, failures) for item in items]
        self.has_null |= value is None
        return _Constant(value)


def _keeps_type(text: Text, wanted: str | None) -> bool:
    """Whether a single expression is sent as the value that it is; in a file name none is."""
    is_filename = len(text.at) == 3  # noqa: PLR2004  # steps, the step, filename
    return wanted in _NUMBERS or (not is_filename and bool(_BARE(text.source)))


class _Constant:
    """The builder of a value that is the same in every row; it has no parts."""

    def __init__(self, value: Json) -> None:
        self.value = value

    def __call__(self, _: Variables, __: Failures) -> Json:
        return self.value


def _mapping(keys: Mapping[str, Builder]) -> Builder:
    """The builder of a mapping, whose constants are put in once."""
    frame = {key: part.value if isinstance(part, _Constant) else None for key, part in keys.items()}
    rest = [(key, part) for key, part in keys.items() if not isinstance(part, _Constant)]

    def build(variables: Variables, failures: Failures) -> Json:
        made = frame.copy()
        for key, part in rest:
            made[key] = part(variables, failures)
        return made

    return build


def _rendered(text: Text, render: Render, wanted: str | None) -> Builder:
    is_text = wanted not in _NUMBERS

    def build(variables: Variables, failures: Failures) -> Json:
        try:
            value = render(variables)
        except TemplateProblem as error:
            failures.append(TextFailure(text, error))
            return None
        kind = type(value)
        if kind is str:
            return value if is_text else coerce(value, wanted)
        if kind in _MAY_HOLD_NULL:
            failures.may_hold_null = True
        return value

    return build


def _dollar_hint(source: str) -> TemplateProblem:
    return TemplateProblem(
        "`${{` gives a dollar sign and then the value; in dsrun a template is written "
        "{{ name }}, without the dollar",
        span=(source.index(_DOLLAR), len(_DOLLAR)),
        source=source,
    )


_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)").fullmatch
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?").fullmatch


def coerce(text: str, wanted: str | None) -> Json:
    """The rendered text as the type that the schema asks for, where it is exactly that."""
    if wanted == "integer" and len(text) <= 20 and _INTEGER(text):  # noqa: PLR2004  # 64 bits
        return int(text)
    if wanted == "number" and len(text) <= 40 and _NUMBER(text):  # noqa: PLR2004  # no huge text
        number = int(text) if _INTEGER(text) else float(text)
        return number if math.isfinite(number) else text
    if wanted == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


def _step_words(step: str, axis: str) -> str:
    if axis:
        return f"{step} is a step; the axis through its rows is named {axis} here"
    return f"{step} is a step; make its rows an axis of this one, `{step}: {{step: {step}}}`"


_UNDEFINED = re.compile(r"'(\w+)' is undefined").fullmatch
_JINJAS_OWN = ("range", "dict", "namespace")


def name_known(
    problem: Problem, names: Iterable[str], source: str, *, steps: Mapping[str, str]
) -> Problem:
    """The problem of an undefined variable of a template, with the names that there are.

    `steps`: the steps above, each with the axis that runs through it; an empty name for none.
    """
    undefined = _UNDEFINED(problem.message)
    if undefined is None:
        return problem
    known = sorted(name for name in names if name not in _JINJAS_OWN)
    if undefined[1] in steps:
        words = _step_words(undefined[1], steps[undefined[1]])
        return replace(problem, message=f"{words}; defined here: {', '.join(known)}")
    near = nearest(undefined[1], known)
    message = f"{undefined[1]} is undefined{near}; defined here: {', '.join(known)}"
    # Other template languages write it so, whose text may be what is asked for.
    is_literal = not near and f"{{{{{undefined[1]}}}}}" in source
    return replace(problem, message=f"{message}; {LITERAL}" if is_literal else message)
