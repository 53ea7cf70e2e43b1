"""A whole small file of every kind that an operation can make."""

import io
import json
import struct
import wave
from pathlib import Path

from PIL import Image

_STRAIGHT = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_TURNED = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
FILM = (Path(__file__).parent / "media/film.mp4").read_bytes()  # 320x180, 2 s, with sound

_MATRIX_AT = FILM.index(_STRAIGHT, FILM.index(b"tkhd"))
TURNED_FILM = FILM[:_MATRIX_AT] + _TURNED + FILM[_MATRIX_AT + len(_TURNED) :]  # 180x320


def picture(kind="PNG", size=(64, 48)):
    file = io.BytesIO()
    Image.effect_noise(size, 90).convert("RGB").save(file, kind)
    return file.getvalue()


def sound(seconds=1.5, rate=8000):
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes(bytes(2 * int(seconds * rate)))
    return file.getvalue()


def model():
    """A GLB with nothing to see: a header and a chunk of JSON."""
    text = json.dumps({"asset": {"version": "2.0"}}).encode()
    text += b" " * (-len(text) % 4)
    chunk = struct.pack("<I4s", len(text), b"JSON") + text
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunk)) + chunk


TEXT = "The lantern rises.\n灯笼升起来了。\n".encode()
JSON = (
    '{ "text": "灯笼",\n"begin": 1.50, "id": 12345678901234567890123, "words": [1, 2] }\n'.encode()
)
CAPTIONS = b"1\r\n00:00:00,000 --> 00:00:01,500\r\nThe lantern rises.\r\n\r\n"

FILES = {  # bytes, extension, media type
    "image": (picture(), "png", "image/png"),
    "audio": (sound(), "wav", "audio/wav"),
    "video": (FILM, "mp4", "video/mp4"),
    "text": (TEXT, "txt", "text/plain"),
    "json": (JSON, "json", "application/json"),
    "captions": (CAPTIONS, "srt", "application/x-subrip"),
    "model": (model(), "glb", "model/gltf-binary"),
}
