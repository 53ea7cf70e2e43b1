"""The kind of received bytes, from the bytes alone."""

import io

import pytest
from PIL import Image

from dsrun.common.media import HEAD_BYTES, ArtifactInvalid, Kind, end_mark, identify


def picture(kind, size=(64, 48)):
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, kind)
    return file.getvalue()


WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00" + bytes(20)
OPUS = b"OggS\x00\x02" + bytes(22) + b"OpusHead" + bytes(20)
MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(100)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        pytest.param("PNG", Kind("image/png", "png"), id="png"),
        pytest.param("JPEG", Kind("image/jpeg", "jpg"), id="jpeg"),
        pytest.param("WEBP", Kind("image/webp", "webp"), id="webp"),
        pytest.param("BMP", Kind("image/bmp", "bmp"), id="bmp"),
        pytest.param("TIFF", Kind("image/tiff", "tiff"), id="tiff"),
    ],
)
def test_a_picture_is_known_by_its_own_bytes(kind, found):
    data = picture(kind)
    assert identify(data[:HEAD_BYTES], media="image", declared=None).kind == found


@pytest.mark.parametrize(
    ("data", "declared", "found"),
    [
        pytest.param(WAV, "wav", Kind("audio/wav", "wav"), id="wav"),
        pytest.param(WAV, "mp3", Kind("audio/wav", "wav"), id="wav, whatever is declared"),
        pytest.param(WAV, "pcm", Kind("audio/wav", "wav"), id="wav where pcm is declared"),
        pytest.param(OPUS, "opus", Kind("audio/ogg", "opus"), id="opus"),
        pytest.param(MP3, "mp3", Kind("audio/mpeg", "mp3"), id="mp3"),
        pytest.param(bytes(100), "pcm", Kind("audio/pcm", "pcm"), id="pcm has no header"),
    ],
)
def test_a_sound_is_known_by_its_own_bytes_and_pcm_by_its_name(data, declared, found):
    assert identify(data, media="audio", declared=declared).kind == found


@pytest.mark.parametrize(
    ("data", "media", "words"),
    [
        pytest.param(b"", "image", "the file is empty", id="empty"),
        pytest.param(b"<html>not found</html>", "image", "no image: it starts with", id="html"),
        pytest.param(b'{"code": "x"}', "audio", "no audio: it starts with", id="json"),
        pytest.param(WAV, "image", "the file is no image", id="a sound for a picture"),
        pytest.param(picture("PNG"), "audio", "the file is no audio", id="a picture for a sound"),
        pytest.param(picture("PNG")[:20], "image", "header cannot be read", id="a cut header"),
        pytest.param(bytes(100), "audio", "the file is no audio", id="zeros"),
    ],
)
def test_what_the_job_did_not_ask_for_is_refused(data, media, words):
    with pytest.raises(ArtifactInvalid, match=words):
        identify(data, media=media, declared=None)


def test_the_head_of_a_large_picture_is_enough():
    data = picture("PNG", size=(2000, 1500))
    assert identify(data[:HEAD_BYTES], media="image", declared=None).kind.extension == "png"


@pytest.mark.parametrize("declared", ["mp3", None])
def test_mp3_at_8000_hz_is_known_by_its_frame(declared):
    found = identify(b"\xff\xe3\x18\xc4" + bytes(100), media="audio", declared=declared)
    assert found.kind == Kind("audio/mpeg", "mp3")


def test_a_body_that_cannot_be_had_again_is_believed_to_be_what_it_is_called():
    found = identify(b"what is this", media="audio", declared="opus")
    assert found.kind == Kind("audio/ogg", "opus")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_whole_picture_has_the_mark_of_its_kind_at_its_end(kind):
    data = picture(kind)
    assert data.endswith(end_mark(data[:HEAD_BYTES]))


def test_other_files_have_no_mark():
    assert end_mark(b"RIFF") == b""
