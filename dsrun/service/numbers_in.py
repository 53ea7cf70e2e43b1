"""Numbers of files that others write: what cannot be meant is told, not reckoned with."""

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
    found = about[key]
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    is_enough = is_number and (found > 0 if least is None else found >= least)
    if not (is_enough and math.isfinite(found) and found <= most):
        range_ = "above 0" if least is None else f"from {least:g}"
        raise ValueError(f"{key}: found {found!r}; allowed: a number {range_} up to {most:g}")
    return found


def whole_in(
    about: Mapping[str, Json], key: str, *, least: int = 1, most: int = _MANY,
    default: Any = _NEEDED,
) -> Any:  # fmt: skip
    """The whole number at a key. Raises KeyError, ValueError."""
    found = number_in(about, key, least=least, most=most, default=default)
    if found is not default and not isinstance(found, int):
        raise ValueError(f"{key}: found {found!r}; allowed: a whole number")
    return found
