"""What `where` leaves without partner: a hole in the batch, unless a step's rows are more."""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice

from dsrun.common.console import count_of
from dsrun.common.errors import Problem
from dsrun.common.messages import show
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath
from dsrun.common.yaml_document import YamlDocument
from dsrun.manifest.joins import Partnerless, Partners, RowFailure
from dsrun.manifest.late_values import StepAxis, late_parts
from dsrun.manifest.matrix import Axis, Matrix
from dsrun.manifest.model import Step

_ADDS_KEYS = "allowed: further keys for rows that are there"
_MOST = 20  # of one step; by then the message is clear


def partner_problems(
    step: Step, document: YamlDocument, *, faulty: Collection[str] = ()
) -> tuple[list[Problem], list[Problem]]:
    """Problems, and warnings: values of a list or a file are holes, rows of a step may be spare.

    `faulty`: steps that lack rows for a fault of their own, so that others seem to lack partners.
    """
    matrix = step.matrix
    problems: list[Problem] = []
    warnings: list[Problem] = []
    if matrix.join is None:
        return [], []
    try:
        found = list(matrix.join.partnerless(matrix.axes))
    except RowFailure:
        return [], []  # told where the rows are made
    holes = [
        one
        for one in found
        if matrix.axes[one.depth].source is None
        and not _runs_through(matrix.axes[one.other_depth], faulty)
    ]
    problems += (_problem(one, step, document) for one in islice(holes, _MOST))
    if len(holes) > _MOST:
        words = f"{len(holes) - _MOST} more values have no partner"
        problems.append(document.problem(("steps", step.name, "matrix", "where"), words))
    for axis, number in _spare(found, matrix):
        words = f"{number} of {len(axis.values)} values join nothing, by `where`"
        at = ("steps", step.name, "matrix", axis.names[0])
        warnings.append(document.problem(at, words, of_key=True))
    return problems, warnings


def partner_words(matrix: Matrix) -> list[str]:
    """`400 lines: 1 voice each`, for each pair of axes that `where` joins by equalities.

    The values that are counted are those of a list or a file, else those of the earlier axis.
    """
    if matrix.join is None:
        return []
    pairs: dict[frozenset[int], Partners] = {}
    for one in matrix.join.partners(matrix.axes):
        pair = frozenset((one.depth, one.other_depth))
        if pair not in pairs or _is_step(matrix, pairs[pair].depth) > _is_step(matrix, one.depth):
            pairs[pair] = one
    return [_told(one, matrix) for one in pairs.values()]


def _runs_through(axis: Axis, steps: Collection[str]) -> bool:
    return axis.source is not None and axis.source.step in steps


def _is_step(matrix: Matrix, depth: int) -> bool:
    return matrix.axes[depth].source is not None


def _told(one: Partners, matrix: Matrix) -> str:
    subject, other = (", ".join(matrix.axes[at].names) for at in (one.depth, one.other_depth))
    span = "" if one.least == one.most else f"{one.least} to "
    return f"{count_of(one.values, subject)}: {span}{count_of(one.most, other)} each"


def rule_problems(
    step: Step, axes: Mapping[str, StepAxis], document: YamlDocument
) -> Iterator[Problem]:
    """Rules of a matrix with axes that run through steps, which cannot do what they say."""
    matrix = step.matrix
    at: KeyPath = ("steps", step.name, "matrix")
    for number in sorted(matrix.rowless):
        listed = ", ".join(f"{name} runs through {axis.step}" for name, axis in axes.items())
        words = f"this rule agrees with no row, and it can make none, since {listed}"
        yield document.problem((*at, "include", number), f"{words}; {_ADDS_KEYS}")
    for kind, rules in (("exclude", matrix.exclude), ("include", matrix.include)):
        for number, rule in enumerate(rules):
            for name in [name for name in rule if name in axes]:
                for part in late_parts(axes[name], rule[name]):
                    words = (
                        f"{name}.{part} is known only once {axes[name].step} has run; allowed: "
                        "what is known before, such as its axes"
                    )
                    yield document.problem((*at, kind, number, name), words)


def _spare(found: list[Partnerless], matrix: Matrix) -> Iterator[tuple[Axis, int]]:
    for depth, axis in enumerate(matrix.axes):
        number = len({one.position for one in found if one.depth == depth})
        if axis.source is not None and number:
            yield axis, number


def _problem(one: Partnerless, step: Step, document: YamlDocument) -> Problem:
    matrix = step.matrix
    axis, other = matrix.axes[one.depth], matrix.axes[one.other_depth]
    words = _words(one, ", ".join(other.names))
    at: KeyPath = ("steps", step.name, "matrix", axis.names[0])
    for name, data in axis.data.items():
        place = ("steps", step.name, "matrix", name)
        return Problem(
            file=data.name,
            line=data.line_of(one.position),
            column=1,
            where=".".join(place),
            message=words,
        )
    is_listed = isinstance(axis.values, list) and not axis.zipped
    return document.problem((*at, one.position) if is_listed else at, words)


def _words(one: Partnerless, other: str) -> str:
    if one.key is None:
        return f"found null, which `where` joins to nothing; give a value that {other} has"
    if one.near is not None and one.near != one.key and str(one.near) == str(one.key):
        return (
            f"found {_typed(one.key)}, and {other} has {_typed(one.near)}: they are never equal; "
            "turn the text into a number with `| int` in `where`"
        )
    near = "" if one.near is None else f" (did you mean {one.near}?)"
    return f"found {show(one.key)}, which no value of {other} equals{near}; `where` leaves it out"


def _typed(value: Json) -> str:
    return f"the text {show(value)}" if isinstance(value, str) else f"the number {show(value)}"
