"""What a request asks for: the few values that a result depends on."""

import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from dsrun.emulator.forms import Rules
from dsrun.emulator.operations import Operation, digest
from dsrun.emulator.pointers import places, read_pointer

DEFAULT_SIZE = (1024, 1024)
DEFAULT_DURATION_S = 5
LONGEST_FILM_S = 60

# What the catalogue's names of sizes and resolutions mean.
SIZES = {
    "1K": (1024, 1024),
    "2K": (2048, 2048),
    "4K": (4096, 4096),
    "480P": (832, 480),
    "540P": (960, 540),
    "720P": (1280, 720),
    "1080P": (1920, 1080),
}
DEFAULT_RESOLUTION = "720P"

# Pillow's names of the formats that an address in a sample may end with.
PICTURE_FORMATS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP"}

# libsndfile's names of the compressed formats, which the extra `audio` brings.
COMPRESSED = {"mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS")}


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
    suffix: str = "png"
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechOrder:
    """`character` is the text that the voice's pitch and pace are taken from."""

    text: str
    language: str
    character: str
    sample_rate: int
    response_format: str

    @property
    def suffix(self) -> str:
        return self.response_format


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmOrder:
    """`picture` is what the film shows, and has its size."""

    picture: PictureOrder
    duration_s: float
    suffix: str = "mp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOrder:
    """A solid that has a shape and a colour of its own for each `number`."""

    number: int
    suffix: str = "glb"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOrder:
    """A file of text that is known as it is ordered."""

    content: bytes
    suffix: str


Order = PictureOrder | SpeechOrder | FilmOrder | ModelOrder | TextOrder


def can_compress() -> bool:
    """Whether the extra `audio` is installed."""
    return importlib.util.find_spec("soundfile") is not None


def order_picture(
    operation: Operation,
    body: Mapping[str, Any],
    *,
    seed: int,
    index: int,
    scale: float,
    reference: bytes = b"",
    sample: Any = None,
) -> PictureOrder:
    width, height = _size(operation.setting(body, "/parameters/size"), DEFAULT_SIZE)
    style = operation.setting(body, "/parameters/style") or "<auto>"
    ending = PurePosixPath(urlsplit(str(sample)).path).suffix.removeprefix(".").lower()
    return PictureOrder(
        prompt=find_text(body),
        style=str(style),
        width=max(1, round(width * scale)),
        height=max(1, round(height * scale)),
        seed=(seed + index) % 2**31,
        index=index,
        reference=reference,
        suffix=ending if ending in PICTURE_FORMATS else "png",
        model=str(body.get("model", "")),
    )


def order_film(
    operation: Operation, body: Mapping[str, Any], still: PictureOrder, scale: float
) -> FilmOrder:
    """A film of the picture, of the asked length and resolution; sides are even, as H.264 wants."""
    resolution = operation.setting(body, "/parameters/resolution")
    usual = SIZES.get(str(resolution), SIZES[DEFAULT_RESOLUTION])
    sides = _size(operation.setting(body, "/parameters/size"), usual)
    width, height = (max(2, round(side * scale) // 2 * 2) for side in sides)
    duration = operation.setting(body, "/parameters/duration")
    if not isinstance(duration, int | float) or not 0 < duration <= LONGEST_FILM_S:
        duration = _usual_duration(operation.rules_for(body))
    return FilmOrder(picture=replace(still, width=width, height=height), duration_s=duration)


def order_speech(operation: Operation, body: Mapping[str, Any], kind: Rules) -> SpeechOrder:
    words = body.get("input", {})
    language = operation.setting(body, "/input/language") or words.get("language_type") or "zh"
    asked = kind.get("asked_format", "/parameters/response_format")
    rate = kind.get("asked_rate", "/parameters/sample_rate")
    return SpeechOrder(
        text=find_text(body, ("preview_text", "text", "prompt")),
        language=str(language),
        character=str(words.get("voice_prompt") or words.get("voice") or ""),
        sample_rate=operation.setting(body, rate) or 24000,
        response_format=operation.setting(body, asked) or "wav",
    )


def order_model(body: Mapping[str, Any], seed: int, index: int) -> ModelOrder:
    return ModelOrder(number=int(digest(body)[:8], 16) ^ (seed + index))


def find_text(
    body: Mapping[str, Any], names: tuple[str, ...] = ("prompt", "ref_prompt", "text")
) -> str:
    """The text under one of the names, what is said in a chat, or a list of texts."""
    words = body.get("input", body)
    for name in names:
        text = read_pointer(words, f"/{name}")
        if isinstance(text, str):
            return text
    said = (place for place in _places_of_words(words) if not _is_for_system(words, place))
    return _joined(words, said)


def find_instructions(body: Mapping[str, Any]) -> str:
    """All that a chat is told, with what says how to answer."""
    words = body.get("input", body)
    return _joined(words, _places_of_words(words))


def _places_of_words(words: Any) -> Iterator[str]:
    for pattern in ("/messages/*/content/*/text", "/messages/*/content", "/texts/*", "/query"):
        yield from places(words, pattern)


def _joined(words: Any, where: Iterable[str]) -> str:
    parts = [read_pointer(words, place) for place in where]
    return " ".join(part for part in parts if isinstance(part, str))


def _is_for_system(words: Any, place: str) -> bool:
    """Whether a message says how to answer, and not what is asked."""
    message = "/".join(place.split("/")[:3])
    return place.startswith("/messages/") and read_pointer(words, f"{message}/role") == "system"


def _size(text: Any, other: tuple[int, int]) -> tuple[int, int]:
    width, star, height = str(text).replace("x", "*").partition("*")
    if star and width.isdecimal() and height.isdecimal():
        return int(width), int(height)
    return SIZES.get(str(text), other)


def _usual_duration(rules: Rules) -> float:
    """How long a film is whose request does not say it: what its price counts on."""
    for item in rules.get("price", {}).get("items", ()):
        units = item.get("units", {}).get("else")
        if isinstance(units, int | float) and 0 < units <= LONGEST_FILM_S:
            return units
    return DEFAULT_DURATION_S
