"""What a request makes: files whose every byte follows from the request.

A file therefore says whose it is. A task that was adopted by the wrong job, or a file under the
wrong name, is seen at once, which the service itself gives no means for.
"""

import hashlib
import io
import json
import random
import struct
import wave
import zlib

_SIDE = 16
_SAMPLES = 512


def canonical(body):
    """One text for all spellings of a request."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def picture_mark(body, index):
    """Names one picture: `n` pictures of seed s are those of s, s+1, ..., each drawn once.

    So the missing picture of a task is the same one whether it is asked for with its
    neighbours or alone.
    """
    parameters = {key: value for key, value in body["parameters"].items() if key != "n"}
    parameters["seed"] = parameters["seed"] + index
    return _digest({**body, "parameters": parameters})


def voice_mark(body):
    return _digest(body)


def draw(mark):
    """A valid PNG of about 1 KB: noise grown from the mark, and the mark as its text."""
    rows = random.Random(mark)
    plain = b"".join(b"\x00" + rows.randbytes(_SIDE * 3) for _ in range(_SIDE))
    head = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    parts = [
        _chunk(b"IHDR", head),
        _chunk(b"tEXt", b"Comment\x00" + mark.encode()),
        _chunk(b"IDAT", zlib.compress(plain)),
        _chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def speak(mark, rate=24000):
    """A valid WAV of about 1 KB: one channel of 16-bit noise grown from the mark."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(random.Random(mark).randbytes(2 * _SAMPLES))
    return file.getvalue()


def _digest(body):
    return hashlib.sha256(canonical(body).encode()).hexdigest()


def _chunk(kind, data):
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check
