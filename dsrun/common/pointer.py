"""Places in a JSON value, read and written: by a JSON pointer (RFC 6901) or by a path of keys.

A pointer is the text that an operation file holds, `/input/prompt`; a path is what it is parsed
to, `("input", "prompt")`. An item of a list is named by its index, as a number or in digits. In an
operation file `*` stands for every item of a list, which JSON pointers do not know.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from dsrun.common.models import Json

KeyPath = tuple[str | int, ...]

EACH = "*"
_INDEX_DIGITS = 9  # no list is longer


@lru_cache
def pointer(text: str | None) -> tuple[str, ...] | None:
    """The path that a JSON pointer names; None for None."""
    if text is None:
        return None
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def place_in_request(text: str) -> KeyPath:
    """The path that a JSON pointer into a request names, in which numbers are items of lists."""
    return tuple(int(key) if _index(key) is not None else key for key in pointer(text) or ())


def fits(path: KeyPath, place: KeyPath) -> bool:
    """Whether a place of an operation file, which may hold `*`, stands for a path."""
    return len(path) == len(place) and all(
        _index(key) is not None if wanted == EACH else str(key) == str(wanted)
        for key, wanted in zip(path, place, strict=True)
    )


def dotted(path: KeyPath) -> str:
    """A path as people read it: `steps.posters.input.prompt`, `matrix.include[0]`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def value_at(value: Json, path: KeyPath | None) -> Json:
    """The value at a path; None where nothing is, or for no path."""
    if path is None:
        return None
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and (index := _index(key)) is not None and index < len(value):
            value = value[index]
        else:
            return None
    return value


def resolve(value: Json, at: str | None) -> Json:
    """The value that a JSON pointer names; None where nothing is, or for no pointer."""
    return value_at(value, pointer(at))


def iter_paths(value: Json, path: KeyPath) -> Iterator[KeyPath]:
    """The paths that a path with `*` stands for in this value, each written out."""
    if EACH not in path:
        yield path
        return
    star = path.index(EACH)
    items = value_at(value, path[:star])
    for index in range(len(items) if isinstance(items, list) else 0):
        yield from iter_paths(value, (*path[:star], index, *path[star + 1 :]))


def resolve_each(value: Json, at: str) -> list[Json]:
    """The values that a JSON pointer with `*` names; None for each that is not there."""
    return _values_at(value, pointer(at) or ())


def _values_at(value: Json, path: KeyPath) -> list[Json]:
    if EACH not in path:
        return [value_at(value, path)]
    star = path.index(EACH)
    items, rest = value_at(value, path[:star]), path[star + 1 :]
    if not isinstance(items, list):
        return []
    return [each for item in items for each in _values_at(item, rest)] if rest else items[:]


def holder_at(value: Any, path: KeyPath) -> dict[str, Json] | list[Json] | None:
    """The mapping or list that holds, or would hold, the last key of a path.

    Mappings that are missing on the way are made; None where something else is in the way.
    """
    for key in path[:-1]:
        value = value.setdefault(key, {}) if isinstance(value, dict) else value_at(value, (key,))
    return value if isinstance(value, dict | list) else None


def put_at(value: Any, path: KeyPath, new: Json) -> None:
    """Write a value at a path; mappings that are missing on the way are made.

    Raises LookupError where something else is in the way, or a list has no such item.
    """
    holder, last = holder_at(value, path), path[-1]
    if isinstance(holder, dict):
        holder[str(last)] = new
    elif isinstance(holder, list) and (index := _index(last)) is not None:
        holder[index] = new
    else:
        raise LookupError(f"nothing can be written at {dotted(path)}")


def _index(key: str | int) -> int | None:
    """The index that a key of a path is for a list, if it is one."""
    if isinstance(key, int):
        return key if key >= 0 else None
    return int(key) if key.isascii() and key.isdigit() and len(key) <= _INDEX_DIGITS else None
