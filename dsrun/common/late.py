"""Late values: what a request takes of another job, known once that job has ended. Pure.

A plan has a late value in place of the value itself. It names the job that gives it, so that a
request and its identity are known before any job has run; `resolved` puts the values in.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dsrun.common.digest import parse_json
from dsrun.common.messages import nearest, show
from dsrun.common.models import Json

FROM_JSON = "from_json"
_FENCED = re.compile(r"\s*```[a-zA-Z]*[ \t]*\r?\n(.*?)\r?\n?[ \t]*```\s*\Z", re.DOTALL)
_LONGEST = 255  # characters, as Jinja's truncate has it
_MOST = 1_000_000  # characters of a text that a filter makes, as in a template
_LARGEST = 1_000_000_000  # number that a filter takes; no text is longer
_LEEWAY = 5  # characters that truncate lets stand


class LateFilter(NamedTuple):
    """A filter that is applied once the value is known, with its arguments in order.

    Those of `from_json` are the keys and numbers that lead to a part of the value.
    """

    name: str
    args: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """A value of a job: of its output at the JSON pointer `at`, or its file of that number."""

    job_id: str
    at: str | None = None
    file: int | None = None
    filters: tuple[LateFilter, ...] = ()
    types: tuple[str, ...] = field(default=(), compare=False)  # of the value; none: any

    @property
    def given(self) -> tuple[str, ...]:
        """The types of what its filters give; none: any."""
        if not self.filters:
            return self.types
        return () if self.filters[-1].name == FROM_JSON else ("string",)

    def as_json(self) -> dict[str, Json]:
        """As it stands in a planned request; it enters the job's id."""
        told: dict[str, Json] = {"from": self.job_id}
        if self.at is not None:
            told["at"] = self.at
        else:
            told["file"] = self.file
        if self.filters:
            told["filters"] = [[one.name, *one.args] for one in self.filters]
        return told


@dataclass(frozen=True, slots=True)
class LateText:
    """A text of which some parts are late."""

    parts: tuple[str | Late, ...]

    def as_json(self) -> dict[str, Json]:
        return {"parts": [part if isinstance(part, str) else part.as_json() for part in self.parts]}


def late_of(value: Json) -> Late | LateText:
    """A late value from its JSON form. Raises KeyError, TypeError where it is none."""
    if "parts" in value:
        parts = (part if isinstance(part, str) else _one_of(part) for part in value["parts"])
        return LateText(tuple(parts))
    return _one_of(value)


def _one_of(value: Json) -> Late:
    filters = tuple(LateFilter(name, tuple(args)) for name, *args in value.get("filters", ()))
    return Late(job_id=value["from"], at=value.get("at"), file=value.get("file"), filters=filters)


def is_late_form(value: Json) -> bool:
    """Whether a value of a planned request is the JSON form of a late value, or of a late text."""
    if not isinstance(value, Mapping):
        return False
    if value.keys() == {"parts"} and isinstance(value["parts"], list):
        return any(is_late_form(part) for part in value["parts"])
    job_id = value.get("from")
    return isinstance(job_id, str) and value.keys() - {"filters"} in (
        {"from", "at"},
        {"from", "file"},
    )


def told(value: Json, names: Mapping[str, str]) -> Json:
    """A planned request for people: `← cast 1 output.voice` where a value is late.

    `names` are those of the jobs, by id.
    """
    if is_late_form(value):
        return _told(late_of(value), names)
    if isinstance(value, Mapping):
        return {key: told(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [told(item, names) for item in value]
    return value


def _told(value: Late | LateText, names: Mapping[str, str]) -> str:
    if isinstance(value, LateText):
        parts = (
            part if isinstance(part, str) else f"{{{_told(part, names)}}}" for part in value.parts
        )
        return "".join(parts)
    name = names.get(value.job_id, f"job {value.job_id[:12]}")
    what = f"file {value.file}" if value.at is None else value.at.strip("/").replace("/", ".")
    filters = (
        f" | {one.name}{(_way if one.name == FROM_JSON else _arguments)(one.args)}"
        for one in value.filters
    )
    return f"← {name} {what}{''.join(filters)}"


def _way(keys: tuple[Json, ...]) -> str:
    """Where a part stands in a value: ` scenes[0].prompt`."""
    parts = (f".{key}" if isinstance(key, str) else f"[{key}]" for key in keys)
    way = "".join(parts).removeprefix(".")
    return f" {way}" if way else ""


def _arguments(args: tuple[Json, ...]) -> str:
    return f"({', '.join(map(repr, args))})" if args else ""


def iter_late(value: Late | LateText) -> Iterator[Late]:
    """Each value that a late value, or a late text, is made of."""
    if isinstance(value, Late):
        yield value
    else:
        yield from (part for part in value.parts if isinstance(part, Late))


def longest(value: Late) -> int | None:
    """The most characters that a value has as a text, where a filter says so; None for any."""
    most: int | None = None
    for one in value.filters:
        if one.name == "truncate":
            arguments = dict(enumerate(one.args))
            length, end = arguments.get(0, _LONGEST), arguments.get(2, "...")
            leeway = arguments.get(3, _LEEWAY)
            is_sound = type(length) is type(leeway) is int and length >= len(str(end)) >= 0
            most = length + max(0, leeway) if is_sound else None
        elif one.name != "trim":
            most = None  # a letter may become several
    return most


def resolved(value: Late | LateText, known: Callable[[Late], Json]) -> Json:
    """The value itself; `known` gives that of a job. Within a text it must be a text or a number.

    Raises TypeError where a filter, or a text, meets anything else, ValueError and OverflowError
    where a filter has an argument that `filter_fault` tells of, or gives too long a text.
    """
    if isinstance(value, Late):
        return _filtered(known(value), value.filters)
    parts = (
        part if isinstance(part, str) else _text(_filtered(known(part), part.filters))
        for part in value.parts
    )
    return "".join(parts)


def _filtered(value: Json, filters: tuple[LateFilter, ...]) -> Json:
    for one in filters:
        if not isinstance(value, str):
            raise TypeError(f"the filter {one.name} takes a text, and this is {value!r:.40}")
        value = FILTERS[one.name](value, *one.args)
    return value


def _text(value: Json) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"a text takes texts and numbers, and this is {value!r:.40}")


def _trim(text: str, characters: str | None = None) -> str:
    return text.strip(characters)


def _truncate(
    text: str,
    length: int = _LONGEST,
    killwords: bool = False,  # Jinja's own arguments
    end: str = "...",
    leeway: int = _LEEWAY,
) -> str:
    if len(text) <= length + leeway:
        return text
    kept = text[: length - len(end)]
    return (kept if killwords else kept.rsplit(" ", 1)[0]) + end


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    times = text.count(old) if count < 0 else min(count, text.count(old))
    if len(text) + times * len(new) > _MOST:
        raise ValueError(f"the filter replace would make more than {_MOST:,} characters")
    return text.replace(old, new, count)


class _Argument(NamedTuple):
    """What an argument of a filter may be."""

    name: str
    types: tuple[type, ...]
    words: str
    is_needed: bool = False

    def takes(self, value: Json) -> bool:
        if type(value) is int and int in self.types:
            return abs(value) <= _LARGEST
        return type(value) in self.types


_TEXT, _COUNT = "a text", f"a whole number up to {_LARGEST:,}"
ARGUMENTS: Mapping[str, tuple[_Argument, ...]] = {  # in Jinja's order
    "trim": (_Argument("chars", (str, type(None)), _TEXT),),
    "truncate": (
        _Argument("length", (int,), _COUNT),
        _Argument("killwords", (bool, int), "true or false"),
        _Argument("end", (str,), _TEXT),
        _Argument("leeway", (int,), _COUNT),
    ),
    "replace": (
        _Argument("old", (str,), _TEXT, is_needed=True),
        _Argument("new", (str,), _TEXT, is_needed=True),
        _Argument("count", (int,), _COUNT),
    ),
}


def filter_fault(one: LateFilter) -> str:
    """What a filter cannot take of its arguments, whatever the value; an empty text for none."""
    kinds = ARGUMENTS.get(one.name, ())
    missing = [kind.name for kind in kinds[len(one.args) :] if kind.is_needed]
    if missing:
        return f"the filter {one.name} lacks {' and '.join(missing)}"
    for kind, value in zip(kinds, one.args, strict=False):
        if not kind.takes(value):
            return (
                f"{kind.name} of the filter {one.name}: found {value!r:.40}; allowed: {kind.words}"
            )
    if one.name == "truncate":
        length, _, end = (*one.args, *(_LONGEST, False, "...")[len(one.args) :])[:3]
        if length < len(end):
            return f"length of the filter truncate: found {length}; allowed: at least {len(end)}"
    return ""


def from_json(text: str, *keys: Json) -> Json:
    """The value of a text that is JSON, or a part of it; a fence around it counts for nothing.

    Raises TypeError where it is no JSON, or has no such part.
    """
    fenced = _FENCED.match(text)
    try:
        value = parse_json(fenced[1] if fenced else text)
    except ValueError:
        raise TypeError(f"from_json takes JSON, and this is {show(text)}") from None
    for number, key in enumerate(keys):
        value = _part(value, key, keys[:number])
    return value


def _part(value: Json, key: Json, above: tuple[Json, ...]) -> Json:
    """Raises TypeError."""
    where = f"{_way(above).strip()} of the JSON" if above else "the JSON"
    if isinstance(key, str):
        if not isinstance(value, dict):
            raise TypeError(f"{where} has no {key}: it is {show(value, longest=40)}")
        if key not in value:
            has = ", ".join(map(str, value)) or "nothing"
            raise TypeError(f"{where} has no {key}{nearest(key, value)}; it has {has:.80}")
        return value[key]
    if not isinstance(value, list):
        raise TypeError(f"{where} has no item {key}: it is {show(value, longest=40)}")
    if not (isinstance(key, int) and 0 <= key < len(value)):
        raise TypeError(f"{where} has no item {key}: it is a list of {len(value)}")
    return value[key]


FILTERS: Mapping[str, Callable[..., Any]] = {  # those that Jinja has do what they do there
    FROM_JSON: from_json,
    "trim": _trim,
    "truncate": _truncate,
    "replace": _replace,
    "lower": str.lower,
    "upper": str.upper,
}
