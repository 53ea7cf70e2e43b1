"""Films: an MP4 of the asked length and size, with one picture of the request in big tiles.

The stream is H.264 Baseline, written by hand. Each macroblock (16 by 16 pixels) has one colour,
stored as its difference from the macroblock before it; every picture after the first skips all
macroblocks. At this quantizer one step of a level is one step of brightness, so nothing is lost.
Paragraphs (§) are those of the H.264 recommendation.
"""

import io
import struct
from dataclasses import replace

from PIL import Image

from dsrun.emulator.media.orders import FilmOrder, PictureOrder
from dsrun.emulator.media.picture import draw_picture

FRAMES_PER_S = 24
TILE = 16
QUANTIZER = 28
CHROMA_OFFSET = -6  # from 28 to 22, where a step of colour, too, is one level
LEVEL = 40  # 1080P at 24 frames a second
FRAME_NUMBERS = 16
MOST_SHORT_CODE = 14  # §9.2.2.1: a level code up to here is zeros alone
MOST_MIDDLE_CODE = 30

Plane = list[int]


def film(order: FilmOrder) -> bytes:
    """The same bytes for the same order."""
    across, down = -(-order.picture.width // TILE), -(-order.picture.height // TILE)
    still = _key_frame(*_tiles(order.picture, across, down), across)
    count = max(1, round(order.duration_s * FRAMES_PER_S))
    frames = [still, *(_same_again(number, across * down) for number in range(1, count))]
    return _container(order, _sequence(order, across, down), frames)


def _tiles(order: PictureOrder, across: int, down: int) -> tuple[Plane, Plane, Plane]:
    """Brightness and two colours of each macroblock, in the range of television (16 to 235)."""
    drawn = draw_picture(replace(order, width=4 * across, height=4 * down))
    with Image.open(io.BytesIO(drawn)) as picture:
        small = picture.convert("RGB").resize((across, down), Image.Resampling.BOX)
    light, blue, red = (list(band.tobytes()) for band in small.convert("YCbCr").split())
    chroma = [[128 + (one - 128) * 224 // 255 for one in plane] for plane in (blue, red)]
    return [16 + one * 219 // 255 for one in light], chroma[0], chroma[1]


class _Bits:
    """Bits of a NAL unit, and the codes that H.264 is made of."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def put(self, text: str) -> None:
        self._texts.append(text)

    def number(self, value: int, width: int) -> None:
        self.put(f"{value:0{width}b}")

    def ue(self, value: int) -> None:
        """Exp-Golomb, §9.1."""
        text = f"{value + 1:b}"
        self.put("0" * (len(text) - 1) + text)

    def se(self, value: int) -> None:
        self.ue(2 * value - 1 if value > 0 else -2 * value)

    def unit(self, header: int) -> bytes:
        """The NAL unit with its stop bit, and 3 put in where zeros would look like a start."""
        text = "".join(self._texts) + "1"
        text += "0" * (-len(text) % 8)
        body = int(text, 2).to_bytes(len(text) // 8, "big")
        kept, zeros = bytearray([header]), 0
        for one in body:
            if zeros == 2 and one <= 3:  # noqa: PLR2004 - §7.4.1.1
                kept.append(3)
                zeros = 0
            kept.append(one)
            zeros = zeros + 1 if one == 0 else 0
        return bytes(kept)


def _key_frame(light: Plane, blue: Plane, red: Plane, across: int) -> bytes:
    bits = _Bits()
    _slice_header(bits, kind=7, frame_number=0)
    bits.ue(0)  # idr_pic_id
    bits.put("00")  # neither no_output_of_prior_pics nor long_term_reference
    bits.se(0)
    bits.ue(1)  # no deblocking
    for at in range(len(light)):
        before = at - 1 if at % across else at - across
        # Intra 16x16 from the left, from above in the first column, from 128 in the corner.
        mode, chroma_mode = (1, 1) if at % across else (0, 2) if at else (2, 0)
        changes = [plane[at] - (plane[before] if at else 128) for plane in (light, blue, red)]
        has_colour = any(changes[1:])
        bits.ue(1 + mode + 4 * has_colour)
        bits.ue(chroma_mode)
        bits.put("1")  # mb_qp_delta 0
        _level(bits, changes[0], none="1", one="01", other="000101")
        if has_colour:
            for change in changes[1:]:
                _level(bits, change, none="01", one="1", other="000111")
    return bits.unit(0x65)


def _level(bits: _Bits, level: int, *, none: str, one: str, other: str) -> None:
    """A block whose only coefficient is its first, §9.2: its token, its level, no zeros before."""
    if level == 0:
        bits.put(none)
        return
    if abs(level) == 1:
        bits.put(one + ("1" if level < 0 else "0"))
    else:
        code = 2 * abs(level) - 4 + (level < 0)
        if code < MOST_SHORT_CODE:
            bits.put(other + "0" * code + "1")
        elif code < MOST_MIDDLE_CODE:
            bits.put(f"{other}{'0' * 14}1{code - MOST_SHORT_CODE:04b}")
        else:
            bits.put(f"{other}{'0' * 15}1{code - MOST_MIDDLE_CODE:012b}")
    bits.put("1")  # total_zeros 0


def _same_again(number: int, tiles: int) -> bytes:
    bits = _Bits()
    _slice_header(bits, kind=5, frame_number=number % FRAME_NUMBERS)
    bits.put("000")  # one reference, in its order, no marking
    bits.se(0)
    bits.ue(1)
    bits.ue(tiles)  # mb_skip_run
    return bits.unit(0x41)


def _slice_header(bits: _Bits, *, kind: int, frame_number: int) -> None:
    bits.ue(0)  # first_mb_in_slice
    bits.ue(kind)
    bits.ue(0)  # pic_parameter_set_id
    bits.number(frame_number, 4)


def _sequence(order: FilmOrder, across: int, down: int) -> bytes:
    """The avcC box: sequence and picture parameter sets, §7.3.2."""
    bits = _Bits()
    for value in (66, 0xC0, LEVEL):
        bits.number(value, 8)
    # Id 0, 16 frame numbers, output in coding order, one reference without gaps.
    for value in (0, 0, 2, 1):
        bits.ue(value)
    bits.put("0")
    bits.ue(across - 1)
    bits.ue(down - 1)
    bits.put("111")  # frames only, direct 8x8, cropped
    for value in (0, across * TILE - order.picture.width, 0, down * TILE - order.picture.height):
        bits.ue(value // 2)
    bits.put("0")
    sequence = bits.unit(0x67)
    bits = _Bits()
    bits.ue(0)
    bits.ue(0)
    bits.put("00")  # CAVLC, no field order
    for value in (0, 0, 0):
        bits.ue(value)
    bits.put("000")
    bits.se(QUANTIZER - 26)
    bits.se(0)
    bits.se(CHROMA_OFFSET)
    bits.put("100")  # deblocking is told in each slice
    picture = bits.unit(0x68)
    return _box(
        "avcC",
        bytes([1, 66, 0xC0, LEVEL, 0xFF, 0xE1]),
        struct.pack(">H", len(sequence)) + sequence,
        struct.pack(">BH", 1, len(picture)) + picture,
    )


def _container(order: FilmOrder, sequence: bytes, frames: list[bytes]) -> bytes:
    """MP4 (ISO 14496-12), the index first so that a player starts at once."""
    samples = [struct.pack(">I", len(frame)) + frame for frame in frames]
    head = _box("ftyp", b"isom", struct.pack(">I", 512), b"isomiso2avc1mp41")
    # The index says where the data starts, and its own size does not depend on that number.
    size = len(head) + len(_index(order, sequence, samples, start=0))
    index = _index(order, sequence, samples, start=size + 8)
    return head + index + _box("mdat", *samples)


def _index(order: FilmOrder, sequence: bytes, samples: list[bytes], *, start: int) -> bytes:
    count, size = len(samples), (order.picture.width, order.picture.height)
    times = struct.pack(">III", 0, 0, FRAMES_PER_S)
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    film_head = times + struct.pack(">IIH10x", count, 0x10000, 0x100) + matrix + bytes(24)
    track_head = struct.pack(">IIIII", 0, 0, 1, 0, count) + bytes(16) + matrix
    entry = struct.pack(">6xH16xHHIIIH32xHh", 1, *size, 72 << 16, 72 << 16, 0, 1, 24, -1)
    table = _box(
        "stbl",
        _full("stsd", struct.pack(">I", 1), _box("avc1", entry, sequence)),
        _full("stts", struct.pack(">III", 1, count, 1)),
        _full("stss", struct.pack(">II", 1, 1)),
        _full("stsc", struct.pack(">IIII", 1, 1, count, 1)),
        _full("stsz", struct.pack(">II", 0, count), struct.pack(f">{count}I", *map(len, samples))),
        _full("stco", struct.pack(">II", 1, start)),
    )
    place = _box("dinf", _full("dref", struct.pack(">I", 1), _full("url ", flags=1)))
    sight = _box("minf", _full("vmhd", bytes(8), flags=1), place, table)
    handler = _full("hdlr", struct.pack(">I4s12x", 0, b"vide"), b"emulated\0")
    media_head = _full("mdhd", times, struct.pack(">IHH", count, 0x55C4, 0))
    track = _box(
        "trak",
        _full("tkhd", track_head, struct.pack(">II", size[0] << 16, size[1] << 16), flags=3),
        _box("mdia", media_head, handler, sight),
    )
    return _box("moov", _full("mvhd", film_head, struct.pack(">I", 2)), track)


def _full(name: str, *parts: bytes, flags: int = 0) -> bytes:
    return _box(name, struct.pack(">I", flags), *parts)


def _box(name: str, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, name.encode()) + body
