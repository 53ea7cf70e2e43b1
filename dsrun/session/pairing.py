"""Which rows of two runs stand side by side.

Rows are paired by the first of these rules that finds both, each row once:

1. `row`: the same step, values of all axes, and replica.
2. `request`: the same job, whatever its row is called now.
3. `axes`: the same step, values of the axes that the step has in both runs, and replica.
4. `but_one`: the same step, values of all axes but one, and replica.
5. `place`: the same step and number. This is how a row stands whose text was reworded in its place.

Where several rows fit a rule, the first goes with the first. A step that only one run has counts as
renamed where the other has exactly one such step too.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
    return _in_order(len(left), len(right), _meet(left, right, _Rules(left, right).in_order()))


class _Rules:
    """What rows must have in common to be paired; None as a key is in common with nothing."""

    def __init__(self, left: Sequence[Row], right: Sequence[Row]) -> None:
        self._names = renamed_steps(left, right)
        before, now = axes_of(left, self._names), axes_of(right)
        self._shared = {  # where the axes differ
            step: before[step] & axes
            for step, axes in now.items()
            if step in before and before[step] != axes and before[step] & axes
        }
        self._axes = sorted(set[str]().union(*now.values()))

    def in_order(self) -> Iterator[tuple[str, _Key]]:
        yield "row", lambda row: self._values(row, row.matrix)
        yield "request", lambda row: row.job_id
        yield "axes", self._by_shared
        for axis in self._axes:
            yield "but_one", partial(self._by_all_but, axis)
        yield "place", lambda row: (self._step(row), row.index)

    def _step(self, row: Row) -> str:
        return self._names.get(row.step, row.step)  # the right run has no step of the old name

    def _by_shared(self, row: Row) -> Hashable:
        axes = self._shared.get(self._step(row))
        return self._values(row, axes) if axes else None

    def _by_all_but(self, axis: str, row: Row) -> Hashable:
        others = row.matrix.keys() - {axis}
        return self._values(row, others) if others and axis in row.matrix else None

    def _values(self, row: Row, axes: Iterable[str]) -> Hashable:
        values = {name: row.matrix.get(name) for name in axes}
        # Sorted: columns of a data file may stand in another order.
        return self._step(row), row.replica, json.dumps(values, sort_keys=True)


def _meet(
    left: Sequence[Row], right: Sequence[Row], rules: Iterable[tuple[str, _Key]]
) -> dict[int, tuple[int, str]]:
    """By position in the left run that in the right one, and the rule."""
    met: dict[int, tuple[int, str]] = {}
    taken: set[int] = set()
    for name, key in rules:
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
    return met


def renamed_steps(left: Iterable[Row], right: Iterable[Row]) -> dict[str, str]:
    """The step of the right run that a step of the left one is called there."""
    before, now = ({row.step for row in rows} for rows in (left, right))
    gone, new = before - now, now - before
    return {gone.pop(): new.pop()} if len(gone) == len(new) == 1 else {}


def axes_of(rows: Iterable[Row], names: Mapping[str, str] | None = None) -> dict[str, set[str]]:
    """The axes of each step, under its new name."""
    axes: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        axes[(names or {}).get(row.step, row.step)].update(row.matrix)
    return axes


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
