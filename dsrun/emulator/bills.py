"""What an answer says it bills: the units of each item of the operation's price."""

from collections.abc import Iterator, Mapping
from typing import Any

from dsrun.emulator.operations import Operation
from dsrun.emulator.pointers import read_pointer, write_pointer

_IDEOGRAPHS = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))


def write_bill(
    answer: dict[str, Any], operation: Operation, body: Mapping[str, Any], *, made: int
) -> None:
    """Write the usage of a call that made so many results."""
    for item in operation.rules.get("price", {}).get("items", ()):
        for place in item.get("billed", ())[:1]:
            write_pointer(answer, place, _whole(_count(item.get("units", {}), body, made)))


def _count(measure: Mapping[str, Any], body: Mapping[str, Any], made: int) -> float:
    factor = _count(measure["times"], body, 1) if "times" in measure else 1
    if "value" in measure:
        value = read_pointer(body, measure["value"])
        is_number = isinstance(value, int | float) and value >= 0
        return factor * float(value if is_number else measure.get("else", 1))
    if "items" in measure:
        value = read_pointer(body, measure["items"])
        return factor * (len(value) if isinstance(value, list) else 1)
    texts = [text for place in measure.get("chars", measure.get("tokens", ()))
             for text in _texts(body, place.split("/")[1:])]  # fmt: skip
    if "chars" in measure:
        return factor * sum(_width(text, measure.get("wide", 1)) for text in texts)
    if "tokens" in measure:
        return factor * sum(map(len, texts))
    return factor * float(made if "count" in measure else measure.get("most", 1))


def _texts(value: Any, way: list[str]) -> Iterator[str]:
    """The texts at a pointer, in which `*` is each item."""
    if not way:
        yield from [value] if isinstance(value, str) else []
    elif way[0] == "*":
        for part in value if isinstance(value, list) else ():
            yield from _texts(part, way[1:])
    else:
        yield from _texts(read_pointer(value, f"/{way[0]}"), way[1:])


def _width(text: str, wide: int) -> int:
    return sum(wide if any(a <= ord(c) <= b for a, b in _IDEOGRAPHS) else 1 for c in text)


def _whole(number: float) -> float:
    return int(number) if number == int(number) else number
