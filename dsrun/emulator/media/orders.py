"""What a request asks for: the few values that a picture or a recording depends on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsrun.emulator.operations import Operation

DEFAULT_SIZE = (1024, 1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOrder:
    """`reference` is a small PNG of the reference picture, or empty."""

    prompt: str
    style: str
    width: int
    height: int
    seed: int
    index: int
    reference: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechOrder:
    """`character` is the text that the voice's pitch and pace are taken from."""

    text: str
    language: str
    character: str
    sample_rate: int
    response_format: str


Order = PictureOrder | SpeechOrder


def order_picture(
    operation: Operation,
    body: Mapping[str, Any],
    *,
    seed: int,
    index: int,
    scale: float,
    reference: bytes = b"",
) -> PictureOrder:
    width, height = _parse_size(operation.setting(body, "/parameters/size"))
    style = operation.setting(body, "/parameters/style") or "<auto>"
    return PictureOrder(
        prompt=_find_text(body["input"], ("prompt", "text")),
        style=str(style),
        width=max(1, round(width * scale)),
        height=max(1, round(height * scale)),
        seed=(seed + index) % 2**31,
        index=index,
        reference=reference,
    )


def order_speech(operation: Operation, body: Mapping[str, Any]) -> SpeechOrder:
    words = body["input"]
    language = operation.setting(body, "/input/language") or words.get("language_type") or "zh"
    return SpeechOrder(
        text=_find_text(words, ("preview_text", "text", "prompt")),
        language=str(language),
        character=str(words.get("voice_prompt") or words.get("voice") or ""),
        sample_rate=operation.setting(body, "/parameters/sample_rate") or 24000,
        response_format=operation.setting(body, "/parameters/response_format") or "wav",
    )


def _parse_size(text: Any) -> tuple[int, int]:
    width, star, height = str(text).replace("x", "*").partition("*")
    if star and width.isdecimal() and height.isdecimal():
        return int(width), int(height)
    return DEFAULT_SIZE


def _find_text(words: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The text under one of the names, or the text parts of a chat message."""
    for name in names:
        if isinstance(words.get(name), str):
            return str(words[name])
    messages = words.get("messages")
    if not isinstance(messages, list):
        return ""
    contents = [message.get("content") for message in messages if isinstance(message, dict)]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return " ".join(part["text"] for part in parts if isinstance(part, dict) and "text" in part)
