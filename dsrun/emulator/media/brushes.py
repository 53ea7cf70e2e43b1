"""How a picture is painted: one brush a style, each turns the same outlines into another look."""

import math
from collections.abc import Callable, Mapping, Sequence

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from dsrun.emulator.media.easel import (
    PENCIL,
    SKETCH_PAPER,
    WHITE_PAPER,
    Easel,
    add_lights,
    blob,
    darken_corners,
    fainter,
    hatch,
    scatter_petals,
    soften,
    stamp_seal,
    stretch,
    tone,
    wash,
)
from dsrun.emulator.media.scenes import HILLS, Shape, mix

OIL_STROKES = 1500

Brush = Callable[[Easel, Sequence[Shape]], None]


def paint_soft(easel: Easel, shapes: Sequence[Shape]) -> None:
    """A glow around the sun, plain forms, mist at the foot of the hills."""
    easel.fill_sky(easel.palette.sky_top, easel.palette.sky_low)
    sun, *others = shapes
    glow = soften(easel.cut(easel.outline(sun), margin=26), 9 * easel.unit)
    easel.lay(easel.palette.light, glow, glow.mask.point(_DOUBLE))
    draw = ImageDraw.Draw(easel.image)
    draw.polygon(easel.outline(sun), fill=sun.fill)
    mist = mix(easel.palette.sky_low, easel.palette.light, 0.3)
    for number, shape in enumerate(others):
        if number >= HILLS:
            draw.polygon(easel.outline(shape), fill=shape.fill)
            continue
        patch = easel.cut(easel.outline(shape))
        body = Image.new("RGB", patch.mask.size, shape.fill)
        body.paste(mist, mask=stretch(_MIST, patch.mask.size))
        easel.lay(body, patch, patch.mask)


def paint_photo(easel: Easel, shapes: Sequence[Shape]) -> None:
    """Everything out of focus but the last things, discs of light, dark corners."""
    easel.fill_sky(easel.palette.sky_top, easel.palette.sky_low)
    draw = ImageDraw.Draw(easel.image)
    for shape in shapes[: 1 + HILLS]:
        draw.polygon(easel.outline(shape), fill=shape.fill)
    easel.blur(2.5)
    add_lights(easel, count=16)
    for shape in shapes[1 + HILLS :]:
        patch = easel.cut(easel.outline(shape))
        size = patch.mask.size
        lit = Image.new("RGB", size, mix(shape.fill, easel.palette.ink, 0.35))
        bright = Image.new("RGB", size, mix(shape.fill, easel.palette.light, 0.35))
        slope = stretch(_FROM_LEFT, size)
        easel.lay(Image.composite(bright, lit, slope), patch, patch.mask)
    darken_corners(easel)


def paint_portrait(easel: Easel, shapes: Sequence[Shape]) -> None:
    """A studio backdrop with light from one side."""
    easel.fill_sky(mix(easel.palette.sky_top, easel.palette.ink, 0.3), easel.palette.sky_low)
    easel.blur(4)
    draw = ImageDraw.Draw(easel.image)
    for shape in shapes:
        draw.polygon(easel.outline(shape), fill=shape.fill)
    easel.blur(0.35)
    shade = stretch(_FROM_LEFT, easel.image.size).point(_SHADE)
    easel.image.paste(ImageChops.multiply(easel.image, shade.convert("RGB")))
    darken_corners(easel)


def paint_cartoon(easel: Easel, shapes: Sequence[Shape]) -> None:
    """Rounded bodies: a soft shadow, shading to one side, a highlight."""
    easel.fill_sky(easel.palette.sky_top, easel.palette.sky_low)
    shift = (round(1.5 * easel.unit), round(2 * easel.unit))
    for shape in shapes:
        patch = easel.cut(easel.outline(shape), margin=6)
        mask, size = patch.mask, patch.mask.size
        soft = mask.filter(ImageFilter.BoxBlur(2.2 * easel.unit))
        shadow = Image.new("L", size)
        shadow.paste(soft.point(_HALF), shift)
        easel.lay(mix(shape.fill, easel.palette.ink, 0.75), patch, shadow)
        rounded = soft.point(_ROUNDED)
        body = Image.new("RGB", size, mix(shape.fill, easel.palette.ink, 0.3))
        body.paste(shape.fill, mask=rounded)
        lit = ImageChops.multiply(rounded, stretch(_FROM_CORNER, size)).point(_HALF)
        body.paste(mix(shape.fill, (255, 255, 255), 0.75), mask=lit)
        easel.lay(body, patch, mask)


def paint_anime(easel: Easel, shapes: Sequence[Shape]) -> None:
    """Rays from the sun, flat colours in dark contours, petals in the wind."""
    easel.fill_sky(easel.palette.sky_top, easel.palette.sky_low)
    width, height = easel.image.size
    draw, reach = ImageDraw.Draw(easel.image), width + height
    sun = easel.outline(shapes[0])
    x, y = sum(x for x, _ in sun) / len(sun), sum(y for _, y in sun) / len(sun)
    ray = mix(easel.palette.sky_top, (255, 255, 255), 0.35)
    for turn in range(0, 360, 20):
        ends = [math.radians(turn), math.radians(turn + 8)]
        far = [(x + reach * math.cos(end), y + reach * math.sin(end)) for end in ends]
        draw.polygon([(x, y), *far], fill=ray)
    contour = max(1, round(0.7 * easel.unit))
    for shape in shapes:
        outline = easel.outline(shape)
        draw.polygon(outline, fill=shape.fill)
        draw.line([*outline, outline[0]], fill=easel.palette.ink, width=contour, joint="curve")
    scatter_petals(easel, count=26)


def paint_oil(easel: Easel, shapes: Sequence[Shape]) -> None:
    """The forms first, then short thick strokes that take their colour from below."""
    paint_flat(easel, shapes)
    below = easel.image.copy()
    draw, roll, unit = ImageDraw.Draw(easel.image), easel.dice.uniform, easel.unit
    width, height = easel.image.size
    count = round(OIL_STROKES * min(1.0, min(width, height) / 512))
    for number in range(count):
        x, y = easel.dice.randrange(width), easel.dice.randrange(height)
        turn = 0.9 * math.sin(x / width * 5 + y / height * 4) + roll(-0.3, 0.3)
        length = unit * (5 if number < count * 0.6 else 2.6) * roll(0.6, 1.2)
        step = (length * math.cos(turn), length * math.sin(turn))
        tint = tone(below, x, y, roll(-0.16, 0.16))
        thick = max(1, round(length * 0.36))
        draw.line((x - step[0], y - step[1], x + step[0], y + step[1]), fill=tint, width=thick)


def paint_watercolor(easel: Easel, shapes: Sequence[Shape]) -> None:
    """Washes on paper: soft translucent blobs that overlap, with a darker wet edge."""
    easel.image.paste(WHITE_PAPER, (0, 0, *easel.image.size))
    roll = easel.dice.uniform
    for tint in (easel.palette.sky_top, easel.palette.sky_low, easel.palette.sky_top):
        wet = blob(easel, roll(0.2, 0.8), roll(0.1, 0.35), roll(0.25, 0.4))
        wash(easel, wet, mix(tint, WHITE_PAPER, 0.3), strength=0.5)
    for shape in shapes:
        outline = easel.outline(shape, shake=1.2 * easel.unit)
        wet = soften(easel.cut(outline, margin=3), 0.9 * easel.unit)
        wash(easel, wet, mix(shape.fill, WHITE_PAPER, 0.25), strength=0.78)
    for _ in range(9):
        spot = blob(easel, roll(0, 1), roll(0, 1), roll(0.008, 0.03))
        wash(easel, spot, easel.palette.accent, strength=0.35)


def paint_sketch(easel: Easel, shapes: Sequence[Shape]) -> None:
    """Pencil on paper: shaky contours drawn twice, hatching that thickens with darkness."""
    easel.image.paste(SKETCH_PAPER, (0, 0, *easel.image.size))
    unit = easel.unit
    for shape in shapes:
        patch = easel.cut(easel.outline(shape))
        darkness = 1 - sum(shape.fill) / 765
        easel.lay(hatch(easel, patch, gap=unit * (4.2 - 3.4 * darkness)), patch, patch.mask)
        draw = ImageDraw.Draw(easel.image)
        for _ in range(2):
            shaken = easel.outline(shape, shake=0.35 * unit)
            draw.line([*shaken, shaken[0]], fill=PENCIL, width=max(1, round(unit * 0.28)))


def paint_ink(easel: Easel, shapes: Sequence[Shape]) -> None:
    """Ink on silk: forms dark at the top edge that fade into mist, one red seal."""
    silk = mix((236, 226, 200), easel.palette.paper, 0.25)
    easel.image.paste(silk, (0, 0, *easel.image.size))
    sun, *forms = shapes
    disc = soften(easel.cut(easel.outline(sun), margin=2), 0.3 * easel.unit)
    easel.lay((196, 62, 48), disc, disc.mask)
    downwards = Image.linear_gradient("L").rotate(180)
    reach = max(1, round(easel.image.height * 0.3))
    for number, shape in enumerate(forms):
        outline = easel.outline(shape, shake=0.5 * easel.unit)
        patch = soften(easel.cut(outline, margin=2), 0.5 * easel.unit)
        strength = min(100, 35 + 13 * number)
        fade = Image.new("L", patch.mask.size)
        ramp = stretch(downwards, (fade.width, min(fade.height, reach)))
        fade.paste(ramp.point(fainter(strength)))
        ink = mix((38, 38, 44), shape.fill, 0.3)
        easel.lay(ink, patch, ImageChops.multiply(fade, patch.mask))
    stamp_seal(easel)


def paint_flat(easel: Easel, shapes: Sequence[Shape]) -> None:
    """Bands of sky and plain forms, nothing else."""
    width, height = easel.image.size
    draw = ImageDraw.Draw(easel.image)
    for band in range(6):
        tint = mix(easel.palette.sky_top, easel.palette.sky_low, band / 5)
        draw.rectangle((0, height * band / 8, width, height), fill=tint)
    for shape in shapes:
        draw.polygon(easel.outline(shape), fill=shape.fill)


BRUSHES: Mapping[str, Brush] = {
    "<auto>": paint_soft,
    "<photography>": paint_photo,
    "<portrait>": paint_portrait,
    "<3d cartoon>": paint_cartoon,
    "<anime>": paint_anime,
    "<oil painting>": paint_oil,
    "<watercolor>": paint_watercolor,
    "<sketch>": paint_sketch,
    "<chinese painting>": paint_ink,
    "<flat illustration>": paint_flat,
}

_HALF = fainter(50)
_DOUBLE = [min(255, 2 * level) for level in range(256)]
_ROUNDED = [max(0, min(255, level * 3 - 384)) for level in range(256)]
_SHADE = [160 + level * 95 // 255 for level in range(256)]
_MIST = Image.linear_gradient("L").point(fainter(62))
_FROM_LEFT = Image.linear_gradient("L").rotate(90)
_FROM_CORNER = Image.linear_gradient("L").rotate(135)
