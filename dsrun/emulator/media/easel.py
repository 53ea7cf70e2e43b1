"""The picture in the making: places on it, shapes cut out of it, colours laid on it."""

import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

from dsrun.emulator.media.palettes import Colour, Palette, mix
from dsrun.emulator.media.scenes import Shape

Outline = list[tuple[float, float]]


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
        """The part of the picture around an outline, at least `margin` hundredths wide of it."""
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
        """A gradient, drawn as one column and stretched."""
        column = Image.new("RGB", (1, 24))
        for row in range(24):
            column.putpixel((0, row), mix(top, low, row / 23))
        self.image.paste(column.resize(self.image.size, Image.Resampling.BICUBIC))

    def blur(self, amount: float) -> None:
        self.image.paste(self.image.filter(ImageFilter.GaussianBlur(amount * self.unit)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A mask with the place of its upper left corner: work on a shape costs its own area."""

    corner: tuple[int, int]
    mask: Image.Image
