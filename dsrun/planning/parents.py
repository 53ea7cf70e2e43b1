"""Axes that run through steps: their values, made of the jobs of the steps above."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from dsrun.common.late import Late, LateText, iter_late
from dsrun.common.models import Job, Json, Parent
from dsrun.manifest.joins import RowFailure, Written, frozen
from dsrun.manifest.late_values import FILE, Reference
from dsrun.manifest.step_rows import StepRow, depth_of, files_of, parent_of, plain, plain_row
from dsrun.manifest.template_errors import TemplateProblem
from dsrun.manifest.templates import Render

_KEPT = 20_000  # rows of a step that stay in memory; more are made anew for each pass

Rows = Callable[[], Iterator[StepRow]]


class StepValues:
    """The rows of a step as the values of an axis, as often as they are asked for."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._kept: list[StepRow] | None = None
        self._count: int | None = None

    def __len__(self) -> int:
        if self._count is None:
            self._count = sum(1 for _ in self)
        return self._count

    def __iter__(self) -> Iterator[StepRow]:
        return self._first_pass() if self._kept is None else iter(self._kept)

    def _first_pass(self) -> Iterator[StepRow]:
        kept: list[StepRow] = []
        for row in self._rows():
            if len(kept) <= _KEPT:
                kept.append(row)
            yield row
        if len(kept) <= _KEPT:
            self._kept = kept


def step_row(job: Job, row: Mapping[str, Json]) -> StepRow:
    """What templates of later steps know of a job, before it has run."""
    parent = Parent(axis="", step=job.step, index=job.index, job_id=job.job_id)
    known = {
        "matrix": dict(row), "index": job.index, "replica": job.replica, "job_id": job.job_id,
        "request": job.request, "operation": job.operation,
        "model": job.request.get("model", job.operation),
    }  # fmt: skip
    return StepRow(
        {**row, **known}, plain=plain_row(row), parent=parent, files=len(job.stems), depth=job.depth
    )


def each_file(rows: Rows, seed_of: Callable[[StepRow], int | None]) -> Rows:
    """A value for each file that a row asks for; `seed_of` is that of its first file."""

    def files() -> Iterator[StepRow]:
        for row in rows():
            first = seed_of(row)
            for number in range(files_of(row)):
                seed = None if first is None else first + number
                file = {"index": number, "seed": seed}
                yield StepRow(
                    {**row, FILE: file}, plain={**plain(row), FILE: file}, parent=parent_of(row),
                    files=files_of(row), depth=depth_of(row),
                )  # fmt: skip

    return files


def grouped(rows: Rows, key_of: Render, constants: Mapping[str, Any], written: Written) -> Rows:
    """A value for each key that an expression gives, in the order in which the rows come.

    Iterating raises RowFailure.
    """

    def groups() -> Iterator[StepRow]:
        members: dict[Any, tuple[Json, list[StepRow]]] = {}
        for row in rows():
            try:
                key = key_of({**constants, **row})
            except TemplateProblem as problem:
                raise RowFailure(problem, written, row) from problem
            if key is None:
                raise RowFailure(TemplateProblem("a key is null"), written, row)
            members.setdefault(frozen(key), (key, []))[1].append(row)
        for key, group in members.values():
            yield StepRow(
                {"key": key, "members": group}, plain={"key": key}, parent=None, files=0,
                depth=max(map(depth_of, group)),
            )  # fmt: skip

    return groups


def parents_of(
    late: Iterable[Late | LateText],
    references: Iterable[Reference],
    axes: Iterable[str],
    variables: Mapping[str, Any],
) -> tuple[tuple[Parent, ...], int]:
    """The rows that a job is made of, each thing that it waits for once; and the job's depth."""
    sources = dict(iter_sources(references, variables))
    parents: dict[Parent, int] = {}
    for one in (part for value in late for part in iter_late(value)):
        axis, row = sources[one.job_id]
        takes = f"file:{one.file}" if one.at is None else one.at.removeprefix("/").replace("/", ":")
        if (parent := parent_of(row)) is not None:
            parents[replace(parent, axis=axis, takes=takes)] = depth_of(row)
    depth = 1 + max(parents.values()) if parents else 0
    told = {parent.axis for parent in parents}
    for axis in axes:
        if axis not in told:
            for row in _rows_of(variables[axis]):
                if (parent := parent_of(row)) is not None:
                    parents.setdefault(replace(parent, axis=axis), 0)
    return tuple(parents), depth


def iter_sources(
    references: Iterable[Reference], variables: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[str, StepRow]]]:
    """The id of each job that a row may take of, with its axis and its row."""
    for reference in references:
        for row in _rows_of(reference.row(variables)):
            yield row["job_id"], (".".join(reference.axes), row)


def _rows_of(value: StepRow) -> list[StepRow]:
    """The rows of a value; those of a group are its members."""
    return [value] if parent_of(value) is not None else value["members"]
