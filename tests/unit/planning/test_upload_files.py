"""Which local files may be uploaded, and how they are known."""

import hashlib
import io
import os
import re

import pytest
from PIL import Image

from dsrun.common.errors import FileChanged
from dsrun.common.user_files import CheckedReader, Inputs
from dsrun.planning.uploads import UploadFault, UploadFiles
from dsrun.service.catalog import load_catalog
from tests.files_of_kinds import FILM, sound

[FIELD] = load_catalog()["wanx-v1"].uploads.fields
FORMATS = {"jpg": "JPEG", "png": "PNG", "bmp": "BMP", "tiff": "TIFF", "webp": "WEBP"}


def picture(kind="PNG", size=(256, 256)):
    file = io.BytesIO()
    Image.new("1" if kind == "PNG" else "RGB", size).save(file, kind)
    return file.getvalue()


@pytest.fixture
def find(tmp_path):
    """Write a file and find it by its name."""
    root = tmp_path / "project"
    (root / "refs").mkdir(parents=True)
    files = UploadFiles(Inputs(root))

    def finder(content=None, *, name="refs/a"):
        if content is not None:
            (root / name).write_bytes(content)
        return files.find(name, FIELD)

    finder.root = root
    finder.files = files
    return finder


def test_the_published_limits_are_data():
    assert FIELD.at == ("input", "ref_img")
    assert set(FIELD.formats) == set(FORMATS)
    assert (FIELD.max_bytes, FIELD.min_side, FIELD.max_side) == (10 * 2**20, 256, 4096)


@pytest.mark.parametrize("extension", FORMATS)
def test_each_format_is_known_by_its_content_whatever_its_name(extension, find):
    content = picture(FORMATS[extension])
    file = find(content, name="refs/no-extension")
    assert (file.extension, file.size) == (extension, len(content))
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert find.files.by_content == {file.sha256: file}
    assert find.files.digests == {"refs/no-extension": file.sha256}


@pytest.mark.parametrize(
    "size", [(256, 256), (4096, 4096), (256, 4096)], ids=lambda size: "x".join(map(str, size))
)
def test_the_largest_and_the_smallest_picture_are_good(size, find):
    assert find(picture(size=size)).extension == "png"


@pytest.mark.parametrize(
    "size",
    [(255, 256), (256, 255), (4097, 4096), (4096, 4097), (10_000, 12_000), (20_000, 20_000)],
    ids=lambda size: "x".join(map(str, size)),
)
def test_one_pixel_less_or_more_is_refused(size, find):
    with pytest.raises(UploadFault, match="pixels; allowed: 256x256 to 4096x4096") as caught:
        find(picture(size=size))
    assert caught.value.kind == "sides"


class TestRatio:
    """The longer side is at most ten times the shorter one, where that is published."""

    [FIELD] = load_catalog()["qwen-mt-image"].uploads.fields

    @pytest.mark.parametrize("size", [(15, 15), (150, 15), (15, 150), (8192, 820)], ids=str)
    def test_up_to_it_a_picture_is_good(self, size, find):
        (find.root / "refs/a").write_bytes(picture(size=size))
        assert find.files.find("refs/a", self.FIELD).extension == "png"

    @pytest.mark.parametrize("size", [(151, 15), (15, 151), (8192, 819), (14, 15)], ids=str)
    def test_beyond_it_a_picture_is_refused(self, size, find):
        (find.root / "refs/a").write_bytes(picture(size=size))
        words = "pixels; allowed: 15x15 to 8192x8192, width:height from 1:10 to 10:1"
        with pytest.raises(UploadFault, match=words) as caught:
            find.files.find("refs/a", self.FIELD)
        assert caught.value.kind == "sides"


@pytest.mark.parametrize(("model", "is_good"), [("wan2.6-image", True), ("wan2.7-image", False)])
def test_a_model_whose_ratio_is_null_takes_any(model, is_good, find):
    [field] = load_catalog()[model].uploads.fields
    (find.root / "refs/a").write_bytes(picture(size=(8000, 240)))
    if is_good:
        assert find.files.find("refs/a", field).extension == "png"
    else:
        with pytest.raises(UploadFault, match="width:height from 1:8 to 8:1"):
            find.files.find("refs/a", field)


class TestSounds:
    """A recording for voice cloning plays at most 60 s."""

    [FIELD] = load_catalog()["qwen-voice-clone"].uploads.fields
    SOUND_ALONE = FILM.replace(b"vide", b"soun")  # 2 s, of a brand that films have too
    FRAME = b"\xff\xfb\x90\x64" + bytes(413)  # of MP3: 1152 of 44100 samples a second

    @pytest.mark.parametrize(
        ("content", "extension", "seconds"),
        [
            (sound(60), "wav", 60),
            (SOUND_ALONE, "m4a", 2),
            (SOUND_ALONE.replace(b"ftypisom", b"ftypM4A "), "m4a", 2),
            (FRAME * 2296, "mp3", 59.8),
        ],
        ids=["wav", "mp4 of sound", "m4a", "mp3"],
    )
    def test_up_to_that_it_is_good_and_its_length_known(self, content, extension, seconds, find):
        (find.root / "refs/a").write_bytes(content)
        file = find.files.find("refs/a", self.FIELD)
        assert file.extension == extension
        assert float(file.seconds) == pytest.approx(seconds, abs=0.2)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (sound(60.1), "plays 60.1 s; allowed: at most 60 s"),
            (FRAME * 2310, "plays 60.2 s; allowed: at most 60 s"),
            (FILM, "the file is no audio: it is a video; allowed: WAV, MP3 or M4A"),
            (b"OggS" + bytes(99), "is of format OGG; allowed: WAV, MP3 or M4A"),
        ],
        ids=["wav", "mp3", "a video", "ogg"],
    )
    def test_beyond_it_or_of_another_kind_it_is_refused(self, content, words, find):
        (find.root / "refs/a").write_bytes(content)
        with pytest.raises(UploadFault, match=re.escape(words)):
            find.files.find("refs/a", self.FIELD)


def test_ten_megabytes_are_good_and_a_byte_more_is_not(find):
    content = picture()
    whole = content + bytes(FIELD.max_bytes - len(content))
    assert find(whole, name="refs/a").size == FIELD.max_bytes
    words = r"has 10\.0 MB \(10485761 bytes\); allowed: at most 10 MB \(10485760 bytes\)"
    with pytest.raises(UploadFault, match=words):
        find(whole + b"\0", name="refs/b")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"hello", "the file is no image: it starts with 'hello'", id="text"),
        pytest.param(picture("GIF"), "is of format GIF", id="gif"),
        pytest.param(b"%PDF-1.7 ", "the file is no image", id="pdf"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(99), "header cannot be read", id="damaged"),
    ],
)
def test_what_is_no_picture_of_these_formats_is_refused(content, words, find):
    with pytest.raises(UploadFault) as caught:
        find(content, name="refs/a.jpg")
    assert re.search(words, str(caught.value))
    assert caught.value.kind == "format"
    assert find.files.by_content == {}


def test_a_missing_file_is_told_with_the_nearest_name(find):
    find(picture(), name="refs/teapot.jpg")
    with pytest.raises(UploadFault) as caught:
        find(name="refs/teapott.jpg")
    words = '"refs/teapott.jpg": no such file (did you mean refs/teapot.jpg?)'
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("../outside.png", "outside", id="up"),
        pytest.param("refs/../../outside.png", "outside", id="down and up"),
        pytest.param("refs/link.png", "outside", id="a link"),
        pytest.param("/etc/hostname", "outside", id="absolute"),
        pytest.param("refs", "kind", id="a folder"),
        pytest.param("", "kind", id="no name"),
        pytest.param("refs/pipe", "kind", id="a pipe"),
        pytest.param("a\0b", "name", id="NUL"),
        pytest.param("\ud800", "name", id="half a sign"),
        pytest.param("x" * 5000, "name", id="too long"),
        pytest.param("refs/loop", "name", id="a link to itself"),
        pytest.param(7, "type", id="a number"),
        pytest.param(None, "type", id="nothing"),
    ],
)
def test_only_files_below_the_manifest_s_folder_are_read(name, kind, find):
    (find.root.parent / "outside.png").write_bytes(picture())
    (find.root / "refs/link.png").symlink_to(find.root.parent / "outside.png")
    (find.root / "refs/loop").symlink_to("loop")
    os.mkfifo(find.root / "refs/pipe")
    with pytest.raises(UploadFault) as caught:
        find(name=name)
    assert caught.value.kind == kind


def test_a_link_that_stays_below_is_followed(find):
    first = find(picture(), name="refs/a.png")
    (find.root / "b.png").symlink_to("refs/a.png")
    assert find(name="b.png") == first


def test_a_file_is_read_once_whatever_becomes_of_it(find):
    first = find(picture())
    (find.root / "refs/a").write_bytes(b"something else")
    assert find(name="refs/a") is first


def test_a_file_as_it_was_is_read_to_its_end(find):
    content = picture()
    with CheckedReader(find(content)) as data:
        assert data.read(10) + data.read() == content
        data.check()


def test_a_file_that_changed_is_noticed(find):
    content = picture()
    file = find(content)
    file.path.write_bytes(content[:-1] + b"!")
    with CheckedReader(file) as data:
        data.read()
        with pytest.raises(FileChanged, match="refs/a is not what it was"):
            data.check()
    file.path.write_bytes(content + b"!")
    with pytest.raises(FileChanged):
        CheckedReader(file)
    file.path.unlink()
    with pytest.raises(FileChanged):
        CheckedReader(file)
