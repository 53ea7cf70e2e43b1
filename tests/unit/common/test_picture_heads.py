"""Pictures whose header is of the commonest form: as Pillow reads it, or left to Pillow."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dsrun.common.media import HEAD_BYTES, ArtifactInvalid, identify
from dsrun.common.picture_heads import Sized, sized


def picture(kind, size=(64, 48), mode="RGB", **options):
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **options)
    return file.getvalue()[:HEAD_BYTES]


PNG, JPEG = picture("PNG"), picture("JPEG")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "1", "I;16"])
def test_a_png_with_its_pixels_right_behind_the_header(mode):
    assert sized(picture("PNG", (1024, 768), mode)) == Sized("png", 1024, 768)


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"quality": 95}, {"optimize": True}]
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_with_the_segments_that_it_must_have(mode, options):
    assert sized(picture("JPEG", (1024, 768), mode, **options)) == Sized("jpg", 1024, 768)


def texts():
    info = PngInfo()
    info.add_text("Software", "x")
    return info


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(picture("PNG", pnginfo=texts()), id="png with texts"),
        pytest.param(picture("PNG", mode="P"), id="png with a palette"),
        pytest.param(picture("PNG", save_all=True, append_images=[Image.new("RGB", (64, 48), 9)]),
                     id="animated png"),
        pytest.param(picture("JPEG", mode="CMYK"), id="jpeg of four colours"),
        pytest.param(picture("JPEG", comment=b"x" * 20), id="jpeg with a comment"),
        pytest.param(picture("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"), id="jpeg with exif"),
        pytest.param(picture("WEBP"), id="webp"),
        pytest.param(picture("GIF"), id="gif"),
        pytest.param(b"", id="nothing"),
    ],
)  # fmt: skip
def test_what_has_more_in_its_header_is_for_the_decoder(head):
    assert sized(head) is None


def pillow_says(head):
    """Kind and size as Pillow reads them; None where it does not take the header."""
    try:
        with Image.open(io.BytesIO(head)) as image:
            return Sized({"PNG": "png", "JPEG": "jpg"}.get(image.format, ""), *image.size)
    except Exception:  # noqa: BLE001  # a decoder may fail in any way
        return None


@pytest.mark.parametrize("head", [PNG, JPEG], ids=["png", "jpeg"])
@given(place=st.integers(0, 700), byte=st.integers(0, 255), length=st.integers(0, HEAD_BYTES))
def test_whatever_is_changed_nothing_is_known_that_pillow_does_not_say(head, place, byte, length):
    changed = bytearray(head)
    changed[place % len(head)] = byte
    known = sized(bytes(changed[: length % len(head) + 1]))
    assert known is None or known == pillow_says(bytes(changed))


@pytest.mark.parametrize("cut", range(0, 700, 7))
@pytest.mark.parametrize("head", [PNG, JPEG], ids=["png", "jpeg"])
def test_a_header_that_is_cut_off_is_never_known_by_less_than_pillow_needs(head, cut):
    known = sized(head[:cut])
    assert known is None or known == pillow_says(head[:cut])


def test_a_picture_of_too_many_pixels_is_refused_by_its_few_bytes_too():
    head = bytearray(JPEG)
    at = head.index(b"\xff\xc0") + 5
    head[at : at + 4] = b"\xff\xff\xff\xff"
    assert sized(bytes(head)) == Sized("jpg", 65535, 65535)
    with pytest.raises(ArtifactInvalid, match="65535x65535 pixels, which nobody asked for"):
        identify(bytes(head), media="image")
