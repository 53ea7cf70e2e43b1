"""A PNG takes up its request and gives it up again; its pixels never change."""

import io
import json
import zlib
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from tests.tagging import REQUEST, put_in, tag, take_out


def png(mode="RGB", **options):
    picture = Image.linear_gradient("L").resize((40, 30)).convert(mode)
    written = io.BytesIO()
    picture.save(written, "PNG", **options)
    return written.getvalue()


def with_texts(*texts):
    info = PngImagePlugin.PngInfo()
    for add, keyword, text in texts:
        getattr(info, add)(keyword, text)
    return png(pnginfo=info)


def chunk(kind, data):
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


def interlaced():
    """Seven passes of one pixel: Pillow reads interlaced files and writes none."""
    header = (1).to_bytes(4) + (1).to_bytes(4) + bytes([8, 0, 0, 0, 1])
    pixels = chunk(b"IDAT", zlib.compress(b"\0\x7f"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


FILES = {
    **{mode: partial(png, mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")},
    "transparent palette": partial(png, "P", transparency=0),
    "interlaced": interlaced,
    "with a profile": partial(png, icc_profile=b"profile" * 400),
    "with text": lambda: with_texts(("add_text", "Title", "T"), ("add_itxt", "Author", "燈")),
    "with exif": partial(png, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
}


@pytest.fixture(params=FILES.values(), ids=FILES)
def file(request):
    return request.param()


def test_it_says_what_it_was_asked_for(file):
    found = Image.open(io.BytesIO(put_in(file))).text
    assert found["Description"] == "a lantern, 紙の灯"
    assert found["Software"] == "dsrun"
    assert json.loads(found["dsrun"]) == {
        "job_id": "ab" * 32, "operation": "wanx-v1", "index": 1, "seed": 8, "request": REQUEST,
    }  # fmt: skip


def test_pixels_and_whatever_else_it_says_stay(file):
    before, after = Image.open(io.BytesIO(file)), Image.open(io.BytesIO(put_in(file)))
    assert (after.mode, after.size, after.tobytes()) == (before.mode, before.size, before.tobytes())
    assert before.text.items() <= after.text.items()
    assert after.info.items() >= before.info.items()


def test_taking_it_out_gives_the_very_bytes(file):
    assert take_out(put_in(file)) == file
    assert take_out(file) is None


def test_the_texts_stand_right_behind_the_header():
    made = put_in(png())
    assert made[:33] == png()[:33]
    assert made[37:41] == b"iTXt"  # the prompt is not ASCII
    assert made.endswith(png()[33:])


def test_what_ascii_says_is_plain_text_which_every_program_shows():
    made = put_in(png(), tag({"input": {"prompt": "a lantern"}}))
    assert b"iTXt" not in made
    assert b"tEXtDescription\0a lantern" in made
    facts = put_in(png()).partition(b"tEXtdsrun\0")[2].partition(b"}}}")[0]
    assert b"\\u7d19\\u306e\\u706f" in facts


def test_every_chunk_has_its_checksum():
    made, at, seen = put_in(png()), 8, []
    while at < len(made):
        length = int.from_bytes(made[at : at + 4])
        named, check = made[at + 4 : at + 8 + length], made[at + 8 + length : at + 12 + length]
        assert zlib.crc32(named).to_bytes(4) == check
        seen.append(named[:4])
        at += length + 12
    assert seen[:4] == [b"IHDR", b"iTXt", b"tEXt", b"tEXt"]
    assert seen[-1] == b"IEND"


@pytest.mark.parametrize("keyword", ["Description", "Software"])
@pytest.mark.parametrize("add", ["add_text", "add_itxt"])
def test_what_the_service_says_itself_has_the_word(add, keyword):
    file = with_texts((add, keyword, "the service's"))
    made = put_in(file)
    assert Image.open(io.BytesIO(made)).text[keyword] == "the service's"
    assert json.loads(Image.open(io.BytesIO(made)).text["dsrun"])["index"] == 1
    assert take_out(made) == file


def test_a_file_that_has_a_tag_gets_no_second_one():
    assert put_in(put_in(png()), tag(index=2)) is None


@pytest.mark.parametrize("ending", [40, 100, -13, -8], ids=str)
def test_a_file_that_is_cut_off_is_left_alone(ending):
    assert put_in(png()[:ending]) is None


def test_chunks_that_do_not_lead_to_pixels_are_left_alone():
    bad = png()
    assert put_in(bad[:33] + b"\0\0\0\0????" + bad[33:]) is None
    assert put_in(bad[:33] + b"\x7f\xff\xff\xfftEXt" + bad[33:]) is None


def test_a_request_without_a_prompt_gives_no_description():
    made = put_in(png(), tag({"input": {}}))
    assert "Description" not in Image.open(io.BytesIO(made)).text
    assert take_out(made) == png()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"prompt": "p", "text": "t"}, "p"),
        ({"text": "t"}, "t"),
        ({"messages": [{"content": [{"image": "u"}, {"text": "a"}, {"text": "b"}]}]}, "a\nb"),
        ({"messages": [{"content": "no list"}, "no message"]}, ""),
        ({"prompt": ["no text"]}, ""),
        ("no mapping", ""),
    ],
)
def test_the_prompt_is_found_wherever_operations_have_it(given, words):
    assert tag({"input": given}).prompt() == words


@given(
    prompt=st.text(), job_id=st.text(), operation=st.text(),
    index=st.integers(0, 9), seed=st.none() | st.integers(0, 2**32),
)  # fmt: skip
def test_any_words_come_back(prompt, job_id, operation, index, seed):
    request = {"input": {"prompt": prompt}}
    own = tag(request, job_id=job_id, operation=operation, index=index, seed=seed)
    made = put_in(png(), own)
    found = Image.open(io.BytesIO(made)).text
    assert json.loads(found["dsrun"]) == {
        "job_id": job_id, "operation": operation, "index": index, "seed": seed, "request": request,
    }  # fmt: skip
    assert found.get("Description", "") == prompt.replace("\0", "")
    assert take_out(made) == png()
