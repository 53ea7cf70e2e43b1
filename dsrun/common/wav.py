"""How long a WAV file plays, by its header alone."""

import struct
from typing import IO

_MOST_CHUNKS = 64  # before the samples; a file with more is none that a recorder writes


def wav_seconds(data: IO[bytes]) -> float | None:
    """The seconds of a WAV file from its first byte on; None where its header does not tell."""
    try:
        return _seconds(data)
    except (struct.error, OSError, OverflowError):
        return None


def _seconds(data: IO[bytes]) -> float | None:
    kind, _, form = struct.unpack("<4sI4s", data.read(12))
    if (kind, form) != (b"RIFF", b"WAVE"):
        return None
    bytes_a_second = 0
    for _ in range(_MOST_CHUNKS):
        name, size = struct.unpack("<4sI", data.read(8))
        if name == b"fmt ":
            (bytes_a_second,) = struct.unpack("<8xI", data.read(12))
            data.seek(-12, 1)
        elif name == b"data":
            begin = data.tell()
            there = data.seek(0, 2) - begin  # a recorder that was cut off has not written the size
            return min(size, there) / bytes_a_second if bytes_a_second else None
        data.seek(size + size % 2, 1)
    return None
