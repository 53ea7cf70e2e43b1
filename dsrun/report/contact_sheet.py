"""A contact sheet: what there is to see of a run, arranged by two axes, as one PNG or JPEG.

Pictures and posters of videos are shown; other files are cards with their first words.
"""

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from dsrun.common.console import count_of
from dsrun.common.errors import UsageError
from dsrun.common.lockfile import read_lockfile
from dsrun.common.media import MEDIA
from dsrun.ledger import lookup
from dsrun.ledger.reader import LedgerReader
from dsrun.report.arranging import model_axis
from dsrun.report.entries import Shown, entries_of, gets_thumb, order_axes, thumb_of
from dsrun.report.results import iter_results
from dsrun.report.sheet_places import (
    Cells,
    Place,
    cells_of,
    choose_axes,
    find_places,
    labels_of,
    values_of,
)
from dsrun.report.texts import beginning, is_text
from dsrun.report.thumbs import UNREADABLE, open_small
from dsrun.service.catalog import load_catalog
from dsrun.storage.files import write_whole

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_FORMATS = {"": "PNG", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_QUALITY = 85  # of a JPEG
_WIDTH = 2400  # pixels, where nobody asks for another and no picture gets too small
_LONGEST = 12_000  # pixels a side: what viewers and chats still open
_LARGEST, _SMALL, _SMALLEST = 256, 48, 24  # pixels a picture
_MOST_IN_CELL = 4
_MOST_SIGNS = 800  # of a text
_GAP = 8
_TYPE, _LABEL = 17, 12  # pixels
_LINES = 3  # of a heading
_LABEL_LINES = 2
_TOP = _LINES * (_TYPE + 4) + 2 * _GAP
_PAPER, _INK, _SOFT, _EMPTY = (255, 255, 255), (29, 28, 26), (99, 96, 90), (239, 236, 230)
_ALARM = (160, 30, 20)
# Searched by name in the system's font folders; none of them has to be installed.
_FONTS = (
    "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "wqy-microhei.ttc", "msyh.ttc",
    "PingFang.ttc", "DejaVuSans.ttf",
)  # fmt: skip
_FOREIGN = re.compile("[^\\x20-\\x7e]")  # what Pillow's built-in font may lack


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """Where everything stands, in pixels. A cell has room for `wide` pictures, side by side."""

    rows: Sequence[str]
    cols: Sequence[str]
    wide: int
    side: int
    left: int  # how wide the headings of rows are
    strip: int  # how high the labels are

    @property
    def step(self) -> tuple[int, int]:
        """From a cell to the next one."""
        return self.wide * (self.side + _GAP), self.side + _GAP + self.strip

    @property
    def size(self) -> tuple[int, int]:
        return self.corner(len(self.rows), len(self.cols))

    def corner(self, row: int, column: int) -> tuple[int, int]:
        step_x, step_y = self.step
        return self.left + 2 * _GAP + column * step_x, _TOP + row * step_y


def write_sheet(
    path: Path,
    view: LedgerReader,
    run_dir: Path,
    *,
    rows: str | None,
    cols: str | None,
    width: int | None = None,
) -> str:
    """Write the sheet, at most `width` pixels wide. Axes that are None are chosen.

    Returns what is not on it, in words; empty where all is. Raises UsageError for an unknown axis,
    or where there are no pictures or too many for a sheet; SetupError where the file cannot be
    written.
    """
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        allowed = ", ".join(filter(None, _FORMATS))
        raise UsageError(f"--sheet {path}: found {path.suffix}; allowed: {allowed}")
    entries = _entries(view, run_dir)
    places = _places(view, entries)
    if not any(place.picture for place in places):
        raise UsageError(
            f"{run_dir} has no pictures, videos or texts, so there is no contact sheet"
        )
    rows, cols = choose_axes(places, rows, cols, models=model_axis(entries))
    cells = cells_of(places, rows, cols)
    labels = {key: labels_of(cell, (rows, cols)) for key, cell in cells.items()}
    grid = _fit(
        values_of(rows, places, (row for row, _ in cells)),
        values_of(cols, places, (column for _, column in cells)),
        wide=min(_MOST_IN_CELL, max(map(len, cells.values()))),
        lines=_LABEL_LINES if any(map(any, labels.values())) else 0,
        width=width,
    )
    image = _draw(run_dir, cells, labels, grid)
    _write(ImageDraw.Draw(image), (_GAP, _GAP), f"{rows} \\ {cols}", width=grid.left, ink=_SOFT)
    data = io.BytesIO()
    image.save(data, format=form, quality=_QUALITY)
    write_whole(path, [data.getvalue()])
    return _left_out_words(places, (rows, cols))


def _left_out_words(places: Sequence[Place], arranged: tuple[str, str]) -> str:
    """`not on the sheet: 2 of 8 results, without operation`, and what to do."""
    out = [place for place in places if not place.axes.keys() >= {*arranged}]
    if not out:
        return ""
    lacking = [name for name in arranged if any(name not in place.axes for place in out)]
    return (
        f"not on the sheet: {len(out)} of {count_of(len(places), 'result')}, without "
        f"{' or '.join(lacking)}; --rows and --cols choose other axes, such as step"
    )


def _entries(view: LedgerReader, run_dir: Path) -> list[dict[str, Any]]:
    entries = [entry for line in iter_results(view) for entry in entries_of(line)]
    order_axes(entries, read_lockfile(run_dir).get("manifest"))
    return entries


def _places(view: LedgerReader, entries: Iterable[dict[str, Any]]) -> list[Place]:
    asked = {job.job_id: job for job in lookup.asked_jobs(view)}
    catalog = load_catalog()

    def makes_pictures(operation: str) -> bool:
        """An operation of the user's own, of which nothing has come, may."""
        return operation not in catalog or MEDIA[catalog[operation].main.media].on_sheet

    return list(find_places(entries, asked, makes_pictures=makes_pictures))


def _fit(
    rows: Sequence[str], cols: Sequence[str], *, wide: int, lines: int, width: int | None
) -> _Grid:
    """The grid with the largest pictures that its bounds allow; a label has so many `lines`.

    Raises UsageError.
    """
    strip = lines * (_LABEL + 3) + (3 if lines else 0)

    def side_in(bound: int) -> int:
        across = (bound - _left(bound) - 2 * _GAP) // (len(cols) * wide) - _GAP
        down = (_LONGEST - _TOP) // len(rows) - _GAP - strip
        return min(_LARGEST, across, down)

    bound = width or _WIDTH
    side = side_in(bound)
    if width is None and side < _SMALL:  # rather a wide sheet than one on which nothing is seen
        bound, side = _LONGEST, min(_SMALL, side_in(_LONGEST))
    if side < _SMALLEST:
        more = " or a larger --width" if side_in(_LONGEST) >= _SMALLEST else ""
        raise UsageError(
            f"{len(rows)} rows and {len(cols)} columns, with up to {wide} pictures side by side, "
            f"are too many for a contact sheet {bound} pixels wide; "
            f"choose axes with fewer values{more}"
        )
    strip = strip if side >= _SMALL else 0  # below that no label can be read
    return _Grid(rows=rows, cols=cols, wide=wide, side=side, left=_left(bound), strip=strip)


def _left(bound: int) -> int:
    return min(140, bound // 5)


def _draw(
    run_dir: Path, cells: Cells, labels: dict[tuple[str, str], list[str]], grid: _Grid
) -> Image.Image:
    image = Image.new("RGB", grid.size, _PAPER)
    draw = ImageDraw.Draw(image)
    side, (step_x, _) = grid.side, grid.step
    for number, name in enumerate(grid.cols):
        _write(draw, (grid.corner(0, number)[0], _GAP), name, width=step_x - _GAP)
    for number, name in enumerate(grid.rows):
        _write(draw, (_GAP, grid.corner(number, 0)[1]), name, width=grid.left)
    for y, row in enumerate(grid.rows):
        for x, column in enumerate(grid.cols):
            cell, words = cells.get((row, column), []), labels.get((row, column), [])
            left, top = grid.corner(y, x)
            for number, place in enumerate(cell[: grid.wide]):
                at = (left + number * (side + _GAP), top)
                _place(image, run_dir, place, at, side)
                if grid.strip:
                    _label(draw, (at[0], top + side + 2), words[number], side)
            if len(cell) > grid.wide:
                _note_more(draw, (left + step_x - _GAP, top), len(cell) - grid.wide)
    return image


def _note_more(draw: ImageDraw.ImageDraw, corner: tuple[int, int], number: int) -> None:
    """Write in the top right corner how many pictures a cell does not show."""
    words = f"+{number}"
    width = round(_font(words).getlength(words)) + 8
    at = (corner[0] - width, corner[1])
    draw.rectangle((*at, corner[0] - 1, corner[1] + _TYPE + 6), _PAPER)
    draw.text((at[0] + 4, at[1] + 2), words, _INK, _font(words))


def _place(
    image: Image.Image, run_dir: Path, place: Place, corner: tuple[int, int], side: int
) -> None:
    """Draw a picture, a card of another file, or a grey place that says why there is none."""
    small = None if place.picture is None else _open(run_dir, place.picture, side)
    if small is not None:
        x, y = corner
        image.paste(small, (x + (side - small.width) // 2, y + (side - small.height) // 2))
        return
    ink = _SOFT if place.is_open else _ALARM
    words = place.words or "cannot be read"
    if place.picture is not None and not MEDIA[place.picture.media].is_picture:
        ink, words = _INK, _words_of(run_dir, place.picture)
    draw = ImageDraw.Draw(image)
    draw.rectangle((*corner, corner[0] + side - 1, corner[1] + side - 1), _EMPTY)
    font = _font(words, _LABEL)
    lines = [part for line in words.splitlines() for part in _wrapped(line, font, side - 8)]
    for number, line in enumerate(lines[: max(1, (side - 4) // (_LABEL + 3))]):
        at = (corner[0] + 4, corner[1] + 4 + number * (_LABEL + 3))
        draw.text(at, line, ink, font)


def _words_of(run_dir: Path, file: Shown) -> str:
    """The first words of a text; of another file what it is."""
    if is_text(file.media):
        return beginning(run_dir / file.path, _MOST_SIGNS)[0] or "(empty)"
    length = "" if file.duration_s is None else f"{file.duration_s:.1f} s"
    pixels = f"{file.width}x{file.height}" if file.width else ""
    return "\n".join(filter(None, (MEDIA[file.media].name, length, pixels, _size_words(file.size))))


def _size_words(size: int) -> str:
    for unit, name in ((1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"


def _open(run_dir: Path, picture: Shown, side: int) -> Image.Image | None:
    thumb = run_dir / thumb_of(picture.sha256)  # faster to read, and never smaller than `side`
    is_made = thumb.is_file()
    if not is_made and not gets_thumb(picture.media_type):
        return None
    try:
        return open_small(thumb if is_made else run_dir / picture.path, side)
    except UNREADABLE:
        return None


def _label(draw: ImageDraw.ImageDraw, at: tuple[int, int], words: str, width: int) -> None:
    """Write below a picture what tells it from its neighbours."""
    font = _font(words, _LABEL)
    lines = _wrapped(words, font, width)
    if len(lines) > _LABEL_LINES:
        lines = [*lines[: _LABEL_LINES - 1], f"{lines[_LABEL_LINES - 1][:-2]}..."]
    for number, line in enumerate(lines):
        draw.text((at[0], at[1] + number * (_LABEL + 3)), line, _SOFT, font)


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
    lines = _wrapped(text, font, width)
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], lines[_LINES - 1][:-1] + "..."]
    for number, line in enumerate(lines):
        draw.text((at[0], at[1] + number * (_TYPE + 4)), line, ink, font)


def _wrapped(text: str, font: Font, width: int) -> list[str]:
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
    return lines


def _font(text: str, size: int = _TYPE) -> Font:
    return _loaded(bool(_FOREIGN.search(text)), size)


@lru_cache
def _loaded(is_foreign: bool, size: int) -> Font:
    for name in _FONTS if is_foreign else ():
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
