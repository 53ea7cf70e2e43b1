"""`x-size`, a word of our operation files: what a text such as `1024*768` may say in pixels.

JSON Schema cannot multiply. `{"pixels": [least, most], "ratio": [least, most], "sides": [least,
most], "names": [text]}`: the product, width through height, each side, and names such as `2K`;
whichever of them is published.
"""

import re
from collections.abc import Mapping
from typing import Any

from dsrun.common.models import Json

KEYWORD = "x-size"
_NAMES = "names"
_RANGES = ("pixels", "ratio", "sides")
_SIZE = re.compile(r"([1-9][0-9]{0,5})\*([1-9][0-9]{0,5})")


class SizeFault(ValueError):
    """A size that the service does not take."""


class SizeRule:
    """The keyword for jsonschema-rs."""

    def __init__(self, parent_schema: Json, value: Mapping[str, Any], schema_path: Json) -> None:
        del parent_schema, schema_path
        self._bounds = value

    def validate(self, instance: Json) -> None:
        """Raises SizeFault. What is no text is for `type` to refuse."""
        if isinstance(instance, str) and not fits(self._bounds, instance):
            raise SizeFault(size_words(self._bounds))


def fits(bounds: Mapping[str, Any], text: str) -> bool:
    """Whether a size is within the bounds."""
    if text in bounds.get("names", ()):
        return True
    size = _SIZE.fullmatch(text)
    if size is None:
        return False
    width, height = int(size[1]), int(size[2])
    measures: dict[str, list[float]] = {
        "pixels": [width * height],
        "ratio": [width / height],
        "sides": [width, height],
    }
    return all(
        bounds[name][0] <= number <= bounds[name][1]
        for name, numbers in measures.items()
        if name in bounds
        for number in numbers
    )


def bounds_fault(bounds: Json) -> str:
    """What is wrong with the value of the keyword in an operation file; empty where nothing is."""
    allowed = f"allowed: a mapping of {', '.join(_RANGES)} to [least, most], and names to a list"
    if not isinstance(bounds, Mapping) or not bounds or bounds.keys() - {*_RANGES, _NAMES}:
        return f"{KEYWORD}: {allowed}"
    names = bounds.get(_NAMES, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return f"{KEYWORD}.{_NAMES}: allowed: a list of texts"
    for word in _RANGES:
        if word in bounds and not _is_range(bounds[word]):
            return f"{KEYWORD}.{word}: allowed: [least, most], two numbers above 0"
    return ""


def _is_range(value: Json) -> bool:
    if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004  # least and most
        return False
    are_numbers = all(isinstance(n, int | float) and not isinstance(n, bool) for n in value)
    return are_numbers and 0 < value[0] <= value[1]


def size_words(bounds: Mapping[str, Any]) -> str:
    """`WIDTH*HEIGHT, each side 512 to 1440`."""
    words = ["WIDTH*HEIGHT in pixels"]
    if "sides" in bounds:
        words.append("each side {} to {}".format(*bounds["sides"]))
    if "pixels" in bounds:
        words.append("{} to {} pixels in all".format(*bounds["pixels"]))
    if "ratio" in bounds:
        least, most = bounds["ratio"]
        words.append(f"width:height from 1:{1 / least:g} to {most:g}:1")
    return " or ".join([*bounds.get("names", ()), ", ".join(words)])
