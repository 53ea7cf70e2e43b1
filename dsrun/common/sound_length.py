"""How long a sound plays, from its headers: nothing is decoded, and nothing is refused."""

from typing import BinaryIO

from dsrun.common.media import HEAD_BYTES, ArtifactInvalid, Kind
from dsrun.common.mp4 import read_movie

_OPUS_RATE = 48_000
_LAST_PAGE = 1 << 16  # no page of an Ogg stream is longer
_MOST_CHUNKS = 1000  # of a WAV
_SYNC = 0x7FF  # eleven bits
_BIT_RATES = {  # kbit/s of layer III, by whether it is MPEG 1
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_LAYER_3 = 1


def sound_length(file: BinaryIO, kind: Kind, size: int) -> float | None:
    """Seconds; None where the headers do not tell, or tell nonsense."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    match kind.extension:
        case "wav":
            return _of_wav(file, size)
        case "mp3":
            return _of_mp3(file, head, size)
        case "opus":
            skipped = int.from_bytes(head[(at := head.find(b"OpusHead") + 10) : at + 2], "little")
            return _of_ogg(file, size, rate=_OPUS_RATE, skipped=skipped)
        case "ogg":
            at = head.find(b"\x01vorbis")
            rate = int.from_bytes(head[at + 12 : at + 16], "little") if at >= 0 else 0
            return _of_ogg(file, size, rate=rate)
        case "flac":
            bits = int.from_bytes(head[18:26])
            return _ratio(bits & ((1 << 36) - 1), bits >> 44)
        case "m4a":
            return _of_m4a(file, size)
    return None


def _ratio(number: int, rate: int) -> float | None:
    return number / rate if number > 0 and rate > 0 else None


def _of_wav(file: BinaryIO, size: int) -> float | None:
    """By the data that is there: a stream's header may promise any number of bytes."""
    at, rate = 12, 0
    for _ in range(_MOST_CHUNKS):
        if at + 8 > size:
            return None
        file.seek(at)
        name, length = file.read(4), int.from_bytes(file.read(4), "little")
        if name == b"fmt ":
            rate = int.from_bytes(file.read(12)[8:12], "little")
        elif name == b"data":
            there = size - at - 8
            return _ratio(min(length or there, there), rate)
        at += 8 + length + length % 2
    return None


def _of_mp3(file: BinaryIO, head: bytes, size: int) -> float | None:
    start = 0
    if head.startswith(b"ID3"):
        start = 10 + sum((byte & 0x7F) << (7 * (3 - n)) for n, byte in enumerate(head[6:10]))
    file.seek(start)
    data = file.read(HEAD_BYTES)
    frame = _frame(data)
    if frame is None:
        return None
    bit_rate, sample_rate, samples, length = frame
    for mark in (b"Xing", b"Info"):
        at = data.find(mark, 0, length)
        if at >= 0 and data[at + 7 : at + 8] and data[at + 7] & 1:
            return _ratio(int.from_bytes(data[at + 8 : at + 12]) * samples, sample_rate)
    following = _frame(data[length:])
    if following is None or following[0] != bit_rate:
        return None  # frames of different lengths that nobody has counted
    return _ratio((size - start) * 8, bit_rate)


def _frame(data: bytes) -> tuple[int, int, int, int] | None:
    """Bits a second, samples a second, samples and bytes of the frame that begins here."""
    bits = int.from_bytes(data[:4])
    version, layer = bits >> 19 & 3, bits >> 17 & 3
    bit_index, rate_index = bits >> 12 & 15, bits >> 10 & 3
    is_known = bits >> 21 == _SYNC and layer == _LAYER_3
    if not is_known or version not in _SAMPLE_RATES or bit_index in (0, 15) or rate_index == 3:  # noqa: PLR2004
        return None
    is_first = version == 3  # noqa: PLR2004  # MPEG 1
    bit_rate = _BIT_RATES[is_first][bit_index] * 1000
    sample_rate = _SAMPLE_RATES[version][rate_index]
    samples = 1152 if is_first else 576
    return bit_rate, sample_rate, samples, samples // 8 * bit_rate // sample_rate + (bits >> 9 & 1)


def _of_ogg(file: BinaryIO, size: int, *, rate: int, skipped: int = 0) -> float | None:
    file.seek(max(0, size - _LAST_PAGE))
    tail = file.read(_LAST_PAGE)
    at = tail.rfind(b"OggS")
    samples = int.from_bytes(tail[at + 6 : at + 14], "little", signed=True)
    return _ratio(samples - skipped, rate) if at >= 0 else None


def _of_m4a(file: BinaryIO, size: int) -> float | None:
    try:
        return read_movie(file, size).duration_s
    except ArtifactInvalid:
        return None
