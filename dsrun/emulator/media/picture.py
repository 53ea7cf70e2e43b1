"""Pictures: a scene painted in the asked style, with the prompt in a panel at its foot."""

import bisect
import functools
import io
import math
import random
import re
import unicodedata

from PIL import Image, ImageDraw, ImageFont, ImageOps

from dsrun.emulator.media.brushes import BRUSHES, paint_soft
from dsrun.emulator.media.easel import Easel
from dsrun.emulator.media.orders import PICTURE_FORMATS, PictureOrder
from dsrun.emulator.media.scenes import Colour, choose_palette, compose_bust, compose_scene

# Larger pictures are painted at half their size and enlarged before the words are set.
LARGEST_EASEL = 640

# Quick to paint, and their hard edges gain from it.
FULL_SIZE_STYLES = ("<auto>", "<anime>", "<flat illustration>")

COLOURS = 256
SAMPLE_SIDE = 128
LARGEST_PLAIN = 256

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# The panel grows with the text up to this fraction of the height; then the text is cut.
LARGEST_PANEL = 0.4
SMALLEST_TYPE = 9

# Searched by name in the system's font folders; none of them has to be installed.
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

# What Pillow's built-in font lacks: all but plain letters, digits and punctuation.
_UNDRAWABLE = re.compile("[^\\x20-\\x7e\u2018\u2019\u201c\u201d\u2026]")
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))


def draw_picture(order: PictureOrder) -> bytes:
    """The same bytes for the same order; another model has other colours and another scene."""
    palette = choose_palette(order.style, random.Random(f"{order.prompt}\n{order.model}"))
    dice = random.Random(f"{order.prompt}\n{order.model}\n{order.seed}\n{order.index}")
    is_large = max(order.width, order.height) > LARGEST_EASEL
    factor = 2 if is_large and order.style not in FULL_SIZE_STYLES else 1
    canvas = (max(1, order.width // factor), max(1, order.height // factor))
    easel = Easel(image=Image.new("RGB", canvas), palette=palette, dice=dice)
    if order.style == "<portrait>":
        shapes = compose_bust(palette, dice)
    else:
        shapes = compose_scene(order.prompt, palette, dice)
    BRUSHES.get(order.style, paint_soft)(easel, shapes)
    size = (order.width, order.height)
    image = easel.image.resize(size, Image.Resampling.BICUBIC) if factor > 1 else easel.image
    if order.reference:
        _hang(image, order.reference, frame=palette.paper)
    letter(
        image,
        text=order.prompt,
        caption=" \u00b7 ".join(_caption(order)),
        ink=palette.ink,
        paper=palette.paper,
    )
    return _pack(image, PICTURE_FORMATS[order.suffix])


def _caption(order: PictureOrder) -> list[str]:
    parts = [order.model, order.style.strip("<>"), str(order.seed), str(order.index + 1)]
    return [part for part in parts if part]


def _hang(image: Image.Image, reference: bytes, *, frame: Colour) -> None:
    """The reference picture, framed, in the upper right corner."""
    side = max(4, min(image.size) // 4)
    edge = max(1, side // 24)
    with Image.open(io.BytesIO(reference)) as small:
        small.thumbnail((side, side))
        framed = ImageOps.expand(small.convert("RGB"), border=edge, fill=frame)
    image.paste(framed, (image.width - framed.width - edge * 2, edge * 2))


def _pack(image: Image.Image, picture_format: str) -> bytes:
    """PNG with a palette, a third of the size; for a small picture choosing one takes longest."""
    target = io.BytesIO()
    if picture_format != "PNG":
        image.save(target, picture_format)
        return target.getvalue()
    if max(image.size) <= LARGEST_PLAIN:
        image.save(target, "PNG", compress_level=1)
        return target.getvalue()
    sample = image.resize((SAMPLE_SIDE, SAMPLE_SIDE), Image.Resampling.NEAREST)
    colours = sample.quantize(COLOURS, method=Image.Quantize.MEDIANCUT)
    image.quantize(palette=colours, dither=Image.Dither.NONE).save(target, "PNG", compress_level=6)
    return target.getvalue()


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
    """At most `most` lines that fit the width; a word is broken only where it is too long."""
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
    """How many of the line's letters fit; at least one."""
    lengths = range(2, len(line))
    return 1 + bisect.bisect_right(
        lengths, width, key=lambda count: math.ceil(font.getlength(line[:count]))
    )


def _split_tokens(text: str) -> list[str]:
    """Words, each with the space before it; every ideograph on its own."""
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
    """The part of the text that a font can draw, and that font."""
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
