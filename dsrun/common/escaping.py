"""Makes text from outside safe to show: nothing in it moves a cursor or changes direction.

Such characters are spelled out, as Python spells them. All text for a terminal passes `shown` on
its way out, so that the code that composes it need not remember.
"""

import codecs
import re
from collections.abc import Iterable

# Controls, direction marks, Unicode line ends, lone surrogates, tags.
# Joiners stay: emoji and several scripts need them.
_LATER = "\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f"
_HIDDEN = re.compile(f"[\x00-\x1f{_LATER}]")
_HIDDEN_IN_JSON = re.compile(f"[{_LATER}]")  # JSON spells out the others itself
# Commands that CI services obey: `::error` at the start of a line, and
# `##[error]`, `##vso[...]`, `##teamcity[...]` anywhere.
_COMMAND = re.compile(r"^\s*:(?=:)|#(?=#[a-z]*\[)")
_COMMAND_IN_JSON = re.compile(r"#(?=#[a-z]*\[)")
_STYLE = re.compile("\x1b\\[[0-9;]*m")
DEGRADED = "dsrun.degraded"  # how a stream spells what its encoding lacks


class Shown(str):
    """Text that is safe to show: its line ends and colours are dsrun's own."""

    __slots__ = ()


def escaped(text: str) -> str:
    """The text on one line, its hidden characters spelled out."""
    if text.isascii() and text.isprintable():
        return str(text)
    return _HIDDEN.sub(_spelled, text)


def shown(text: str) -> Shown:
    """A line for a person. Text that is already Shown stays as it is."""
    if isinstance(text, Shown):
        return text
    line = escaped(text)
    return Shown(_COMMAND.sub(_unarmed, line) if "::" in line or "##" in line else line)


def shown_lines(lines: Iterable[str]) -> Shown:
    """Several lines for a person."""
    return Shown("\n".join(map(shown, lines)))


def shown_json(text: str) -> Shown:
    """JSON for a terminal or a program: the same value without hidden characters."""
    if text.isascii() and "##" not in text and "\x7f" not in text:
        return Shown(text)
    text = _HIDDEN_IN_JSON.sub(_spelled_in_json, text)
    return Shown(_COMMAND_IN_JSON.sub(r"\\u0023", text))


def is_plain(text: str) -> bool:
    """Whether the text has no hidden characters."""
    return not _HIDDEN.search(text)


def unpainted(text: str) -> str:
    """Shown text without its colours, for a file."""
    return _STYLE.sub("", text)


def _spelled(sign: re.Match[str]) -> str:
    return ascii(sign[0])[1:-1]  # as Python spells it, the shortest way


def _spelled_in_json(sign: re.Match[str]) -> str:
    return _in_json(sign[0])


def _in_json(character: str) -> str:
    """As JSON spells it: a surrogate pair past U+FFFF."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def _degraded(error: UnicodeError) -> tuple[str, int]:
    """What an encoding lacks, as JSON spells it: JSON stays the same JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_in_json, error.object[error.start : error.end])), error.end


codecs.register_error(DEGRADED, _degraded)


def _unarmed(sign: re.Match[str]) -> str:
    """Its last character spelled out, so that what follows is no command."""
    start = sign[0]
    return f"{start[:-1]}\\x{ord(start[-1]):02x}"
