"""Words on a picture: the prompt in a panel at the foot, a caption below it."""

import bisect
import functools
import math
import re
import unicodedata

from PIL import Image, ImageDraw, ImageFont

from dsrun.emulator.media.palettes import Colour

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# The panel grows with the text up to this part of the height; then the text is cut.
LARGEST_PANEL = 0.4
SMALLEST_TYPE = 9

# Looked for by name in the system's own font folders; none of them has to be there.
_WIDE_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "msyh.ttc",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
)
_FIRST_WIDE = 0x2E80

# What Pillow's own font lacks: all but the plain letters, digits and signs.
_UNDRAWABLE = re.compile("[^\\x20-\\x7e\u2018\u2019\u201c\u201d\u2026]")
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))


def letter(image: Image.Image, *, text: str, caption: str, ink: Colour, paper: Colour) -> None:
    width, height = image.size
    margin = max(2, width // 32)
    size = max(SMALLEST_TYPE, min(width, height) // (26 if len(text) < 160 else 34))  # noqa: PLR2004
    words, font = _choose_font(text, size)
    small = _plain_font(max(SMALLEST_TYPE - 1, size * 2 // 3))
    step, foot = round(size * 1.3), round(size * 1.1)
    room = max(1, int((height * LARGEST_PANEL - foot - margin) // step))
    lines = _cut(wrap(words, font, width - 2 * margin, most=room + 1), room)
    top = height - foot - margin // 2 - step * len(lines)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, top - margin // 2, width, height), fill=paper)
    for number, line in enumerate(lines):
        draw.text((margin, top + step * number), line, fill=ink, font=font)
    draw.text((margin, height - foot - margin // 4), caption, fill=ink, font=small)


def wrap(text: str, font: Font, width: int, *, most: int) -> list[str]:
    """At most so many lines that fit the width, broken inside a word only where it is too long."""
    lines: list[str] = []
    line = ""
    for token in _split_tokens(text):
        if line and font.getlength(line + token) > width:
            lines.append(line.rstrip())
            line = token.lstrip()
        else:
            line += token
        if len(lines) >= most:
            return lines[:most]
        while font.getlength(line) > width and len(line) > 1 and len(lines) < most:
            fitting = _count_fitting(line, font, width)
            lines.append(line[:fitting])
            line = line[fitting:]
    return [*lines, line.rstrip()][:most] if line.strip() else lines


def _count_fitting(line: str, font: Font, width: int) -> int:
    """How many of the line's letters fit, one at least."""
    lengths = range(2, len(line))
    return 1 + bisect.bisect_right(
        lengths, width, key=lambda count: math.ceil(font.getlength(line[:count]))
    )


def _split_tokens(text: str) -> list[str]:
    """Words with the space before them; every ideograph on its own."""
    tokens = [""]
    for sign in text:
        after_wide = ord(tokens[-1][-1:] or " ") >= _FIRST_WIDE
        if sign == " " or ord(sign) >= _FIRST_WIDE or after_wide:
            tokens.append(sign)
        else:
            tokens[-1] += sign
    return tokens


def _cut(lines: list[str], room: int) -> list[str]:
    if len(lines) <= room:
        return lines
    return [*lines[: room - 1], lines[room - 1][:-1].rstrip() + "..."]


def _choose_font(text: str, size: int) -> tuple[str, Font]:
    """The text as far as a font can draw it, and that font."""
    words = " ".join(unicodedata.normalize("NFC", text).split())
    plain = _fold(words)
    if not _UNDRAWABLE.search(plain):
        return plain, _plain_font(size)
    wide = find_wide_font(size)
    if wide is not None:
        return words, wide
    drawn = re.findall(r"\w[\w'-]*", _UNDRAWABLE.sub(" ", plain))
    return f"[{len(words)} characters] {' '.join(drawn)}", _plain_font(size)


def _fold(words: str) -> str:
    """Letters without their accents, dashes as hyphens."""
    parts = unicodedata.normalize("NFKD", words).translate(_DASHES)
    return "".join(sign for sign in parts if not unicodedata.combining(sign))


@functools.lru_cache(maxsize=64)
def _plain_font(size: int) -> Font:
    return ImageFont.load_default(size)


@functools.lru_cache(maxsize=16)
def find_wide_font(size: int) -> Font | None:
    for name in _WIDE_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None
