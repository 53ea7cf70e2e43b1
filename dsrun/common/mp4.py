"""What an MP4 or QuickTime file holds, from its boxes (ISO 14496-12); no sample is decoded."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from dsrun.common.media import ArtifactInvalid

_MOST_BOXES = 100_000
_LARGEST_INDEX = 64 << 20  # bytes of a `moov`: some hours of video
_HEADER, _LONG_HEADER = 8, 16
_UNKNOWN = {0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF}  # durations
_FIXED = 1 << 16  # what 1 is in a track's width, height and matrix


class Movie(NamedTuple):
    """`size` is that of its pictures; None where it has none. `duration_s` may be unknown."""

    duration_s: float | None
    size: tuple[int, int] | None


class _Box(NamedTuple):
    name: bytes
    at: int  # of its content
    size: int  # of its content


def read_movie(file: BinaryIO, size: int) -> Movie:
    """Read a file of `size` bytes. Raises ArtifactInvalid where it is broken or cut off."""
    index: bytes | None = None
    has_content = False
    for number, box in enumerate(_boxes(file, size)):
        if number > _MOST_BOXES:
            raise ArtifactInvalid("the file has more parts than any video")
        has_content = has_content or (box.name == b"mdat" and box.size > 0)
        if box.name == b"moov" and index is None:
            if box.size > _LARGEST_INDEX:
                raise ArtifactInvalid(f"its index (moov) has {box.size} bytes")
            file.seek(box.at)
            index = file.read(box.size)
    if index is None:
        raise ArtifactInvalid("it has no index (moov): it is broken, or cut off")
    if not has_content:
        raise ArtifactInvalid("it has an index, but no content (mdat): it is cut off")
    return _movie(index)


def _boxes(file: BinaryIO, size: int) -> Iterator[_Box]:
    """The boxes of the file, which must end where it ends; zeros may follow them."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(_LONG_HEADER)
        if not head.strip(b"\0"):
            return
        name, length = head[4:8], int.from_bytes(head[:4])
        header = _HEADER
        if length == 1:
            header, length = _LONG_HEADER, int.from_bytes(head[8:16])
        elif length == 0:
            length = size - at  # to the end of the file
        if length < header or at + length > size:
            told = name.decode("latin-1")
            raise ArtifactInvalid(
                f"it is cut off: its part {told!r} has {length} bytes, and {size - at} are there"
            )
        yield _Box(name, at + header, length - header)
        at += length


def _movie(index: bytes) -> Movie:
    duration: float | None = None
    size: tuple[int, int] | None = None
    for name, content in _inside(index):
        if name == b"mvhd":
            duration = _duration(content) or duration
        elif name == b"mvex":
            duration = duration or _fragmented(content, index)
        elif name == b"trak":
            kind, pixels = _track(content)
            size = size or (pixels if kind == b"vide" else None)
    return Movie(duration, size)


def _inside(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes inside of one, up to the first that makes no sense: QuickTime ends with zeros."""
    at = 0
    while at + _HEADER <= len(content):
        length, name = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        length = length or len(content) - at
        if length < _HEADER or at + length > len(content):
            return
        yield name, content[at + _HEADER : at + length]
        at += length


def _track_parts(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes of a track, and those of its `mdia`."""
    for name, inner in _inside(content):
        yield name, inner
        if name == b"mdia":
            yield from _inside(inner)


def _clock(content: bytes) -> tuple[int, int]:
    """Time scale and duration of an `mvhd`; zeros where it has none."""
    if content[:1] == b"\1":
        return int.from_bytes(content[20:24]), int.from_bytes(content[24:32])
    return int.from_bytes(content[12:16]), int.from_bytes(content[16:20])


def _duration(content: bytes) -> float | None:
    scale, ticks = _clock(content)
    return ticks / scale if scale and ticks not in _UNKNOWN else None


def _fragmented(extends: bytes, index: bytes) -> float | None:
    """The duration of a movie in fragments, where its header says it."""
    scale = next((_clock(inner)[0] for name, inner in _inside(index) if name == b"mvhd"), 0)
    for name, inner in _inside(extends):
        if name == b"mehd" and scale:
            ticks = int.from_bytes(inner[4:12] if inner[:1] == b"\1" else inner[4:8])
            return ticks / scale if ticks not in _UNKNOWN else None
    return None


def _track(content: bytes) -> tuple[bytes, tuple[int, int] | None]:
    """What a track is (`vide`, `soun`), and its size as it is shown."""
    kind, size = b"", None
    for name, inner in _track_parts(content):
        if name == b"hdlr" and not kind:
            kind = inner[8:12]
        elif name == b"tkhd":
            size = _shown_size(inner)
    return kind, size


def _shown_size(header: bytes) -> tuple[int, int] | None:
    """Width and height of a `tkhd`, turned as its matrix says."""
    matrix_at = 52 if header[:1] == b"\1" else 40
    matrix = [
        int.from_bytes(header[at : at + 4], signed=True)
        for at in range(matrix_at, matrix_at + 36, 4)
    ]
    ends = header[matrix_at + 36 : matrix_at + 44]
    width, height = (round(int.from_bytes(part) / _FIXED) for part in (ends[:4], ends[4:]))
    if not (width and height):
        return None
    is_turned = abs(matrix[1]) == _FIXED and matrix[0] == 0
    return (height, width) if is_turned else (width, height)
