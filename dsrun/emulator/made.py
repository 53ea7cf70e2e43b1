"""What stays in lists of the account, such as voices: their store, and the calls of the lists.

A file tells by its `recovery` what an entry of its list has: the words of the request at the
places of `match`, a name that holds another, and when it was made.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dsrun.emulator.forms import Rules
from dsrun.emulator.operations import Operation
from dsrun.emulator.pointers import read_pointer, split_pointer, write_pointer
from dsrun.emulator.wire import Refusal, invalid_parameter, service_time

MOST_MADE = 1000
LARGEST_PAGE_INDEX = 200

# The largest page is not documented; a larger one is answered with this many entries.
LARGEST_PAGE = 100

# What a name begins with where the file has no sample of one.
USUAL_PREFIX = "qwen-tts-vd-"

_TARGET = "/input/target_model"
_LATIN = "A-Za-z\u00c0-\u024f"
_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_SCRIPTS = {
    "zh": _HAN,
    "ja": _HAN + "\u3040-\u30ff",
    "ko": _HAN + "\uac00-\ud7a3",
    "ru": "\u0400-\u04ff",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An entry of a list as it is shown, and the filters of a list that it passes.

    `more` is what a query for this one tells beside.
    """

    entry: Mapping[str, Any]
    model: str
    passes: Mapping[str, Any]
    more: Mapping[str, Any]


class MadeStore:
    """What the account has made, oldest first, by name."""

    def __init__(self) -> None:
        self._made: dict[str, Made] = {}

    def check_quota(self, *, is_used_up: bool) -> None:
        if is_used_up or len(self._made) >= MOST_MADE:
            message = "The maximum voice storage limit has been reached, please delete some voices."
            raise Refusal(400, "Throttling.AllocationQuota", message)

    def add(
        self, operation: Operation, body: Mapping[str, Any], answer: dict[str, Any], *, now: float
    ) -> None:
        """Make an entry of what a request asks for, and write its outputs into the answer."""
        rules = operation.rules_for(body)
        recovery = rules["recovery"]
        entry: dict[str, Any] = {}
        for asked, shown in recovery.get("match", {}).items():
            value = operation.setting(body, asked)
            write_pointer(entry, shown, _USUAL.get(asked) if value is None else value)
        name = self._name(operation, body, rules, now)
        write_pointer(entry, name_place(operation), name)
        if "made_at" in recovery:
            stamp = service_time(now, "%Y-%m-%d %H:%M:%S")
            for place in {recovery["made_at"], recovery["made_at"].replace("create", "modified")}:
                write_pointer(entry, place, stamp)
        for output, shown in recovery.get("outputs", {}).items():
            value = read_pointer(entry, shown)
            if output in rules.get("outputs", {}) and value is not None:
                write_pointer(answer, rules["outputs"][output], value)
        filters = recovery.get("filter", {})
        passes = {place: operation.setting(body, asked) for asked, place in filters.items()}
        if _suffix(operation):
            entry["status"] = "OK"
        more = _told_of_one(body) if _suffix(operation) else {}
        self._made[name] = Made(entry=entry, model=operation.model, passes=passes, more=more)

    def _name(self, operation: Operation, body: Mapping[str, Any], rules: Rules, now: float) -> str:
        begin = _prefix(rules, read_pointer(body, _TARGET)) + _keyword(operation, body)
        moment = "" if _suffix(operation) else f"-voice-{service_time(now, '%Y%m%d%H%M%S')}"
        while True:
            name = f"{begin}{moment}-{secrets.token_hex(3 if _suffix(operation) else 2)}"
            if name not in self._made:
                return name

    def find(self, name: str) -> Made:
        if name not in self._made:
            raise Refusal(400, "VoiceNotFound", f"Voice not found: {name}")
        return self._made[name]

    def update(self, name: str, body: Mapping[str, Any]) -> None:
        made, told = self.find(name), _told_of_one(body)
        if not told:
            raise invalid_parameter("input: must say what to update.")
        self._made[name] = replace(made, more={**made.more, **told})

    def delete(self, name: str) -> None:
        self.find(name)
        del self._made[name]

    def newest_first(self, model: str, body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The entries of a model that pass the filters which a list request names."""
        return [
            one.entry
            for one in reversed(self._made.values())
            if one.model == model
            and all(read_pointer(body, at) in (None, value) for at, value in one.passes.items())
        ]


def name_place(operation: Operation) -> str:
    """Where an entry has its name."""
    recovery = operation.rules["recovery"]
    places = [*recovery.get("holds", {}).values(), *recovery.get("outputs", {}).values()]
    return str(places[0])


def is_management(operation: Operation, body: Mapping[str, Any]) -> bool:
    """Whether the request is anything but a create; such requests are checked here, by hand."""
    request_input = body.get("input")
    if not isinstance(request_input, Mapping):
        return False
    return bool(request_input.get("action") != _create_action(operation))


def answer_management(
    store: MadeStore, operation: Operation, body: Mapping[str, Any]
) -> dict[str, Any]:
    request_input = body["input"]
    suffix = _suffix(operation)
    key = split_pointer(name_place(operation))[-1]
    known = ("create", "list", "query", *(["update"] if suffix else []), "delete")
    verbs = {verb + suffix: verb for verb in known}
    match verbs.get(str(request_input.get("action"))):
        case "list":
            return _list(store, operation, body)
        case "query":
            made = store.find(_asked_name(request_input, key))
            return {"output": {**made.entry, **made.more}, "usage": {"count": 0}}
        case "update":
            store.update(_asked_name(request_input, key), body)
            return {"output": {}, "usage": {"count": 0}}
        case "delete":
            name = _asked_name(request_input, key)
            store.delete(name)
            return {"output": {key: name}, "usage": {"count": 0}}
        case _:
            raise invalid_parameter(f"input.action: must be one of {', '.join(verbs)}.")


def check_language(rules: Rules, body: Mapping[str, Any]) -> None:
    """Refuse a text without a single letter of the language that the request names for it."""
    for rule in rules.get("languages", ()):
        language = read_pointer(body, rule.get("named_by", "/-"))
        text = read_pointer(body, rule["at"])
        if not isinstance(language, str) or not isinstance(text, str):
            continue
        has_letters = any(sign.isalpha() for sign in text)
        if has_letters and not re.search(f"[{_SCRIPTS.get(language, _LATIN)}]", text):
            place, named = (".".join(split_pointer(rule[key])) for key in ("at", "named_by"))
            raise invalid_parameter(f"{named}: {place} is not in language {language}.")


# What the service takes where the request does not say it, and its schema neither.
_USUAL = {"/input/language": "zh"}


def _create_action(operation: Operation) -> str:
    action = read_pointer(operation.schema, "/properties/input/properties/action") or {}
    return str(action.get("const") or next(iter(action.get("enum", ())), "create"))


def _suffix(operation: Operation) -> str:
    """What the names of the newer services' actions end in, such as `_voice`."""
    return _create_action(operation).removeprefix("create")


def _told_of_one(body: Mapping[str, Any]) -> dict[str, Any]:
    """What the newer services tell of one alone: the model, and what it was made from."""
    words = body["input"]
    told = {"target_model": "target_model", "resource_link": "url", "vocabulary": "vocabulary"}
    return {name: words[asked] for name, asked in told.items() if words.get(asked) is not None}


def _keyword(operation: Operation, body: Mapping[str, Any]) -> str:
    """The part of the name that the request gives."""
    asked = operation.rules["recovery"].get("holds", {})
    return str(next((read_pointer(body, place) for place in asked), None) or "made")


def _prefix(rules: Rules, target: Any) -> str:
    """What stands before the request's part in the name of the sample, with the model asked for."""
    sample = rules.get("sample", {})
    for asked in rules["recovery"].get("holds", {}):
        keyword = read_pointer(sample.get("request"), asked)
        for place in rules.get("outputs", {}).values():
            name = read_pointer(sample.get("answer"), place)
            if isinstance(name, str) and isinstance(keyword, str) and keyword in name:
                shown = read_pointer(sample["request"], _TARGET)
                begin = name.partition(keyword)[0]
                return begin.replace(str(shown), str(target)) if shown else begin
    return USUAL_PREFIX


def _list(store: MadeStore, operation: Operation, body: Mapping[str, Any]) -> dict[str, Any]:
    recovery = operation.rules["recovery"]
    index = _integer(body, recovery["page"], 0, least=0)
    if index > LARGEST_PAGE_INDEX:
        place = ".".join(split_pointer(recovery["page"]))
        raise invalid_parameter(f"{place}: must be at most {LARGEST_PAGE_INDEX}.")
    size = min(_integer(body, recovery["page_size"], 10, least=1), LARGEST_PAGE)
    entries = store.newest_first(operation.model, body)
    answer: dict[str, Any] = {"output": {}, "usage": {}}
    for name, value in (("page", index), ("page_size", size)):
        write_pointer(answer, "/output/" + split_pointer(recovery[name])[-1], value)
    if "total" in recovery:
        write_pointer(answer, recovery["total"], len(entries))
    write_pointer(answer, recovery["items"], entries[index * size : (index + 1) * size])
    return answer


def _asked_name(request_input: Mapping[str, Any], key: str) -> str:
    name = request_input.get(key)
    if not isinstance(name, str) or not name:
        raise invalid_parameter(f"input.{key}: must be the name of a voice.")
    return name


def _integer(body: Mapping[str, Any], pointer: str, default: int, *, least: int) -> int:
    value = read_pointer(body, pointer)
    value = default if value is None else value
    if type(value) is not int or value < least:
        place = ".".join(split_pointer(pointer))
        raise invalid_parameter(f"{place}: must be an integer of at least {least}.")
    return value
