"""Local files in lists of a request, and as data URLs: from the manifest to the service."""

import base64
import io
import json

import pytest
from PIL import Image

from dsrun.common.resources import iter_operation_files
from tests.files_of_kinds import sound

POST_FILE = "dashscope-file-mgr"
VOICE = dict(iter_operation_files())["qwen-voice-design"]


def picture(colour, side=400):
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def refs(work):
    (work.folder / "refs").mkdir()
    for colour in ("red", "blue"):
        (work.folder / f"refs/{colour}.png").write_bytes(picture(colour))
    return work.folder / "refs"


def edits(work, images, *, operation="wan2.5-i2i-preview", matrix="", **execution):
    steps = f"""
steps:
  edits:
    operation: {operation}
    {matrix}
    input:
      prompt: two pots
      images: {images}
"""
    return work.pipeline(steps, **execution)


def bodies(service):
    return [json.loads(body) for body in service.creates()]


TWO = "[{upload: refs/red.png}, {upload: refs/blue.png}]"


@pytest.mark.parametrize("operation", ["wan2.5-i2i-preview", "wan2.6-image", "wan2.7-image"])
def test_each_file_of_a_list_is_uploaded_once(work, refs, emulator, operation):
    mixed = "[{upload: refs/red.png}, 'https://example.com/a.png', {upload: refs/blue.png}]"
    outcome = work.dsrun(edits(work, mixed, operation=operation, matrix="repeat: 2"))
    assert outcome.code == 0, outcome.err
    assert emulator.count("POST", POST_FILE) == 2
    sent = json.dumps(bodies(emulator)[0]["input"])
    assert sent.count("oss://") == 2
    assert "https://example.com/a.png" in sent
    request = work.results()[0]["request"]["input"]
    assert json.dumps(request).count('{"upload": "sha256:') == 2


def test_a_file_at_another_place_of_the_list_is_another_request(work, refs, emulator):
    pipeline = edits(
        work,
        "['{{ first }}', '{{ second }}']",
        matrix="matrix: {zip: [{first: {upload: refs/red.png}, second: {upload: refs/blue.png}}, "
        "{first: {upload: refs/blue.png}, second: {upload: refs/red.png}}]}",
    )
    outcome = work.dsrun(pipeline)
    assert outcome.code == 0, outcome.err
    assert len({line["job_id"] for line in work.results()}) == 2
    assert emulator.count("POST", POST_FILE) == 2


def test_a_bad_file_of_a_list_is_told_at_its_place_and_nothing_is_sent(work, refs, emulator):
    (refs / "small.png").write_bytes(picture("red", side=100))
    images = "[{upload: refs/red.png}, {upload: refs/small.png}]"
    for operation in ("wan2.5-i2i-preview", "wan2.6-image"):
        outcome = work.dsrun(edits(work, images, operation=operation))
        assert outcome.code == 2
        assert "steps.edits.input.images[1].upload" in outcome.err
        assert "has 100x100 pixels" in outcome.err
    assert emulator.requests() == []


def test_limits_differ_by_model(work, refs, emulator):
    flat = io.BytesIO()
    Image.new("RGB", (2400, 250)).save(flat, "PNG")
    (refs / "flat.png").write_bytes(flat.getvalue())
    images = "[{upload: refs/flat.png}]"
    assert work.dsrun("validate", edits(work, images, operation="wan2.6-image")).code == 0
    outcome = work.dsrun("validate", edits(work, images, operation="wan2.7-image"))
    assert outcome.code == 2
    assert "width:height from 1:8 to 8:1" in outcome.err


def test_a_model_without_pictures_takes_no_file(work, refs, emulator):
    outcome = work.dsrun("validate", edits(work, TWO, operation="wan2.6-t2i"))
    assert outcome.code == 2


def test_an_edited_picture_of_a_list_is_another_run(work, refs, emulator):
    pipeline = edits(work, TWO, operation="wan2.6-image")
    assert work.dsrun(pipeline).code == 0
    before = work.run_dir()
    (refs / "blue.png").rename(refs / "sea.png")
    renamed = TWO.replace("blue", "sea")
    assert work.dsrun(edits(work, renamed, operation="wan2.6-image")).code == 0
    assert work.run_dir() == before
    (refs / "sea.png").write_bytes(picture("green"))
    assert work.dsrun(edits(work, renamed, operation="wan2.6-image")).code == 0
    assert work.run_dir() != before


class TestDataUrl:
    """A file that goes in the request itself."""

    @pytest.fixture
    def clone(self, work, serve):
        """An operation that takes sound as a data URL, and the service that has it."""
        schema = json.loads(VOICE)
        schema["properties"]["model"]["const"] = "clone-1"
        fields = schema["properties"]["input"]["properties"]
        fields["audio"] = {
            "type": "object",
            "required": ["data"],
            "additionalProperties": False,
            "properties": {"data": {"type": "string", "pattern": "^(https?://|data:audio/)"}},
        }
        about = schema["x-dsrun"]
        about["recovery"] = {"by": "repeat", "times": 1}
        about["price"]["items"][0]["amount"] = "0.01"
        about["uploads"] = {
            "fields": [
                {
                    "at": "/input/audio/data", "as": "data", "media": "audio",
                    "formats": ["wav", "mp3"], "max_bytes": 2**20, "max_s": 10, "min_s": 1,
                }
            ]
        }  # fmt: skip
        text = json.dumps(schema)
        (work.folder / "operations").mkdir()
        (work.folder / "operations/clone.json").write_text(text, encoding="utf-8")

        def begin(*faults, content=None):
            (work.folder / "me.wav").write_bytes(content or sound(2))
            steps = """
steps:
  voices:
    operation: clone
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: A calm voice
      preview_text: Good evening.
      audio: {data: {upload: me.wav}}
"""
            return serve(*faults, operations=(text,)), work.pipeline(steps)

        return begin

    def test_is_sent_whole_and_kept_as_its_digest(self, work, clone):
        service, pipeline = clone()
        outcome = work.dsrun(pipeline)
        assert outcome.code == 0, outcome.err
        [body] = bodies(service)
        head, _, text = body["input"]["audio"]["data"].partition(",")
        assert head == "data:audio/wav;base64"
        assert base64.b64decode(text) == sound(2)
        assert service.count("POST", POST_FILE) == 0
        assert (work.run_dir() / "ledger.sqlite3").stat().st_size < 100_000
        [row] = work.query("SELECT request FROM job")
        assert "sha256:" in row["request"]
        assert "base64" not in row["request"]

    def test_is_sent_again_whole(self, work, clone):
        service, pipeline = clone("lost-answer")
        service.strike_only(1)
        assert work.dsrun(pipeline).code == 0
        assert service.paid() == 2
        assert len(service.creates()) == 1

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (sound(0.5), "plays 0.5 s; allowed: 1 s to 10 s"),
            (sound(11), "plays 11.0 s; allowed: 1 s to 10 s"),
            (sound(9, rate=48000), "has 1.1 MB as base64 (1152092 bytes); allowed: at most 1 MB"),
            (b"OggS" + bytes(99), "allowed: WAV or MP3"),
        ],
    )
    def test_is_held_to_its_limits(self, work, clone, content, words):
        service, pipeline = clone(content=content)
        outcome = work.dsrun(pipeline)
        assert outcome.code == 2
        assert words in outcome.err
        assert service.requests() == []

    def test_that_changes_before_it_is_sent_fails_its_job(self, work, clone):
        service, pipeline = clone("throttle")
        child = work.spawn(pipeline)
        work.until(lambda: service.count("POST"), what="a create")
        (work.folder / "me.wav").write_bytes(sound(2, rate=48000))
        service.heal()
        outcome = child.end()
        assert outcome.code == 1
        assert "FileChanged" in outcome.err
        assert service.paid() == 0
