"""Finds what a template takes of a step above: values that nobody knows before that step has run.

A late value may stand alone or within a text, with a few filters. It is never tested, counted,
looped over or set: that is decided on the template's syntax tree, since a stand-in for the value
would let a template work on its own text.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from dsrun.common.late import (
    ARGUMENTS,
    FILTERS,
    FROM_JSON,
    Late,
    LateFilter,
    LateText,
    filter_fault,
)
from dsrun.common.messages import nearest
from dsrun.common.models import Json
from dsrun.manifest.step_rows import StepRow, files_of
from dsrun.manifest.template_errors import TemplateProblem, offset_of

OUTPUT, FILE, FILES = "output", "artifact", "artifacts"
LATE_WORDS = frozenset({OUTPUT, FILE, FILES})
_KNOWN_OF_FILE = frozenset({"index", "seed"})
_SPELLED = re.compile(r"\w+(?:\.\w+|\[[^\[\]]*\])*")
_PRINTED = frozenset({"string", "integer", "number"})
_TOKEN = secrets.token_hex(8)  # so that no text of a row can be taken for a mark
_MARK = re.compile(rf"\x02{_TOKEN}:(\d+)\x03")
_CAPTURING = (nodes.Macro, nodes.CallBlock, nodes.FilterBlock, nodes.AssignBlock)
LATE_PLACES = (
    "it may stand alone, or within a text, with the filters " + ", ".join(sorted(FILTERS)) + " and "
    "constant arguments, and `(… | from_json).KEY` is a part of it; nothing can be computed from "
    "it before it is there"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepAxis:
    """What a template can read of an axis whose values are the rows of a step.

    `kind` is `row`, `file` (`each: artifact`) or `group`. `axes` are the step's own, by name, with
    a StepAxis where one is a step again; `files` is how many every row asks for, None where that
    differs by row or the model chooses (`is_open`).
    """

    step: str
    kind: str = "row"
    axes: Mapping[str, "StepAxis | None"] = field(default_factory=dict)
    outputs: Mapping[str, Json] = field(default_factory=dict)  # {type: […]} where known, by name
    files: int | None = 1
    is_open: bool = False


def late_parts(axis: StepAxis, named: Json) -> list[str]:
    """What a rule of the matrix names of a row above, and cannot know."""
    known = {FILE} if axis.kind == "file" else set()
    found: list[str] = []
    for rule in named if isinstance(named, list) else [named]:
        parts = rule if isinstance(rule, Mapping) else {}
        found += [key for key in parts if key in LATE_WORDS - known]
        own = parts["matrix"] if isinstance(parts.get("matrix"), Mapping) else {}
        for key, below in {**parts, **own}.items():
            if (inner := axis.axes.get(key)) is not None:
                found += [f"{key}.{part}" for part in late_parts(inner, below)]
    return found


class Reference(NamedTuple):
    """A late value as a template names it: the axes down to its job, and what of that it takes."""

    axes: tuple[str, ...]
    axis: StepAxis
    what: str  # one of LATE_WORDS
    output: str | None
    number: int | None  # of a file
    filters: tuple[LateFilter, ...]

    @property
    def types(self) -> tuple[str, ...]:
        """The types that an output may have; none where any is possible."""
        return tuple(self.axis.outputs.get(self.output or "", {}).get("type", ()))

    @property
    def is_list(self) -> bool:
        return self.what == FILES and self.number is None

    def row(self, variables: Mapping[str, Any]) -> StepRow:
        """The row of a step above that it reads. `variables` has the value of each axis."""
        row: Any = variables
        for name in self.axes:
            row = row[name]
        return cast("StepRow", row)

    def value(self, variables: Mapping[str, Any]) -> Late | list[Late]:
        """The late value of a row. Raises TemplateProblem where it has no such file."""
        return self.many(variables) if self.is_list else self.one(variables)

    def one(self, variables: Mapping[str, Any]) -> Late:
        row = self.row(variables)
        if self.what == OUTPUT:
            at = f"/{OUTPUT}/{self.output}"
            return Late(job_id=row["job_id"], at=at, filters=self.filters, types=self.types)
        number = row[FILE]["index"] if self.axis.kind == "file" else self.number or 0
        files = files_of(row)
        if self.axis.kind == "row" and not self.axis.is_open:
            if number >= files:
                words = (
                    f"found artifacts[{number}] of a row with {files}; allowed: up to {files - 1}"
                )
                raise TemplateProblem(words)
            if self.what == FILE and files != 1:
                words = f"the row has {files} files; name one: artifacts[0], or take each: artifact"
                raise TemplateProblem(words)
        return Late(job_id=row["job_id"], file=number, filters=self.filters)

    def many(self, variables: Mapping[str, Any]) -> list[Late]:
        """Every file of a row, or of all members of a group."""
        row = self.row(variables)
        members = row["members"] if self.axis.kind == "group" else [row]
        return [
            Late(job_id=member["job_id"], file=number)
            for member in members
            for number in range(files_of(member))
        ]


class LateParts:
    """The late values of one template; in its tree a mark stands in place of each."""

    def __init__(
        self,
        tree: nodes.Template,
        axes: Mapping[str, StepAxis],
        *,
        source: str,
        file: str = "",
        is_single: bool = False,
        takes_none: bool = False,
    ) -> None:
        """`is_single`: the template is one expression and nothing else, so that it may be a list.

        `takes_none`: no late value may stand here at all.

        Raises TemplateProblem where a late value is used for anything that needs it now.
        """
        self._axes = axes
        self._is_single = is_single
        self._source, self._file = source, file
        self.references: list[Reference] = []
        if axes:
            self._refuse_shadows(tree)
            if not takes_none:
                _Marker(self._mark_of).visit(tree)
            self._refuse_rest(tree)

    @property
    def alone(self) -> Reference | None:
        """The late value that the template is, where it is nothing else."""
        return self.references[0] if self._is_single and self.references else None

    def filled(self, text: str, variables: Mapping[str, Any]) -> str | LateText:
        """A rendered text with the late values of a row in place of the marks."""
        pieces = _MARK.split(text)
        if len(pieces) == 1:
            return text
        parts: list[str | Late] = []
        for number, piece in enumerate(pieces):
            if number % 2:
                parts.append(self.references[int(piece)].one(variables))
            elif piece:
                parts.append(piece)
        return LateText(tuple(parts))

    def _mark_of(self, node: nodes.Expr) -> nodes.Const | None:
        reference = self._reference(node)
        if reference is None:
            return None
        if reference.what != OUTPUT and (reference.filters or not self._is_single):
            words = "a file stands alone, where a request takes one; in a text or a filter"
            raise self._problem(node, f"{words} it says nothing; {self._sayings(reference)}")
        self._check_types(node, reference)
        self.references.append(reference)
        mark = f"\x02{_TOKEN}:{len(self.references) - 1}\x03"
        return nodes.Const(mark, lineno=node.lineno)

    @staticmethod
    def _sayings(reference: Reference) -> str:
        """What may stand in a text instead of a file."""
        known = [f"{'.'.join(reference.axes)}.{OUTPUT}.{name}" for name in reference.axis.outputs]
        if reference.axis.kind == "group" or not known:
            return "remove it"
        return f"in a text may stand {', '.join(known)}"

    def _check_types(self, node: nodes.Node, reference: Reference) -> None:
        """A filter takes a text, and a text takes texts and numbers."""
        types, words = set(reference.types), ""
        listed = " or ".join(reference.types)
        if types and reference.filters and "string" not in types:
            words = f"the filter {reference.filters[0].name} takes a text"
        elif types and not reference.filters and not self._is_single and types.isdisjoint(_PRINTED):
            words = "a text takes texts and numbers"
        if words:
            raise self._problem(node, f"{reference.output} is of type {listed}, and {words}")

    def _reference(self, node: nodes.Expr) -> Reference | None:
        """The late value that an expression is, with its filters; None where it is none."""
        filters: list[LateFilter] = []
        while (found := _filtering(node)) is not None:
            applied, below = found
            arguments = _constant_arguments(below)
            if arguments is None or below.node is None:
                return None
            filters.insert(0, applied._replace(args=(*arguments, *applied.args)))
            node = below.node
        chain = _chain(node)
        late = None if chain is None else self._resolved(node, chain, tuple(filters))
        if late is not None and (fault := next(filter(None, map(filter_fault, filters)), "")):
            raise self._problem(node, fault)
        return late

    def _resolved(
        self, node: nodes.Node, chain: list[Json], filters: tuple[LateFilter, ...] = ()
    ) -> Reference | None:
        """What a chain of names reads. Raises TemplateProblem where it reads what is not there."""
        name, *rest = chain
        axis = self._axes.get(name) if isinstance(name, str) else None
        if name == "matrix" and rest and isinstance(rest[0], str):
            name, *rest = rest
            axis = self._axes.get(name)
        way: tuple[str, ...] = (str(name),)
        while axis is not None and rest:
            head, *tail = rest
            if head in LATE_WORDS:
                return self._late(node, way, axis, str(head), tail, filters)
            if head == "matrix" and tail:
                head, *tail = tail
            axis = axis.axes.get(head) if isinstance(head, str) else None
            way, rest = (*way, str(head)), tail
        return None

    def _late(  # noqa: PLR0917  # the parts of one reference
        self, node: nodes.Node, way: tuple[str, ...], axis: StepAxis, what: str,
        tail: list[Json], filters: tuple[LateFilter, ...],
    ) -> Reference | None:  # fmt: skip
        spelled = ".".join(way)
        if what == OUTPUT:
            return self._output(node, way, axis, tail, filters)
        if axis.kind == "file" and what == FILE and tail and tail[0] in _KNOWN_OF_FILE:
            return None  # known before the run
        if axis.kind == "file" and what == FILES:
            raise self._problem(node, f"{spelled} is one file of a row: {spelled}.artifact")
        if axis.kind == "group" and what == FILE:
            raise self._problem(node, f"{spelled} is a group: {spelled}.artifacts are its files")
        index = None
        if what == FILES and tail:
            index, *tail = tail
        if tail:
            file = spelled + f".{what}" + ("" if index is None else f"[{index}]")
            raise self._problem(node, _unknown_of_file(tail[0], axis, file))
        if what == FILE and axis.kind == "row" and axis.files != 1 and (axis.files or axis.is_open):
            words = (
                f"{spelled} has {axis.files or 'any number of'} files; name one, "
                f"{spelled}.artifacts[0], or make each a value: each: artifact"
            )
            raise self._problem(node, words)
        if index is not None:
            self._check_index(node, spelled, axis, index)
        elif what == FILES and axis.is_open:
            raise self._problem(node, f"the model chooses how many files {spelled} has")
        return Reference(way, axis, what, None, index, filters)

    def _check_index(self, node: nodes.Node, spelled: str, axis: StepAxis, index: Json) -> None:
        most = axis.files
        is_index = isinstance(index, int) and not isinstance(index, bool) and index >= 0
        if not is_index or (most is not None and index >= most):
            allowed = "0" if most == 1 else f"0 to {most - 1}" if most else "a number from 0"
            raise self._problem(node, f"{spelled}.artifacts[{index}]: allowed: {allowed}")

    def _output(
        self, node: nodes.Node, way: tuple[str, ...], axis: StepAxis, tail: list[Json],
        filters: tuple[LateFilter, ...],
    ) -> Reference:  # fmt: skip
        known = sorted(axis.outputs)
        allowed = f"{axis.step} gives {', '.join(known) or 'no output'}"
        if not tail or axis.kind == "group":
            raise self._problem(node, f"an output is named: {'.'.join(way)}.output.NAME; {allowed}")
        name, *rest = tail
        if name not in axis.outputs:
            near = nearest(str(name), known)
            raise self._problem(node, f"{axis.step} has no output {name}{near}; {allowed}")
        if rest:
            raise self._problem(node, f"parts of the output {name} cannot be read; {allowed}")
        return Reference(way, axis, OUTPUT, str(name), None, filters)

    def _refuse_shadows(self, tree: nodes.Template) -> None:
        for name in tree.find_all(nodes.Name):
            if name.ctx in ("store", "param") and name.name in self._axes:
                words = f"{name.name} is an axis of this step; give this variable another name"
                raise self._problem(name, words)

    def _refuse_rest(self, tree: nodes.Template) -> None:
        """What is late and has no mark stands where it would be needed now."""
        for node, chain in _iter_chains(tree):
            late = self._resolved(node, chain)
            if late is not None:
                where = "it cannot stand in an included file" if self._file else LATE_PLACES
                words = f"this is known only once {late.axis.step} has run: {where}"
                raise self._problem(node, words)

    def _problem(self, node: nodes.Node, words: str) -> TemplateProblem:
        """A problem with what begins at a node's variable."""
        while not isinstance(node, nodes.Name) and isinstance(below := _below(node), nodes.Node):
            node = below
        begin = offset_of(node.lineno, self._source)
        spelled = _SPELLED.match(self._source, begin)
        span = (begin, len(spelled[0]) if spelled else 1)
        return TemplateProblem(words, file=self._file, source=self._source, span=span)


def _unknown_of_file(part: Json, axis: StepAxis, file: str) -> str:
    words = f"{part} of a file is not known before it is there; {file} is the file itself"
    if part in _KNOWN_OF_FILE and axis.kind == "row":
        words += "; on the axis `each: artifact` gives a value for each file, which has it"
    return words


class _Marker(NodeTransformer):
    """Puts marks in place of late values that are printed as they are."""

    def __init__(self, mark_of: Callable[[nodes.Expr], nodes.Const | None]) -> None:
        self._mark_of = mark_of
        self._capturing = 0

    def visit_Output(self, node: nodes.Output) -> nodes.Output:  # noqa: N802  # the name is Jinja's
        if not self._capturing:
            node.nodes = [self._mark_of(part) or part for part in node.nodes]
        return node

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        is_capturing = isinstance(node, _CAPTURING)
        self._capturing += is_capturing
        super().generic_visit(node, *args, **kwargs)
        self._capturing -= is_capturing
        return node


def _filtering(node: nodes.Expr) -> tuple[LateFilter, nodes.Filter] | None:
    """The filter that an expression applies last, or the part of `from_json` that it reads."""
    keys: list[Json] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        if isinstance(node, nodes.Getattr):
            keys.insert(0, node.attr)
        elif isinstance(node.arg, nodes.Const) and type(node.arg.value) in (str, int):
            keys.insert(0, node.arg.value)
        else:
            return None
        node = node.node
    if not isinstance(node, nodes.Filter) or node.name not in FILTERS:
        return None
    if keys and node.name != FROM_JSON:
        return None
    return LateFilter(node.name, tuple(keys)), node


def _constant_arguments(node: nodes.Filter) -> tuple[Json, ...] | None:
    """The arguments of a filter in order; None where one is no constant, or has no such name."""
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        return None
    values = [arg.value if isinstance(arg, nodes.Const) else _MISSING for arg in node.args]
    names = tuple(one.name for one in ARGUMENTS.get(node.name, ()))
    for pair in node.kwargs:
        if pair.key not in names or names.index(pair.key) != len(values):
            return None
        values.append(pair.value.value if isinstance(pair.value, nodes.Const) else _MISSING)
    return None if _MISSING in values or len(values) > len(names) else tuple(values)


_MISSING = object()


def _iter_chains(node: nodes.Node) -> Iterator[tuple[nodes.Node, list[Json]]]:
    """Every longest chain of names in a tree."""
    chain = _chain(node)
    if chain is not None:
        yield node, chain
        return
    for below in node.iter_child_nodes():
        yield from _iter_chains(below)


def _below(node: nodes.Node) -> nodes.Node | None:
    return getattr(node, "node", None)


def _chain(node: nodes.Node) -> list[Json] | None:
    """The names of `a.b[0].c`, from the variable on; None for anything else."""
    names: list[Json] = []
    while True:
        if isinstance(node, nodes.Getattr):
            names.append(node.attr)
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
            names.append(node.arg.value)
        elif isinstance(node, nodes.Name):
            return [node.name, *reversed(names)]
        else:
            return None
        node = node.node
