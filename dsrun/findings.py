"""Problems of jobs, grouped: one slip in a template is told once, not a thousand times."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dsrun.errors import Problem
from dsrun.planindex import Clash
from dsrun.records import Json
from dsrun.rendering import RowProblem
from dsrun.wording import show
from dsrun.yaml_source import YamlDocument

_MOST_WORDS = 100  # groups of problems


@dataclass(slots=True)
class Group:
    problem: Problem
    count: int = 1
    first: str = ""


class Findings:
    """Collects the problems of a plan by step, place and rule."""

    def __init__(self) -> None:
        self.groups: dict[tuple[str, str, str], Group] = {}
        self.seen: Counter[str] = Counter()

    def add(self, step: str, error: RowProblem) -> None:
        for rule, problem in error.problems:
            # Each wrong word of a list and each bad file is told, not each of a thousand lengths.
            each = rule == "enum" or rule.startswith("upload")
            words = problem.message if each and len(self.groups) < _MOST_WORDS else rule
            group = self.groups.get((step, problem.where, words))
            if group:
                group.count += 1
            else:
                self.groups[(step, problem.where, words)] = Group(problem, first=error.row)

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

    def problems(self) -> Sequence[Problem]:
        return [self._told(step, group) for (step, _, _), group in self.groups.items()]

    def _told(self, step: str, group: Group) -> Problem:
        total, problem = self.seen[step], group.problem
        if total <= 1 or not group.first:
            return problem
        return Problem(
            file=problem.file,
            line=problem.line,
            column=problem.column,
            where=problem.where,
            message=f"{problem.message} (in {group.count} of {total} jobs, first in {group.first})",
        )


def describe_row(index: int, row: Mapping[str, Json]) -> str:
    """`job 12: style "<anime>", seed 3`."""
    axes = ", ".join(f"{name} {show(value)}" for name, value in row.items())
    return f"job {index}{': ' + axes if axes else ''}"
