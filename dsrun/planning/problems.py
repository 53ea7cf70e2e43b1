"""Problems of jobs, grouped: one slip in a template is reported once, not a thousand times."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dsrun.common.errors import FileLine, Problem, Rows
from dsrun.common.pointer import KeyPath
from dsrun.common.yaml_document import YamlDocument
from dsrun.manifest.matrix import OPERATION
from dsrun.planning.compiled_step import CompiledStep
from dsrun.planning.job_index import Clash
from dsrun.planning.request_form import Finding, RowProblem

MOST_BAD_JOBS = 10_000  # of one step; by then the message is clear
_MOST_WORDS = 100  # groups of problems
_BY_WORDS = ("enum", "template")
_EVERY_ROW = frozenset({"matrix", "job"})  # variables that differ from row to row
# What is allowed comes last, after the jobs.
_ALLOWED = re.compile(
    r"(.*)(; (?:allowed: |defined (?:here|there): |it is required|the two must agree"
    r"|the service knows).*)",
    re.DOTALL,
)


@dataclass(slots=True)
class Group:
    """Equal problems. `first` is the first job that has one; None where no job has it."""

    problem: Problem
    rule: str = ""
    first: RowProblem | None = None
    count: int = 1
    sizes: list[float] = field(default_factory=list)  # the smallest and the largest
    is_mixed: bool = False  # whether jobs have it in different words

    def add(self, finding: Finding) -> None:
        self.count += 1
        # Models that differ in what is allowed are told by the first job alone.
        self.is_mixed |= _found(finding.problem.message) != _found(self.problem.message)
        if finding.size is not None:
            self.sizes = [min(*self.sizes, finding.size), max(*self.sizes, finding.size)]


class Findings:
    """Collects the problems of a plan by step, place and rule."""

    def __init__(self, *, ends_at: int | None = None) -> None:
        """`ends_at`: after so many bad jobs the rest of a step is not looked at."""
        self.groups: dict[tuple[str, str, str], Group] = {}
        self.seen: Counter[str] = Counter()
        self._bad: Counter[str] = Counter()
        self._ends_at = ends_at

    def add(self, step: str, error: RowProblem) -> None:
        self._bad[step] += 1
        for finding in error.problems:
            problem = finding.problem
            # Each wrong word of a list and bad file is reported, not each of a thousand lengths.
            each = finding.rule in _BY_WORDS or finding.rule.startswith("upload")
            by_words = each and len(self.groups) < _MOST_WORDS
            key = (step, problem.where, problem.message if by_words else finding.rule)
            group = self.groups.get(key)
            if group:
                group.add(finding)
            else:
                sizes = [] if finding.size is None else [finding.size, finding.size]
                self.groups[key] = Group(problem, finding.rule, error, sizes=sizes)

    def add_clashes(self, clashes: Iterable[Clash], document: YamlDocument) -> None:
        for clash in clashes:
            same = clash.first_index == clash.second_index
            jobs = (
                f"several pictures of job {clash.first_index} would be"
                if same
                else f"jobs {clash.first_index} and {clash.second_index} would be"
            )
            hint = "add {{ index }}" if same else "add what tells the jobs apart"
            problem = document.problem(
                ("steps", clash.step, "filename"), f"{jobs} written to the same file; {hint}"
            )
            self.groups[(clash.step, "filename", "clash")] = Group(problem)

    def problems(self, steps: Iterable[CompiledStep]) -> Sequence[Problem]:
        by_name = {compiled.step.name: compiled for compiled in steps}
        return [self._told(by_name[step], group) for (step, _, _), group in self.groups.items()]

    def _told(self, compiled: CompiledStep, group: Group) -> Problem:
        """The problem, with the jobs that have it if it depends on their rows."""
        name, first = compiled.step.name, group.first
        total = self.seen[name]
        used = compiled.uses.get(group.problem.where, frozenset())
        # A name that no row has is the template's fault.
        of_row = group.rule != "template" and not used.isdisjoint(
            _EVERY_ROW.union(compiled.step.matrix.names)
        )
        if first is None or (group.count == total and not group.is_mixed and not of_row):
            return group.problem
        rows = Rows(
            count=group.count,
            of=total,
            index=first.index,
            matrix=first.row,
            data=_value_places(compiled, first, used),
        )
        cut = self._ends_at is not None and self._bad[name] >= self._ends_at
        message = _with_rows(_with_sizes(group), rows, is_mixed=group.is_mixed, is_cut=cut)
        return replace(group.problem, message=message, rows=rows)


def _value_places(
    compiled: CompiledStep, first: RowProblem, used: frozenset[str]
) -> tuple[FileLine, ...]:
    """The lines of data files that a job's row comes from, if its template uses them.

    Where it uses values of the manifest alone, no line of a file is to blame, but their place.
    """
    matrix = compiled.step.matrix
    files = {name: data for axis in matrix.axes for name, data in axis.data.items()}
    if not files:
        return ()
    number = first.index // compiled.step.repeat
    origins = matrix.origins(number)
    if not origins:
        return ()
    own = used & first.row.keys() - files.keys()
    if own and used.isdisjoint(_EVERY_ROW | origins.keys()):
        at = matrix.positions(number)
        places = [
            _place_in_manifest(compiled, first, name, at) for name in first.row if name in own
        ]
    else:
        wanted = origins.keys() & used or origins.keys()
        places = [
            FileLine(files[name].name, files[name].line_of(position))
            for name, position in origins.items()
            if name in wanted
        ]
    return tuple(dict.fromkeys(place for place in places if place.line))


def _place_in_manifest(
    compiled: CompiledStep, first: RowProblem, name: str, positions: Mapping[str, int]
) -> FileLine:
    """The place of a value that is written in the manifest's matrix."""
    step, document = compiled.step, compiled.document
    section = document.value["steps"][step.name]["matrix"]
    path: KeyPath
    if name == OPERATION and name in positions:
        place = document.place(("steps", step.name, OPERATION, positions[name]))
        return FileLine(document.file, *place)
    if name not in positions:
        path = ("include", step.matrix.rule_of(first.row, name), name)
    else:
        path = (name, positions[name]) if name in section else ("zip", positions[name], name)
    return FileLine(document.file, *document.place(("steps", step.name, "matrix", *path)))


def _found(message: str) -> str:
    """A message up to what is allowed."""
    parts = _ALLOWED.fullmatch(message)
    return parts[1] if parts else message


def _with_sizes(group: Group) -> str:
    """`found 801 characters`, or `found 801 to 912 characters` where the jobs differ."""
    message = group.problem.message
    low, high = group.sizes or (0.0, 0.0)
    if low == high:
        return message
    return re.sub(r"(?<=^found )-?[0-9.e+]+", f"{low:.12g} to {high:.12g}", message)


def _with_rows(message: str, rows: Rows, *, is_mixed: bool, is_cut: bool) -> str:
    """The message with `in 37 of 400 jobs, first at products.csv:18` before what is allowed."""
    parts = _ALLOWED.fullmatch(message)
    head, allowed = parts.groups() if parts else (message, "")
    if is_mixed and not re.match(r"found \S+ to \S+", head):
        head += ", or the like,"
    place = " and ".join(map(str, rows.data))
    if rows.of == 1:
        return f"{head} at {place}{allowed}" if place else message
    jobs = f"{rows.count:,} of {'the first ' if is_cut else ''}{rows.of:,} jobs"
    if rows.count == rows.of and not is_cut:
        jobs = f"all {rows.of:,} jobs"
    if rows.count == 1:
        return f"{head} in {jobs}, {'at ' + place if place else f'job {rows.index}'}{allowed}"
    return f"{head} in {jobs}, first {'at ' + place if place else f'in job {rows.index}'}{allowed}"
