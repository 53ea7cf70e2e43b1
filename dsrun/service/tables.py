"""Tables of an operation file: values that hang on the request, such as a price by model.

`{"by": ["/model", "/parameters/size"], "table": {"m1 | m2": {"1024*1024": "0.20", "*": "0.25"}}}`
stands in place of a value. One level of `table` belongs to each pointer of `by`. A key is a value
as text, or several joined by ` | `; `-` is a value that the request does not have, and `*` is all
others. A table computes nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dsrun.common.models import Json
from dsrun.common.pointer import resolve

MODEL = "/model"
_OTHERS = "*"
_ABSENT = "-"
_OR = " | "


def is_table(value: Json) -> bool:
    """Whether a table stands where a value is allowed."""
    return isinstance(value, Mapping) and value.keys() == {"by", "table"}


def look_up(value: Json, request: Json) -> Json:
    """The value for a request: a plain value is its own. Raises KeyError where no row fits."""
    if not is_table(value):
        return value
    for at in value["by"]:
        if not value["by"]:
            break
        value = {"by": value["by"], "table": _row(value["table"], _as_key(resolve(request, at)))}
    return value["table"]


def for_model(value: Json, model: str) -> Json:
    """A value, or what is left of a table, for one model. Raises KeyError where no row fits."""
    if not is_table(value) or MODEL not in value["by"]:
        return value
    depth = value["by"].index(MODEL)
    by = [at for at in value["by"] if at != MODEL]
    rows = _at_depth(value["table"], depth, model)
    return {"by": by, "table": rows} if by else rows


def specialised(value: Json, model: str) -> Json:
    """A part of an operation file with each of its tables reduced to one model.

    Raises KeyError where a table has no row for it.
    """
    if is_table(value):
        return for_model(value, model)
    if isinstance(value, Mapping):
        return {key: specialised(item, model) for key, item in value.items()}
    if isinstance(value, list):
        return [specialised(item, model) for item in value]
    return value


def leaves(value: Json) -> Iterator[Json]:
    """Every value that a table, or a plain value, can give."""
    if not is_table(value):
        yield value
        return
    yield from _leaves(value["table"], len(value["by"]))


def _leaves(rows: Json, depth: int) -> Iterator[Json]:
    if depth == 0:
        yield rows
        return
    for below in rows.values():
        yield from _leaves(below, depth - 1)


def _at_depth(rows: Any, depth: int, model: str) -> Any:
    if depth == 0:
        return _row(rows, model)
    return {key: _at_depth(below, depth - 1, model) for key, below in rows.items()}


def _row(rows: Mapping[str, Json], key: str) -> Json:
    for names, value in rows.items():
        if names == key or key in names.split(_OR):
            return value
    if _OTHERS in rows:
        return rows[_OTHERS]
    raise KeyError(key)


def _as_key(value: Json) -> str:
    if value is None:
        return _ABSENT
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
