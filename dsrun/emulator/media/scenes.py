"""What a picture shows, and in which colours: outlines on a unit square, the same in every style.

The words of the prompt choose the motif, the dice its place and the hue.
"""

import colorsys
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

NIGHTS = 0.3

Colour = tuple[int, int, int]

Point = tuple[float, float]
HORIZON = 0.52

# A scene begins with the sun and this many hills; what follows is the motif.
HILLS = 3
_SKINS = ((236, 196, 168), (214, 164, 130), (176, 122, 88), (124, 82, 60))


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """`hills` go from the farthest to the nearest."""

    sky_top: Colour
    sky_low: Colour
    sun: Colour
    hills: tuple[Colour, Colour, Colour]
    accent: Colour
    light: Colour
    ink: Colour
    paper: Colour


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`share` of the other colour, the rest from the first."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def colour(hue: float, lightness: float, saturation: float) -> Colour:
    red, green, blue = colorsys.hls_to_rgb(hue % 1, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def choose_palette(style: str, dice: random.Random) -> Palette:
    hue = dice.choice(_SKY_HUES) + dice.uniform(-0.03, 0.03)
    is_night = dice.random() < NIGHTS and style not in _DAYLIGHT
    vivid = _VIVIDNESS.get(style, 0.55)
    ground = hue + dice.choice((0.08, 0.33, 0.45, -0.1))
    glow = 0.11 + dice.uniform(-0.06, 0.03)
    return Palette(
        sky_top=colour(hue + 0.04, 0.16 if is_night else 0.62, vivid),
        sky_low=colour(glow if not is_night else hue - 0.06, 0.38 if is_night else 0.86, vivid),
        sun=colour(glow, 0.9 if is_night else 0.68, min(1, vivid + 0.4)),
        hills=(
            colour(ground, 0.36 if is_night else 0.68, vivid * 0.6),
            colour(ground + 0.02, 0.26 if is_night else 0.5, vivid * 0.75),
            colour(ground + 0.05, 0.15 if is_night else 0.32, vivid * 0.9),
        ),
        accent=colour(hue + 0.5 + dice.uniform(-0.08, 0.08), 0.52, min(1, vivid + 0.3)),
        light=colour(glow, 0.88, min(1, vivid + 0.3)),
        ink=colour(hue, 0.14, 0.25),
        paper=colour(glow, 0.95, 0.45),
    )


# Skies that please: blue to violet, rose, amber, sea green; never grass green.
_SKY_HUES = (0.52, 0.57, 0.61, 0.66, 0.73, 0.9, 0.97, 0.07, 0.12, 0.47)
_DAYLIGHT = ("<watercolor>", "<sketch>", "<chinese painting>")

_VIVIDNESS = {
    "<photography>": 0.4,
    "<portrait>": 0.35,
    "<3d cartoon>": 0.75,
    "<anime>": 0.85,
    "<oil painting>": 0.6,
    "<watercolor>": 0.55,
    "<sketch>": 0.1,
    "<chinese painting>": 0.12,
    "<flat illustration>": 0.65,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """`y` runs downwards; a later shape covers an earlier one.

    Around its anchor a shape keeps its proportions in a picture of any form; one without is
    stretched with the picture.
    """

    points: tuple[Point, ...]
    fill: Colour
    anchor: Point | None = None


Motif = Callable[[float, float, float, Palette], list[Shape]]


def compose_scene(prompt: str, palette: Palette, dice: random.Random) -> list[Shape]:
    sun = (dice.uniform(0.15, 0.85), dice.uniform(0.12, 0.34))
    shapes = _anchor([_disc(*sun, 0.09, palette.sun)], sun)
    for depth, fill in enumerate(palette.hills):
        shapes.append(_hill(HORIZON - 0.08 + 0.14 * depth, 0.14 - 0.03 * depth, fill, dice))
    motif = choose_motif(prompt, dice)
    places = [0.2, 0.5, 0.8]
    dice.shuffle(places)
    for number, place in reversed(list(enumerate(places[: dice.randint(1, 3)]))):
        size = (0.3, 0.19, 0.14)[number] * dice.uniform(0.9, 1.15)
        spot = (place + dice.uniform(-0.08, 0.08), 0.84 - 0.09 * number)
        if motif is _boat:
            shapes.append(_water(spot[1], palette))
        shapes += _anchor(motif(*spot, size, palette), spot)
    return shapes


def compose_bust(palette: Palette, dice: random.Random) -> list[Shape]:
    """Head and shoulders, for the portrait style."""
    x, skin = 0.5 + dice.uniform(-0.06, 0.06), dice.choice(_SKINS)
    hair, lean = mix(palette.ink, palette.accent, dice.uniform(0, 0.35)), dice.uniform(-0.02, 0.02)
    shapes = [
        _oval(x, 0.41, 0.2 + dice.uniform(0, 0.03), 0.25, hair),
        _polygon(hair, (x - 0.2, 0.42), (x - 0.23, 0.72), (x + 0.23, 0.72), (x + 0.2, 0.42)),
        _oval(x, 1.02, 0.36, 0.3, palette.accent),
        _polygon(skin, (x - 0.06, 0.5), (x - 0.08, 0.76), (x + 0.08, 0.76), (x + 0.06, 0.5)),
        _oval(x + lean, 0.45, 0.135, 0.185, skin),
        _oval(x + lean - 0.03, 0.29, 0.16, 0.085, hair),
    ]
    for eye in (x + lean - 0.055, x + lean + 0.055):
        shapes += [_oval(eye, 0.46, 0.018, 0.011, palette.ink)]
    shapes += [_oval(x + lean, 0.555, 0.036, 0.012, mix((176, 58, 62), skin, 0.3))]
    return _anchor(shapes, (x, 0.76))


def choose_motif(prompt: str, dice: random.Random) -> Motif:
    words = prompt.lower()
    for names, motif in _MOTIFS:
        if any(name in words for name in names):
            return motif
    return dice.choice([motif for _, motif in _MOTIFS])


def _lantern(x: float, y: float, size: float, palette: Palette) -> list[Shape]:
    top = y - size * 1.7
    hook = top + size * 0.06
    rim = mix(palette.accent, palette.ink, 0.6)
    return [
        _polygon(
            palette.ink, (x - 0.002, -1), (x + 0.002, -1), (x + 0.002, hook), (x - 0.002, hook)
        ),
        _oval(x, top + size * 0.55, size * 0.5, size * 0.45, palette.accent),
        _oval(
            x, top + size * 0.55, size * 0.26, size * 0.4, mix(palette.accent, palette.light, 0.6)
        ),
        _box(x, top + size * 0.1, size * 0.44, size * 0.12, rim),
        _box(x, top + size * 1.02, size * 0.44, size * 0.12, rim),
        _box(x, top + size * 1.2, size * 0.08, size * 0.3, palette.accent),
    ]


def _tree(x: float, y: float, size: float, palette: Palette) -> list[Shape]:
    crown = mix(palette.hills[1], palette.accent, 0.45)
    trunk = mix(palette.ink, palette.accent, 0.2)
    shapes = [_polygon(trunk, (x - size * 0.07, y), (x, y - size), (x + size * 0.07, y))]
    for across, up, wide in ((-0.28, 0.75, 0.3), (0.28, 0.8, 0.3), (0, 1.1, 0.4)):
        shapes.append(_disc(x + size * across, y - size * up, size * wide, crown))
        crown = mix(crown, palette.light, 0.18)
    return shapes


def _house(x: float, y: float, size: float, palette: Palette) -> list[Shape]:
    wall, eave = mix(palette.paper, palette.accent, 0.2), y - size * 0.55
    roof = mix(palette.accent, palette.ink, 0.25)
    return [
        _box(x, y - size * 0.28, size, size * 0.56, wall),
        _polygon(
            roof,
            (x - size * 0.72, eave + size * 0.04),
            (x - size * 0.4, eave - size * 0.2),
            (x, eave - size * 0.48),
            (x + size * 0.4, eave - size * 0.2),
            (x + size * 0.72, eave + size * 0.04),
        ),
        _box(x - size * 0.22, y - size * 0.32, size * 0.2, size * 0.2, palette.light),
        _box(x + size * 0.2, y - size * 0.2, size * 0.22, size * 0.4, palette.ink),
    ]


def _boat(x: float, y: float, size: float, palette: Palette) -> list[Shape]:
    hull, sail = mix(palette.accent, palette.ink, 0.4), palette.paper
    return [
        _polygon(
            sail, (x, y - size * 1.25), (x + size * 0.62, y - size * 0.2), (x, y - size * 0.2)
        ),
        _polygon(
            palette.accent,
            (x - size * 0.05, y - size * 1.05),
            (x - size * 0.05, y - size * 0.2),
            (x - size * 0.42, y - size * 0.2),
        ),
        _polygon(
            hull,
            (x - size * 0.65, y - size * 0.14),
            (x + size * 0.7, y - size * 0.14),
            (x + size * 0.45, y + size * 0.14),
            (x - size * 0.45, y + size * 0.14),
        ),
    ]


def _water(level: float, palette: Palette) -> Shape:
    tint = mix(palette.sky_top, palette.sky_low, 0.35)
    low, high = level + 0.1, level - 0.05
    return _polygon(tint, (0, level - 0.02), (1, high), (1, level + 0.06), (0, low))


def _flower(x: float, y: float, size: float, palette: Palette) -> list[Shape]:
    stem, top = mix(palette.hills[2], (40, 140, 60), 0.5), y - size
    shapes = [
        _polygon(stem, (x - size * 0.03, y), (x, top), (x + size * 0.03, y)),
        _oval(x + size * 0.17, y - size * 0.3, size * 0.17, size * 0.07, stem),
    ]
    for petal in range(7):
        angle = petal * math.tau / 7
        across, down = math.cos(angle) * size * 0.25, math.sin(angle) * size * 0.25
        tint = mix(palette.accent, palette.light, 0.12 * (petal % 3))
        shapes.append(_disc(x + across, top + down, size * 0.17, tint))
    return [*shapes, _disc(x, top, size * 0.15, palette.sun)]


def _cat(x: float, y: float, size: float, palette: Palette) -> list[Shape]:
    fur, head = mix(palette.ink, palette.accent, 0.3), y - size * 0.85
    shapes = [
        _oval(x + size * 0.42, y - size * 0.42, size * 0.1, size * 0.36, fur),
        _oval(x, y - size * 0.3, size * 0.34, size * 0.42, fur),
        _oval(x, head, size * 0.3, size * 0.26, fur),
    ]
    for side in (-1, 1):
        ear = (x + side * size * 0.2, head - size * 0.45)
        inner, outer = (x + side * size * 0.06, head - size * 0.2), (x + side * size * 0.29, head)
        shapes.append(_polygon(fur, ear, inner, outer))
        shapes.append(_oval(x + side * size * 0.11, head, size * 0.05, size * 0.06, palette.sun))
    return shapes


_MOTIFS: tuple[tuple[tuple[str, ...], Motif], ...] = (
    (("lantern", "lamp", "festival", "灯", "节"), _lantern),
    (("boat", "ship", "river", "sea", "lake", "sail", "船", "河", "海", "湖"), _boat),
    (("cat", "kitten", "fox", "猫", "狐"), _cat),
    (("flower", "garden", "rose", "blossom", "lotus", "花", "园", "荷"), _flower),
    (("house", "tea", "village", "town", "temple", "屋", "茶", "村", "城", "寺"), _house),
    (("tree", "forest", "wood", "pine", "mountain", "树", "林", "山", "松"), _tree),
)


def _hill(level: float, swing: float, fill: Colour, dice: random.Random) -> Shape:
    waves = [(dice.uniform(0.6, 2.4), dice.uniform(0, math.tau)) for _ in range(3)]
    steps = [step / 36 for step in range(37)]
    ridge = [
        (x, level - swing * sum(math.sin(x * math.tau * f + p) for f, p in waves) / 3)
        for x in steps
    ]
    return Shape(points=((0.0, 1.0), *ridge, (1.0, 1.0)), fill=fill)


def _anchor(shapes: list[Shape], spot: Point) -> list[Shape]:
    return [replace(shape, anchor=spot) for shape in shapes]


def _polygon(fill: Colour, *points: Point) -> Shape:
    return Shape(points=points, fill=fill)


def _box(x: float, y: float, width: float, height: float, fill: Colour) -> Shape:
    left, right, top, bottom = x - width / 2, x + width / 2, y - height / 2, y + height / 2
    return Shape(points=((left, top), (right, top), (right, bottom), (left, bottom)), fill=fill)


def _disc(x: float, y: float, radius: float, fill: Colour) -> Shape:
    return _oval(x, y, radius, radius, fill)


def _oval(x: float, y: float, across: float, down: float, fill: Colour) -> Shape:
    points = tuple((x + across * cosine, y + down * sine) for cosine, sine in _CIRCLE)
    return Shape(points=points, fill=fill)


_CIRCLE = tuple((math.cos(turn), math.sin(turn)) for turn in (n * math.tau / 28 for n in range(28)))
