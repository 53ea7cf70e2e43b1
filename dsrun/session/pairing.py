"""Which rows of two runs stand side by side.

Rows are paired by the first of these rules that finds both, each row once:

1. `row`: the same step, values of all axes, and replica.
2. `request`: the same job, whatever its row is called now.
3. `axes`: the same step, values of the axes that the step has in both runs, and replica.
4. `place`: the same step and number. This is how a row stands whose text was reworded in its place.

Where several rows fit a rule, the first goes with the first. A step that only one run has counts as
renamed where the other has exactly one such step too.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dsrun.common.models import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a run; twins are rows of one job."""

    step: str
    index: int
    replica: int
    matrix: Mapping[str, Json]
    job_id: str


class Pair(NamedTuple):
    """Positions of a row in both runs, None in the one that lacks it, and the rule that paired."""

    left: int | None
    right: int | None
    by: str | None


_Key = Callable[[Row], Hashable]


def pair_rows(left: Sequence[Row], right: Sequence[Row]) -> list[Pair]:
    """Every row of both, in the order of the right run; one that is gone follows its neighbour."""
    names = renamed_steps(left, right)

    def step_of(row: Row) -> str:
        return names.get(row.step, row.step)  # only steps that the right run lacks are renamed

    shared = {
        step: axes for step, axes in shared_axes(left, right).items() if axes is not None and axes
    }

    def by_row(row: Row) -> Hashable:
        return step_of(row), row.replica, _values(row, row.matrix)

    def by_shared(row: Row) -> Hashable:
        step = step_of(row)
        return (step, row.replica, _values(row, shared[step])) if step in shared else None

    rules: Mapping[str, _Key] = {
        "row": by_row,
        "request": lambda row: row.job_id,
        "axes": by_shared,
        "place": lambda row: (step_of(row), row.index),
    }
    met: dict[int, tuple[int, str]] = {}  # by position in the left run
    taken: set[int] = set()
    for name, key in rules.items():
        free: dict[Hashable, list[int]] = defaultdict(list)
        for at, row in _but(right, taken):
            free[key(row)].append(at)
        for places in free.values():
            places.reverse()
        for at, row in list(_but(left, met)):
            value = key(row)
            if value is not None and free.get(value):
                met[at] = free[value].pop(), name
                taken.add(met[at][0])
    return _in_order(len(left), len(right), met)


def renamed_steps(left: Iterable[Row], right: Iterable[Row]) -> dict[str, str]:
    """The step of the right run that a step of the left one is called there."""
    before, now = ({row.step for row in rows} for rows in (left, right))
    gone, new = before - now, now - before
    return {gone.pop(): new.pop()} if len(gone) == len(new) == 1 else {}


def shared_axes(left: Sequence[Row], right: Sequence[Row]) -> dict[str, list[str] | None]:
    """The axes that a step of both runs has in both; None where all its axes are the same."""
    names = renamed_steps(left, right)
    before = axes_of(left, names)
    now = axes_of(right)
    return {
        step: None if before[step] == axes else sorted(before[step] & axes)
        for step, axes in now.items()
        if step in before
    }


def axes_of(rows: Iterable[Row], names: Mapping[str, str] | None = None) -> dict[str, set[str]]:
    """The axes of each step, under its new name."""
    axes: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        axes[(names or {}).get(row.step, row.step)].update(row.matrix)
    return axes


def _values(row: Row, names: Iterable[str]) -> str:
    values = {name: row.matrix.get(name) for name in names}
    return json.dumps(values, sort_keys=True)  # columns of a data file may stand in another order


def _but(rows: Sequence[Row], taken: Iterable[int]) -> Iterable[tuple[int, Row]]:
    out = set(taken)
    return ((at, row) for at, row in enumerate(rows) if at not in out)


def _in_order(before: int, now: int, met: Mapping[int, tuple[int, str]]) -> list[Pair]:
    from_left = {place: (at, by) for at, (place, by) in met.items()}
    gone: dict[int, list[Pair]] = defaultdict(list)
    neighbour = -1
    for at in range(before):
        if at in met:
            neighbour = met[at][0]
        else:
            gone[neighbour].append(Pair(at, None, None))
    pairs = [*gone[-1]]
    for at in range(now):
        left, by = from_left.get(at, (None, None))
        pairs += [Pair(left, at, by), *gone[at]]
    return pairs
