"""Parses the body of an answer into JSON that is neither vast nor deep."""

import orjson

from dsrun.common.models import Json

LONGEST_WORDS = 2000  # of an error's text or a request id: it goes into ledger, log and report

_MOST_VALUES = 100_000  # a list of 6,000 tasks; each takes some 100 bytes of memory, or more
_DEEPEST = 100  # orjson writes no more than 254 levels, and the service needs five


def parse_answer(body: bytes | bytearray) -> Json:
    """The JSON of a body; None where there is none that can be used.

    The values are counted before they are made: sixteen megabytes of `[],[]` are 400 of lists.
    """
    openings = body.count(b"[") + body.count(b"{")
    if openings + body.count(b",") > _MOST_VALUES:
        return None
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if openings > _DEEPEST and _depth(payload) > _DEEPEST:
        return None
    return payload


def cut(text: str) -> str:
    """The text, cut to the length at which it may be kept."""
    return text if len(text) <= LONGEST_WORDS else f"{text[: LONGEST_WORDS - 4]} ..."


def _depth(payload: Json) -> int:
    depth, level = 0, [payload]
    while level:
        depth += 1
        level = [item for value in level for item in _items(value)]
    return depth


def _items(value: Json) -> list[Json]:
    """The containers directly inside a value."""
    if not isinstance(value, dict | list):
        return []
    items = value.values() if isinstance(value, dict) else value
    return [item for item in items if isinstance(item, dict | list)]
