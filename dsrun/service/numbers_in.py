"""Numbers in files that others write: one that cannot be meant is reported, not used."""

import math
from collections.abc import Mapping
from typing import Any

from dsrun.common.models import Json

_NEEDED = object()
_MANY = 1_000_000


def number_in(
    about: Mapping[str, Json], key: str, *, most: float, least: float | None = None,
    default: Any = _NEEDED,
) -> Any:  # fmt: skip
    """The number at a key: above 0, or from `least`, up to `most`. Raises KeyError, ValueError."""
    if default is not _NEEDED and about.get(key) is None:
        return default
    value = about[key]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_enough = is_number and (value > 0 if least is None else value >= least)
    if not (is_enough and math.isfinite(value) and value <= most):
        range_ = "above 0" if least is None else f"from {least:g}"
        raise ValueError(f"{key}: found {value!r}; allowed: a number {range_} up to {most:g}")
    return value


def whole_in(
    about: Mapping[str, Json], key: str, *, least: int = 1, most: int = _MANY,
    default: Any = _NEEDED,
) -> Any:  # fmt: skip
    """The whole number at a key. Raises KeyError, ValueError."""
    value = number_in(about, key, least=least, most=most, default=default)
    if value is not default and not isinstance(value, int):
        raise ValueError(f"{key}: found {value!r}; allowed: a whole number")
    return value
