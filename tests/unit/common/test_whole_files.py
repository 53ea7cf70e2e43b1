"""A whole file is what its kind has to be, and says how long and large it is."""

import io
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dsrun.common.media import HEAD_BYTES, MEDIA, ArtifactInvalid, Facts, identify
from dsrun.common.whole_files import examine
from tests.files_of_kinds import (
    CAPTIONS,
    FILES,
    FILM,
    JSON,
    TEXT,
    TURNED_FILM,
    model,
    picture,
    sound,
)


def box(name, content):
    return struct.pack(">I4s", len(content) + 8, name) + content


def parts(data):
    """The boxes of a film by name; it has each once."""
    found, at = {}, 0
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        found[name.decode()] = data[at : at + size]
        at += size
    return found


PARTS = parts(FILM)
FTYP, MOOV, MDAT = (PARTS[name] for name in ("ftyp", "moov", "mdat"))


@pytest.fixture
def facts_of(tmp_path):
    def look(data, media, **about):
        path = tmp_path / "file"
        path.write_bytes(data)
        with path.open("rb") as file:
            return examine(file, identify(data[:HEAD_BYTES], media=media, **about))

    return look


@pytest.mark.parametrize("media", FILES)
def test_a_whole_file_of_each_kind_is_one(facts_of, media):
    facts = {
        "image": Facts(width=64, height=48),
        "audio": Facts(duration_s=1.5),
        "video": Facts(duration_s=2.0, width=320, height=180),
    }
    assert facts_of(FILES[media][0], media) == facts.get(media, Facts())


class TestSound:
    ALONE = FILM.replace(b"vide", b"soun")

    def test_an_mp4_of_sound_alone_is_m4a_whatever_its_brand(self, facts_of):
        assert identify(self.ALONE[:HEAD_BYTES], media="audio").kind.extension == "m4a"
        assert facts_of(self.ALONE, "audio") == Facts(duration_s=2.0)

    def test_that_is_cut_off_is_kept_as_far_as_it_came(self, facts_of):
        assert facts_of(self.ALONE[:2000], "audio") == Facts()

    def test_a_video_is_none(self, facts_of):
        with pytest.raises(ArtifactInvalid, match="the file is no audio: it is a video"):
            facts_of(FILM, "audio")


class TestVideo:
    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(FTYP + MDAT + MOOV, id="its index at the end"),
            pytest.param(FILM + bytes(100), id="zeros after it"),
            pytest.param(FTYP + box(b"free", b"") + MOOV + MDAT, id="room left in it"),
            pytest.param(
                FTYP + MOOV + struct.pack(">I4sQ", 1, b"mdat", len(MDAT) + 8) + MDAT[8:],
                id="a long size",
            ),
            pytest.param(FTYP + MOOV + b"\0\0\0\0mdat" + MDAT[8:], id="to the end of the file"),
        ],
    )
    def test_in_another_order_it_is_as_whole(self, facts_of, data):
        assert facts_of(data, "video") == Facts(duration_s=2.0, width=320, height=180)

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            pytest.param(FTYP, "no index", id="its first part only"),
            pytest.param(FTYP + MDAT, "no index", id="without its index"),
            pytest.param(FTYP + MOOV, "no content", id="without its pictures"),
            pytest.param(FILM[:-1], "cut off: its part 'mdat' has", id="one byte too few"),
            pytest.param(FTYP + box(b"moov", b"") + MDAT, "no track of pictures", id="no tracks"),
            pytest.param(FTYP + struct.pack(">I4s", 3, b"mdat"), "cut off", id="an absurd size"),
        ],
    )
    def test_a_part_of_one_is_refused(self, facts_of, data, words):
        with pytest.raises(ArtifactInvalid, match=words):
            facts_of(data, "video")

    def test_cut_off_anywhere_it_is_refused(self, facts_of):
        for length in range(1, len(FILM), 211):
            with pytest.raises(ArtifactInvalid):
                facts_of(FILM[:length], "video")

    def test_quicktime_is_told_by_its_brand(self):
        head = FILM[:8] + b"qt  " + FILM[12:]
        assert identify(head, media="video").kind == ("video/quicktime", "mov")

    def test_a_film_on_its_side_is_as_wide_as_it_is_shown(self, facts_of):
        assert facts_of(TURNED_FILM, "video") == Facts(duration_s=2.0, width=180, height=320)

    @given(
        changes=st.lists(st.tuples(st.integers(0, len(FILM) - 1), st.integers(0, 255)), max_size=9)
    )
    def test_flipped_bytes_give_facts_or_a_refusal(self, tmp_path_factory, changes):
        data = bytearray(FTYP + MOOV + MDAT[:200])
        for at, value in changes:
            data[at % len(data)] = value
        path = tmp_path_factory.mktemp("film") / "film"
        path.write_bytes(data)
        with suppress(ArtifactInvalid), path.open("rb") as file:
            facts = examine(file, identify(bytes(data[:HEAD_BYTES]), media="video"))
            assert all(fact is None or fact > 0 for fact in facts)


class TestSounds:
    def test_the_header_of_a_stream_may_promise_any_length(self, facts_of):
        data = sound(1.0)
        at = data.index(b"data") + 4
        endless = data[:at] + b"\xff\xff\xff\x7f" + data[at + 4 :]
        assert facts_of(endless, "audio") == Facts(duration_s=1.0)
        assert facts_of(data[:at] + bytes(4) + data[at + 4 :], "audio") == Facts(duration_s=1.0)

    def test_frames_of_one_length_tell_that_of_an_mp3(self, facts_of):
        frame = b"\xff\xf3\x88\xc4" + bytes(284)  # 64 kbit/s at 16 kHz: 288 bytes, 36 ms
        assert facts_of(frame * 100, "audio") == Facts(duration_s=3.6)
        tagged = b"ID3\x04\0\0\0\0\x01\x00" + bytes(128) + frame * 100
        assert facts_of(tagged, "audio") == Facts(duration_s=3.6)

    def test_opus_is_told_from_other_sounds_of_ogg(self, facts_of):
        page = b"OggS\0\2" + bytes(20) + b"\1\x13"
        opus = page + b"OpusHead\1\1" + struct.pack("<HI", 312, 16000) + bytes(3)
        end = b"OggS\0\4" + struct.pack("<q", 48000 + 312) + bytes(20)
        assert facts_of(opus + end, "audio") == Facts(duration_s=1.0)
        assert identify(opus, media="audio").kind.extension == "opus"
        vorbis = page + b"\1vorbis" + bytes(5) + struct.pack("<I", 24000) + bytes(20)
        assert identify(vorbis, media="audio").kind.extension == "ogg"

    @pytest.mark.parametrize("data", [b"ID3\4" + bytes(100), b"\xff\xe3\x18\xc4" + bytes(99)])
    def test_a_length_that_nobody_can_tell_is_none(self, facts_of, data):
        assert facts_of(data, "audio") == Facts()

    @given(data=st.binary(max_size=300))
    def test_no_sound_is_refused_for_its_length(self, tmp_path_factory, data):
        path = tmp_path_factory.mktemp("sound") / "sound"
        for start in (b"RIFF\0\0\0\0WAVE", b"ID3", b"OggS\0\2OpusHead", b"fLaC", b"\xff\xfb"):
            path.write_bytes(start + data)
            with path.open("rb") as file, suppress(ArtifactInvalid):
                found = identify(start + data, media="audio")
                assert examine(file, found).duration_s != 0


class TestTexts:
    @pytest.mark.parametrize(
        ("data", "media", "words"),
        [
            pytest.param(b"", "text", "is empty", id="nothing"),
            pytest.param(b"caf\xe9", "text", "no text", id="another encoding"),
            pytest.param("灯笼".encode("utf-16"), "text", "no text", id="UTF-16"),
            pytest.param(b"a" * HEAD_BYTES + b"\xff", "text", "UTF-8", id="bad far behind"),
            pytest.param(b"a" * HEAD_BYTES + b"\0", "text", "zero bytes", id="zeros far behind"),
            pytest.param(TEXT + "灯".encode()[:2], "text", "cut off", id="a cut character"),
            pytest.param(b"\r\n <HTML>not found", "text", "no text", id="a page"),
            pytest.param(b"<?xml version='1.0'?><Error/>", "captions", "no SRT", id="XML"),
            pytest.param(b"plain words", "captions", "begin with a cue", id="words"),
            pytest.param(sound(), "text", "no text: audio/x-wav", id="a sound"),
            pytest.param(picture(), "json", "no JSON: image/png", id="a picture"),
            pytest.param(JSON[:-3], "json", "no JSON, or cut off", id="half of it"),
            pytest.param(b"{'a': 1}", "json", "no JSON", id="Python"),
            pytest.param(b"[NaN]", "json", "no JSON", id="no number"),
            pytest.param(b"[" * 100_000, "json", "no JSON", id="very deep"),
        ],
    )
    def test_what_is_none_is_refused(self, facts_of, data, media, words):
        with pytest.raises(ArtifactInvalid, match=words):
            facts_of(data, media)

    @pytest.mark.parametrize(
        ("data", "media"),
        [
            (b"\xef\xbb\xbf" + JSON, "json"), (b"7", "json"), (b"null", "json"),
            (b"\xef\xbb\xbf" + CAPTIONS, "captions"), (("灯" * HEAD_BYTES).encode(), "text"),
        ],
    )  # fmt: skip
    def test_what_is_one_is_kept(self, facts_of, data, media):
        assert facts_of(data, media) == Facts()

    @pytest.mark.parametrize("data", [b"", b"<!DOCTYPE html><p>asked for a page</p>"])
    def test_a_text_of_an_answer_itself_may_be_empty_or_a_page(self, facts_of, data):
        assert facts_of(data, "text", in_answer=True) == Facts()

    def test_a_recording_without_words_has_no_captions(self, facts_of):
        assert facts_of(b"", "captions", in_answer=True) == Facts()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(model()[:-1], "cut off", id="cut off"),
        pytest.param(model() + b"\0", "too much", id="more than its length"),
        pytest.param(model()[:10], "header", id="half a header"),
        pytest.param(b"glTF\x07" + model()[5:], "header", id="another version"),
        pytest.param(b'{"asset": {}}', "no GLB model", id="glTF as JSON"),
    ],
)
def test_a_model_that_is_none_is_refused(facts_of, data, words):
    with pytest.raises(ArtifactInvalid, match=words):
        facts_of(data, "model")


def test_a_picture_with_much_before_its_size_has_one(facts_of):
    file = io.BytesIO()
    Image.new("RGB", (640, 480)).save(file, "JPEG", exif=b"Exif\0\0" + bytes(3 * HEAD_BYTES))
    assert facts_of(file.getvalue(), "image") == Facts(width=640, height=480)


@pytest.mark.parametrize("media", MEDIA)
def test_an_empty_file_is_none_of_any_kind(media):
    with pytest.raises(ArtifactInvalid, match="empty"):
        identify(b"", media=media)
