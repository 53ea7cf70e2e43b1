"""Tables of an operation file: values that hang on the model, such as a price.

`{"by": ["/model"], "table": {"m1 | m2": "0.20", "*": "0.25"}}` stands in place of a value. A key is
a model, or several joined by ` | `; `*` is all others. A table computes nothing.
"""

from collections.abc import Mapping

from dsrun.common.models import Json

_BY_MODEL = ["/model"]
_OTHERS = "*"
_OR = " | "


def is_table(value: Json) -> bool:
    """Whether a table stands where a value is allowed."""
    return isinstance(value, Mapping) and value.get("by") == _BY_MODEL and "table" in value


def for_model(rows: Mapping[str, Json], model: str) -> Json:
    """The row of a table for a model. Raises KeyError where none fits."""
    for names, value in rows.items():
        if model in names.split(_OR):
            return value
    if _OTHERS in rows:
        return rows[_OTHERS]
    raise KeyError("a table")


def specialised(value: Json, model: str) -> Json:
    """A part of an operation file with the row of one model in place of each table.

    Raises KeyError where a table has no row for it.
    """
    if is_table(value):
        return for_model(value["table"], model)
    if isinstance(value, Mapping):
        return {key: specialised(item, model) for key, item in value.items()}
    if isinstance(value, list):
        return [specialised(item, model) for item in value]
    return value
