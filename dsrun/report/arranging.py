"""How pictures are arranged where nobody says it: which axes stand on rows and on columns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

EVERYWHERE = ("step", "seed", "picture")  # axes of every picture, where the matrix has none so
_LEAST_FILLED = 0.34  # of the places of a sheet; axes that go in step would make it a diagonal
_MOST_COLUMNS = 8  # beside each other on a screen; the longer axis is better on rows then

Axes = Mapping[str, str]


def ordered_axes(values: Mapping[str, int], *, pictures: int) -> list[str]:
    """The axes, those that arrange something first. `values`: how many each has."""
    return sorted(values, key=lambda name: arranges_nothing(name, values[name], pictures=pictures))


def arranges_nothing(name: str, values: int, *, pictures: int) -> bool:
    """One value only, or a seed for each picture, which would make a sheet a diagonal."""
    return values == 1 or (name == "seed" and values == pictures)


def opening_of(entries: Sequence[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """How a page is arranged at first: rows and columns of each step that has two axes or models.

    A contact sheet would choose the same axes; models stand side by side.
    """
    steps: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        steps.setdefault(entry["step"], []).append(entry)
    openings = {step: _opening_of_step(some) for step, some in steps.items()}
    return {step: opening for step, opening in openings.items() if opening}


def _opening_of_step(entries: Sequence[dict[str, Any]]) -> dict[str, str]:
    places = [axes for entry in entries for axes in _places(entry)]
    own = dict.fromkeys(name for entry in entries for name in entry["axes"])
    values: dict[str, set[str]] = {name: set() for name in own}
    for axes in places:
        for name, value in axes.items():
            values.setdefault(name, set()).add(value)
    counts = {name: len(some) for name, some in values.items()}
    useful = [
        name
        for name in ordered_axes(counts, pictures=len(places))
        if not arranges_nothing(name, counts[name], pictures=len(places))
    ]
    if (models := model_axis(entries)) is not None:
        fitting = [name for name in useful if name != models and _fills(places, name, models)]
        return {"cols": models, "rows": fitting[0] if fitting else ""}
    for cols, rows in combinations(useful, 2):
        if _fills(places, rows, cols):
            is_wide = counts[cols] > max(_MOST_COLUMNS, counts[rows])
            return {"cols": rows, "rows": cols} if is_wide else {"cols": cols, "rows": rows}
    return {}


def _places(entry: Mapping[str, Any]) -> Iterator[Axes]:
    """The axes of each file of an entry, its own first; as the page has them."""
    own: dict[str, str] = entry["axes"]
    for file in entry.get("files", ()):
        everywhere = {} if file["seed"] is None else {"seed": str(file["seed"])}
        yield own | {
            name: value
            for name, value in (everywhere | {"picture": str(file["index"])}).items()
            if name not in own
        }
    if not entry.get("files"):
        yield own


def _fills(places: Iterable[Axes], rows: str, cols: str) -> bool:
    """Whether a sheet of these axes is not mostly empty."""
    cells = {(axes[rows], axes[cols]) for axes in places if rows in axes and cols in axes}
    height, width = (len(set(values)) for values in zip(*cells, strict=True)) if cells else (1, 1)
    return len(cells) >= _LEAST_FILLED * height * width


def model_axis(entries: Iterable[dict[str, Any]]) -> str | None:
    """The axis that says which model makes a row, in the first step that calls several."""
    steps: dict[str, dict[str, set[tuple[str, str]]]] = {}
    for entry in entries:
        axes = steps.setdefault(entry["step"], {})
        model = str((entry.get("request") or {}).get("model", ""))
        for name, value in entry["axes"].items():
            axes.setdefault(name, set()).add((value, model))
    for axes in steps.values():
        for name, pairs in axes.items():
            values, models = {value for value, _ in pairs}, {model for _, model in pairs}
            if len(values) == len(models) == len(pairs) > 1:
                return name
    return None
