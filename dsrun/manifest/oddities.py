"""What a data file holds that may not be meant: blank rows, comments, quotes around a cell."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dsrun.common.errors import Problem

# Blanks, and the signs that no font shows: zero-width ones, joiners, fillers, tags, controls.
_NO_SIGN = (
    r"\s\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u2028-\u202f\u2060-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    r"\U000e0000-\U000e0fff"
)
_VISIBLE = re.compile(f"[^{_NO_SIGN}]").search
begins_plainly = re.compile(f"[^#{_NO_SIGN}]").match  # as nearly all rows: nothing odd to note
_COLOUR = re.compile(r"#(?:[0-9a-fA-F]{3,4}){1,2}\s*").fullmatch
_BLANK = "skipped: what is blank makes no job"
_COMMENT = "a data file has no comments, so each makes a job; remove what is none"
_IN_QUOTES = (
    "in TSV a quote is a character of the text, and is sent; remove those that are not meant, or "
    "save the file as CSV"
)
_MOST_LINES = 3  # that a message names


def is_blank(cells: Iterable[str]) -> bool:
    """Whether nobody would see anything in these cells."""
    return not any(map(_VISIBLE, cells))


def _is_quoted(cell: str) -> bool:
    """Whether the cell is in quotes as CSV has them, those inside doubled."""
    within = cell[1:-1].replace('""', "")
    return len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in within


@dataclass(slots=True)
class _Lines:
    count: int = 0
    first: list[int] = field(default_factory=list)

    def note(self, line: int) -> None:
        self.count += 1
        if self.count <= _MOST_LINES:
            self.first.append(line)

    def words(self, one: str, many: str) -> str:
        """`1 blank row (line 4)`, `7 blank rows (lines 4, 9, 12, ...)`."""
        listed = ", ".join(map(str, self.first)) + (", ..." if self.count > _MOST_LINES else "")
        return (
            f"1 {one} (line {listed})" if self.count == 1 else f"{self.count:,} {many} ({listed})"
        )


class Oddities:
    """Collects what is odd in one file, so that each kind of it is told once."""

    def __init__(self) -> None:
        self._blank, self._comments, self._quoted = _Lines(), _Lines(), _Lines()

    def note_blank(self, line: int) -> None:
        self._blank.note(line)

    def look_at(self, line: int, text: str) -> None:
        """The first cell of a row, or a line of a text."""
        if text.lstrip()[:1] == "#" and not _COLOUR(text.strip()):
            self._comments.note(line)

    def look_at_quotes(self, line: int, cells: Iterable[str]) -> None:
        if any(map(_is_quoted, cells)):
            self._quoted.note(line)

    def problems(self, file: str) -> Iterator[Problem]:
        """The warnings of the file, each at the first line that it is about."""
        told = (
            (self._blank, "blank row", "blank rows", _BLANK),
            (self._comments, "row begins with #", "rows begin with #", _COMMENT),
            (self._quoted, "row has a cell in quotes", "rows have cells in quotes", _IN_QUOTES),
        )
        for lines, one, many, words in told:
            if lines.count:
                message = f"{lines.words(one, many)}; {words}"
                yield Problem(file=file, line=lines.first[0], column=1, where="", message=message)
