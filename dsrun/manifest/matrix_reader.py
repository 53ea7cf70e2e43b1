"""Reads the `matrix` section of a step; what is wrong is told at its place."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from dsrun.common.messages import nearest, show
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath
from dsrun.manifest.files import DataFile
from dsrun.manifest.matrix import (
    MODEL,
    OPERATION,
    RESERVED,
    RULES,
    Axis,
    Complain,
    Matrix,
    Sample,
    StepSource,
)
from dsrun.manifest.picks import PickFile

_RESERVED = "this name is reserved; give the axis another"
_RESERVED_WORDS = {
    OPERATION: "this name is reserved; `operation: [...]` of the step is the axis of this name",
    MODEL: (
        'this name is reserved for the model of the step: `model: "{{ model }}"` beside '
        "`input` takes it from here"
    ),
}
_FIRST = "none: this step is first; write it below the step that it builds on"
_MOST_AXES = 100
_STEP_KEYS = frozenset({"step", "each", "group_by", "only"})


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
        below: Sequence[str] = (),
    ) -> None:
        """`operations`: of the axis of that name; `has_models`: the step's model may be an axis.

        `above`: the steps whose rows an axis may run through; `below`: those that come too late.
        """
        self._above = above
        self._below = below
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
            for position, item in enumerate(value):
                self._refuse_step((name, position), item, f"in a list; write `{name}: {{step: …}}`")
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
            self._complain((*self._at, name, "step"), self._not_above(step))
            return None
        only: str | None = value.get("only")
        if only and (picks := self._load_picks(only, (*self._at, name, "only"))):
            self._picks[only] = picks
        source = StepSource(step, "each" in value, value.get("group_by"), only)
        return Axis(names=(name,), values=(), source=source)

    def _not_above(self, step: str) -> str:
        if step in self._below:
            own = self._at[1]
            return f"found {show(step)}, which stands below {own}; move {own} under it"
        known = ", ".join(self._above)
        allowed = f"a step that stands above: {known}" if known else _FIRST
        return f"found {show(step)}{nearest(step, self._above)}; allowed: {allowed}"

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
            for key, item in row.items():
                words = "in zip; make it an axis of its own, and join it with `where`"
                self._refuse_step(("zip", position, key), item, words)
        for key in keys:
            self._check_name(key, ("zip", 0, key), is_axis=True)
            if key in names:
                at, message = (*self._at, "zip", 0, key), "is an axis of its own too; remove one"
                self._complain(at, message, of_key=True)
        return Axis(names=keys, values=zipped, zipped=True)

    def _refuse_step(self, at: KeyPath, item: Json, where: str) -> None:
        """A step that stands where no axis runs through it: what was meant can be told."""
        is_meant = isinstance(item, Mapping) and item.keys() <= _STEP_KEYS
        if is_meant and item.get("step") in self._above:
            self._complain((*self._at, *at), f"a step cannot stand {where}")

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
