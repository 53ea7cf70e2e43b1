"""The body of a successful answer: the file's sample, with results, usage and the request put in.

Without a sample the answer has what the pointers of the file name, and nothing else. A result is
put in by the caller, who makes it: `Answer.places` says where, and what.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dsrun.emulator.forms import Rules
from dsrun.emulator.media.orders import find_text
from dsrun.emulator.operations import Operation
from dsrun.emulator.pointers import erase, places, read_pointer, split_pointer, write_pointer
from dsrun.emulator.tasks import Ailment

# What stands for any text in a sample.
ANY_TEXT = "\u2026"

# A shorter text of a sample may be a part of any word.
SHORTEST_SAMPLE = 4

# How long a file plays, by its address; None where that is not known.
Seconds = Callable[[str], float | None]

_IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")

# What adds up in the usage of a sample, which then adds up in an answer.
_SUMS = {
    "total_tokens": ("input_tokens", "output_tokens"),
    "duration": ("input_video_duration", "output_video_duration"),
}

# Which setting of the request the usage repeats under a name.
_REPEATED = {
    "SR": "/parameters/resolution",
    "ratio": "/parameters/ratio",
    "size": "/parameters/size",
    "video_ratio": "/parameters/size",
    "audio": "/parameters/audio",
}

_PIXELS = re.compile(r"[0-9]+\*[0-9]+")

FRAME = ("request_id", "task_id", "task_status", "submit_time", "scheduled_time", "end_time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a result of a kind belongs; `sample` is what stands there in the file's sample."""

    kind: Rules
    at: str
    index: int
    sample: Any


@dataclass(slots=True, kw_only=True)
class Answer:
    document: dict[str, Any]
    places: list[Place]


def compose(
    operation: Operation, body: Mapping[str, Any], *, failed: Mapping[int, Ailment] | None = None
) -> Answer:
    """The answer of a request of which the `failed` parts came to nothing."""
    rules, failed = operation.rules_for(body), failed or {}
    sample = rules.get("sample", {}).get("answer")
    document = copy.deepcopy(sample) if sample else {"output": {}, "usage": {}}
    _unframe(document)
    answer = Answer(document=document, places=[])
    groups: dict[str, list[Rules]] = {}
    for kind in rules["artifacts"]:
        if "of" not in kind:
            groups.setdefault(_split(kind)[0], []).append(kind)
    main = rules["artifacts"][0]
    for each, kinds in groups.items():
        count = operation.count(kinds[0], body) if each else 1
        items = _fit(document, each, _split(kinds[0])[1], count) if each else [""]
        for index, item in enumerate(items):
            if index in failed and kinds[0] is main:
                _fail(document, item, kinds[0], failed[index])
            else:
                answer.places += _places(document, item, kinds, index, has_sample=bool(sample))
    _tell_request(operation, body, rules, document)
    return answer


def bill(
    operation: Operation,
    body: Mapping[str, Any],
    document: Any,
    *,
    made: int,
    seconds: Seconds = lambda _: None,
) -> None:
    """Write what is billed for so many results at its place in the answer."""
    shown = document.get("usage")
    usage = shown if isinstance(shown, dict) else {}
    sums = _sums(usage)
    written = set()
    for item in operation.rules_for(body).get("price", {}).get("items", ()):
        billed = item.get("billed", ())
        stated = [place for place in billed if read_pointer(document, place) is not None]
        units = _measure(operation, body, item.get("units", {}), made, seconds)
        is_limit = item.get("sure") == "at_most" and "value" in item.get("units", {})
        for place in stated or billed[:1]:
            written.add(place)
            stated_units = read_pointer(document, place)
            if units is None:
                write_pointer(document, place, stated_units or 1)
            elif is_limit and stated_units:  # of an answer that may be shorter
                write_pointer(document, place, min(units, stated_units))
            else:
                write_pointer(document, place, units)
    for whole in sums:
        _add_up(usage, whole, is_given=f"/usage/{whole}" in written)
    _repeat_settings(operation, body, usage)


def count_tokens(operation: Operation, body: Mapping[str, Any]) -> int:
    """How many tokens a request has at most: one a character of the texts that are billed."""
    items = operation.rules_for(body).get("price", {}).get("items", ())
    counted = (_texts(body, item["units"].get("tokens", ())) for item in items if "units" in item)
    return sum(len(text) for texts in counted for text in texts)


def _sums(usage: Mapping[str, Any]) -> list[str]:
    """Which sums the usage of a sample holds, before anything is written into it."""
    numbers = {name: value for name, value in usage.items() if isinstance(value, int | float)}
    return [
        whole
        for whole, parts in _SUMS.items()
        if numbers.keys() >= {whole, *parts}
        and numbers[whole] == sum(numbers[one] for one in parts)
    ]


def _add_up(usage: dict[str, Any], whole: str, *, is_given: bool) -> None:
    first, last = _SUMS[whole]
    if is_given:
        usage[last] = max(0, round(usage[whole] - usage[first], 3))
    else:
        usage[whole] = round(usage[first] + usage[last], 3)


def _repeat_settings(operation: Operation, body: Mapping[str, Any], usage: dict[str, Any]) -> None:
    """A resolution is repeated as a bare number, which some models write as a text."""
    for name, pointer in _REPEATED.items():
        asked, shown = operation.setting(body, pointer), usage.get(name)
        if asked is None or shown is None:
            continue
        if name == "SR":
            lines = str(asked).removesuffix("P")
            if lines.isdecimal():
                usage[name] = lines if isinstance(shown, str) else int(lines)
        elif "size" not in pointer or _PIXELS.fullmatch(str(asked)):
            usage[name] = asked


def _measure(
    operation: Operation, body: Mapping[str, Any], measure: Rules, made: int, seconds: Seconds
) -> Any:
    """How many units a measure counts; None where only the service could know."""
    match measure:
        case {"value": pointer}:
            asked = operation.setting(body, pointer)
            units = asked if isinstance(asked, int | float) else measure.get("else")
        case {"chars": pointers}:
            units = sum(_width(text, measure.get("wide", 1)) for text in _texts(body, pointers))
        case {"tokens": pointers}:
            units = sum(map(len, _texts(body, pointers)))
        case {"items": pointer}:
            units = len(operation.setting(body, pointer) or [None])
        case {"media_seconds": pointer}:
            units = _played(body, pointer, seconds)
        case {"most": _}:
            units = None
        case {"else": always}:
            units = always
        case _:
            units = made
    if "times" in measure and units is not None:
        units *= _measure(operation, body, measure["times"], made, seconds) or 1
    return units


def _played(body: Mapping[str, Any], pointer: str, seconds: Seconds) -> int | float | None:
    """How long the files of a request play together; None where one of them is elsewhere."""
    urls = [read_pointer(body, place) for place in places(body, pointer)]
    lengths = [seconds(url) if isinstance(url, str) else None for url in urls]
    known = [length for length in lengths if length is not None]
    if not known or len(known) < len(lengths):
        return None
    whole = round(sum(known), 3)
    return int(whole) if whole.is_integer() else whole


def _width(text: str, wide: int) -> int:
    return sum(wide if _IDEOGRAPH.match(sign) else 1 for sign in text)


def _texts(body: Mapping[str, Any], pointers: list[str]) -> Iterator[str]:
    found = (read_pointer(body, at) for pointer in pointers for at in places(body, pointer))
    return (text for text in found if isinstance(text, str))


def _split(kind: Rules) -> tuple[str, str]:
    """The pattern of a kind's items and the pointer inside one; no pattern for a single value."""
    each, at = kind.get("each"), kind["at"]
    if each is not None:
        return each, at
    head, star, rest = at.rpartition("/*")
    return (head + star, rest) if star else ("", at)


def _unframe(document: dict[str, Any]) -> None:
    """Take out what belongs to the sample's own call."""
    document.pop("request_id", None)
    output = document.get("output")
    if isinstance(output, dict):
        for name in FRAME:
            output.pop(name, None)


def _fit(document: dict[str, Any], each: str, at: str, count: int) -> list[str]:
    """The pointers of so many items, as copies of those of the sample that hold a value."""
    holding = _holding(document, each, at)
    if not holding:
        return [_numbered(each, index) for index in range(count)]
    depth = _depth(each, holding)
    numbers = [int(split_pointer(place)[depth]) for place in holding]
    siblings = read_pointer(document, "/".join(holding[0].split("/")[: depth + 1]))
    for number in reversed(numbers[count:]):
        del siblings[number]
    model = copy.deepcopy(siblings[numbers[0]])
    for number in range(len(numbers), count):
        siblings.insert(numbers[-1] + 1 + number - len(numbers), copy.deepcopy(model))
    return _holding(document, each, at)[:count]


def _holding(document: dict[str, Any], each: str, at: str) -> list[str]:
    found = places(document, each)
    return [place for place in found if read_pointer(document, place + at) is not None]


def _depth(each: str, holding: list[str]) -> int:
    """At which part of the pointer one item differs from the next."""
    parts = split_pointer(each)
    stars = [depth for depth, part in enumerate(parts) if part == "*"]
    ways = [split_pointer(place) for place in holding]
    return next((at for at in stars if len({way[at] for way in ways}) > 1), stars[0])


def _numbered(each: str, index: int) -> str:
    """A place for an item where there is no sample: the first list grows, lists inside hold one."""
    return each.replace("/*", f"/{index}", 1).replace("/*", "/0")


def _fail(document: dict[str, Any], item: str, kind: Rules, ailment: Ailment) -> None:
    code, message = kind.get("error", ("/code", "/message"))
    if item:
        write_pointer(document, item, {})
    erase(document, item + _split(kind)[1])
    write_pointer(document, item + code, ailment.code)
    write_pointer(document, item + message, ailment.message)


def _places(
    document: dict[str, Any], item: str, kinds: list[Rules], index: int, *, has_sample: bool
) -> Iterator[Place]:
    """The places in an item; a further kind that the sample does not show is not made."""
    for kind in kinds:
        at = item + _split(kind)[1]
        sample = read_pointer(document, at)
        if sample is not None or not has_sample or "name" not in kind:
            yield Place(kind=kind, at=at, index=index, sample=sample)


def _tell_request(
    operation: Operation, body: Mapping[str, Any], rules: Rules, document: dict[str, Any]
) -> None:
    """Put the request's own values where the service repeats them, and outputs in their places."""
    text, sample_text = find_text(body), find_text(rules.get("sample", {}).get("request", {}))
    if text:
        _replace_text(document, ANY_TEXT, text)
    if text and len(sample_text) >= SHORTEST_SAMPLE:
        _replace_text(document, sample_text, text)
    for asked, shown in rules.get("recovery", {}).get("confirm", {}).items():
        value = operation.setting(body, asked)
        for place in places(document, shown) if value is not None else ():
            write_pointer(document, place, value)
    for name, pointer in rules.get("outputs", {}).items():
        said = read_pointer(body, f"/input/{name}")
        if "*" not in pointer and (isinstance(said, str) or not places(document, pointer)):
            write_pointer(document, pointer, said if isinstance(said, str) else f"emulated-{name}")


def _replace_text(value: Any, sample: str, text: str) -> None:
    """Put the request's text where the sample has its own, whole or as a part."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, dict | list):
            _replace_text(item, sample, text)
        elif isinstance(item, str):
            value[key] = item.replace(sample, text)
