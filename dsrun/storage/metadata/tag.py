"""What a picture says of itself: its request and its place in it, in words and as JSON."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

SOFTWARE = "dsrun"
MAX_BYTES = 60_000  # of each text: a segment of a JPEG takes 64 KB
# As `Tag.facts` writes it; no container changes these letters.
_FACTS = re.compile(
    rb'\{"job_id":"(?P<job_id>[0-9a-f]{64})","operation":"[^"]*","index":(?P<index>\d+),'
    rb'"seed":(?P<seed>\d+|null),'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """Facts of the job alone: whoever fetches the picture again writes the same bytes."""

    job_id: str
    operation: str
    request: bytes  # JSON
    index: int  # of the picture within the job
    seed: int | None

    def facts(self) -> bytes:
        """Compact JSON; the request stands in it as it was hashed and sent."""
        seed = b"null" if self.seed is None else b"%d" % self.seed
        return b'{"job_id":%b,"operation":%b,"index":%d,"seed":%b,"request":%b}' % (
            orjson.dumps(self.job_id), orjson.dumps(self.operation), self.index, seed, self.request,
        )  # fmt: skip

    def prompt(self) -> str:
        """The text that asked for the picture; empty where the request has none."""
        inputs = orjson.loads(self.request).get("input")
        texts = list(_texts(inputs)) if isinstance(inputs, dict) else []
        return "\n".join(texts)


class Named(NamedTuple):
    """Whose picture a file is, according to its tag."""

    job_id: str
    place: int  # of the picture within the job
    seed: int | None


def named_in(data: bytes) -> Named | None:
    """What a tag in the bytes of a file says; None where there is none."""
    match = _FACTS.search(data)
    if match is None:
        return None
    seed = None if match["seed"] == b"null" else int(match["seed"])
    return Named(match["job_id"].decode(), int(match["index"]), seed)


def escaped(facts: str, letters: re.Pattern[str]) -> str:
    """The JSON with these characters of its texts, where they are not ASCII, as escapes."""
    return letters.sub(lambda match: json.dumps(match[0])[1:-1], facts)


def _texts(inputs: dict[str, Any]) -> Iterator[str]:
    for key in ("prompt", "text"):
        if isinstance(text := inputs.get(key), str):
            yield text
            return
    for message in _mappings(inputs.get("messages")):
        for part in _mappings(message.get("content")):
            if isinstance(text := part.get("text"), str):
                yield text


def _mappings(items: Any) -> list[dict[str, Any]]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
