"""Which texts can be the stem of an artifact's file name."""

import re
import unicodedata

from dsrun.common.messages import show
from dsrun.common.models import Json
from dsrun.common.names import name_fault
from dsrun.manifest.templates import slug

_KINDS = r"\.(?:png|jpe?g|webp|bmp|tiff?|gif|wav|mp3|opus|ogg|pcm)"
_EXTENSION = re.compile(_KINDS + r"\Z", re.IGNORECASE)
# A folder must not be named like a file, or the two could meet.
_BAD_STEM = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|[\x00-\x1f\x7f\\]|" + _KINDS + "/", re.IGNORECASE)
_PLAIN_STEM = re.compile(r"[a-zA-Z0-9_-]+(?:/[a-zA-Z0-9_-]+)*").fullmatch
_LONGEST_NAME = 240  # bytes; file systems allow 255, the extension wants some
_LONGEST_STEM = 1000  # bytes


class BadStem(ValueError):
    """A value that cannot be a stem; `rule` is `path` or `length`."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


def stem_of(value: Json, *, step: str, is_slugged: bool = False) -> str:
    """The stem that a rendered `filename` stands for. Raises BadStem.

    `is_slugged`: its template uses the filter `slug` already.
    """
    if isinstance(value, str) and len(value) <= _LONGEST_NAME // 4 and _PLAIN_STEM(value):
        return value  # none of what follows can say anything else
    written = unicodedata.normalize("NFC", value if isinstance(value, str) else show(value))
    stem = _EXTENSION.sub("", written)  # dsrun adds the one that the file turns out to have
    if _BAD_STEM.search(stem):
        way_out = _way_out(stem, is_slugged=is_slugged)
        raise BadStem(
            "path",
            f"found {show(stem)}; allowed: a path below artifacts/{step}/ without "
            f"empty parts, `.`, `..`, backslashes and control characters; {way_out}",
        )
    if fault := name_fault(stem):
        raise BadStem("path", f"found {show(stem)}: {fault}, or take a `filename` of ASCII letters")
    if len(stem) > _LONGEST_NAME // 4:
        _check_length(stem)
    return stem


def _way_out(stem: str, *, is_slugged: bool) -> str:
    """`slug` makes no name of an empty text, nor of an emoji."""
    parts = stem.split("/")
    if slug(stem) and "" not in parts[0 if is_slugged else 1 :]:
        return "`| slug` makes any text fit"
    return (
        "`| slug` leaves nothing of a text without letters and digits, so add {{ job.index }}, "
        "or write {{ NAME | slug or job.index }}"
    )


def _check_length(stem: str) -> None:
    longest = max(len(part.encode()) for part in stem.split("/"))
    if longest > _LONGEST_NAME or len(stem.encode()) > _LONGEST_STEM:
        raise BadStem(
            "length",
            f"found a name of {longest} bytes in a path of {len(stem.encode())}; allowed: "
            f"{_LONGEST_NAME} a name, {_LONGEST_STEM} in all; `| truncate(40, true, '')` "
            "shortens a text",
        )
