"""Problems of requests in the words of the manifest, where a value is a row or is not there yet."""

import re
from collections.abc import Iterable, Mapping

from dsrun.common.messages import show
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath
from dsrun.manifest.late_values import FILE, FILES, OUTPUT, StepAxis
from dsrun.manifest.model import Text

_ROW = re.compile(r"\s*\{\{[-+]?\s*(\w+)\s*[-+]?\}\}\s*").fullmatch
_FOUND = re.compile(r"found (?:.*?)(?=; allowed: )", re.DOTALL)
_WHOLE = frozenset({"type", "anyOf", "oneOf"})  # rules that a value as a whole breaks
_UNKNOWN = "additionalProperties"
_MOST_PARTS = 8


def as_list(text: object) -> str:
    """A template as the only item of a list."""
    return f"[{show(text.source.strip(), longest=200)}]" if isinstance(text, Text) else "a list"


def is_told(at: KeyPath, broken: Iterable[tuple[KeyPath, str]]) -> bool:
    """Whether what is around a place is wrong as a whole. `broken`: places, and the rules there."""
    return any(
        at[: len(path)] == path and (rule == _UNKNOWN or (rule in _WHOLE and len(path) < len(at)))
        for path, rule in broken
    )


def told_as_written(message: str, written: object, value: Json) -> str:
    """A message that shows the templates of the manifest, not what stands in for their values."""
    sources = _sources(written)
    if isinstance(written, Text) or sources is None:
        return message
    return message.replace(show(value), show(sources), 1)


def _sources(written: object) -> Json:
    """A part of the manifest, with the source of each text."""
    if isinstance(written, Text):
        return written.source
    if isinstance(written, Mapping):
        return {key: _sources(item) for key, item in written.items()}
    return [_sources(item) for item in written] if isinstance(written, list) else written


def told_of_row(
    message: str, text: object, row: Mapping[str, Json], axes: Mapping[str, StepAxis]
) -> str:
    """What a whole row has, where a template gives one and a part of it is meant.

    `row` is the value of the variable that the template names.
    """
    match = _ROW(text.source) if isinstance(text, Text) else None
    if match is None:
        return message
    name = match[1]
    parts = [f"{name}.{part}" for part in _parts(row, axes.get(name))]
    more = len(parts) - _MOST_PARTS
    listed = ", ".join(parts[:_MOST_PARTS]) + (f" and {more} more" if more > 0 else "")
    found = f"found all of {name} ({listed})"
    return _FOUND.sub(lambda _: found, message, count=1)


def _parts(row: Mapping[str, Json], axis: StepAxis | None) -> list[str]:
    if axis is None:
        return [str(key) for key in row]
    if axis.kind == "group":
        return ["key", FILES]
    made = [f"{OUTPUT}.{name}" for name in axis.outputs] if axis.kind == "row" else []
    is_one = axis.kind == "file" or axis.files == 1
    return [*(made or [FILE if is_one else f"{FILES}[0]"]), *axis.axes]
