"""Colours of a picture: a harmony around one hue, tuned by style."""

import colorsys
import random
from dataclasses import dataclass

NIGHTS = 0.3

Colour = tuple[int, int, int]


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
    """`share` of the other colour, the rest of the one."""
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
