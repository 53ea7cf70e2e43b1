"""Pictures: the scene, painted in the asked style, lettered and packed as PNG."""

import io
import random

from PIL import Image, ImageOps

from dsrun.emulator.media.brushes import BRUSHES, paint_soft
from dsrun.emulator.media.easel import Easel
from dsrun.emulator.media.lettering import letter
from dsrun.emulator.media.orders import PictureOrder
from dsrun.emulator.media.palettes import Colour, choose_palette
from dsrun.emulator.media.scenes import compose_bust, compose_scene

# Larger pictures are painted at half their size and enlarged before the words are set.
LARGEST_EASEL = 640

# Quick to paint, and their hard edges gain from it.
FULL_SIZE_STYLES = ("<auto>", "<anime>", "<flat illustration>")

COLOURS = 256
SAMPLE_SIDE = 128
LARGEST_PLAIN = 256


def draw_picture(order: PictureOrder) -> bytes:
    """The same bytes for the same order."""
    palette = choose_palette(order.style, random.Random(order.prompt))
    dice = random.Random(f"{order.prompt}\n{order.seed}\n{order.index}")
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
        caption=f"{order.style.strip('<>')} \u00b7 {order.seed} \u00b7 {order.index + 1}",
        ink=palette.ink,
        paper=palette.paper,
    )
    return _pack(image)


def _hang(image: Image.Image, reference: bytes, *, frame: Colour) -> None:
    """The reference picture, framed, in the upper right corner."""
    side = max(4, min(image.size) // 4)
    edge = max(1, side // 24)
    with Image.open(io.BytesIO(reference)) as small:
        small.thumbnail((side, side))
        framed = ImageOps.expand(small.convert("RGB"), border=edge, fill=frame)
    image.paste(framed, (image.width - framed.width - edge * 2, edge * 2))


def _pack(image: Image.Image) -> bytes:
    """PNG with a palette, a third of the size; for a small picture choosing one takes longest."""
    target = io.BytesIO()
    if max(image.size) <= LARGEST_PLAIN:
        image.save(target, "PNG", compress_level=1)
        return target.getvalue()
    sample = image.resize((SAMPLE_SIDE, SAMPLE_SIDE), Image.Resampling.NEAREST)
    colours = sample.quantize(COLOURS, method=Image.Quantize.MEDIANCUT)
    image.quantize(palette=colours, dither=Image.Dither.NONE).save(target, "PNG", compress_level=6)
    return target.getvalue()
