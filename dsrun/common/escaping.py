"""Text from outside as a person may see it: nothing in it moves a cursor or turns a direction.

Such signs are spelled out, as Python spells them. Where text leaves for a terminal all of it passes
`shown`, so that nothing has to be remembered where it is put together.
"""

import codecs
import re
from collections.abc import Iterable

# Controls, marks that turn the direction, line ends of Unicode, lone surrogates, tags.
# Joiners stay: emoji and several scripts need them.
_LATER = "\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f"
_HIDDEN = re.compile(f"[\x00-\x1f{_LATER}]")
_HIDDEN_IN_JSON = re.compile(f"[{_LATER}]")  # it has spelled out the others by itself
# What the machines of continuous integration obey: `::error` at the begin of a line, and
# `##[error]`, `##vso[...]`, `##teamcity[...]` anywhere.
_COMMAND = re.compile(r"^\s*:(?=:)|#(?=#[a-z]*\[)")
_COMMAND_IN_JSON = re.compile(r"#(?=#[a-z]*\[)")
_STYLE = re.compile("\x1b\\[[0-9;]*m")
DEGRADED = "dsrun.degraded"  # how a stream spells what its encoding lacks


class Shown(str):
    """Text that has been made fit to be seen: its line ends and its colours are dsrun's own."""

    __slots__ = ()


def escaped(text: str) -> str:
    """The text on one line, with what is hidden in it spelled out."""
    if text.isascii() and text.isprintable():
        return str(text)
    return _HIDDEN.sub(_spelled, text)


def shown(text: str) -> Shown:
    """A line for a person. What is Shown already stays as it is."""
    if isinstance(text, Shown):
        return text
    line = escaped(text)
    return Shown(_COMMAND.sub(_unarmed, line) if "::" in line or "##" in line else line)


def shown_lines(lines: Iterable[str]) -> Shown:
    """Several lines for a person."""
    return Shown("\n".join(map(shown, lines)))


def shown_json(text: str) -> Shown:
    """JSON for a terminal or a program: the same value, its strings without hidden signs."""
    if text.isascii() and "##" not in text and "\x7f" not in text:
        return Shown(text)
    text = _HIDDEN_IN_JSON.sub(_spelled_in_json, text)
    return Shown(_COMMAND_IN_JSON.sub(r"\\u0023", text))


def is_plain(text: str) -> bool:
    """Whether nothing is hidden in it."""
    return not _HIDDEN.search(text)


def unpainted(text: str) -> str:
    """A text that is Shown, for a file: without colours."""
    return _STYLE.sub("", text)


def _spelled(sign: re.Match[str]) -> str:
    return ascii(sign[0])[1:-1]  # as Python spells it, the shortest way


def _spelled_in_json(sign: re.Match[str]) -> str:
    return _in_json(sign[0])


def _in_json(sign: str) -> str:
    """As JSON spells it: past U+FFFF in two halves."""
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def _degraded(error: UnicodeError) -> tuple[str, int]:
    """What an encoding lacks, as JSON spells it: JSON stays the same JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_in_json, error.object[error.start : error.end])), error.end


codecs.register_error(DEGRADED, _degraded)


def _unarmed(sign: re.Match[str]) -> str:
    """Its first sign spelled out, so that the rest is no command."""
    found = sign[0]
    return f"{found[:-1]}\\x{ord(found[-1]):02x}"
