"""Files of every kind, from the address of a task to all that tells of a run."""

import hashlib
import json
import sys

import pytest
from PIL import Image
from pyarrow import parquet
from rocrate.rocrate import ROCrate

from dsrun.ledger.schema import SINCE_FACTS
from dsrun.report.entries import can_make_posters
from tests.files_of_kinds import FILES, FILM, picture
from tests.older import downgrade
from tests.studio import CAPTIONS, write_operations

PAGE = b"<!DOCTYPE html><html><body>404 not found</body></html>"
MADE = {"captions": (CAPTIONS, "srt", "application/x-subrip")}  # of another file
FACTS = {
    "image": (None, 64, 48),
    "audio": (1.5, None, None),
    "video": (2.0, 320, 180),
}


@pytest.fixture
def without_pyav(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    can_make_posters.cache_clear()
    yield
    can_make_posters.cache_clear()


def pipeline(work, *kinds, **execution):
    """A step for each kind, whose operation the user has a file of."""
    return work.pipeline(f"steps:\n{write_operations(work.folder, *kinds)}", **execution)


def test_a_file_of_every_kind_is_kept_and_told_of(work, studio):
    outcome = work.dsrun(pipeline(work, *FILES))
    assert outcome.code == 0, outcome.err
    lines = {line["step"]: line for line in work.results()}
    for media, (data, extension, media_type) in (FILES | MADE).items():
        *others, file = lines[media]["artifacts"]
        assert len(others) == (media in MADE)
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
    path = work.run_dir() / work.results()[0]["artifacts"][-1]["path"]
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


def test_the_ledger_tells_how_long_and_large_each_file_is(work, studio):
    work.dsrun(pipeline(work, *FILES))
    columns = "step,file_duration_s,file_width,file_height"
    outcome = work.dsrun("ledger", "demo.yaml", "--columns", columns, "--format", "json")
    rows = {row.pop("step"): tuple(row.values()) for row in json.loads(outcome.out)}
    assert rows == {media: FACTS.get(media, (None, None, None)) for media in FILES}
    assert work.dsrun("ledger", "demo.yaml", "--format", "parquet", "-o", "x.parquet").code == 0
    kinds = {
        field.name: str(field.type) for field in parquet.read_schema(work.folder / "x.parquet")
    }
    assert [kinds[name] for name in columns.split(",")[1:]] == ["double", "int64", "int64"]
    longest = work.query("SELECT step FROM results ORDER BY file_duration_s DESC LIMIT 1")
    assert longest == [{"step": "video"}]


def test_a_ledger_from_before_is_read_as_it_is_and_taken_further(work, studio):
    work.dsrun(pipeline(work, "video"))
    (work.run_dir() / ".ledger-tail").unlink()
    downgrade(work.run_dir() / "ledger.sqlite3", SINCE_FACTS - 1)
    outcome = work.dsrun("ledger", "demo.yaml", "--format", "json")
    (row,) = json.loads(outcome.out)
    assert (row["file_width"], row["artifacts"][0]["width"]) == (None, None)
    for command in (["report", "outputs/demo"], ["verify", "outputs/demo"], ["demo.yaml"]):
        assert work.dsrun(*command).code == 0
    assert work.query("SELECT file_width FROM results") == [{"file_width": None}]
    assert studio.creates == ["video"]


def test_the_crate_says_of_what_kind_each_file_is(work, studio):
    work.dsrun(pipeline(work, *FILES))
    files = {e.id: e for e in ROCrate(work.run_dir()).data_entities if e.type == "File"}
    for line in work.results():
        for item in line["artifacts"]:
            file = files[item["path"]]
            assert (file["encodingFormat"], file["contentSize"]) == (
                item["media_type"], str(item["size"]),
            )  # fmt: skip
            seconds = item["duration_s"]
            assert file.get("duration") == (None if seconds is None else f"PT{seconds}S")


def test_junit_has_a_case_for_a_job_of_any_kind(work, studio):
    assert work.dsrun(pipeline(work, *FILES), "--junit", "junit.xml").code == 0
    text = (work.folder / "junit.xml").read_text(encoding="utf-8")
    assert f'tests="{len(FILES)}" failures="0"' in text


def sheet_of(work):
    outcome = work.dsrun(
        "report", "outputs/demo", "--sheet", "sheet.png", "--rows", "picture", "--cols", "step"
    )
    assert outcome.code == 0, outcome.err
    with Image.open(work.folder / "sheet.png") as sheet:
        return sheet.convert("RGB")


def colours(sheet):
    return {colour for number, colour in sheet.getcolors(1 << 24) if number > 200}


def test_a_video_has_its_poster_on_the_contact_sheet(work, studio):
    work.dsrun(pipeline(work, "video"))
    assert len(list((work.run_dir() / ".thumbs").glob("*.jpg"))) == 1
    blue = min(r + g + abs(b - 255) for r, g, b in colours(sheet_of(work)))
    assert blue < 30  # of the bars


def test_without_pyav_a_video_is_a_card_and_nothing_is_wrong(work, studio, without_pyav):
    outcome = work.dsrun(pipeline(work, "video"))
    assert (outcome.code, "warning" in outcome.err) == (0, False)
    assert not (work.run_dir() / ".thumbs").exists()
    assert colours(sheet_of(work)) == {(255, 255, 255), (239, 236, 230)}  # paper and card


@pytest.mark.parametrize("media", ["text", "json", "model"])
def test_a_text_or_a_model_is_a_card_on_the_contact_sheet(work, studio, media):
    work.dsrun(pipeline(work, media))
    assert colours(sheet_of(work)) == {(255, 255, 255), (239, 236, 230)}


def test_a_sound_has_no_place_on_a_contact_sheet(work, studio):
    work.dsrun(pipeline(work, "audio"))
    outcome = work.dsrun("report", "outputs/demo", "--sheet", "sheet.png")
    assert (outcome.code, "has no pictures, videos or texts" in outcome.err) == (2, True)


def test_a_video_that_no_decoder_takes_keeps_the_report(work, studio):
    at = FILM.index(b"mdat") + 4
    studio.files["video"] = FILM[:at] + bytes(len(FILM) - at)
    outcome = work.dsrun(pipeline(work, "video"))
    assert outcome.code == 0
    assert "1 of the report's files cannot be shown" in outcome.err
    page = (work.run_dir() / "report.html").read_text(encoding="utf-8")
    assert work.results()[0]["artifacts"][0]["path"] in page
    assert colours(sheet_of(work)) == {(255, 255, 255), (239, 236, 230)}
