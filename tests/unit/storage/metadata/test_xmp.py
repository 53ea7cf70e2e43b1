"""JPEG and WEBP take up their request as XMP and give it up again; pixels never change."""

import io
import json
from functools import partial
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dsrun.storage.metadata import xmp
from dsrun.storage.metadata.pictures import tagged
from dsrun.storage.metadata.splice import Ends
from tests.tagging import REQUEST, put_in, tag, take_out

DC = "{http://purl.org/dc/elements/1.1/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
OWN = "{urn:dsrun:picture:1#}"
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"
ICC = b"a profile" * 20_000  # several segments of a JPEG


def saved(kind, mode="RGB", **options):
    written = io.BytesIO()
    Image.linear_gradient("L").resize((37, 22)).convert(mode).save(written, kind, **options)
    return written.getvalue()


def animated():
    written = io.BytesIO()
    frames = [Image.new("RGBA", (9, 7), (90 * n, 9, 9, 128)) for n in range(3)]
    frames[0].save(written, "WEBP", save_all=True, append_images=frames[1:], duration=40)
    return written.getvalue()


def translucent():
    """An alpha channel that is not the same everywhere, which no writer leaves out."""
    picture = Image.linear_gradient("L").resize((37, 22)).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((37, 22)))
    return picture


def of(picture, kind, **options):
    written = io.BytesIO()
    picture.save(written, kind, **options)
    return written.getvalue()


def without_jfif():
    file = saved("JPEG")
    assert file[2:4] == b"\xff\xe0"
    return file[:2] + file[4 + int.from_bytes(file[4:6]) :]


FILES = {
    "jpeg": partial(saved, "JPEG"),
    "jpeg, grey": partial(saved, "JPEG", "L"),
    "jpeg, cmyk": partial(saved, "JPEG", "CMYK"),
    "jpeg, progressive": partial(saved, "JPEG", progressive=True),
    "jpeg with exif": partial(saved, "JPEG", exif=EXIF),
    "jpeg with a profile": partial(saved, "JPEG", icc_profile=ICC),
    "jpeg with a comment": partial(saved, "JPEG", comment="own words"),
    "jpeg without jfif": without_jfif,
    "webp, lossy": partial(saved, "WEBP"),
    "webp, lossless": partial(saved, "WEBP", lossless=True),
    "webp, lossy with alpha": lambda: of(translucent(), "WEBP"),
    "webp, lossless with alpha": lambda: of(translucent(), "WEBP", lossless=True),
    "webp, animated": animated,
    "webp with exif": partial(saved, "WEBP", exif=EXIF),
    "webp with a profile": partial(saved, "WEBP", icc_profile=ICC),
}


@pytest.fixture(params=FILES.values(), ids=FILES)
def file(request):
    return request.param()


def said_by(data):
    """The prompt and the facts that the picture's XMP has."""
    packet = ET.fromstring(Image.open(io.BytesIO(data)).info["xmp"])
    words = packet.find(f".//{DC}description/{RDF}Alt/{RDF}li")
    return None if words is None else words.text, json.loads(packet.find(f".//{OWN}job").text)


def frames(data):
    picture = Image.open(io.BytesIO(data))
    for number in range(getattr(picture, "n_frames", 1)):
        picture.seek(number)
        yield picture.mode, picture.size, picture.tobytes()


def test_it_says_what_it_was_asked_for(file):
    words, facts = said_by(put_in(file))
    assert words == "a lantern, 紙の灯"
    assert facts == {
        "job_id": "ab" * 32, "operation": "wanx-v1", "index": 1, "seed": 8, "request": REQUEST,
    }  # fmt: skip


def test_pixels_and_whatever_else_it_says_stay(file):
    made = put_in(file)
    assert list(frames(made)) == list(frames(file))
    before, after = (Image.open(io.BytesIO(data)).info for data in (file, made))
    assert {key: value for key, value in after.items() if key != "xmp"} == before


def test_taking_it_out_gives_the_very_bytes(file):
    assert take_out(put_in(file)) == file
    assert take_out(file) is None


def test_a_file_that_has_xmp_keeps_it_and_gets_no_other(file):
    assert put_in(put_in(file), tag(index=2)) is None
    own = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    kind = Image.open(io.BytesIO(file)).format
    assert put_in(saved(kind, xmp=own)) is None
    assert take_out(saved(kind, xmp=own)) is None


def test_a_file_that_is_cut_off_is_left_alone(file):
    for length in (12, 20, 30, len(file) // 2, len(file) - 2):
        assert put_in(file[:length]) is None


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "GIF"])
def test_formats_without_a_place_for_it_are_left_alone(kind):
    assert put_in(saved(kind)) is None
    assert take_out(saved(kind)) is None


def test_bytes_behind_the_end_of_a_webp_leave_it_alone():
    assert put_in(saved("WEBP") + b"more") is None


def test_a_jpeg_has_it_behind_what_must_come_first():
    made = put_in(saved("JPEG", exif=EXIF))
    assert [made[2:4], made[made.index(EXIF) - 4 :][:2]] == [b"\xff\xe0", b"\xff\xe1"]
    behind = made.index(EXIF) + len(EXIF)
    assert made[behind + 4 :].startswith(b"http://ns.adobe.com/xap/1.0/\0")


def test_a_request_that_no_segment_of_a_jpeg_takes_leaves_it_alone():
    long = {"input": {"prompt": "x" * 40_000}}
    assert put_in(saved("JPEG"), tag(long)) is None
    made = put_in(saved("WEBP"), tag(long))
    assert take_out(made) == saved("WEBP")


def test_what_could_not_be_taken_out_again_is_not_put_in():
    assert put_in(saved("WEBP"), tag({"input": {"prompt": "&" * 50_000}})) is None
    assert put_in(saved("WEBP"), tag({"input": {"prompt": "x" * 60_000}})) is None


@pytest.mark.parametrize(
    ("options", "has_alpha"), [({}, False), ({"lossless": True}, True)], ids=["lossy", "lossless"]
)
def test_a_simple_webp_gets_a_header_with_its_sides_and_its_alpha(options, has_alpha):
    picture = translucent() if has_alpha else Image.new("RGB", (37, 22))
    made = put_in(of(picture, "WEBP", **options))
    assert made[12:16] == b"VP8X"
    assert bool(made[20] & 0x10) is has_alpha
    assert made[20] & 0x04
    assert int.from_bytes(made[24:27], "little") + 1 == 37
    assert int.from_bytes(made[27:30], "little") + 1 == 22
    assert int.from_bytes(made[4:8], "little") + 8 == len(made)


def simple_webp(kind, data):
    """A file of one chunk, whatever is in it."""
    size = (len(data) + 12).to_bytes(4, "little")
    return b"RIFF" + size + b"WEBP" + kind + len(data).to_bytes(4, "little") + data


@pytest.mark.parametrize(
    "data",
    [
        simple_webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + bytes(14)),
        simple_webp(b"VP8 ", bytes(20)),
        simple_webp(b"VP8L", bytes(20)),
        simple_webp(b"ABCD", bytes(20)),
        saved("WEBP")[:16] + b"\2\0\0\0" + saved("WEBP")[20:],
    ],
    ids=["no sides", "no key frame", "no signature", "no picture", "not the length"],
)
def test_a_webp_whose_picture_cannot_be_told_is_left_alone(data):
    assert put_in(data) is None


def test_a_webp_that_would_be_too_large_for_its_header_is_left_alone():
    size = 2**32 - 10
    head = b"RIFF" + size.to_bytes(4, "little") + b"WEBPVP8X\x0a\0\0\0" + bytes(10)
    assert tagged(Ends(head, b"", size + 8), tag()) is None


def test_a_webp_whose_last_chunk_is_not_as_long_as_it_says_is_left_alone():
    made = put_in(saved("WEBP"))
    at = made.index(xmp.BEGIN) - 4
    assert take_out(made[:at] + b"\1\0\0\0" + made[at + 4 :]) is None


JPEG, WEBP = saved("JPEG"), saved("WEBP")


@given(prompt=st.text(), operation=st.text())
@pytest.mark.parametrize("file", [JPEG, WEBP], ids=["jpeg", "webp"])
def test_any_words_come_back(file, prompt, operation):
    request = {"input": {"prompt": prompt}}
    made = put_in(file, tag(request, operation=operation))
    words, facts = said_by(made)
    assert (facts["request"], facts["operation"]) == (request, operation)
    assert (words or "") == xmp.plain_text(prompt)
    assert take_out(made) == file


@given(data=st.data())
def test_no_bytes_are_an_error_and_what_is_put_in_comes_out(data):
    whole = data.draw(st.sampled_from([make() for make in FILES.values()]))
    at = data.draw(st.integers(0, min(len(whole), 80)))
    junk = data.draw(st.binary(max_size=40))
    spoilt = whole[:at] + junk + whole[at + data.draw(st.integers(0, 40)) :]
    if (made := put_in(spoilt)) is not None:
        assert take_out(made) == spoilt
    take_out(spoilt)


STARTS = [b"", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff", b"RIFF"]
ENDINGS = [b"", b"IEND\xaeB`\x82", b"\xff\xd9"]


@given(st.sampled_from(STARTS), st.binary(max_size=200), st.sampled_from(ENDINGS))
def test_neither_is_garbage(start, junk, end):
    garbage = start + junk + end
    if (made := put_in(garbage)) is not None:
        assert take_out(made) == garbage
    take_out(garbage)
