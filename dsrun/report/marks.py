"""What a person has starred, rejected and noted in a served report, kept in the run directory."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsrun.storage.files import write_whole

MOST_BYTES = 2 << 20
_MOST_KEYS = 20_000  # as many as a page has rows
_LONGEST_KEY = 500
_LONGEST_NOTE = 10_000
_LISTS = ("stars", "rejects")
NO_MARKS_TAG = '"none"'


class BadMarks(ValueError):
    """What was sent are no marks; the message says why."""


def parse_marks(data: bytes) -> dict[str, Any]:
    """The marks of a JSON text, in one form. Raises BadMarks."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadMarks("it is not JSON") from error
    if not isinstance(found, dict) or found.keys() != {*_LISTS, "notes"}:
        raise BadMarks("it has other keys than stars, rejects and notes")
    for name in _LISTS:
        keys = found[name]
        if not isinstance(keys, list) or not all(map(_is_key, keys)) or len(keys) > _MOST_KEYS:
            raise BadMarks(f"{name} is no list of at most {_MOST_KEYS} keys")
    notes = found["notes"]
    if not isinstance(notes, Mapping) or len(notes) > _MOST_KEYS:
        raise BadMarks(f"notes are no texts of at most {_MOST_KEYS} keys")
    if not all(_is_key(key) and _is_note(text) for key, text in notes.items()):
        raise BadMarks(f"a note is no text of at most {_LONGEST_NOTE} characters")
    return {name: list(dict.fromkeys(found[name])) for name in _LISTS} | {"notes": dict(notes)}


def read_marks(path: Path) -> tuple[dict[str, Any] | None, str]:
    """The marks and their tag; None where there are none yet, or none that can be read."""
    try:
        data = path.read_bytes()
        return parse_marks(data), tag_of(data)
    except (OSError, BadMarks):
        return None, NO_MARKS_TAG


def write_marks(path: Path, marks: Mapping[str, Any]) -> str:
    """Replace them in one step, and return their tag. Raises SetupError."""
    text = json.dumps(marks, ensure_ascii=True, indent=1)
    write_whole(path, [text.encode()])
    return tag_of(text.encode())


def tag_of(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def _is_key(key: object) -> bool:
    return isinstance(key, str) and 0 < len(key) <= _LONGEST_KEY


def _is_note(text: object) -> bool:
    return isinstance(text, str) and len(text) <= _LONGEST_NOTE
