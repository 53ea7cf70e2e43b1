"""A step's matrix: its axes, and the rows that they make, lazily and in order."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import islice
from math import prod
from typing import NamedTuple, Protocol

from dsrun.common.digest import json_text
from dsrun.common.messages import closest, nearest, show
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

_RESERVED = "this name is reserved; give the axis another"
_RESERVED_WORDS = {
    OPERATION: "this name is reserved; `operation: [...]` of the step is the axis of this name",
    MODEL: (
        'this name is reserved for the model of the step: `model: "{{ model }}"` beside '
        "`input` takes it from here"
    ),
}
_MOST_AXES = 100


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


class MatrixReader:
    """Reads one `matrix` section; every problem goes to `complain` with its path."""

    def __init__(
        self,
        *,
        at: KeyPath,
        complain: Complain,
        load_file: Callable[[str, KeyPath], DataFile | None],
        find_files: Callable[[str], list[str]],
        load_picks: Callable[[str, KeyPath], PickFile | None],
        operations: Sequence[str] = (),
        has_models: bool = False,
        above: Sequence[str] = (),
    ) -> None:
        """`operations`: of the axis of that name; `has_models`: the step's model may be an axis.

        `above`: the steps whose rows an axis may run through.
        """
        self._above = above
        self._at = at
        self._operations = operations
        self._allowed = {*([OPERATION] if operations else []), *([MODEL] if has_models else [])}
        self._complain = complain
        self._load_file = load_file
        self._find_files = find_files
        self._load_picks = load_picks
        self._files: dict[str, DataFile] = {}
        self._globs: dict[str, list[str]] = {}
        self._picks: dict[str, PickFile] = {}

    def read(self, section: Mapping[str, Json]) -> Matrix:
        names = [name for name in section if name not in RULES]
        if len(names) > _MOST_AXES:
            self._complain(self._at, f"found {len(names)} axes; allowed: at most {_MOST_AXES}")
            return Matrix()
        for name in names:
            self._check_name(name, (name,), is_axis=True)
        axes = {name: self._axis(name, section[name]) for name in names}
        zipped = section.get("zip", [])
        ordered = [axis for axis in axes.values() if axis is not None]
        if zipped and isinstance(zipped[0], str):
            ordered = self._zip_named(zipped, axes)
        elif zipped:
            rows = self._zip_rows(zipped, names)
            place = sum(
                1 for name in names if list(section).index(name) < list(section).index("zip")
            )
            ordered.insert(place, rows)
        if self._operations:
            ordered.insert(0, Axis(names=(OPERATION,), values=self._operations))
        known = {name for axis in ordered for name in axis.names}
        self._check_rules(section, known)
        return Matrix(
            axes=tuple(ordered),
            where=section.get("where"),
            exclude=tuple(section.get("exclude", ())),
            include=tuple(section.get("include", ())),
            files=self._files,
            globs=self._globs,
            picks=self._picks,
            sample=_sample(section.get("sample")),
        )

    def _axis(self, name: str, value: Json) -> Axis | None:
        if isinstance(value, list):
            return Axis(names=(name,), values=value)
        if "step" in value:
            return self._step(name, value)
        if "range" in value:
            return self._range(name, value["range"])
        if "glob" in value:
            return self._glob(name, value["glob"])
        data = self._load_file(value["file"], (*self._at, name, "file"))
        if data is None:
            return None
        self._files[value["file"]] = data
        if not len(data):
            self._complain((*self._at, name, "file"), f"{value['file']} has no rows; add one")
            return None
        return Axis(names=(name,), values=data, data={name: data})

    def _step(self, name: str, value: Mapping[str, Json]) -> Axis | None:
        step = value["step"]
        if step not in self._above:
            known = ", ".join(self._above)
            allowed = f"a step that stands above: {known}" if known else "none: this step is first"
            words = f"found {show(step)}{nearest(step, self._above)}; allowed: {allowed}"
            self._complain((*self._at, name, "step"), words)
            return None
        only: str | None = value.get("only")
        if only and (picks := self._load_picks(only, (*self._at, name, "only"))):
            self._picks[only] = picks
        source = StepSource(step, "each" in value, value.get("group_by"), only)
        return Axis(names=(name,), values=(), source=source)

    def _glob(self, name: str, pattern: str) -> Axis | None:
        at = (*self._at, name, "glob")
        try:
            names = self._find_files(pattern)
        except ValueError as error:
            self._complain(at, f"{show(pattern)}: {error}; allowed: a pattern such as refs/*.jpg")
            return None
        if not names:
            self._complain(at, f"{show(pattern)} matches no file below the manifest's folder")
            return None
        self._globs[pattern] = names
        return Axis(names=(name,), values=names)

    def _range(self, name: str, bounds: list[int]) -> Axis | None:
        first, last, step = map(int, (*bounds, 1)[:3])  # 1.0 is an integer in JSON
        values = range(first, last + (1 if step > 0 else -1), step) if step else range(0)
        if not values:
            self._complain(
                (*self._at, name, "range"),
                f"found {show(bounds)}, which holds no number; "
                "allowed: [first, last] or [first, last, step], both ends included",
            )
            return None
        return Axis(names=(name,), values=values)

    def _zip_named(self, zipped: list[str], axes: Mapping[str, Axis | None]) -> list[Axis]:
        for position, name in enumerate(zipped):
            if name not in axes:
                self._complain(
                    (*self._at, "zip", position),
                    f"found {show(name)}, which is no axis{nearest(name, list(axes))}; "
                    f"allowed: {', '.join(axes) or 'none, since there are no axes'}",
                )
        for position, name in enumerate(zipped):
            if (named := axes.get(name)) is not None and named.source is not None:
                words = f"{name} runs through a step, and such an axis cannot be zipped; join it "
                self._complain((*self._at, "zip", position), words + "with `where` instead")
        group = [
            axis for name in zipped if (axis := axes.get(name)) is not None and not axis.source
        ]
        sizes = {axis.names[0]: len(axis.values) for axis in group}
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            self._complain((*self._at, "zip"), f"the axes differ in length: {listed}")
        merged = Axis(
            names=tuple(sizes),
            values=[
                {name: value for row in rows for name, value in row.items()}
                for rows in zip(*(axis.rows() for axis in group), strict=False)
            ],
            zipped=True,
            data={name: data for axis in group for name, data in axis.data.items()},
        )
        return list(_in_place(axes, zipped, merged))

    def _zip_rows(self, zipped: list[dict[str, Json]], names: list[str]) -> Axis:
        keys = tuple(zipped[0])
        for position, row in enumerate(zipped):
            if set(row) != set(keys):
                self._complain(
                    (*self._at, "zip", position),
                    f"names {', '.join(row)}; every row of zip must name {', '.join(keys)}",
                )
        for key in keys:
            self._check_name(key, ("zip", 0, key), is_axis=True)
            if key in names:
                at, message = (*self._at, "zip", 0, key), "is an axis of its own too; remove one"
                self._complain(at, message, of_key=True)
        return Axis(names=keys, values=zipped, zipped=True)

    def _check_rules(self, section: Mapping[str, Json], known: set[str]) -> None:
        for position, rule in enumerate(section.get("exclude", ())):
            for key in rule:
                if key not in known:
                    self._complain(
                        (*self._at, "exclude", position, key),
                        f"unknown axis{nearest(key, sorted(known))}; "
                        f"allowed: {', '.join(sorted(known)) or 'none, since there are no axes'}",
                        of_key=True,
                    )
        for position, rule in enumerate(section.get("include", ())):
            for key in rule:
                self._check_name(key, ("include", position, key))

    def _check_name(self, name: str, at: KeyPath, *, is_axis: bool = False) -> None:
        if name in self._allowed and not (is_axis and name == OPERATION):
            return
        if name in RESERVED:
            self._complain((*self._at, *at), _RESERVED_WORDS.get(name, _RESERVED), of_key=True)
        elif not name.isidentifier() or not name.isascii():
            self._complain(
                (*self._at, *at),
                "no template can use this name; allowed: letters, digits and _, the first no digit",
                of_key=True,
            )


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


def _sample(section: Mapping[str, Json] | None) -> Sample | None:
    if section is None:
        return None
    return Sample(count=section["count"], seed=section.get("seed", 0))


def _in_place(axes: Mapping[str, Axis | None], zipped: list[str], merged: Axis) -> Iterator[Axis]:
    """The axes in order, with the zipped ones merged where the first of them stood."""
    done = False
    for name, axis in axes.items():
        if name not in zipped:
            if axis is not None:
                yield axis
        elif not done:
            done = True
            yield merged
