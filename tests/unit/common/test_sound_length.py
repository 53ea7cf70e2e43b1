"""How long a WAV file plays, by its header."""

import io
import struct
import wave

import pytest

from dsrun.common.media import Kind
from dsrun.common.sound_length import sound_length


def sound(seconds=2, rate=24000, channels=1, width=2):
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(bytes(channels * width * int(rate * seconds)))
    return file.getvalue()


def seconds(content):
    return sound_length(io.BytesIO(content), Kind("audio/wav", "wav"), len(content))


@pytest.mark.parametrize(
    "options",
    [{}, {"rate": 8000}, {"channels": 2}, {"width": 1}, {"width": 4, "rate": 48000, "channels": 2}],
)
def test_any_rate_width_and_number_of_channels(options):
    assert seconds(sound(1.5, **options)) == pytest.approx(1.5, abs=0.001)


def test_other_chunks_stand_before_the_samples():
    content = sound(1)
    more = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    assert seconds(content[:12] + more + content[12:]) == pytest.approx(1.0)
    longer = content[:16] + struct.pack("<I", 18) + content[20:36] + b"\0\0" + content[36:]
    assert seconds(longer) == pytest.approx(1.0)


def test_what_is_there_counts_where_a_recorder_has_not_written_the_size():
    content = bytearray(sound(1))
    content[40:44] = b"\xff\xff\xff\xff"
    assert seconds(bytes(content)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"RIFF", b"ID3" + bytes(99), sound()[:20], sound()[:36],
        sound()[:28] + bytes(4) + sound()[32:], b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 1000,
        b"RIFF\0\0\0\0WAVE" + b"junk\xff\xff\xff\xff" * 9,
    ],
    ids=["empty", "short", "mp3", "cut", "no samples", "no rate", "junk", "far"],
)  # fmt: skip
def test_a_header_that_does_not_tell(content):
    assert seconds(content) is None
