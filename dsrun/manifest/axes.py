"""The `matrix` section of a step, from YAML values to a Matrix."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from dsrun.common.messages import closest, nearest, show
from dsrun.common.models import Json
from dsrun.manifest.files import DataFile
from dsrun.manifest.matrix import Axis, Matrix, Sample

RULES = ("zip", "exclude", "include", "sample")
RESERVED = frozenset(
    {"matrix", "params", "run", "job", "steps", "index", *RULES}
    | {"true", "false", "none", "True", "False", "None"}
    | {"loop", "self", "not", "and", "or", "in", "is", "if", "else"}
)

_MOST_AXES = 100

Path_ = tuple[str | int, ...]


class Complain(Protocol):
    """Notes a problem of the value at a path, or of its key."""

    def __call__(self, at: Path_, message: str, *, of_key: bool = False) -> None: ...


class MatrixReader:
    """Reads one `matrix` section; every problem goes to `complain` with its path."""

    def __init__(
        self,
        *,
        at: Path_,
        complain: Complain,
        load_file: Callable[[str, Path_], DataFile | None],
        find_files: Callable[[str], list[str]],
    ) -> None:
        self._at = at
        self._complain = complain
        self._load_file = load_file
        self._find_files = find_files
        self._files: dict[str, DataFile] = {}
        self._globs: dict[str, list[str]] = {}

    def read(self, section: Mapping[str, Json]) -> Matrix:
        names = [name for name in section if name not in RULES]
        if len(names) > _MOST_AXES:
            self._complain(self._at, f"found {len(names)} axes; allowed: at most {_MOST_AXES}")
            return Matrix()
        for name in names:
            self._check_name(name, (name,))
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
        known = {name for axis in ordered for name in axis.names}
        self._check_rules(section, known)
        return Matrix(
            axes=tuple(ordered),
            exclude=tuple(section.get("exclude", ())),
            include=tuple(section.get("include", ())),
            files=self._files,
            globs=self._globs,
            sample=_sample(section.get("sample")),
        )

    def _axis(self, name: str, value: Json) -> Axis | None:
        if isinstance(value, list):
            return Axis(names=(name,), values=value)
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

    def _glob(self, name: str, pattern: str) -> Axis | None:
        at = (*self._at, name, "glob")
        try:
            found = self._find_files(pattern)
        except ValueError as error:
            self._complain(at, f"{show(pattern)}: {error}; allowed: a pattern such as refs/*.jpg")
            return None
        if not found:
            self._complain(at, f"{show(pattern)} matches no file below the manifest's folder")
            return None
        self._globs[pattern] = found
        return Axis(names=(name,), values=found)

    def _range(self, name: str, given: list[int]) -> Axis | None:
        first, last, step = map(int, (*given, 1)[:3])  # 1.0 is an integer in JSON
        values = range(first, last + (1 if step > 0 else -1), step) if step else range(0)
        if not values:
            self._complain(
                (*self._at, name, "range"),
                f"found {show(given)}, which holds no number; "
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
        group = [axis for name in zipped if (axis := axes.get(name)) is not None]
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
            self._check_name(key, ("zip", 0, key))
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

    def _check_name(self, name: str, at: Path_) -> None:
        if name in RESERVED:
            message = "this name is reserved; give the axis another"
            self._complain((*self._at, *at), message, of_key=True)
        elif not name.isidentifier() or not name.isascii():
            self._complain(
                (*self._at, *at),
                "no template can use this name; allowed: letters, digits and _, the first no digit",
                of_key=True,
            )


def idle_axes(matrix: Matrix, used: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Axes that change no request, each with the rule of the matrix that its name may mean."""
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
    """The axes in order, the zipped ones together where the first of them stood."""
    done = False
    for name, axis in axes.items():
        if name not in zipped:
            if axis is not None:
                yield axis
        elif not done:
            done = True
            yield merged
