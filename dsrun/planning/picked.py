"""Which rows `only` leaves in a run: those of the picked files, and what builds on them alone.

Steps stand above what builds on them, so that one pass over the rows of a plan is enough.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dsrun.common.errors import Problem
from dsrun.common.messages import show
from dsrun.common.models import Job, Parent
from dsrun.manifest.late_values import FILE
from dsrun.manifest.picks import SHORT_ID, PickFile, file_names, job_prefix, picked_name
from dsrun.planning.plan import Plan

_Place = tuple[int, int]  # the index of a row, and the number of its file
_MOST_WARNINGS = 20
_ANY = -1  # in place of the number of a file: any file of the row
_OF_REQUEST = re.compile(r"(?:^|/)\d{5,}-[0-9a-f]{8}(?![0-9a-f])").search  # a name by default
_BY_ID = -1  # a job's id comes before every reading of a line as a name


class _Axis(NamedTuple):
    """An axis whose values are picked."""

    name: str
    source: str
    is_file: bool
    picks: "_Picks"


class Picked:
    """Sees every row of a plan, in order, and tells which are not in the run."""

    def __init__(self, plan: Plan) -> None:
        self._endings = plan.endings()
        self._axes: dict[str, list[_Axis]] = defaultdict(list)  # by the step that has them
        self._files: dict[str, _Picks] = {}
        self._of: dict[str, list[_Picks]] = defaultdict(list)  # by the step whose rows are picked
        self._out: dict[str, bytearray] = {}  # by step that others build on: one byte a row
        for step in plan.manifest.steps:
            for axis in step.matrix.axes:
                if axis.source is None:
                    continue
                self._out.setdefault(axis.source.step, bytearray())
                if axis.source.only is not None and axis.source.only in step.matrix.picks:
                    picks = self._picks(axis.source.only, step.matrix.picks[axis.source.only])
                    one = _Axis(axis.names[0], axis.source.step, axis.source.each, picks)
                    self._axes[step.name].append(one)
                    if picks not in self._of[one.source]:
                        self._of[one.source].append(picks)

    def __bool__(self) -> bool:
        """Whether anything is picked at all, so that some rows may not be in the run."""
        return bool(self._files)

    def takes(self, job: Job) -> bool:
        """Whether the row of a job is in the run. Every row is asked for once, in order."""
        if not self._files:
            return True
        for picks in self._of.get(job.step, ()):
            picks.note(job, ("", *self._endings.get(job.operation, ())))
        is_in = not any(self._is_out(parent) for parent in job.parents) and all(
            any(axis.picks.has(*place) for place in _places(job, axis))
            for axis in self._axes.get(job.step, ())
        )
        if not is_in and job.step in self._out:
            self._leave_out(job)
        return is_in

    def problems(self) -> Iterator[Problem]:
        """Warnings of lines that name nothing, once every row was seen."""
        for picks in self._files.values():
            yield from picks.idle_lines()

    def _picks(self, name: str, file: PickFile) -> "_Picks":
        if name not in self._files:
            self._files[name] = _Picks(file)
        return self._files[name]

    def _is_out(self, parent: Parent) -> bool:
        rows = self._out.get(parent.step, b"")
        return parent.index < len(rows) and bool(rows[parent.index])

    def _leave_out(self, job: Job) -> None:
        rows = self._out[job.step]
        rows.extend(bytes(job.index + 1 - len(rows)))
        rows[job.index] = 1


class _Picks:
    """The picks of one file, and what each of its lines names."""

    def __init__(self, file: PickFile) -> None:
        self._file = file
        self._lines = dict(file.lines())
        self._names: dict[str, list[tuple[int, int]]] = defaultdict(list)  # line, and reading
        self._ids: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self._found: dict[int, dict[int, set[tuple[str, _Place]]]] = {n: {} for n in self._lines}
        self._steps: set[str] = set()
        self._some: dict[str, str] = {}  # for each step, the name of a file
        self._near: dict[int, str] = {}  # for a line without the step, the first file of this name
        self._picked: set[tuple[str, _Place]] | None = None
        for number, line in self._lines.items():
            if prefix := job_prefix(line):
                self._ids[prefix[:SHORT_ID]].append((number, prefix))
            for reading, name in enumerate(file_names(line)):
                self._names[name].append((number, reading))

    def note(self, job: Job, endings: tuple[str, ...]) -> None:
        """Compare the files of a row with the lines."""
        self._picked = None
        for number, prefix in self._ids.get(job.job_id[:SHORT_ID], ()):
            if job.job_id.startswith(prefix):
                for place in range(len(job.stems)):
                    self._find(number, _BY_ID, job, place)
        self._some.setdefault(job.step, f"{job.step}/{job.stems[0]}" if job.stems else job.step)
        for place, stem in enumerate(job.stems):
            for ending in endings:
                name = picked_name(f"{job.step}/{stem}{ending}")
                for number, reading in self._names.get(name, ()):
                    self._find(number, reading, job, place)
                for number, _ in self._names.get(picked_name(f"{stem}{ending}"), ()):
                    self._near.setdefault(number, name)

    def has(self, step: str, place: _Place) -> bool:
        """Whether a file is picked; with `_ANY`, whether any file of a row is."""
        return (step, place) in self._all()

    def idle_lines(self) -> Iterator[Problem]:
        idle = [number for number, found in self._found.items() if not found]
        for number in idle[:_MOST_WARNINGS]:
            words = self._idle_words(self._lines[number], self._near.get(number))
            yield self._problem(number, words)
        if len(idle) > _MOST_WARNINGS:
            words = f"{len(idle) - _MOST_WARNINGS} more lines name nothing"
            yield self._problem(idle[_MOST_WARNINGS], words)

    def _idle_words(self, line: str, near: str | None) -> str:
        if _OF_REQUEST(line) and not near:
            return (
                f"found {show(line)}, which no job has any more: the name holds the id of a job, "
                "and that changes with its request; star it again in the report of the new run, "
                "or give the step a `filename` without the words that you edit"
            )
        known = list(self._some.values())
        example = f"; allowed: a file such as {known[0]}, or the id of its job" if known else ""
        meant = f" (did you mean {near}?)" if near else ""
        return f"found {show(line)}, which names no file{meant}{example}"

    def _problem(self, line: int, words: str) -> Problem:
        return Problem(file=self._file.name, line=line, column=1, where="", message=words)

    def _find(self, number: int, reading: int, job: Job, place: int) -> None:
        found = self._found[number].setdefault(reading, set())
        found.add((job.step, (job.index, place)))
        found.add((job.step, (job.index, _ANY)))

    def _all(self) -> set[tuple[str, _Place]]:
        """What the lines name: each by its most literal reading that names anything."""
        if self._picked is None:
            readings = [found[min(found)] for found in self._found.values() if found]
            self._picked = set[tuple[str, _Place]]().union(*readings)
        return self._picked


def _places(job: Job, axis: _Axis) -> Iterator[tuple[str, _Place]]:
    """The row, the file of it, or the rows of a group that are a job's value of an axis."""
    number = _number_of(job.matrix, axis.name) if axis.is_file else _ANY
    for parent in job.parents:
        if parent.axis == axis.name:
            yield parent.step, (parent.index, number)


def _number_of(matrix: Mapping[str, object], axis: str) -> int:
    value: object = matrix[axis]
    file = value.get(FILE) if isinstance(value, Mapping) else None
    number = file.get("index") if isinstance(file, Mapping) else None
    return number if isinstance(number, int) else 0
