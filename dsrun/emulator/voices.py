"""Designed voices: their store, and the actions list, query and delete."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dsrun.emulator.wire import Refusal, invalid_parameter, service_time

VOICES_PER_ACCOUNT = 1000
LARGEST_PAGE_INDEX = 200

# The largest page is not documented; a larger one is answered with this many voices.
LARGEST_PAGE = 100

_LATIN = "A-Za-z\u00c0-\u024f"
_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_SCRIPTS = {
    "zh": _HAN,
    "ja": _HAN + "\u3040-\u30ff",
    "ko": _HAN + "\uac00-\ud7a3",
    "ru": "\u0400-\u04ff",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One entry of the list, field by field."""

    voice: str
    target_model: str
    language: str
    voice_prompt: str
    preview_text: str
    gmt_create: str
    gmt_modified: str


class VoiceStore:
    """The account's voices, oldest first."""

    def __init__(self) -> None:
        self._voices: dict[str, Voice] = {}

    def check_quota(self, *, is_used_up: bool) -> None:
        if is_used_up or len(self._voices) >= VOICES_PER_ACCOUNT:
            message = "The maximum voice storage limit has been reached, please delete some voices."
            raise Refusal(400, "Throttling.AllocationQuota", message)

    def add(self, request_input: Mapping[str, Any], *, now: float) -> str:
        stamp = service_time(now, "%Y-%m-%d %H:%M:%S")
        voice = Voice(
            voice=self._name(request_input["preferred_name"], now),
            target_model=request_input["target_model"],
            language=request_input.get("language", "zh"),
            voice_prompt=request_input["voice_prompt"],
            preview_text=request_input["preview_text"],
            gmt_create=stamp,
            gmt_modified=stamp,
        )
        self._voices[voice.voice] = voice
        return voice.voice

    def _name(self, keyword: str, now: float) -> str:
        moment = service_time(now, "%Y%m%d%H%M%S")
        while True:
            name = f"qwen-tts-vd-{keyword}-voice-{moment}-{secrets.token_hex(2)}"
            if name not in self._voices:
                return name

    def find(self, name: str) -> Voice:
        if name not in self._voices:
            raise Refusal(400, "VoiceNotFound", f"Voice not found: {name}")
        return self._voices[name]

    def delete(self, name: str) -> None:
        del self._voices[self.find(name).voice]

    def newest_first(self) -> list[Voice]:
        return list(reversed(self._voices.values()))


def is_management(body: Mapping[str, Any]) -> bool:
    """Whether the request is anything but a create; such requests are checked here, by hand."""
    request_input = body.get("input")
    return isinstance(request_input, Mapping) and request_input.get("action") != "create"


def answer_management(store: VoiceStore, body: Mapping[str, Any]) -> dict[str, Any]:
    request_input = body["input"]
    match request_input.get("action"):
        case "list":
            return _list_voices(store, request_input)
        case "query":
            voice = store.find(_voice_name(request_input))
            return {"output": asdict(voice), "usage": {"count": 0}}
        case "delete":
            name = _voice_name(request_input)
            store.delete(name)
            return {"output": {"voice": name}, "usage": {"count": 0}}
        case _:
            raise invalid_parameter("input.action: must be one of create, list, query, delete.")


def check_language(request_input: Mapping[str, Any]) -> None:
    """Refuse a text without a single letter of the language that the request names."""
    language, text = request_input.get("language"), request_input["preview_text"]
    if language is None or not any(character.isalpha() for character in text):
        return
    if not re.search(f"[{_SCRIPTS.get(language, _LATIN)}]", text):
        raise invalid_parameter(f"input.language: preview_text is not in language {language}.")


def _list_voices(store: VoiceStore, request_input: Mapping[str, Any]) -> dict[str, Any]:
    index = _integer(request_input, "page_index", 0, least=0)
    if index > LARGEST_PAGE_INDEX:
        raise invalid_parameter(f"input.page_index: must be at most {LARGEST_PAGE_INDEX}.")
    size = min(_integer(request_input, "page_size", 10, least=1), LARGEST_PAGE)
    voices = store.newest_first()
    page = [asdict(voice) for voice in voices[index * size : (index + 1) * size]]
    output = {
        "page_index": index,
        "page_size": size,
        "total_count": len(voices),
        "voice_list": page,
    }
    return {"output": output, "usage": {}}


def _voice_name(request_input: Mapping[str, Any]) -> str:
    name = request_input.get("voice")
    if not isinstance(name, str) or not name:
        raise invalid_parameter("input.voice: must be the name of a voice.")
    return name


def _integer(request_input: Mapping[str, Any], name: str, default: int, *, least: int) -> int:
    value = request_input.get(name, default)
    if type(value) is not int or value < least:
        raise invalid_parameter(f"input.{name}: must be an integer of at least {least}.")
    return value
