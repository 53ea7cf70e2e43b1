"""A step's matrix: its axes, and the rows that they make, lazily and in order."""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import islice
from math import prod
from typing import NamedTuple, Protocol

from dsrun.common.digest import json_text
from dsrun.common.messages import closest
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath
from dsrun.manifest.files import DataFile
from dsrun.manifest.joins import Join
from dsrun.manifest.picks import PickFile
from dsrun.manifest.step_rows import StepRow, plain_row

Row = dict[str, Json]

RULES = ("zip", "where", "exclude", "include", "sample")
OPERATION = "operation"  # the axis that a list of operations is
MODEL = "model"
RESERVED = frozenset(
    {"matrix", "params", "run", "job", "steps", "index", OPERATION, MODEL, *RULES}
    | {"true", "false", "none", "True", "False", "None"}
    | {"loop", "self", "not", "and", "or", "in", "is", "if", "else"}
)


class Values(Protocol):
    """What an axis runs through: a list, a range, the rows of a file."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Json]: ...


class StepSource(NamedTuple):
    """The values of an axis are the rows of a step above; a plan makes them of its jobs.

    `each`: one value for each file of a row. `group_by`: one for each key that this expression
    gives. `only`: the name of a file with picks, which selects and defines nothing.
    """

    step: str
    each: bool = False
    group_by: str | None = None
    only: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One dimension: a name with its values, or several names that advance together.

    An item of `values` is the value of a single name, or a mapping of all names of a zipped axis.
    Those of a `source` are put in once that step is planned.
    """

    names: tuple[str, ...]
    values: Values
    zipped: bool = False
    data: Mapping[str, DataFile] = field(default_factory=dict)  # the files of its names
    source: StepSource | None = None

    def rows(self) -> Iterator[Row]:
        if self.zipped:
            return iter(self.values)
        name = self.names[0]
        return ({name: value} for value in self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Some of the rows, chosen at random.

    The chance of a row depends on the seed and the row alone, so that one more row does not change
    the whole choice.
    """

    count: int
    seed: int

    def choose(self, rows: Iterable[Row]) -> set[int]:
        """The numbers of the chosen rows."""
        lots = ((self._lot(row), number) for number, row in enumerate(rows))
        return {number for _, number in heapq.nsmallest(self.count, lots)}

    def _lot(self, row: Row) -> bytes:
        return blake2b(f"{self.seed}:{json_text(plain_row(row))}".encode(), digest_size=8).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Product of the axes, the last one fastest; then `where`, `exclude`, `include`, `sample`.

    `where` is an expression as it is written; a plan makes the `join` of it.
    """

    axes: tuple[Axis, ...] = ()
    where: str | None = None
    join: Join | None = None
    exclude: tuple[Mapping[str, Json], ...] = ()
    include: tuple[Mapping[str, Json], ...] = ()
    sample: Sample | None = None
    files: Mapping[str, DataFile] = field(default_factory=dict)  # by the name in the manifest
    globs: Mapping[str, Sequence[str]] = field(default_factory=dict)  # the names, by the pattern
    picks: Mapping[str, PickFile] = field(default_factory=dict)  # by the name in the manifest
    # Of the last pass: the exclude rules that fit no row, the include rules that fit none where
    # they cannot make one, and in how many rows an include rule replaced a value of an earlier one.
    unused: set[int] = field(default_factory=set)
    rowless: set[int] = field(default_factory=set)
    replaced: Counter["Replaced"] = field(default_factory=Counter)

    @property
    def has_steps(self) -> bool:
        """Whether an axis runs through a step, so that no rule can make a row."""
        return any(axis.source is not None for axis in self.axes)

    @property
    def steps(self) -> set[str]:
        """The steps that axes run through."""
        return {axis.source.step for axis in self.axes if axis.source is not None}

    @property
    def names(self) -> list[str]:
        """Every variable that some row has, in the order of the manifest."""
        names = [name for axis in self.axes for name in axis.names]
        return list(dict.fromkeys([*names, *(key for rule in self.include for key in rule)]))

    def most_rows(self) -> int:
        """An upper bound of the number of rows, without making them."""
        return self._product_size() + (0 if self.has_steps else len(self.include))

    def rows(self) -> Iterator[Row]:
        """Every row, in order."""
        if self.sample is None:
            return self._all_rows()
        chosen = self.sample.choose(self._all_rows())
        return (row for number, row in enumerate(self._all_rows()) if number in chosen)

    def origins(self, number: int) -> dict[str, int]:
        """For each axis of a file, which of the file's rows (from 0) is in row `number`."""
        files = {name for axis in self.axes for name in axis.data}
        return {name: at for name, at in self.positions(number).items() if name in files}

    def positions(self, number: int) -> dict[str, int]:
        """For each axis, which of its values (from 0) is in row `number`.

        It makes the rows again, which is slow, so it is only for the few that are wrong.
        """
        axes = tuple(map(_located, self.axes))
        located = replace(
            self, axes=axes, sample=None, unused=set(), rowless=set(), replaced=Counter()
        )
        chosen = None if self.sample is None else self.sample.choose(self._all_rows())
        rows = (row for i, row in enumerate(located.rows()) if chosen is None or i in chosen)
        row = next(islice(rows, number, None), {})
        return {name: row[_mark(name)] for name in row if _mark(name) in row}

    def rule_of(self, row: Mapping[str, Json], name: str) -> int:
        """The number of the last include rule that gives a row this value."""
        return max(
            number
            for number, rule in enumerate(self.include)
            if name in rule and all(same(row[key], rule[key]) for key in rule.keys() & row.keys())
        )

    def _all_rows(self) -> Iterator[Row]:
        """The rows before sampling. GitHub Actions' rules of exclude and include."""
        axis_names = {name for axis in self.axes for name in axis.names}
        adds = [_Addition(rule, axis_names) for rule in self.include]
        unused = set(range(len(self.exclude)))
        replaced = Counter[Replaced]()
        for row in self._joined() if self._product_size() else ():
            if self.exclude and self._is_excluded(row, unused):
                continue
            if adds:
                original, given = dict(row), dict[str, int]()
                for number, add in enumerate(adds):
                    replaced.update(add.apply(row, original, given, number))
            yield row
        self.unused.clear()
        self.unused.update(unused)
        self.replaced.clear()
        self.replaced.update(replaced)
        alone = {number: add for number, add in enumerate(adds) if not add.applied}
        self.rowless.clear()
        if self.has_steps:
            self.rowless.update(alone)
        else:
            yield from (dict(add.rule) for add in alone.values())

    def _product_size(self) -> int:
        if not self.axes and self.include:
            return 0
        return prod(len(axis.values) for axis in self.axes)

    def _joined(self) -> Iterator[Row]:
        """The rows of the axes; raises RowFailure where `where` cannot be worked out for one."""
        return self._product() if self.join is None else self.join.rows(self.axes)

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
    """The axis, with rows that also say which of its values they hold."""
    return Axis(names=axis.names, values=_Located(axis), zipped=True)


class _Located:
    """Rows of an axis, as often as they are asked for, each with its position."""

    def __init__(self, axis: Axis) -> None:
        self._axis = axis

    def __len__(self) -> int:
        return len(self._axis.values)

    def __iter__(self) -> Iterator[Row]:
        for position, row in enumerate(self._axis.rows()):
            yield {**row, **{_mark(name): position for name in self._axis.names}}


def _mark(name: str) -> str:
    return f"{name} position"  # no axis can have this name


class Replaced(NamedTuple):
    """The `include` rule `number` gives `key` another value than the rule `earlier` did."""

    number: int
    earlier: int
    key: str


class _Addition:
    """One `include` rule: extends the rows that it agrees with, else becomes a row itself."""

    def __init__(self, rule: Mapping[str, Json], axis_names: set[str]) -> None:
        self.rule = rule
        self.applied = False
        self._on_axes = {key: value for key, value in rule.items() if key in axis_names}
        self._extra = {key: value for key, value in rule.items() if key not in axis_names}
        self._can_extend = bool(axis_names)

    def apply(
        self, row: Row, original: Row, given: dict[str, int], number: int
    ) -> Iterator["Replaced"]:
        """Extend the row; yields what the rule, `number`, replaces of the rules before it.

        `given`: the rule that gave each further value of the row.
        """
        if not self._can_extend:
            return
        if not all(_agrees(value, original.get(key)) for key, value in self._on_axes.items()):
            return
        self.applied = True
        for key, value in self._extra.items():
            if key in given and not same(row[key], value):
                yield Replaced(number, given[key], key)
            row[key], given[key] = value, number


def _agrees(wanted: Json, value: Json) -> bool:
    """Whether a value is what an include rule names: equal, or a step's with these known parts."""
    return _fits(wanted, value) if isinstance(value, StepRow) else same(value, wanted)


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
    """Whether a value meets an exclude rule: equal, one of its list, or holding its keys."""
    if isinstance(wanted, dict) and isinstance(value, dict):
        return all(key in value and _fits(item, value[key]) for key, item in wanted.items())
    if isinstance(wanted, list) and not isinstance(value, list):
        return any(_fits(item, value) for item in wanted)
    return same(wanted, value)


class Complain(Protocol):
    """Notes a problem with the value at a path, or with its key."""

    def __call__(self, at: KeyPath, message: str, *, of_key: bool = False) -> None: ...


def axis_names(step: Mapping[str, Json]) -> list[str]:
    """The names that a step's section gives its axes, as they are written; `include`'s at last.

    A row may have another order: axes that `zip` names stand together there. The section may come
    from a lock file that was edited: what is no axis is passed over.
    """
    names = [OPERATION] if isinstance(step.get(OPERATION), list) else []
    section = step.get("matrix")
    if not isinstance(section, dict):
        return names
    for key, value in section.items():
        names += _keys_of(value) if key == "zip" else [key] if key not in RULES else []
    return list(dict.fromkeys([*names, *_keys_of(section.get("include"))]))


def _keys_of(rows: Json) -> list[str]:
    """The keys of all rows of a list."""
    rows = rows if isinstance(rows, list) else []
    return [key for row in rows if isinstance(row, dict) for key in row]


def idle_axes(matrix: Matrix, used: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The axes that no template uses, each with the rule that it may be a misspelling of."""
    ruled = {name for rule in (*matrix.include, *matrix.exclude) for name in rule}
    known = {*used, *ruled}
    for axis in matrix.axes:
        if known.isdisjoint({"matrix", *axis.names}):
            name = axis.names[0]
            yield name, closest(name, RULES, cutoff=0.84)
