"""Tables of text that fit the width of a terminal. Pure.

Cells wrap between words, and no word is broken: a number, an id or a path stays whole. Where even
that is too wide, each row becomes a short paragraph that names its columns.
"""

from collections.abc import Iterable, Iterator, Sequence

from dsrun.common.escaping import Shown, shown

_GAP = "  "
_INDENT = "    "
_TALLEST = 4  # lines of a row, before paragraphs are easier to read
_FIRST_WIDE = 0x2E80  # from here on letters stand without spaces, and a line may end after each


def table(
    rows: Iterable[Iterable[str]], *, titled: bool = False, width: int | None = None
) -> Shown:
    """Rows as left-aligned columns, two spaces apart.

    `titled`: the first row has the titles of the columns. `width`: of the terminal; None for none.
    """
    lines = [list(map(shown, row)) for row in rows]
    if not lines:
        return Shown("")
    columns = list(zip(*lines, strict=True))
    widths = [max(map(width_of, column)) for column in columns]
    whole = [_line(line, widths) for line in lines]
    if width is not None and max(map(width_of, whole)) > width:
        least = [max(map(_widest_word, column)) for column in columns]
        widths = _narrowed(widths, least, width)
        wrapped = [_wrapped_row(line, widths) for line in lines]
        if _total(widths) > width or max(map(len, wrapped)) > _TALLEST:
            return Shown("\n".join(_paragraphs(lines, titled=titled, width=width)))
        return Shown("\n".join(_line(cells, widths) for row in wrapped for cells in row))
    return Shown("\n".join(whole))


def wrapped(text: str, width: int, *, indent: str = "") -> list[str]:
    """Lines of at most `width` columns, all but the first indented; a long word may be longer."""
    lines, line, room = [], "", width
    for word in _words(text):
        if line.strip() and width_of((line + word).rstrip()) > room:
            lines.append(line.rstrip())
            line, word = indent, word.lstrip()  # noqa: PLW2901  # the space before it goes
        line += word
    return [*lines, line.rstrip()]


def width_of(text: str) -> int:
    """Columns on a terminal; letters such as 灯 take two."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth  # noqa: PLC0415  # start-up: only wide letters pay for it

    width: int = wcswidth(text)
    return len(text) if width < 0 else width


def _words(text: str) -> Iterator[str]:
    """The words, each with the spaces before it; a wide letter is a word of its own."""
    word = ""
    for sign in text:
        is_wide = ord(sign) >= _FIRST_WIDE
        ends = sign == " " and word.strip()
        if word and (ends or is_wide or ord(word[-1]) >= _FIRST_WIDE):
            yield word
            word = ""
        word += sign
    yield word


def _widest_word(text: str) -> int:
    return max(width_of(word.strip()) for word in _words(text))


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _narrowed(widths: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """The widest columns give way first, none below its widest word."""
    most = max(widths)
    while most > 0:
        narrow = [min(own, max(low, most)) for own, low in zip(widths, least, strict=True)]
        if _total(narrow) <= width:
            return narrow
        most -= 1
    return list(least)


def _wrapped_row(line: Sequence[str], widths: Sequence[int]) -> list[list[str]]:
    """The lines of one row."""
    cells = [wrapped(cell, width) for cell, width in zip(line, widths, strict=True)]
    tallest = max(map(len, cells))
    filled = ([*cell, *[""] * (tallest - len(cell))] for cell in cells)
    return [list(parts) for parts in zip(*filled, strict=True)]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(
        cell + " " * (width - width_of(cell)) for cell, width in zip(cells, widths, strict=True)
    ).rstrip()


def _paragraphs(lines: Sequence[Sequence[str]], *, titled: bool, width: int) -> Iterator[str]:
    titles, rows = (lines[0], lines[1:]) if titled else ([""] * len(lines[0]), lines)
    for first, *cells in rows:
        parts = [
            f"{title} {cell}".strip() for title, cell in zip(titles[1:], cells, strict=True) if cell
        ]
        yield from _paragraph(first, parts, width)


def _paragraph(first: str, parts: Sequence[str], width: int) -> Iterator[str]:
    """Lines that end between parts; a part that is longer than a line wraps between its words."""
    *full, line = wrapped(first, width, indent=_INDENT)
    yield from full
    for number, part in enumerate(parts):
        mark = "," if number < len(parts) - 1 else ""
        gap = _GAP if not number else " "
        if width_of(f"{line}{gap}{part}{mark}") <= width:
            line = f"{line}{gap}{part}{mark}" if line.strip() else f"{line}{part}{mark}"
            continue
        yield line
        *full, line = wrapped(f"{_INDENT}{part}{mark}", width, indent=_INDENT)
        yield from full
    yield line
