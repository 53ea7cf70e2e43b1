"""The kind and size of a picture by a few bytes, where its header is of the commonest form.

A decoder takes longer than all else that is done with a picture of the usual size. Whatever has
more in its header than what is known here is for the decoder.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_PNG_SIDES, _PNG_DEPTH, _PNG_CRC, _PNG_NEXT = 16, 24, 29, 33  # where they begin
_PNG_PIXELS = {  # depth and kind of colour of each form, followed by what all PNGs have
    bytes((depth, colour, 0, 0, interlaced))
    for colour, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 4: (8, 16), 6: (8, 16)}.items()
    for depth in depths
    for interlaced in (0, 1)
}
_JPEG = b"\xff\xd8"
_JFIF, _TABLES, _CODES, _SCAN = 0xE0, 0xDB, 0xC4, 0xDA
_FRAMES = {0xC0, 0xC2}  # baseline and progressive
_TABLE_BYTES = 65
_CODE_BYTES = 17
_SHORTEST = 6  # the content of a scan of one component
_BITS = 8
_COMPONENTS = {1, 3}


class Sized(NamedTuple):
    extension: str
    width: int
    height: int


def sized(head: bytes) -> Sized | None:
    """None where a decoder must look."""
    found = _png(head) if head.startswith(_PNG) else _jpeg(head)
    return found if found and found.width and found.height else None


def _png(head: bytes) -> Sized | None:
    """A header of the right checksum, and the pixels right behind it."""
    if not head.startswith(b"IDAT", _PNG_NEXT + 4) or head[_PNG_DEPTH:_PNG_CRC] not in _PNG_PIXELS:
        return None
    if zlib.crc32(head[12:_PNG_CRC]) != int.from_bytes(head[_PNG_CRC:_PNG_NEXT]):
        return None
    width, height = (int.from_bytes(head[at : at + 4]) for at in (_PNG_SIDES, _PNG_SIDES + 4))
    return Sized("png", width, height)


def _jpeg(head: bytes) -> Sized | None:
    """Segments of the usual form up to the scan, exactly one of them a frame."""
    frames: list[Sized] = []
    for marker, data in _segments(head):
        if marker == _SCAN:
            return frames[0] if len(frames) == 1 else None
        if marker in _FRAMES:
            components = data[5]
            if data[0] != _BITS or components not in _COMPONENTS or len(data) != 6 + 3 * components:
                return None
            sides = (int.from_bytes(data[3:5]), int.from_bytes(data[1:3]))
            frames.append(Sized("jpg", *sides))
        elif not _is_plain(marker, data):
            return None
    return None


def _is_plain(marker: int, data: bytes) -> bool:
    """Whether a decoder takes such a segment, whatever stands in it."""
    if marker == _TABLES:
        return len(data) % _TABLE_BYTES == 0 and not any(n >> 4 for n in data[::_TABLE_BYTES])
    if marker == _JFIF:
        return len(data) == 14 and data.startswith(b"JFIF\0")  # noqa: PLR2004  # no thumbnail
    return marker == _CODES and len(data) > _CODE_BYTES


def _segments(head: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment, up to one that is not whole, or too short to be known."""
    at = len(_JPEG)
    while head.startswith(_JPEG) and head[at : at + 1] == b"\xff" and at + 4 <= len(head):
        end = at + 2 + int.from_bytes(head[at + 2 : at + 4])
        if not at + 4 + _SHORTEST <= end <= len(head):
            return
        yield head[at + 1], head[at + 4 : end]
        at = end
