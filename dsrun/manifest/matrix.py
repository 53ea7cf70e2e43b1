"""A step's matrix: its axes, and the rows that they make, lazily and in order."""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import islice
from math import prod
from typing import Protocol

from dsrun.common.digest import json_text
from dsrun.common.models import Json
from dsrun.manifest.files import DataFile

Row = dict[str, Json]


class Values(Protocol):
    """What an axis runs through: a list, a range, the rows of a file."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Json]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One dimension: a name with its values, or several names that advance together.

    An item of `values` is the value of a single name, or a mapping of all names of a zipped axis.
    """

    names: tuple[str, ...]
    values: Values
    zipped: bool = False
    data: Mapping[str, DataFile] = field(default_factory=dict)  # the files of its names

    def rows(self) -> Iterator[Row]:
        if self.zipped:
            return iter(self.values)
        name = self.names[0]
        return ({name: value} for value in self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A part of the rows, chosen by lot.

    A lot depends on the seed and the row alone, so that another row does not draw all anew.
    """

    count: int
    seed: int

    def choose(self, rows: Iterable[Row]) -> set[int]:
        """The numbers of the chosen rows."""
        lots = ((self._lot(row), number) for number, row in enumerate(rows))
        return {number for _, number in heapq.nsmallest(self.count, lots)}

    def _lot(self, row: Row) -> bytes:
        return blake2b(f"{self.seed}:{json_text(row)}".encode(), digest_size=8).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Product of the axes, the last one fastest; then `exclude`, `include` and `sample`."""

    axes: tuple[Axis, ...] = ()
    exclude: tuple[Mapping[str, Json], ...] = ()
    include: tuple[Mapping[str, Json], ...] = ()
    sample: Sample | None = None
    files: Mapping[str, DataFile] = field(default_factory=dict)  # by the name in the manifest
    globs: Mapping[str, Sequence[str]] = field(default_factory=dict)  # the names, by the pattern
    unused: set[int] = field(
        default_factory=set
    )  # exclude rules that the last full pass never used

    @property
    def names(self) -> list[str]:
        """Every variable that some row has, in the order written."""
        names = [name for axis in self.axes for name in axis.names]
        return list(dict.fromkeys([*names, *(key for rule in self.include for key in rule)]))

    def most_rows(self) -> int:
        """An upper bound of the number of rows, without making them."""
        return self._product_size() + len(self.include)

    def rows(self) -> Iterator[Row]:
        """Every row, in order."""
        if self.sample is None:
            return self._all_rows()
        chosen = self.sample.choose(self._all_rows())
        return (row for number, row in enumerate(self._all_rows()) if number in chosen)

    def origins(self, number: int) -> dict[str, int]:
        """For each axis of a file, which of the file's rows (from 0) stands in row `number`.

        Walks through the rows again: for the few that are wrong.
        """
        located = replace(self, axes=tuple(map(_located, self.axes)), sample=None, unused=set())
        chosen = None if self.sample is None else self.sample.choose(self._all_rows())
        rows = (row for i, row in enumerate(located.rows()) if chosen is None or i in chosen)
        row = next(islice(rows, number, None), {})
        return {name: row[_mark(name)] for name in row if _mark(name) in row}

    def _all_rows(self) -> Iterator[Row]:
        """The rows before sampling. GitHub Actions' rules of exclude and include."""
        axis_names = {name for axis in self.axes for name in axis.names}
        adds = [_Addition(rule, axis_names) for rule in self.include]
        unused = set(range(len(self.exclude)))
        for row in self._product() if self._product_size() else ():
            if self.exclude and self._is_excluded(row, unused):
                continue
            if adds:
                original = dict(row)
                for add in adds:
                    add.apply(row, original)
            yield row
        self.unused.clear()
        self.unused.update(unused)
        for add in adds:
            if not add.applied:
                yield dict(add.rule)

    def _product_size(self) -> int:
        if not self.axes and self.include:
            return 0
        return prod(len(axis.values) for axis in self.axes)

    def _product(self, depth: int = 0) -> Iterator[Row]:
        if depth == len(self.axes):
            yield {}
        elif depth == len(self.axes) - 1:
            for row in self.axes[depth].rows():
                yield dict(row)
        else:
            for head in self.axes[depth].rows():
                for tail in self._product(depth + 1):
                    yield {**head, **tail}

    def _is_excluded(self, row: Row, unused: set[int]) -> bool:
        hits = [
            i
            for i, rule in enumerate(self.exclude)
            if all(key in row and _fits(wanted, row[key]) for key, wanted in rule.items())
        ]
        unused.difference_update(hits)
        return bool(hits)


def _located(axis: Axis) -> Axis:
    """The axis, its rows with the positions of the file rows in them."""
    return Axis(names=axis.names, values=_Located(axis), zipped=True) if axis.data else axis


class _Located:
    """Rows of a file axis, as often as they are asked for, each with its position."""

    def __init__(self, axis: Axis) -> None:
        self._axis = axis

    def __len__(self) -> int:
        return len(self._axis.values)

    def __iter__(self) -> Iterator[Row]:
        for position, row in enumerate(self._axis.rows()):
            yield {**row, **{_mark(name): position for name in self._axis.data}}


def _mark(name: str) -> str:
    return f"{name} position"  # no axis can have this name


class _Addition:
    """One `include` rule: extends the rows that it agrees with, else becomes a row itself."""

    def __init__(self, rule: Mapping[str, Json], axis_names: set[str]) -> None:
        self.rule = rule
        self.applied = False
        self._on_axes = {key: value for key, value in rule.items() if key in axis_names}
        self._extra = {key: value for key, value in rule.items() if key not in axis_names}
        self._can_extend = bool(axis_names)

    def apply(self, row: Row, original: Row) -> None:
        if self._can_extend and all(same(original.get(k), v) for k, v in self._on_axes.items()):
            row.update(self._extra)
            self.applied = True


def same(left: Json, right: Json) -> bool:
    """Equality of JSON values: 1 is 1.0 but not true."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def _fits(wanted: Json, value: Json) -> bool:
    """Whether a value meets an exclude rule: equal, one of a list, or holding a mapping's part."""
    if isinstance(wanted, dict) and isinstance(value, dict):
        return all(key in value and _fits(item, value[key]) for key, item in wanted.items())
    if isinstance(wanted, list) and not isinstance(value, list):
        return any(_fits(item, value) for item in wanted)
    return same(wanted, value)
