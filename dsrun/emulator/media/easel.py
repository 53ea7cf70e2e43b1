"""The picture in the making: places on it, shapes cut out of it, and the strokes brushes share."""

import functools
import math
import random
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from dsrun.emulator.media.scenes import Colour, Palette, Shape, mix

Outline = list[tuple[float, float]]

WHITE_PAPER = (252, 250, 245)
SKETCH_PAPER = (247, 245, 238)
PENCIL = (62, 60, 66)


@dataclass(slots=True, kw_only=True)
class Easel:
    """`unit` is a hundredth of the shorter side, so that strokes scale with the picture."""

    image: Image.Image
    palette: Palette
    dice: random.Random

    @property
    def unit(self) -> float:
        return min(self.image.size) / 100

    def outline(self, shape: Shape, *, shake: float = 0.0) -> Outline:
        width, height = self.image.size
        if shape.anchor is None:
            outline = [(x * width, y * height) for x, y in shape.points]
        else:
            side, (left, top) = min(width, height), shape.anchor
            middle, foot = left * (width - side), top * (height - side)
            outline = [(middle + x * side, foot + y * side) for x, y in shape.points]
        if not shake:
            return outline
        roll = self.dice.uniform
        return [(x + roll(-shake, shake), y + roll(-shake, shake)) for x, y in outline]

    def cut(self, outline: Outline, *, margin: float = 0.0) -> "Patch":
        """The part of the picture around an outline, `margin` hundredths wider at least."""
        width, height = self.image.size
        spare = margin * self.unit + 1
        left = max(0, math.floor(min(x for x, _ in outline) - spare))
        top = max(0, math.floor(min(y for _, y in outline) - spare))
        right = min(width, math.ceil(max(x for x, _ in outline) + spare))
        bottom = min(height, math.ceil(max(y for _, y in outline) + spare))
        mask = Image.new("L", (max(1, right - left), max(1, bottom - top)))
        ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in outline], fill=255)
        return Patch(corner=(left, top), mask=mask)

    def lay(self, fill: Image.Image | Colour, patch: "Patch", mask: Image.Image) -> None:
        left, top = patch.corner
        box = (left, top, left + mask.width, top + mask.height)
        self.image.paste(fill, box, mask)

    def below(self, patch: "Patch") -> Image.Image:
        left, top = patch.corner
        return self.image.crop((left, top, left + patch.mask.width, top + patch.mask.height))

    def fill_sky(self, top: Colour, low: Colour) -> None:
        """Paint a gradient: one column, stretched."""
        column = Image.new("RGB", (1, 24))
        for row in range(24):
            column.putpixel((0, row), mix(top, low, row / 23))
        self.image.paste(column.resize(self.image.size, Image.Resampling.BICUBIC))

    def blur(self, amount: float) -> None:
        self.image.paste(self.image.filter(ImageFilter.GaussianBlur(amount * self.unit)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A mask and where its top left corner is, so that work on a shape costs only its own area."""

    corner: tuple[int, int]
    mask: Image.Image


@functools.cache
def fainter(percent: int) -> list[int]:
    """A table for `Image.point` that weakens a mask to so many percent."""
    return [level * percent // 100 for level in range(256)]


def stretch(gradient: Image.Image, size: tuple[int, int]) -> Image.Image:
    return gradient.resize(size, Image.Resampling.NEAREST)


def tone(image: Image.Image, x: int, y: int, change: float) -> Colour:
    red, green, blue = image.getpixel((x, y))  # type: ignore[misc]
    target = (255, 255, 255) if change > 0 else (0, 0, 0)
    return mix((int(red), int(green), int(blue)), target, abs(change))


def blob(easel: Easel, x: float, y: float, radius: float) -> Patch:
    turns = [turn * math.tau / 16 for turn in range(16)]
    ring = [radius * easel.dice.uniform(0.75, 1.25) for _ in turns]
    points = tuple(
        (x + reach * math.cos(turn), y + reach * math.sin(turn))
        for turn, reach in zip(turns, ring, strict=True)
    )
    outline = easel.outline(Shape(points=points, fill=WHITE_PAPER))
    softness = min(5.0, radius * 20)
    return soften(easel.cut(outline, margin=3 * softness), softness * easel.unit)


def soften(patch: Patch, radius: float) -> Patch:
    return Patch(corner=patch.corner, mask=patch.mask.filter(ImageFilter.GaussianBlur(radius)))


def wash(easel: Easel, wet: Patch, tint: Colour, *, strength: float) -> None:
    glazed = ImageChops.multiply(easel.below(wet), Image.new("RGB", wet.mask.size, tint))
    body = Image.blend(glazed, Image.new("RGB", wet.mask.size, tint), 0.7)
    easel.lay(body, wet, wet.mask.point(fainter(round(100 * strength))))
    edge = wet.mask.point(_EDGE)
    easel.lay(mix(tint, easel.palette.ink, 0.3), wet, edge)


def hatch(easel: Easel, patch: Patch, *, gap: float) -> Image.Image:
    width, height = patch.mask.size
    sheet = Image.new("RGB", (width, height), SKETCH_PAPER)
    draw, lean, at = ImageDraw.Draw(sheet), easel.dice.uniform(0.4, 0.9) * height, -float(height)
    while at < width:
        wobble = easel.dice.uniform(-0.6, 0.6) * gap
        draw.line((at + wobble, height, at + lean, 0), fill=mix(PENCIL, SKETCH_PAPER, 0.3))
        at += max(1.5, gap)
    return sheet


def add_lights(easel: Easel, *, count: int) -> None:
    draw, roll = ImageDraw.Draw(easel.image, "RGBA"), easel.dice.uniform
    width, height = easel.image.size
    for _ in range(count):
        x, y, radius = roll(0, width), roll(0, height * 0.8), easel.unit * roll(2, 7)
        tint = easel.palette.light if roll(0, 1) < 0.6 else easel.palette.accent  # noqa: PLR2004
        draw.ellipse(
            (x - radius, y - radius, x + radius, y + radius),
            fill=(*tint, 70),
            outline=(*tint, 130),
        )


def darken_corners(easel: Easel) -> None:
    light = _BRIGHT_MIDDLE.resize(easel.image.size, Image.Resampling.BILINEAR)
    easel.image.paste(ImageChops.multiply(easel.image, light.convert("RGB")))


def scatter_petals(easel: Easel, *, count: int) -> None:
    draw, roll, unit = ImageDraw.Draw(easel.image), easel.dice.uniform, easel.unit
    width, height = easel.image.size
    petal = mix(easel.palette.accent, (255, 255, 255), 0.55)
    for _ in range(count):
        spot = (roll(0, width), roll(0, height), unit * roll(0.8, 1.8))
        draw.regular_polygon(spot, 3, rotation=roll(0, 360), fill=petal)


def stamp_seal(easel: Easel) -> None:
    draw, unit = ImageDraw.Draw(easel.image), easel.unit
    draw.rectangle((5 * unit, 5 * unit, 14 * unit, 14 * unit), fill=(186, 44, 36))
    draw.rectangle((7 * unit, 7 * unit, 12 * unit, 12 * unit), outline=(244, 226, 206))


_EDGE = [max(0, 70 - abs(level - 110)) for level in range(256)]
_BRIGHT_MIDDLE = Image.radial_gradient("L").point(
    [255 - level * level // 420 for level in range(256)]
)
