"""JSON pointers (RFC 6901), with which operation files name places in requests and answers."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=4096)
def split_pointer(pointer: str) -> tuple[str, ...]:
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def read_pointer(document: Any, pointer: str) -> Any:
    """The value at the pointer, or None where there is none."""
    here = document
    for part in split_pointer(pointer):
        if isinstance(here, Mapping):
            here = here.get(part)
        elif isinstance(here, list) and part.isdecimal() and int(part) < len(here):
            here = here[int(part)]
        else:
            return None
    return here


def write_pointer(document: dict[str, Any], pointer: str, value: Any) -> None:
    """Set the value, creating objects and arrays on the way to it."""
    parts = split_pointer(pointer)
    here: Any = document
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        fresh: Any = value if following is None else [] if following.isdecimal() else {}
        if isinstance(here, list):
            index = int(part)
            here.extend({} for _ in range(index + 1 - len(here)))
            if following is None or not here[index]:
                here[index] = fresh
            here = here[index]
        else:
            here = _enter(here, part, fresh, replace=following is None)


def _enter(here: dict[str, Any], part: str, fresh: Any, *, replace: bool) -> Any:
    if replace or part not in here:
        here[part] = fresh
    return here[part]


def schema_default(schema: Mapping[str, Any], pointer: str) -> Any:
    """The default that a request's schema states for the value at the pointer, or None."""
    here: Any = schema
    for part in split_pointer(pointer):
        here = here.get("properties", {}).get(part)
        if not isinstance(here, Mapping):
            return None
    return here.get("default")


def places(document: Any, pattern: str) -> list[str]:
    """The pointers of all values that a pattern names: `*` stands for each item of an array."""
    head, star, rest = pattern.partition("/*")
    if not star or (rest and rest[0] != "/"):
        return [] if read_pointer(document, pattern) is None else [pattern]
    items = read_pointer(document, head)
    count = len(items) if isinstance(items, list) else 0
    return [place for at in range(count) for place in places(document, f"{head}/{at}{rest}")]


def erase(document: Any, pointer: str) -> None:
    """Take the value at the pointer away, where there is one."""
    way, _, name = pointer.rpartition("/")
    holder = read_pointer(document, way)
    if isinstance(holder, dict):
        holder.pop(split_pointer("/" + name)[0], None)
    elif isinstance(holder, list) and name.isdecimal() and int(name) < len(holder):
        del holder[int(name)]
