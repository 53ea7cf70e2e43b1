"""JPEG: an XMP segment behind those that must come first (JFIF, EXIF)."""

from collections.abc import Iterator
from typing import NamedTuple

from dsrun.storage.metadata import xmp
from dsrun.storage.metadata.splice import Ends, Splice
from dsrun.storage.metadata.tag import Tag

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXIF = b"Exif\0"
_APP0, _APP1, _SCAN = 0xE0, 0xE1, 0xDA
_NO_LENGTH = {0x00, 0x01, 0xFF, *range(0xD0, 0xDA)}  # no segments, or none that stand here
_LONGEST = 0xFFFF


class _Segment(NamedTuple):
    at: int
    marker: int
    data: bytes
    end: int


def tagged(ends: Ends, tag: Tag) -> Splice | None:
    """None where the segments cannot be read, or the file has XMP of its own."""
    place = 2
    for segment in _segments(ends.head):
        if segment.marker == _SCAN:
            return _insert(ends, place, _XMP + xmp.packet(tag))
        if segment.marker == _APP1 and segment.data.startswith(_XMP):
            return None
        if segment.at == place and (segment.marker == _APP0 or _is_exif(segment)):
            place = segment.end
    return None


def untagged(ends: Ends) -> Splice | None:
    for segment in _segments(ends.head):
        if segment.marker == _APP1 and segment.data.startswith(_XMP + xmp.BEGIN):
            return Splice(ends.head[: segment.at], segment.end, ends.size)
    return None


def _is_exif(segment: _Segment) -> bool:
    return segment.marker == _APP1 and segment.data.startswith(_EXIF)


def _insert(ends: Ends, place: int, data: bytes) -> Splice | None:
    length = len(data) + 2
    if length > _LONGEST:
        return None
    segment = bytes((0xFF, _APP1)) + length.to_bytes(2) + data
    return Splice(ends.head[:place] + segment, place, ends.size)


def _segments(head: bytes) -> Iterator[_Segment]:
    """Up to and with the scan, unless something that is no segment comes before it."""
    at = 2
    while head.startswith(b"\xff\xd8\xff") and head[at : at + 1] == b"\xff" and at + 4 < len(head):
        marker = head[at + 1]
        end = at + 2 + int.from_bytes(head[at + 2 : at + 4])
        if marker in _NO_LENGTH or not at + 4 <= end <= len(head):
            return
        yield _Segment(at, marker, head[at + 4 : end], end)
        if marker == _SCAN:
            return
        at = end
