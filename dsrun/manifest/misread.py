"""Whether a text was saved in another encoding whose bytes are UTF-8 by accident: a guess.

In GBK a Chinese character is two bytes, and a third of these pairs are a letter in UTF-8: 一只猫
reads as `һֻè`. No alphabet mixes such letters, and words of an alphabet have their neighbours.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from dsrun.common.messages import show

# The letters that a pair of bytes of a common character can be: 0xC2-0xD7, then 0xA1-0xBF.
_PAIRS = "".join(f"{chr(row + 0x21)}-{chr(row + 0x3F)}" for row in range(0x80, 0x600, 0x40))
_OTHER = re.compile(f"[^\x00-\x7f{_PAIRS}]").search
_WORD = re.compile(
    "[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u05ff]*[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u05ff][A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u05ff]*"
)
_BETWEEN = re.compile(r"""[\n,;:\t"'|{}\[\]]""")  # what stands between texts of a file
_MARK_OF_LATIN = range(0x300, 0x370)
_LEAST_WORD = 3  # letters of one alphabet that are hardly there by accident
_MOST_WORDS = 1000  # that are looked at

# An encoding, and the first bytes of its common characters.
_ENCODINGS = (("GBK", "gb2312", 0xD7), ("Big5", "big5", 0xC5), ("EUC-KR", "euc_kr", 0xC8))


class Misread(NamedTuple):
    """Where a text seems to be misread (from 1), and why."""

    line: int
    column: int
    message: str


class _Word(NamedTuple):
    start: int
    letters: str  # those beyond ASCII
    is_joined: bool  # with letters of ASCII
    scripts: frozenset[str]

    @property
    def is_odd(self) -> bool:
        return len(self.scripts) > 1 or not self.scripts.isdisjoint({"", "MODIFIER", "COMBINING"})


def is_sound(text: str) -> bool:
    """Whether it holds what no such accident gives."""
    return bool(_OTHER(text))


def misread(text: str, *, first_line: int = 1) -> Misread | None:
    """The first word that seems to be misread; None where the text looks as it should."""
    if text.isascii() or is_sound(text):
        return None
    words = list(_words(text))
    odd = [word for word in words if word.is_odd]
    latin = sum(word.is_joined and not word.is_odd for word in words)
    if odd:
        return _told(
            text, odd[0], "almost certainly" if len(odd) > latin else "perhaps", first_line
        )
    alone = [] if latin else [word for word in words if _stands_alone(text, word)]
    if not alone:
        return None
    longest = max(len(word.letters) for word in alone)
    return _told(text, alone[0], "probably" if longest > 1 else "perhaps", first_line)


def _words(text: str) -> Iterator[_Word]:
    for match, _ in zip(_WORD.finditer(text), range(_MOST_WORDS), strict=False):
        letters = "".join(letter for letter in match[0] if not letter.isascii())
        is_joined = len(letters) < len(match[0])
        marks = () if not is_joined else _MARK_OF_LATIN
        scripts = frozenset(_script(letter) for letter in letters if ord(letter) not in marks)
        yield _Word(match.start(), letters, is_joined, scripts)


def _script(letter: str) -> str:
    """`LATIN`, `HEBREW`; `MODIFIER` and `COMBINING` for what is no letter, nothing for nothing."""
    name = unicodedata.name(letter, "").partition(" ")[0]
    return "COMBINING" if unicodedata.combining(letter) else name


def _stands_alone(text: str, word: _Word) -> bool:
    """Whether no letter of ASCII is near, and it is no word of another alphabet."""
    if word.scripts != {"LATIN"} and len(word.letters) >= _LEAST_WORD:
        return False
    before = _BETWEEN.split(text[: word.start])[-1]
    after = _BETWEEN.split(text[word.start :], maxsplit=1)[0]
    return not re.search("[A-Za-z]", before + after)


def _told(text: str, word: _Word, sure: str, first_line: int) -> Misread | None:
    readings = list(_readings(word.letters))
    before = text[: word.start]
    scripts = sorted(script.title() for script in word.scripts if script not in ("", "COMBINING"))
    why = f", which mixes {' and '.join(scripts)} letters" if len(scripts) > 1 else ""
    listed = " or ".join(f"{show(reading)} as {name}" for name, reading in readings)
    return Misread(
        line=first_line + before.count("\n"),
        column=len(before) - before.rfind("\n"),
        message=f"reads {show(word.letters)} as UTF-8{why}, but {listed}, which is {sure} meant; "
        "save the file as UTF-8",
    )


def _readings(letters: str) -> Iterator[tuple[str, str]]:
    """The encodings in which these bytes are common characters, and what they read there."""
    data = letters.encode()
    for name, codec, last in _ENCODINGS:
        if max(data[::2]) <= last:
            yield name, data.decode(codec, errors="replace")
