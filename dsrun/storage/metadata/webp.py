"""WEBP: an XMP chunk at the end, and at the front the header that announces it (VP8X)."""

from dsrun.storage.metadata import xmp
from dsrun.storage.metadata.splice import ENDS, Ends, Splice
from dsrun.storage.metadata.tag import Tag

_EXTENDED = b"VP8X\x0a\0\0\0"
_XMP_FLAG, _ALPHA_FLAG = 0x04, 0x10
_CHUNKS = 12  # the first chunk begins here
_FLAGS = _CHUNKS + 8
_HEADER = 18  # bytes of a whole VP8X chunk
_ADDED = "<dsrun:added>VP8X</dsrun:added>"
_LOSSY_KEY = b"\x9d\x01\x2a"  # before the sides of a key frame
_LOSSLESS = 0x2F
_LARGEST = 2**32 - 10


def tagged(ends: Ends, tag: Tag) -> Splice | None:
    """None where the file is not what its header says, or has XMP of its own."""
    head = ends.head
    if not _is_whole(ends):
        return None
    if head.startswith(_EXTENDED, _CHUNKS):
        if head[_FLAGS] & _XMP_FLAG:
            return None
        header, start, note = _EXTENDED + bytes((head[_FLAGS] | _XMP_FLAG,)), _FLAGS + 1, ""
    else:
        header, start, note = _header_of(ends), _CHUNKS, _ADDED
    chunk = _chunk(b"XMP ", xmp.packet(tag, note=note))
    if not header or len(chunk) > ENDS:  # a longer one could not be found again
        return None
    return _splice(header, start, ends.size, chunk)


def untagged(ends: Ends) -> Splice | None:
    head, tail = ends.head, ends.tail
    at = tail.rfind(xmp.BEGIN) - 8
    if at < 0 or not _is_whole(ends) or not head.startswith(_EXTENDED, _CHUNKS):
        return None
    length = int.from_bytes(tail[at + 4 : at + 8], "little")
    if tail[at : at + 4] != b"XMP " or at + 8 + length + length % 2 != len(tail):
        return None
    stop = ends.size - len(tail) + at
    if _ADDED.encode() in tail[at:]:
        return _splice(b"", _CHUNKS + _HEADER, stop, b"")
    header = _EXTENDED + bytes((head[_FLAGS] & ~_XMP_FLAG,))
    return _splice(header, _FLAGS + 1, stop, b"")


def _is_whole(ends: Ends) -> bool:
    head = ends.head
    size = int.from_bytes(head[4:8], "little") + 8
    is_webp = head.startswith(b"RIFF") and head[8:12] == b"WEBP"
    return is_webp and size == ends.size and size % 2 == 0 and size > _CHUNKS + _HEADER


def _header_of(ends: Ends) -> bytes:
    """The extended header for a simple file, whose one chunk has the picture; empty: none."""
    head = ends.head
    length = int.from_bytes(head[16:20], "little")
    if _CHUNKS + 8 + length + length % 2 != ends.size:
        return b""
    if head.startswith(b"VP8 ", _CHUNKS) and head[23:26] == _LOSSY_KEY:
        flags = 0
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    elif head.startswith(b"VP8L", _CHUNKS) and head[20] == _LOSSLESS:
        bits = int.from_bytes(head[21:25], "little")
        flags = _ALPHA_FLAG if bits >> 28 & 1 else 0
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        return b""
    if not width or not height:
        return b""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return _EXTENDED + bytes((flags | _XMP_FLAG, 0, 0, 0)) + sides


def _splice(header: bytes, start: int, stop: int, after: bytes) -> Splice | None:
    size = 4 + len(header) + stop - start + len(after)
    if size > _LARGEST:
        return None
    before = b"RIFF" + size.to_bytes(4, "little") + b"WEBP" + header
    return Splice(before, start, stop, after)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return kind + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)
