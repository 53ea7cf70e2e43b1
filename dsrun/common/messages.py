"""How values and names are written in messages."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping

from dsrun.common.models import Json

_LONGEST_SHOWN = 60
_MOST_PARTS = 8  # columns of a row that are shown
_NUMBER = re.compile(r"[0-9.]+")
_SHORTEST_START = 4  # signs of a word that may stand for a longer one


def show(value: Json, *, longest: int = _LONGEST_SHOWN) -> str:
    """A value for a message: JSON, shortened."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=repr)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean NAME?)`, or nothing where no known word is close."""
    close = closest(word, known)
    return f" (did you mean {close}?)" if close else ""


def _is_other_number(word: str, other: str) -> bool:
    """Whether both are numbers, perhaps with a unit, and not the same one: 480P and 1080P."""
    number, its = _NUMBER.match(word), _NUMBER.match(other)
    return bool(number and its and number[0] != its[0])


def closest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """The closest known word, or nothing; a word that was broken off is the one that it begins."""
    words = [other for other in known if not _is_other_number(word, other)]
    if len(word) >= _SHORTEST_START:
        begun = [other for other in words if other.startswith(word)]
        if begun:
            return min(begun, key=len)
    close = difflib.get_close_matches(word, words, n=1, cutoff=cutoff)
    alike = (other for other in words if other.casefold() == word.casefold())  # MARA for Mara
    return next(iter(close), "") or next(alike, "")


def json_type(value: Json) -> str:
    """The JSON word for a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    kinds = {str: "string", int: "integer", float: "number", dict: "mapping", list: "list"}
    return kinds.get(type(value), type(value).__name__)


def row_words(index: int, row: Mapping[str, Json]) -> str:
    """`job 12: style "<anime>", seed 3`."""
    axes = ", ".join(axis_words(name, value) for name, value in row.items())
    return f"job {index}{': ' + axes if axes else ''}"


def axis_words(name: str, value: Json) -> str:
    """`style "<anime>"`; of a row of a file its columns: `who (name "Mira", age 30)`."""
    if not isinstance(value, Mapping) or not value:
        return f"{name} {show(value)}"
    parts = [f"{key} {show(item)}" for key, item in _flat(value)]
    more = len(parts) - _MOST_PARTS
    return f"{name} ({', '.join(parts[:_MOST_PARTS])}{f' and {more} more' if more > 0 else ''})"


def _flat(value: Mapping[str, Json], below: str = "") -> Iterator[tuple[str, Json]]:
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _flat(item, f"{below}{key}.")
        else:
            yield f"{below}{key}", item
