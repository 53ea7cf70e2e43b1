"""What stands where on a contact sheet: a place for each picture that was asked for."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsrun.common.errors import UsageError
from dsrun.common.messages import nearest
from dsrun.common.models import OPEN, JobStatus, Json
from dsrun.ledger.lookup import AskedJob
from dsrun.report.arranging import EVERYWHERE, ordered_axes
from dsrun.report.entries import Shown, shown

_MOST_OF_A_JOB = 1000  # pictures
_NOT_MADE = {
    **{status.value: "not made yet" for status in OPEN}, JobStatus.SKIPPED.value: "skipped",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A file that is shown, or where it would stand: `picture` is None where it has not come.

    `axes` are those of the matrix, in its order, and then `step`, `seed` and `picture`.
    """

    axes: Mapping[str, str]
    own_axes: frozenset[str]  # those of the matrix
    picture: Shown | None
    words: str  # why there is none
    is_open: bool  # it may still come
    replica: int
    twin_of: str  # the row before it that makes the same job


Cells = dict[tuple[str, str], list[Place]]


def find_places(
    entries: Iterable[dict[str, Any]],
    asked: Mapping[str, AskedJob],
    *,
    makes_pictures: Callable[[str], bool],
) -> Iterator[Place]:
    """The places of all entries, in their order; `makes_pictures` knows the operations."""
    first_rows: dict[str, str] = {}
    for entry in entries:
        job = asked.get(entry["job_id"])
        images: dict[int, Shown] = {}
        for file in entry["files"]:  # the main kind comes first
            if one := shown(file):
                images.setdefault(file["index"], one)
        if not images and (entry["files"] or job is None or not makes_pictures(job.operation)):
            continue
        row = f"{entry['step']} {entry['index']}"
        first = first_rows.setdefault(entry["job_id"], row)
        wanted = min(job.wanted, _MOST_OF_A_JOB) if job else 1
        for index in range(max(wanted, 1, *(number + 1 for number in images))):
            image = images.get(index)
            yield Place(
                axes=_axes(entry, index, _seed_of(entry, index)),
                own_axes=frozenset(entry["axes"]),
                picture=image,
                words="" if image else _why(entry["status"], entry["error"]),
                is_open=entry["status"] in OPEN,
                replica=job.replica if job else 0,
                twin_of="" if first == row else first,
            )


def choose_axes(
    places: Sequence[Place], rows: str | None, cols: str | None, *, models: str | None = None
) -> tuple[str, str]:
    """The axes of rows and columns; those that are None are chosen. Raises UsageError.

    `models`: the axis of the models, where there are several; they stand side by side.
    """
    axes = _axes_of(places)
    for option, name in (("--rows", rows), ("--cols", cols)):
        if name is not None and name not in axes:
            raise UsageError(
                f"{option} {name}: there is no such axis{nearest(name, list(axes))}; "
                f"allowed: {', '.join(axes)}"
            )

    if cols is None and models in axes and models != rows:
        cols = models
    free = [name for name in ordered_axes(axes, pictures=len(places)) if name != rows]
    cols = cols or free[0]
    rows = rows or next(name for name in [*free, "step"] if name != cols)
    if not any(rows in place.axes and cols in place.axes for place in places):
        raise UsageError(f"no picture has both axes, {rows} and {cols}; choose others")
    return rows, cols


def cells_of(places: Iterable[Place], rows: str, cols: str) -> Cells:
    """The places of each cell. What may still come is held only before what is there."""
    cells: Cells = {}
    for place in places:
        if rows in place.axes and cols in place.axes:
            cells.setdefault((place.axes[rows], place.axes[cols]), []).append(place)
    for key, cell in list(cells.items()):
        while cell and cell[-1].picture is None and cell[-1].is_open:
            cell.pop()
        if not cell:
            del cells[key]
    return cells


def values_of(axis: str, places: Iterable[Place], shown: Iterable[str]) -> list[str]:
    """The values that are shown, in the order of the matrix."""
    wanted = set(shown)
    order = {place.axes[axis]: None for place in places if axis in place.axes}
    return [value for value in order if value in wanted]


def labels_of(cell: Sequence[Place], besides: Sequence[str]) -> list[str]:
    """What tells the places of a cell apart, and that a picture is shown a second time."""
    names = dict.fromkeys(name for place in cell for name in place.axes if name not in besides)
    differing = [name for name in names if len({place.axes.get(name) for place in cell}) > 1]
    repeated = len({place.replica for place in cell}) > 1
    return [", ".join(_label(place, differing, repeated=repeated)) for place in cell]


def _label(place: Place, differing: Sequence[str], *, repeated: bool) -> Iterator[str]:
    names = [name for name in differing if name in place.axes]
    yield from (place.axes[name] for name in names if name in place.own_axes)
    if repeated:
        yield f"repeat {place.replica + 1}"
    for name in reversed(EVERYWHERE):
        if name in names and name not in place.own_axes:
            yield place.axes[name] if name == "step" else f"{name} {place.axes[name]}"
    if place.twin_of:
        yield f"same as {place.twin_of}"


def _axes(entry: Mapping[str, Json], index: int, seed: int | None) -> dict[str, str]:
    everywhere = {"step": entry["step"], "picture": str(index)}
    if seed is not None:
        everywhere["seed"] = str(seed)
    own: dict[str, str] = entry["axes"]
    return own | {n: everywhere[n] for n in EVERYWHERE if n in everywhere and n not in own}


def _axes_of(places: Iterable[Place]) -> dict[str, int]:
    """The axes and their number of values, those of a matrix first."""
    values: dict[str, set[str]] = {}
    own: set[str] = set()
    for place in places:
        own |= place.own_axes
        for name, value in place.axes.items():
            values.setdefault(name, set()).add(value)
    return {name: len(values[name]) for name in sorted(values, key=lambda name: name not in own)}


def _seed_of(entry: Mapping[str, Json], index: int) -> int | None:
    """The seed of a picture: its own, else counted from that of another picture of its job."""
    seeds: dict[int, int | None] = {
        file["index"]: file["seed"] for file in entry["files"] if not file.get("name")
    }
    if index in seeds:
        return seeds[index]
    asked = (entry["request"].get("parameters") or {}).get("seed")
    known = {0: asked if isinstance(asked, int) else None} | seeds
    return next((seed - at + index for at, seed in known.items() if seed is not None), None)


def _why(status: str, error: Json) -> str:
    """Why a picture is not there: the status of its job, and the code of the error."""
    if status in _NOT_MADE:
        return _NOT_MADE[status]
    if status == JobStatus.SUCCEEDED:
        return "missing"
    word = JobStatus.FAILED.value if status == JobStatus.PARTIAL else status
    return f"{word}: {error['code']}" if error else word
