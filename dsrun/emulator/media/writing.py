"""Results that are texts: a sentence about the request, and JSON in the shape of the file."""

import json
import random
from collections.abc import Mapping
from typing import Any

from dsrun.emulator.forms import Rules
from dsrun.emulator.media.orders import TextOrder, find_text
from dsrun.emulator.operations import digest
from dsrun.emulator.pointers import write_pointer

LONGEST_QUOTE = 200
SENTENCE_MS = 1500


def write_text(body: Mapping[str, Any], index: int) -> str:
    mark = digest(body)[:8]
    asked = find_text(body)[:LONGEST_QUOTE]
    about = f": {asked}" if asked else "."
    return f"Emulated answer {mark}-{index + 1}{about}"


def write_json(
    body: Mapping[str, Any], index: int, *, kinds: list[Rules], sample: Any, is_file: bool
) -> Any:
    """The sample's value with numbers of this request, or what the derived kinds read from it."""
    if isinstance(sample, dict | list) and not is_file:
        return _varied(sample, random.Random(f"{digest(body)}:{index}"))
    document: dict[str, Any] = {"emulated": f"{digest(body)[:8]}-{index + 1}"}
    text = write_text(body, index)
    for kind in kinds:
        place = kind.get("each", "") + kind.get("at", "")
        if kind["media"] != "captions":
            write_pointer(document, place.replace("*", "0"), text)
            continue
        entry = kind["each"].replace("*", "0")
        write_pointer(document, entry + kind["begin"], 0)
        write_pointer(document, entry + kind["end"], SENTENCE_MS)
        write_pointer(document, entry + kind["text"], text)
    return document


def file_of(value: Any) -> TextOrder:
    """A text as it is, anything else as JSON."""
    if isinstance(value, str):
        return TextOrder(content=value.encode(), suffix="txt")
    content = json.dumps(value, ensure_ascii=False).encode()
    return TextOrder(content=content, suffix="json")


def _varied(value: Any, dice: random.Random) -> Any:
    if isinstance(value, list):
        return [_varied(item, dice) for item in value]
    if isinstance(value, dict):
        return {key: _varied(item, dice) for key, item in value.items()}
    return round(dice.uniform(-1, 1), 6) if isinstance(value, float) else value
