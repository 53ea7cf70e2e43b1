"""Files that are made of others: a text out of JSON, and captions in the form of SubRip. Pure."""

from collections.abc import Iterator

import orjson

from dsrun.common.digest import json_text
from dsrun.common.models import Json
from dsrun.common.pointer import resolve, resolve_each
from dsrun.service.operation import ArtifactSpec

_HOUR, _MINUTE, _SECOND = 3_600_000, 60_000, 1000  # milliseconds


def derive(spec: ArtifactSpec, source: bytes) -> bytes:
    """The bytes that a kind is, made of the file of another. Raises ValueError."""
    document = orjson.loads(source)
    if spec.media == "captions":
        text = "\n".join(_captions(spec, document))
    else:
        found = [value for value in resolve_each(document, spec.at or "") if value is not None]
        text = "\n".join(v if isinstance(v, str) else json_text(v) for v in found)
    if not text:
        raise ValueError(f"it has nothing at {spec.each or spec.at}")
    return text.encode("utf-8", "replace")


def _captions(spec: ArtifactSpec, document: Json) -> Iterator[str]:
    """One block a sentence: its number, its time, its text."""
    number = 0
    for item in resolve_each(document, spec.each or ""):
        text = resolve(item, spec.text)
        times = (resolve(item, spec.begin), resolve(item, spec.end))
        if isinstance(text, str) and text and all(map(_is_time, times)):
            number += 1
            lines = " ".join(text.split())  # an empty line would end the caption
            yield f"{number}\n{_clock(times[0])} --> {_clock(times[1])}\n{lines}\n"


def _is_time(value: Json) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value < 100 * _HOUR


def _clock(milliseconds: float) -> str:
    hours, rest = divmod(int(milliseconds), _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    seconds, rest = divmod(rest, _SECOND)
    return f"{hours:02}:{minutes:02}:{seconds:02},{rest:03}"
