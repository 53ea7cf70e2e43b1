"""A contact sheet: the pictures of a run, arranged by two axes, as one PNG."""

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from dsrun.common.errors import UsageError
from dsrun.common.messages import nearest
from dsrun.report.entries import Picture, pictures_of, thumb_of
from dsrun.report.thumbs import open_small
from dsrun.storage.files import write_whole

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_SIDES = (
    256,
    192,
    128,
    96,
    64,
)  # of a picture; the largest that keeps the sheet within bounds is taken
_LONGEST = 12_000  # pixels a side: what viewers and chats still open
_MOST_IN_CELL = 4
_GAP = 8
_TYPE = 17
_LINES = 3  # of a heading
_PAPER, _INK, _SOFT, _EMPTY = (255, 255, 255), (29, 28, 26), (99, 96, 90), (239, 236, 230)
# Searched by name in the system's font folders; none of them has to be installed.
_FONTS = (
    "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "wqy-microhei.ttc", "msyh.ttc",
    "PingFang.ttc", "DejaVuSans.ttf",
)  # fmt: skip
_FOREIGN = re.compile("[^\\x20-\\x7e]")  # what Pillow's built-in font may lack

Cells = dict[tuple[str, str], list[Picture]]


def write_sheet(
    path: Path,
    run_dir: Path,
    entries: Sequence[dict[str, Any]],
    *,
    rows: str | None,
    cols: str | None,
) -> None:
    """Write the sheet as PNG. Axes that are None are chosen.

    Raises UsageError for an unknown axis, or where there are no pictures or too many for a sheet;
    SetupError where the file cannot be written.
    """
    pictures = list(pictures_of(entries))
    if not pictures:
        raise UsageError(f"{run_dir} has no pictures, so there is no contact sheet")
    rows, cols = _choose(pictures, rows, cols)
    shown = [p for p in pictures if rows in p.axes and cols in p.axes]
    row_names, col_names = (_values(axis, entries, shown) for axis in (rows, cols))
    cells: Cells = {}
    for picture in shown:
        cells.setdefault((picture.axes[rows], picture.axes[cols]), []).append(picture)
    wide = min(_MOST_IN_CELL, max(map(len, cells.values())))
    side = _side(len(row_names), len(col_names) * wide)
    image = _draw(run_dir, cells, row_names, col_names, side=side, wide=wide)
    _write(ImageDraw.Draw(image), (_GAP, _GAP), f"{rows} \\ {cols}", width=_left(side), ink=_SOFT)
    data = io.BytesIO()
    image.save(data, format="PNG")
    write_whole(path, [data.getvalue()])


def axes_of(pictures: Iterable[Picture]) -> dict[str, int]:
    """The axes of pictures and their number of values, those of the matrix first."""
    values: dict[str, set[str]] = {}
    for picture in pictures:
        for name, value in picture.axes.items():
            values.setdefault(name, set()).add(value)
    own = ("step", "seed", "picture")
    order = sorted(values, key=lambda name: name in own)
    return {name: len(values[name]) for name in order}


def _values(axis: str, entries: Iterable[dict[str, Any]], shown: Iterable[Picture]) -> list[str]:
    """The values that have a picture, in the order of the matrix, even if earlier jobs failed."""
    order = {entry["axes"][axis]: None for entry in entries if axis in entry["axes"]}
    pictured = {picture.axes[axis]: None for picture in shown}
    return [value for value in order | pictured if value in pictured]


def _choose(pictures: Sequence[Picture], rows: str | None, cols: str | None) -> tuple[str, str]:
    axes = axes_of(pictures)
    for option, name in (("--rows", rows), ("--cols", cols)):
        if name is not None and name not in axes:
            raise UsageError(
                f"{option} {name}: there is no such axis{nearest(name, list(axes))}; "
                f"allowed: {', '.join(axes)}"
            )

    def arranges_nothing(name: str) -> bool:
        """One value only, or a seed for each picture, which would make the sheet a diagonal."""
        return axes[name] == 1 or (name == "seed" and axes[name] == len(pictures))

    free = [name for name in sorted(axes, key=arranges_nothing) if name != rows]
    cols = cols or free[0]
    rows = rows or next(name for name in [*free, "step"] if name != cols)
    if not any(rows in picture.axes and cols in picture.axes for picture in pictures):
        raise UsageError(f"no picture has both axes, {rows} and {cols}; choose others")
    return rows, cols


def _side(rows: int, columns: int) -> int:
    for side in _SIDES:
        if max(rows, columns) * (side + _GAP) + 2 * side <= _LONGEST:
            return side
    raise UsageError(
        f"a contact sheet of {rows} rows and {columns} columns of pictures is too large; "
        "choose axes with fewer values"
    )


def _draw(
    run_dir: Path, cells: Cells, rows: list[str], cols: list[str], *, side: int, wide: int
) -> Image.Image:
    left, top = _left(side) + 2 * _GAP, _LINES * (_TYPE + 4) + 2 * _GAP
    step_x, step_y = wide * (side + _GAP), side + _GAP
    image = Image.new("RGB", (left + len(cols) * step_x, top + len(rows) * step_y), _PAPER)
    draw = ImageDraw.Draw(image)
    for number, name in enumerate(cols):
        _write(draw, (left + number * step_x, _GAP), name, width=step_x - _GAP)
    for number, name in enumerate(rows):
        _write(draw, (_GAP, top + number * step_y), name, width=_left(side))
    for y, row in enumerate(rows):
        for x, column in enumerate(cols):
            inside = cells.get((row, column), [])
            corner = (left + x * step_x, top + y * step_y)
            for number, picture in enumerate(inside[:wide]):
                at = (corner[0] + number * (side + _GAP), corner[1])
                _paste(image, run_dir, picture, at, side)
            if len(inside) > wide:
                _note_more(draw, (corner[0] + step_x - _GAP, corner[1]), len(inside) - wide)
    return image


def _left(side: int) -> int:
    """How wide the headings of rows are."""
    return max(140, side // 2)


def _note_more(draw: ImageDraw.ImageDraw, corner: tuple[int, int], number: int) -> None:
    """Write in the top right corner how many pictures a cell does not show."""
    words = f"+{number}"
    width = round(_font(words).getlength(words)) + 8
    at = (corner[0] - width, corner[1])
    draw.rectangle((*at, corner[0] - 1, corner[1] + _TYPE + 6), _PAPER)
    draw.text((at[0] + 4, at[1] + 2), words, _INK, _font(words))


def _paste(
    image: Image.Image, run_dir: Path, picture: Picture, corner: tuple[int, int], side: int
) -> None:
    thumb = run_dir / thumb_of(picture.sha256)  # faster to read, and never smaller than `side`
    try:
        small = open_small(thumb if thumb.is_file() else run_dir / picture.path, side)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        small = Image.new("RGB", (side, side), _EMPTY)  # missing or damaged: its place stays empty
    x, y = corner
    image.paste(small, (x + (side - small.width) // 2, y + (side - small.height) // 2))


def _write(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    *,
    width: int,
    ink: tuple[int, int, int] = _INK,
) -> None:
    """Write a heading, wrapped to the width and cut after `_LINES` lines."""
    font = _font(text)
    lines = [""]
    for sign in " ".join(text.split()):
        if font.getlength(lines[-1] + sign) <= width:
            lines[-1] += sign
            continue
        head, blank, tail = lines[-1].rpartition(" ")
        if blank and sign != " ":
            lines[-1] = head
            lines.append(tail + sign)
        else:
            lines.append(sign.strip())
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], lines[_LINES - 1][:-1] + "..."]
    for number, line in enumerate(lines):
        draw.text((at[0], at[1] + number * (_TYPE + 4)), line, ink, font)


def _font(text: str) -> Font:
    for name in _FONTS if _FOREIGN.search(text) else ():
        try:
            return ImageFont.truetype(name, _TYPE)
        except OSError:
            continue
    return ImageFont.load_default(_TYPE)
