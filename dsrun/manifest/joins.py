"""`where`: keeps the rows of a matrix for which an expression is true, and joins its axes.

An equality that ties an axis to earlier ones is looked up in an index, so that a join of many rows
takes no time for the pairs that do not fit. The expression itself has the last word on each row.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from dsrun.common.messages import closest
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath
from dsrun.manifest.template_errors import TemplateProblem
from dsrun.manifest.templates import Condition, Render, Variables

Row = dict[str, Json]
_NONE = object()
_MOST_NEAR = 5_000  # keys that a mistyped one is compared with


class AxisRows(Protocol):
    """An axis: its names, and its values as rows of these names."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def rows(self) -> Iterator[Row]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """An equality: what an axis has (`own`) is what earlier axes have (`other`).

    `depth` is the number of the axis, `partner` that of the earlier one where there is only one.
    """

    depth: int
    partner: int | None
    own: Render
    other: Render


class Keys:
    """What the values of one side of an equality have."""

    def __init__(self, keys: Sequence[Json]) -> None:
        self.there = {frozen(key) for key in keys if key is not _NONE}
        self._texts: dict[str, Json] = {}
        for key in keys:
            if key is not _NONE and len(self._texts) < _MOST_NEAR:
                self._texts.setdefault(str(key), key)

    def nearest(self, key: Json) -> Json | None:
        return self._texts.get(str(key)) or self._texts.get(closest(str(key), list(self._texts)))


@dataclass(frozen=True, slots=True)
class Partnerless:
    """A value that an equality leaves without partner: the axis, its position, and what it has."""

    depth: int
    position: int
    key: Json
    others: Keys
    other_depth: int

    @property
    def near(self) -> Json | None:
        """The nearest key of the other side; of another type than `key` where both read alike.

        It takes long to find, so it is only for those that a person reads of.
        """
        return self.others.nearest(self.key)


class Partners(NamedTuple):
    """How many values of another axis the values of an axis are joined with, by equalities."""

    depth: int
    other_depth: int
    values: int
    least: int
    most: int


class Written(NamedTuple):
    """An expression as a manifest has it, and where."""

    source: str
    at: KeyPath


class RowFailure(Exception):
    """An expression of a matrix cannot be worked out for a row."""

    def __init__(self, problem: TemplateProblem, written: Written, row: Mapping[str, Json]) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.written = written
        self.row = row


class Join:
    """Keeps the rows of some axes for which a condition is true, in the order of their product."""

    def __init__(
        self, condition: Condition, written: Written, *, constants: Mapping[str, Any]
    ) -> None:
        """`constants`: the variables that no row changes, with Jinja's own names."""
        self._written = written
        self._condition = condition
        self._constants = constants
        self._whole = condition.whole.render

    def rows(self, axes: Sequence[AxisRows]) -> Iterator[Row]:
        """Every row that is kept. Raises RowFailure."""
        indexes = {tie.depth: _Index(axes[tie.depth], tie, self._with) for tie in self._ties(axes)}
        return self._below(axes, indexes, 0, {})

    def partnerless(self, axes: Sequence[AxisRows]) -> Iterator[Partnerless]:
        """Each value of an axis that an equality with one other axis leaves without partner."""
        for tie in self._ties(axes):
            if tie.partner is None:
                continue
            ours = self._keys(axes[tie.depth], tie.own)
            theirs = self._keys(axes[tie.partner], tie.other)
            yield from _without(ours, theirs, depth=tie.depth, other_depth=tie.partner)
            yield from _without(theirs, ours, depth=tie.partner, other_depth=tie.depth)

    def partners(self, axes: Sequence[AxisRows]) -> Iterator[Partners]:
        """For each pair of axes that equalities tie: from the one side, and from the other."""
        names = [axis.names for axis in axes]
        for (first, second), sides in _pairs(self._condition, names).items():
            ours = self._many_keys(axes[first], [side[0] for side in sides])
            theirs = self._many_keys(axes[second], [side[1] for side in sides])
            yield _partners(ours, theirs, depth=first, other_depth=second)
            yield _partners(theirs, ours, depth=second, other_depth=first)

    def _many_keys(self, axis: AxisRows, sides: Sequence[Render]) -> list[Any]:
        keys = (self._keys(axis, side) for side in sides)
        return [frozen(list(key)) for key in zip(*keys, strict=True)]

    def _ties(self, axes: Sequence[AxisRows]) -> Iterator[Tie]:
        return _ties(self._condition, [axis.names for axis in axes])

    def _below(
        self, axes: Sequence[AxisRows], indexes: Mapping[int, "_Index"], depth: int, head: Row
    ) -> Iterator[Row]:
        if depth == len(axes):
            if self._keeps(head):
                yield head
            return
        index = indexes.get(depth)
        for row in axes[depth].rows() if index is None else index.rows(head):
            yield from self._below(axes, indexes, depth + 1, {**head, **row})

    def _keeps(self, row: Row) -> bool:
        try:
            return bool(self._whole(self._with(row)))
        except TemplateProblem as problem:
            raise RowFailure(problem, self._written, row) from problem

    def _with(self, row: Row) -> Variables:
        return {**self._constants, **row, "matrix": row}

    def _keys(self, axis: AxisRows, side: Render) -> list[Json]:
        """What each value of an axis has; a value for which that fails has none."""
        keys = []
        for row in axis.rows():
            try:
                keys.append(side(self._with(row)))
            except TemplateProblem:
                keys.append(_NONE)
        return keys


class _Index:
    """The values of an axis by what they must be equal to."""

    def __init__(self, axis: AxisRows, tie: Tie, variables: Any) -> None:
        self._axis = axis
        self._tie = tie
        self._variables = variables
        self._values: list[Row] | None = None
        self._places: dict[Any, list[int]] = {}
        self._wild: list[int] = []  # values for which the side fails: the whole expression decides

    def rows(self, head: Row) -> Iterator[Row]:
        """The values that may be kept with the values of the earlier axes, in order."""
        values = self._read() if self._values is None else self._values
        try:
            key = frozen(self._tie.other(self._variables(head)))
        except TemplateProblem:
            return iter(values)
        places = self._places.get(key, [])
        if self._wild:
            places = sorted({*places, *self._wild})
        return (values[place] for place in places)

    def _read(self) -> list[Row]:
        self._values = list(self._axis.rows())
        for place, row in enumerate(self._values):
            try:
                key = frozen(self._tie.own(self._variables(row)))
            except TemplateProblem:
                self._wild.append(place)
            else:
                self._places.setdefault(key, []).append(place)
        return self._values


def frozen(value: Json) -> Any:
    """A key of a dict that is equal exactly where the JSON values are equal to a template."""
    if isinstance(value, list):
        return ("list", *map(frozen, value))
    if isinstance(value, Mapping):
        return ("map", frozenset((key, frozen(item)) for key, item in value.items()))
    return value


def _ties(condition: Condition, names: Sequence[tuple[str, ...]]) -> Iterator[Tie]:
    """The equalities that an index can answer, at most one for each axis."""
    depth_of = {name: depth for depth, own in enumerate(names) for name in own}
    tied = set[int]()
    for left, right in condition.equal:
        if "matrix" in left.uses | right.uses:
            continue
        depths = [{depth_of[n] for n in side.uses if n in depth_of} for side in (left, right)]
        later = 0 if max(depths[0], default=-1) > max(depths[1], default=-1) else 1
        own, others = depths[later], depths[1 - later]
        if len(own) != 1 or max(others, default=-1) >= max(own) or own <= tied:
            continue
        tied |= own
        sides = (left.render, right.render)
        yield Tie(
            depth=max(own),
            partner=max(others) if len(others) == 1 else None,
            own=sides[later],
            other=sides[1 - later],
        )


def _pairs(
    condition: Condition, names: Sequence[tuple[str, ...]]
) -> dict[tuple[int, int], list[tuple[Render, Render]]]:
    """The equalities between one axis and one other, by the two axes."""
    depth_of = {name: depth for depth, own in enumerate(names) for name in own}
    pairs: dict[tuple[int, int], list[tuple[Render, Render]]] = {}
    for left, right in condition.equal:
        depths = [{depth_of.get(n, -1) for n in side.uses if n in {*depth_of, "matrix"}}
                  for side in (left, right)]  # fmt: skip
        one, other = (min(each) if len(each) == 1 else -1 for each in depths)
        if min(one, other) >= 0 and one != other:
            sides = (left.render, right.render)
            pairs.setdefault((min(one, other), max(one, other)), []).append(
                sides if one < other else sides[::-1]
            )
    return pairs


def _partners(
    keys: Sequence[Any], others: Sequence[Any], *, depth: int, other_depth: int
) -> Partners:
    number_of = Counter(others)
    counts = [number_of[key] for key in keys]
    return Partners(depth, other_depth, len(keys), min(counts, default=0), max(counts, default=0))


def _without(
    keys: Sequence[Json], others: Sequence[Json], *, depth: int, other_depth: int
) -> Iterator[Partnerless]:
    there = Keys(others)
    if others and not there.there:
        return  # the side fails for every value, which is told where the rows are made
    for position, key in enumerate(keys):
        if key is _NONE or (key is not None and frozen(key) in there.there):
            continue
        yield Partnerless(depth, position, key, there, other_depth)
