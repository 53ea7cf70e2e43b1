"""How much two pictures differ to the eye, from 0 (alike) to 100 (nothing is).

Half of it is shape, a difference hash of 64 bits; half is colour, the means of 8 by 8 blocks. Both
need Pillow alone. They rank what changed; they are no judgement of quality.
"""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from dsrun.report.thumbs import UNREADABLE, open_small

_SIDE = 8  # blocks a side
_SLACK = 2  # of 255: flat areas have no edges, whatever the noise in them
_UNLIKE_BITS = 0.5 * _SIDE * _SIDE  # by which two unrelated pictures differ
_UNLIKE_LIGHT = 0.4 * 255


class Signature(NamedTuple):
    """What is compared of a picture."""

    edges: int
    colours: bytes


def signature_of(path: Path) -> Signature | None:
    """None where the picture cannot be read."""
    try:
        picture = open_small(path, 4 * _SIDE)
    except UNREADABLE:
        return None
    return _signature(picture.convert("RGB"))


def _signature(picture: Image.Image) -> Signature:
    wide = picture.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX).tobytes()
    bits = 0
    for line in range(_SIDE):
        row = wide[line * (_SIDE + 1) : (line + 1) * (_SIDE + 1)]
        for left, right in pairwise(row):
            bits = bits << 1 | (right > left + _SLACK)
    small = picture.resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return Signature(bits, small.tobytes())


def distance(one: Signature, other: Signature) -> float:
    """Symmetric; 0 for a signature and itself."""
    shape = min(1.0, (one.edges ^ other.edges).bit_count() / _UNLIKE_BITS)
    apart = sum(abs(a - b) for a, b in zip(one.colours, other.colours, strict=True))
    colour = min(1.0, apart / len(one.colours) / _UNLIKE_LIGHT)
    return round(50 * (shape + colour), 1)
