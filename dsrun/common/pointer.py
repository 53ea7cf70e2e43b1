"""Reading and writing places in a JSON value, by JSON pointer (RFC 6901) or by their keys."""

from functools import lru_cache
from typing import Any

from dsrun.common.models import Json


@lru_cache
def pointer(text: str | None) -> tuple[str, ...] | None:
    """The steps of a JSON pointer (RFC 6901)."""
    if text is None:
        return None
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def resolve(value: Json, at: str | None) -> Json:
    """The part of a value that a JSON pointer names, or None."""
    if at is None:
        return None
    for step in pointer(at) or ():
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def resolve_each(value: Json, at: str) -> list[Json]:
    """The parts of a value that a pointer names, where `*` stands for each item of a list."""
    before, star, after = at.partition("/*")
    part = resolve(value, before)
    if not star:
        return [part]
    items = part if isinstance(part, list) else []
    return [each for item in items for each in resolve_each(item, after)]


def value_at(request: Json, at: tuple[str, ...] | None) -> Json:
    """The value at a path of a request, or None."""
    for step in at or ():
        request = request.get(step) if isinstance(request, dict) else None
    return request if at else None


def put_at(request: Any, at: tuple[str, ...], value: Json) -> None:
    """Replace the value at a path of a request."""
    for step in at[:-1]:
        request = request[step]
    request[at[-1]] = value
