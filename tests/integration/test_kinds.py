"""Files of every kind, from the address of a task to all that tells of a run."""

import hashlib
import json

import pytest

from tests.files_of_kinds import FILES, FILM, picture
from tests.studio import Studio, operation

PAGE = b"<!DOCTYPE html><html><body>404 not found</body></html>"
FACTS = {
    "image": (None, 64, 48),
    "audio": (1.5, None, None),
    "video": (2.0, 320, 180),
}


@pytest.fixture
def studio(monkeypatch, key):
    server = Studio()
    server.files = {media: data for media, (data, _, _) in FILES.items()}
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", server.address)
    monkeypatch.setenv("DASHSCOPE_API_KEY", key)
    yield server
    server.close()


def pipeline(work, *kinds, name="demo", **execution):
    """A step for each kind, whose operation the user has a file of."""
    (work.folder / "operations").mkdir(exist_ok=True)
    steps = ""
    for media in kinds:
        path = work.folder / f"operations/any-{media}.json"
        path.write_text(json.dumps(operation(media)), encoding="utf-8")
        steps += f"  {media}:\n    operation: any-{media}\n    input: {{prompt: {media}}}\n"
    return work.pipeline(f"steps:\n{steps}", name=name, **execution)


def test_a_file_of_every_kind_is_kept_and_told_of(work, studio):
    outcome = work.dsrun(pipeline(work, *FILES))
    assert outcome.code == 0, outcome.err
    lines = {line["step"]: line for line in work.results()}
    for media, (data, extension, media_type) in FILES.items():
        (file,) = lines[media]["artifacts"]
        assert file["path"].endswith(f".{extension}")
        assert (file["media_type"], file["source_sha256"]) == (
            media_type, hashlib.sha256(data).hexdigest(),
        )  # fmt: skip
        facts = (file["duration_s"], file["width"], file["height"])
        assert facts == FACTS.get(media, (None, None, None))
        if media != "image":  # which has its request in it
            assert (work.run_dir() / file["path"]).read_bytes() == data
    assert work.dsrun("verify", "outputs/demo").code == 0


@pytest.mark.parametrize(
    ("media", "data", "words"),
    [
        ("video", PAGE, "the file is no video: it starts with '<!DOCTYPE html>"),
        ("video", picture(), "the file is no video: image/png"),
        ("video", FILM[: len(FILM) // 2], "the video cannot be played: it is cut off"),
        ("audio", PAGE, "the file is no audio"),
        ("text", PAGE, "the file is no text"),
        ("text", b"\xff\xfea\0b\0", "the file is no text"),
        ("json", FILES["json"][0][:40], "the file is no JSON, or cut off"),
        ("model", FILES["model"][0][:-4], "the GLB model is cut off"),
        ("captions", b"Not found", "the file is no SRT captions"),
    ],
)  # fmt: skip
def test_what_is_none_is_no_result_and_is_fetched_again(work, studio, media, data, words):
    studio.files[media] = data
    outcome = work.dsrun(pipeline(work, media, max_attempts=1))
    assert outcome.code == 3
    assert words in outcome.err
    assert (work.statuses(), work.files()) == ({"submitted": 1}, {})
    studio.files[media] = FILES[media][0]
    assert work.dsrun("demo.yaml").code == 0
    assert studio.creates == [media]


def test_files_of_every_kind_come_from_the_cache_with_all_that_is_known(work, studio):
    work.dsrun(pipeline(work, *FILES))
    before = [line["artifacts"] for line in work.results()]
    for path in (work.folder / "outputs").glob("demo"):
        path.rename(work.folder / "elsewhere")
    assert work.dsrun("demo.yaml").code == 0
    assert [line["artifacts"] for line in work.results()] == before
    assert (sorted(studio.creates), all(line["cached"] for line in work.results())) == (
        sorted(FILES), True,
    )  # fmt: skip


@pytest.mark.parametrize("media", FILES)
def test_a_lost_file_is_brought_back_and_a_changed_one_is_noticed(work, studio, media):
    work.dsrun(pipeline(work, media))
    (path,) = [work.run_dir() / item["path"] for item in work.results()[0]["artifacts"]]
    data = path.read_bytes()
    path.unlink()
    assert work.dsrun("verify", "outputs/demo").code == 1
    assert "brought back from the cache" in work.dsrun("demo.yaml").err
    assert path.read_bytes() == data
    path.unlink()
    path.write_bytes(data + b" ")
    assert work.dsrun("verify", "outputs/demo").code == 1


def test_a_damaged_ledger_is_made_anew_with_all_that_was_known(work, studio):
    work.dsrun(pipeline(work, *FILES))
    before = [line["artifacts"] for line in work.results()]
    ledger = work.run_dir() / "ledger.sqlite3"
    ledger.write_bytes(ledger.read_bytes()[:5000])
    assert work.dsrun("verify", "outputs/demo", "--repair").code == 0
    assert work.dsrun("demo.yaml").code == 0
    assert [line["artifacts"] for line in work.results()] == before
    assert len(studio.creates) == len(FILES)
