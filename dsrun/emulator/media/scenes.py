"""What a picture shows, and in which colours: outlines on a unit square, the same in every style.

The words of the prompt choose the motif, the dice its place and the hue.
"""

import colorsys
import math
import random
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


Part = tuple[str, tuple[Point, ...]]

# The parts of a thing, from the back to the front. Points are in sizes of the thing from its foot,
# upwards; a tint names a colour, then what is mixed into it: "accent + 60 ink".
Motif = tuple[Part, ...]


def compose_scene(prompt: str, palette: Palette, dice: random.Random) -> list[Shape]:
    sun = (dice.uniform(0.15, 0.85), dice.uniform(0.12, 0.34))
    shapes = _anchor([Shape(points=_oval(*sun, 0.09, 0.09), fill=palette.sun)], sun)
    for depth, fill in enumerate(palette.hills):
        shapes.append(_hill(HORIZON - 0.08 + 0.14 * depth, 0.14 - 0.03 * depth, fill, dice))
    motif = choose_motif(prompt, dice)
    places = [0.2, 0.5, 0.8]
    dice.shuffle(places)
    for number, place in reversed(list(enumerate(places[: dice.randint(1, 3)]))):
        size = (0.3, 0.19, 0.14)[number] * dice.uniform(0.9, 1.15)
        spot = (place + dice.uniform(-0.08, 0.08), 0.84 - 0.09 * number)
        if motif is _BOAT:
            level = spot[1]
            water = ((0, level - 0.02), (1, level - 0.05), (1, level + 0.06), (0, level + 0.1))
            fill = mix(palette.sky_top, palette.sky_low, 0.35)
            shapes.append(Shape(points=water, fill=fill))
        shapes += _anchor(_stand(motif, spot, size, palette), spot)
    return shapes


def compose_bust(palette: Palette, dice: random.Random) -> list[Shape]:
    """Head and shoulders, for the portrait style."""
    x, skin = 0.5 + dice.uniform(-0.06, 0.06), dice.choice(_SKINS)
    hair, lean = mix(palette.ink, palette.accent, dice.uniform(0, 0.35)), dice.uniform(-0.02, 0.02)
    face, mouth = x + lean, mix((176, 58, 62), skin, 0.3)
    parts = [
        (hair, _oval(x, 0.41, 0.2 + dice.uniform(0, 0.03), 0.25)),
        (hair, ((x - 0.2, 0.42), (x - 0.23, 0.72), (x + 0.23, 0.72), (x + 0.2, 0.42))),
        (palette.accent, _oval(x, 1.02, 0.36, 0.3)),
        (skin, ((x - 0.06, 0.5), (x - 0.08, 0.76), (x + 0.08, 0.76), (x + 0.06, 0.5))),
        (skin, _oval(face, 0.45, 0.135, 0.185)),
        (hair, _oval(face - 0.03, 0.29, 0.16, 0.085)),
        (palette.ink, _oval(face - 0.055, 0.46, 0.018, 0.011)),
        (palette.ink, _oval(face + 0.055, 0.46, 0.018, 0.011)),
        (mouth, _oval(face, 0.555, 0.036, 0.012)),
    ]
    return _anchor([Shape(points=points, fill=fill) for fill, points in parts], (x, 0.76))


def choose_motif(prompt: str, dice: random.Random) -> Motif:
    words = prompt.lower()
    for names, motif in _MOTIFS:
        if any(name in words for name in names):
            return motif
    return dice.choice([motif for _, motif in _MOTIFS])


def _stand(motif: Motif, foot: Point, size: float, palette: Palette) -> list[Shape]:
    x, y = foot
    return [
        Shape(
            points=tuple((x + size * across, y - size * up) for across, up in points),
            fill=_mixed(tint, palette),
        )
        for tint, points in motif
    ]


def _mixed(tint: str, palette: Palette) -> Colour:
    first, *others = tint.split(" + ")
    mixed = _named(first, palette)
    for other in others:
        percent, name = other.split()
        mixed = mix(mixed, _named(name, palette), int(percent) / 100)
    return mixed


def _named(name: str, palette: Palette) -> Colour:
    if name in ("hill", "meadow"):
        return palette.hills[1 if name == "hill" else 2]
    fixed: Colour = getattr(palette, name)
    return fixed


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


def _oval(x: float, y: float, across: float, down: float) -> tuple[Point, ...]:
    return tuple((x + across * cosine, y + down * sine) for cosine, sine in _CIRCLE)


def _box(x: float, y: float, width: float, height: float) -> tuple[Point, ...]:
    left, right, top, bottom = x - width / 2, x + width / 2, y - height / 2, y + height / 2
    return (left, top), (right, top), (right, bottom), (left, bottom)


_CIRCLE = tuple((math.cos(turn), math.sin(turn)) for turn in (n * math.tau / 28 for n in range(28)))

_LANTERN: Motif = (
    ("ink", _box(0, 3.8, 0.02, 4.4)),
    ("accent", _oval(0, 1.15, 0.5, 0.45)),
    ("accent + 60 light", _oval(0, 1.15, 0.26, 0.4)),
    ("accent + 60 ink", _box(0, 1.6, 0.44, 0.12)),
    ("accent + 60 ink", _box(0, 0.68, 0.44, 0.12)),
    ("accent", _box(0, 0.5, 0.08, 0.3)),
)
_BOAT: Motif = (
    ("paper", ((0, 1.25), (0.62, 0.2), (0, 0.2))),
    ("accent", ((-0.05, 1.05), (-0.05, 0.2), (-0.42, 0.2))),
    ("accent + 40 ink", ((-0.65, 0.14), (0.7, 0.14), (0.45, -0.14), (-0.45, -0.14))),
)
_CAT: Motif = (
    ("ink + 30 accent", _oval(0.42, 0.42, 0.1, 0.36)),
    ("ink + 30 accent", _oval(0, 0.3, 0.34, 0.42)),
    ("ink + 30 accent", _oval(0, 0.85, 0.3, 0.26)),
    ("ink + 30 accent", ((-0.2, 1.3), (-0.06, 1.05), (-0.29, 0.85))),
    ("ink + 30 accent", ((0.2, 1.3), (0.06, 1.05), (0.29, 0.85))),
    ("sun", _oval(-0.11, 0.85, 0.05, 0.06)),
    ("sun", _oval(0.11, 0.85, 0.05, 0.06)),
)
_FLOWER: Motif = (
    ("meadow + 30 ink", ((-0.03, 0), (0, 1), (0.03, 0))),
    ("meadow + 30 ink", _oval(0.17, 0.3, 0.17, 0.07)),
    *(
        (
            f"accent + {12 * (petal % 3)} light",
            _oval(0.25 * math.cos(petal * 0.9), 1 + 0.25 * math.sin(petal * 0.9), 0.17, 0.17),
        )
        for petal in range(7)
    ),
    ("sun", _oval(0, 1, 0.15, 0.15)),
)
_HOUSE: Motif = (
    ("paper + 20 accent", _box(0, 0.28, 1, 0.56)),
    ("accent + 25 ink", ((-0.72, 0.51), (-0.4, 0.75), (0, 1.03), (0.4, 0.75), (0.72, 0.51))),
    ("light", _box(-0.22, 0.32, 0.2, 0.2)),
    ("ink", _box(0.2, 0.2, 0.22, 0.4)),
)
_TREE: Motif = (
    ("ink + 20 accent", ((-0.07, 0), (0, 1), (0.07, 0))),
    ("hill + 45 accent", _oval(-0.28, 0.75, 0.3, 0.3)),
    ("hill + 45 accent + 18 light", _oval(0.28, 0.8, 0.3, 0.3)),
    ("hill + 45 accent + 33 light", _oval(0, 1.1, 0.4, 0.4)),
)
_MOTIFS: tuple[tuple[tuple[str, ...], Motif], ...] = (
    (("lantern", "lamp", "festival", "灯", "节"), _LANTERN),
    (("boat", "ship", "river", "sea", "lake", "sail", "船", "河", "海", "湖"), _BOAT),
    (("cat", "kitten", "fox", "猫", "狐"), _CAT),
    (("flower", "garden", "rose", "blossom", "lotus", "花", "园", "荷"), _FLOWER),
    (("house", "tea", "village", "town", "temple", "屋", "茶", "村", "城", "寺"), _HOUSE),
    (("tree", "forest", "wood", "pine", "mountain", "树", "林", "山", "松"), _TREE),
)
