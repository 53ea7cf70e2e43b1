"""Whether a text was saved or read in the wrong encoding, and is valid UTF-8 all the same: a guess.

In GBK a Chinese character is two bytes, and a third of these pairs are a letter in UTF-8: 一只猫
reads as `һֻè`. No alphabet mixes such letters, and words of an alphabet have their neighbours.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from dsrun.common.messages import show

# What two bytes of an East Asian character can be in UTF-8: 0xC2-0xDF, then 0xA1-0xBF.
_PAIRS = "".join(f"{chr(row + 0x21)}-{chr(row + 0x3F)}" for row in range(0x80, 0x800, 0x40))
_OTHER = re.compile(f"[^\x00-\x7f{_PAIRS}]").search
_LETTER = "\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u07ff"
_WORD = re.compile(f"[A-Za-z{_LETTER}]+")
_BETWEEN = re.compile(r"""[\n,;:\t"'|{}\[\]]""")  # what stands between texts of a file
_MARKS_OF_LATIN = range(0x300, 0x370)
_LEAST_WORD = 3  # letters of one alphabet that are hardly there by accident
_MOST_WORDS = 1000  # that are looked at
_NEAR = 200  # characters on each side of a word

# Each encoding with the highest first byte of its common characters.
_ENCODINGS = (("GBK", "gb2312", 0xDF), ("Big5", "big5", 0xC5), ("EUC-KR", "euc_kr", 0xC8))

# UTF-8 that was taken for another encoding, and saved as UTF-8 again: `cafÃ©`, `浣犲ソ`.
_IN_WINDOWS = "\u0080-\u00bf" + bytes(range(0x80, 0xA0)).decode("cp1252", "ignore")
_TWICE = (
    ("cp1252", re.compile(f"(?:[ÂÃ][{_IN_WINDOWS}]|[â-é][{_IN_WINDOWS}]{{2}})+")),
    ("gbk", re.compile("[\u3000-\u30ff\u3400-\u9fff]{2,}")),
)
_LOST = "\ufffd"


class Misread(NamedTuple):
    """Where a text seems to be misread (from 1), and why."""

    line: int
    column: int
    message: str


class EncodingDoubt:
    """Sees a text piece by piece, and keeps the first place that seems to be misread."""

    def __init__(self) -> None:
        self._line = 1
        self._garbled: Misread | None = None
        self._accident: Misread | None = None
        self._has_other = False  # letters that no accident gives, so none is one

    def see(self, piece: str) -> None:
        if not piece.isascii():
            self._garbled = self._garbled or _garbled(piece, self._line)
            self._has_other = self._has_other or bool(_OTHER(piece))
            if not self._has_other:
                self._accident = self._accident or _accident(piece, self._line)
        self._line += piece.count("\n")

    def found(self) -> Misread | None:
        return self._garbled or (None if self._has_other else self._accident)


def misread(text: str) -> Misread | None:
    """The first place that seems to be misread; None where the text looks as it should."""
    doubt = EncodingDoubt()
    doubt.see(text)
    return doubt.found()


def _garbled(text: str, line: int) -> Misread | None:
    """Characters that an earlier program has lost, or has read in the wrong encoding."""
    at = text.find(_LOST)
    if at >= 0:
        words = "found U+FFFD, which stands for a character that was lost when the text was saved"
        return _at(text, at, line, f"{words}; write it again")
    for codec, pattern in _TWICE:
        for match in islice(pattern.finditer(text), _MOST_WORDS):
            meant = _read_once(match[0], codec)
            if meant:
                words = f"reads {show(match[0])}, which is almost certainly {show(meant)}, saved "
                words += "as UTF-8 by a program that had read it in another encoding; save it again"
                return _at(text, match.start(), line, words)
    return None


def _read_once(text: str, codec: str) -> str:
    """What these characters were as UTF-8; nothing where they were none, or nothing likely."""
    try:
        if codec == "cp1252":
            return b"".join(map(_windows_byte, text)).decode()
        meant = text.encode(codec).decode()
    except UnicodeError:
        return ""
    return meant if all("\u3000" <= letter <= "\u9fff" for letter in meant) else ""


def _windows_byte(letter: str) -> bytes:
    return letter.encode("latin-1" if letter <= "\u00ff" else "cp1252")


class _Word(NamedTuple):
    start: int
    letters: str  # those beyond ASCII
    is_joined: bool  # with letters of ASCII
    scripts: frozenset[str]

    @property
    def is_odd(self) -> bool:
        return len(self.scripts) > 1 or not self.scripts.isdisjoint({"", "MODIFIER", "COMBINING"})


def _accident(text: str, line: int) -> Misread | None:
    words = list(islice(_words(text), _MOST_WORDS))
    odd = [word for word in words if word.is_odd]
    latin = sum(word.is_joined and not word.is_odd for word in words)
    if odd:
        sure = "almost certainly" if len(odd) > latin else "perhaps"
        return _told(text, odd[0], sure, line)
    alone = [] if latin else [word for word in words if _stands_alone(text, word)]
    if not alone:
        return None
    is_word = any(len(word.letters) > 1 and word.scripts == {"LATIN"} for word in alone)
    return _told(text, alone[0], "probably" if is_word else "perhaps", line)


def _words(text: str) -> Iterator[_Word]:
    for match in _WORD.finditer(text):
        if match[0].isascii():
            continue
        letters = "".join(letter for letter in match[0] if not letter.isascii())
        is_joined = len(letters) < len(match[0])
        marks = _MARKS_OF_LATIN if is_joined else ()
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
    before = _BETWEEN.split(text[max(0, word.start - _NEAR) : word.start])[-1]
    after = _BETWEEN.split(text[word.start : word.start + _NEAR])[0]
    return re.search("[A-Za-z]", before + after) is None


def _told(text: str, word: _Word, sure: str, line: int) -> Misread:
    scripts = sorted(script.title() for script in word.scripts if script not in ("", "COMBINING"))
    mixed = f", which mixes {' and '.join(scripts)} letters" if len(scripts) > 1 else ""
    readings = " or ".join(f"{show(reading)} as {name}" for name, reading in _readings(word))
    words = f"reads {show(word.letters)} as UTF-8{mixed}, but {readings}, which is {sure} meant"
    return _at(text, word.start, line, f"{words}; save the file as UTF-8")


def _readings(word: _Word) -> Iterator[tuple[str, str]]:
    """The encodings in which the bytes of a word are common characters, and what they read."""
    data = word.letters.encode()
    for name, codec, last in _ENCODINGS:
        if max(data[::2]) <= last:
            yield name, data.decode(codec, errors="replace")


def _at(text: str, start: int, line: int, message: str) -> Misread:
    before = text[:start]
    return Misread(line + before.count("\n"), len(before) - before.rfind("\n"), message)
