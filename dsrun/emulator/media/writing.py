"""Results that are texts: a sentence about the request, and JSON in the shape of the file."""

import json
import random
import re
from collections.abc import Mapping
from typing import Any

from dsrun.emulator.forms import Rules
from dsrun.emulator.media.orders import TextOrder, find_instructions, find_text
from dsrun.emulator.operations import digest
from dsrun.emulator.pointers import read_pointer, write_pointer

LONGEST_QUOTE = 200
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]{0,39}")
_QUOTED = re.compile(f"[\"'`\u201c\u2018]({_NAME.pattern})[\"'`\u201d\u2019]")
_BETWEEN = r"(?:\s*,\s*and\s+|\s*,\s*|\s+and\s+)"
_LISTED = re.compile(rf"\b(?:key|field)s?:?\s+({_NAME.pattern}(?:{_BETWEEN}{_NAME.pattern})*)")
_NO_KEYS = frozenset({"and", "json", "JSON"})
VECTOR = "embedding"
SPARSE = "sparse_embedding"
SCORE = "relevance_score"
SENTENCE_MS = 1500
SENTENCES = "/transcripts/*/sentences/*"

# What a transcript says beside its text.
_TOLD_BESIDE = {
    "/transcripts/0/channel_id": 0,
    "/transcripts/0/content_duration_in_milliseconds": SENTENCE_MS,
    "/transcripts/0/sentences/0/sentence_id": 1,
}


def write_text(body: Mapping[str, Any], index: int) -> str:
    """A sentence; a JSON object with the keys that the request names, where it asks for one."""
    mark = f"{digest(body)[:8]}-{index + 1}"
    asked = find_text(body)
    about = f": {asked[:LONGEST_QUOTE]}" if asked else "."
    if not wants_json(body):
        return f"Emulated answer {mark}{about}"
    keys = _named_keys(find_instructions(body)) or ["text"]
    document = {key: f"Emulated {key} {mark}{about}" for key in keys}
    return json.dumps(document, ensure_ascii=False)


def wants_json(body: Mapping[str, Any]) -> bool:
    """Whether a chat is to answer with a JSON object."""
    return bool(read_pointer(body, "/parameters/response_format/type") == "json_object")


def _named_keys(text: str) -> list[str]:
    """The names in quotation marks, and those after the word key or field."""
    named = [match[1] for match in _QUOTED.finditer(text)]
    listed = [name for match in _LISTED.finditer(text) for name in _NAME.findall(match[1])]
    return [*dict.fromkeys(name for name in [*named, *listed] if name not in _NO_KEYS)]


def write_json(
    body: Mapping[str, Any],
    index: int,
    *,
    kinds: list[Rules],
    sample: Any,
    is_file: bool,
    length: int | None = None,
) -> Any:
    """The sample's value with numbers of this request, or what the derived kinds read from it.

    `length` is that of a vector, where the request or its schema says one.
    """
    if isinstance(sample, dict | list) and not is_file:
        dice = random.Random(f"{digest(body)}:{index}")
        documents = read_pointer(body, "/input/documents")
        if _are(sample, SCORE) and isinstance(documents, list):
            return _ranked(sample[0], documents, body.get("parameters") or {}, dice)
        return _varied(_sized(sample, body, length), dice)
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
        if kind["each"] == SENTENCES:
            for place, value in _TOLD_BESIDE.items():
                write_pointer(document, place, value)
    return document


def file_of(value: Any) -> TextOrder:
    """A text as it is, anything else as JSON."""
    if isinstance(value, str):
        return TextOrder(content=value.encode(), suffix="txt")
    content = json.dumps(value, ensure_ascii=False).encode()
    return TextOrder(content=content, suffix="json")


def _are(sample: Any, name: str) -> bool:
    """Whether a sample is a list of objects that have such a field."""
    first = sample[0] if isinstance(sample, list) and sample else None
    return isinstance(first, dict) and name in first


def _ranked(
    model: Mapping[str, Any], documents: list[Any], wanted: Mapping[str, Any], dice: random.Random
) -> list[dict[str, Any]]:
    """The numbers of documents with scores, the best first; the documents only where wanted."""
    scores = sorted((round(dice.random(), 6) for _ in documents), reverse=True)
    order = dice.sample(range(len(documents)), len(documents))
    ranked = []
    for score, number in list(zip(scores, order, strict=True))[: wanted.get("top_n")]:
        one = {**model, "index": number, SCORE: score}
        one.pop("document", None)
        if wanted.get("return_documents"):
            document = documents[number]
            one["document"] = {"text": document} if isinstance(document, str) else document
        ranked.append(one)
    return ranked


def _sized(sample: Any, body: Mapping[str, Any], length: int | None) -> Any:
    """A list of vectors with one for each item of the request, as long as it asks for."""
    if not _are(sample, VECTOR):
        return sample
    lists = (value for value in body.get("input", {}).values() if isinstance(value, list))
    items = next(lists, [""] * len(sample))
    if read_pointer(body, "/parameters/enable_fusion"):
        items = items[:1]
    form = read_pointer(body, "/parameters/output_type") or "dense"
    frame = {name: value for name, value in sample[0].items() if name != VECTOR}
    dense = {VECTOR: [0.0] * (length or len(sample[0][VECTOR]))} if "dense" in form else {}
    return [
        {**frame, _place(frame): number, **(_type_of(item) if "type" in frame else {}), **dense}
        | ({SPARSE: _words_of(item)} if "sparse" in form else {})
        for number, item in enumerate(items)
    ]


def _words_of(text: Any) -> list[dict[str, Any]]:
    """A vector that says which words count; their numbers follow."""
    return [
        {"index": number, "value": 0.0, "token": word}
        for number, word in enumerate(str(text).split())
    ]


def _type_of(item: Any) -> dict[str, str]:
    """What an item of several kinds is, by its only name."""
    return {"type": next(iter(item))} if isinstance(item, dict) and item else {}


def _place(item: Mapping[str, Any]) -> str:
    """The name under which an item says which of the request's it is."""
    return next((name for name, value in item.items() if isinstance(value, int)), "index")


def _varied(value: Any, dice: random.Random) -> Any:
    if isinstance(value, list):
        return [_varied(item, dice) for item in value]
    if isinstance(value, dict):
        return {key: _varied(item, dice) for key, item in value.items()}
    return round(dice.uniform(-1, 1), 6) if isinstance(value, float) else value
