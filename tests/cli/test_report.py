"""`dsrun report`: the page again, contact sheets, and a run that no report can fail."""

import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from dsrun.ledger.reader import LedgerReader
from dsrun.report.contact_sheet import _LINES, _TYPE, _write
from dsrun.report.report import write_report

SHEET = """
steps:
  posters:
    operation: wanx-v1
    matrix: {style: ["<anime>", "<sketch>"], seed: [1, 2, 3]}
    input: {prompt: a lantern}
    parameters: {style: "{{ style }}", seed: "{{ seed }}"}
"""


def data_of(page):
    return json.loads(re.search(r'(?s)id="data">(.+?)</script>', page)[1])


class TestPage:
    @pytest.fixture
    def page(self, work, emulator):
        assert work.dsrun(work.posters(3, pictures=2)).code == 0
        return work.run_dir() / "report.html"

    def test_it_has_every_job_and_its_thumbnails(self, work, page):
        assert work.dsrun("report", work.run_dir()).code == 0  # the run may have left some
        entries = data_of(page.read_text())["entries"]
        lines = work.results()
        assert [entry["job_id"] for entry in entries] == [line["job_id"] for line in lines]
        for entry, line in zip(entries, lines, strict=True):
            assert [file["path"] for file in entry["files"]] == [
                file["path"] for file in line["artifacts"]
            ]
            for file in entry["files"]:
                with Image.open(work.run_dir() / file["thumb"]) as thumb:
                    assert thumb.format == "JPEG"
                    assert max(thumb.size) <= 320

    def test_its_head_has_counts_cost_and_digest(self, work, page):
        text = page.read_text()
        digest = json.loads((work.run_dir() / "manifest.lock.json").read_text())["digest"]
        assert "<b>3</b> succeeded" in text
        assert "0.96 CNY" in text
        assert digest in text

    def test_report_writes_the_same_again(self, work, page):
        before = page.read_bytes()
        page.unlink()
        outcome = work.dsrun("report", "outputs/demo")
        assert outcome.code == 0
        assert outcome.out.strip() == str(page)
        assert page.read_bytes() == before

    def test_thumbnails_are_made_once(self, work, page):
        assert work.dsrun("report", work.run_dir()).code == 0  # the run may have left some
        thumbs = {path: path.stat().st_mtime_ns for path in work.run_dir().glob(".thumbs/*")}
        assert work.dsrun("report", work.run_dir()).code == 0
        assert {p: p.stat().st_mtime_ns for p in work.run_dir().glob(".thumbs/*")} == thumbs

    def test_without_time_for_thumbnails_the_page_shows_the_pictures(self, work, page):
        for thumb in work.run_dir().glob(".thumbs/*"):
            thumb.unlink()
        view = LedgerReader(work.run_dir() / "ledger.sqlite3")
        write_report(view, work.run_dir(), budget_s=-1)
        view.close()
        files = [file for e in data_of(page.read_text())["entries"] for file in e["files"]]
        assert len(files) == 6
        assert not any("thumb" in file for file in files)

    def test_with_many_thumbnails_to_make_the_page_is_there_before(self, work, page, monkeypatch):
        shutil.rmtree(work.run_dir() / ".thumbs")
        page.unlink()
        monkeypatch.setattr("dsrun.report.report._MOST_S", -1.0)
        outcome = work.dsrun("report", "outputs/demo")
        assert outcome.err == f"{page} can be opened; 6 thumbnails are still to be made\n"
        assert outcome.out == f"{page}\n"
        assert all("thumb" in f for e in data_of(page.read_text())["entries"] for f in e["files"])

    def test_a_cut_off_thumbnail_is_swept_away(self, work, page):
        (work.run_dir() / ".thumbs/half.tmp").write_bytes(b"\xff\xd8")
        assert work.dsrun("report", work.run_dir()).code == 0
        assert not list(work.run_dir().glob(".thumbs/*.tmp"))

    def test_a_picture_that_cannot_be_read_is_a_warning(self, work, page):
        (path, *_) = sorted(work.run_dir().glob("artifacts/*/*"))
        path.chmod(0o644)
        path.write_bytes(b"no picture")
        for thumb in work.run_dir().glob(".thumbs/*"):
            thumb.unlink()
        outcome = work.dsrun("report", work.run_dir())
        assert outcome.code == 0
        assert "warning: 1 of the report's files cannot be shown" in outcome.err

    def test_rows_that_make_the_same_job_are_both_shown(self, work, emulator):
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {mood: [calm, wild]}
    input: {prompt: a lantern}
    parameters: {seed: 7}
    filename: "{{ mood }}"
"""
        assert work.dsrun(work.pipeline(steps)).code == 0
        entries = data_of((work.run_dir() / "report.html").read_text())["entries"]
        assert [entry["axes"] for entry in entries] == [{"mood": "calm"}, {"mood": "wild"}]

    def test_a_selection_does_not_change_what_the_head_counts(self, work, page):
        assert work.dsrun("demo.yaml", "--limit", "1").code == 0
        assert "<b>3</b> succeeded" in page.read_text()

    def test_a_run_that_is_not_over_says_so(self, work, emulator):
        pipeline = work.posters(3)
        outcome = work.dsrun(pipeline, "--max-cost", "0.2 CNY")
        assert outcome.code == 3
        page = work.run_dir() / "report.html"
        assert "Unfinished: 2 of 3 jobs have not ended." in page.read_text()
        assert work.dsrun(pipeline).code == 0
        assert "Unfinished" not in page.read_text()

    def test_a_folder_without_a_run_is_an_error(self, work):
        outcome = work.dsrun("report", work.folder)
        assert outcome.code == 2
        assert "name a run directory" in outcome.err

    @pytest.mark.parametrize("command", ["report", "verify"])
    def test_a_pipeline_is_no_directory(self, work, command):
        outcome = work.dsrun(command, work.posters(1))
        assert outcome.code == 2
        assert "is a file; name the directory of a run: outputs/NAME" in outcome.err


def test_a_report_that_cannot_be_written_fails_no_run(work, emulator):
    pipeline = work.posters(1)
    assert work.dsrun(pipeline).code == 0
    page = work.run_dir() / "report.html"
    page.unlink()
    page.mkdir()
    outcome = work.dsrun(pipeline)
    assert outcome.code == 0
    assert "warning: report.html was not written" in outcome.err
    assert len(work.results()) == 1


class TestSheet:
    @pytest.fixture
    def made(self, work, emulator):
        assert work.dsrun(work.pipeline(SHEET)).code == 0
        return work

    def test_it_has_a_row_and_a_column_for_every_value(self, made):
        outcome = made.dsrun(
            "report", "outputs/demo", "--sheet", "s.png", "--rows", "style", "--cols", "seed"
        )
        assert (outcome.code, outcome.out) == (0, "s.png\n")
        with Image.open("s.png") as sheet:
            assert sheet.format == "PNG"
            assert sheet.size == (156 + 3 * 264, _LINES * (_TYPE + 4) + 16 + 2 * 264)
            # The first cell holds the first picture.
            assert len(sheet.crop((156, 79, 156 + 256, 79 + 256)).getcolors(1 << 16)) > 100

    def test_what_has_no_place_on_it_is_told(self, work, emulator):
        other = "  other: {operation: wanx-v1, input: {prompt: a lamp}}\n"
        assert work.dsrun(work.pipeline(SHEET + other)).code == 0
        told = work.dsrun("report", "outputs/demo", "--sheet", "s.png", "--rows", "style")
        assert "not on the sheet: 1 of 7 results, without style" in told.err
        whole = work.dsrun("report", "outputs/demo", "--sheet", "s.png", "--rows", "step",
                           "--cols", "picture")  # fmt: skip
        assert (whole.code, whole.err) == (0, "")

    def test_axes_that_are_not_named_are_chosen(self, made):
        assert made.dsrun("report", "outputs/demo", "--sheet", "s.png").code == 0
        with Image.open("s.png") as sheet:
            assert sheet.width < sheet.height

    def test_seeds_that_are_all_different_are_not_chosen(self, work, emulator):
        """They made a sheet of one picture in each row and each column."""
        assert work.dsrun(work.posters(4)).code == 0
        assert work.dsrun("report", "outputs/demo", "--sheet", "s.png").code == 0
        with Image.open("s.png") as sheet:
            assert min(sheet.size) < 2 * 264

    def test_its_columns_keep_the_order_of_the_matrix_whatever_failed(self, made, monkeypatch):
        lost = made.results()[0]["artifacts"][0]["path"]
        with closing(sqlite3.connect(made.run_dir() / "ledger.sqlite3")) as db:
            db.execute("DELETE FROM artifact WHERE path = ?", (lost,))
            db.commit()
        headings = []
        write = _write

        def note(draw, at, text, **about):
            headings.append(text)
            write(draw, at, text, **about)

        monkeypatch.setattr("dsrun.report.contact_sheet._write", note)
        arguments = ("--sheet", "s.png", "--rows", "style", "--cols", "seed")
        assert made.dsrun("report", "outputs/demo", *arguments).code == 0
        assert headings == ["1", "2", "3", "<anime>", "<sketch>", "style \\ seed"]

    @pytest.mark.parametrize("name", ["s.jpg", "s.jpeg", "S.JPG"])
    def test_it_is_a_jpeg_by_its_suffix(self, made, name):
        assert made.dsrun("report", "outputs/demo", "--sheet", name).code == 0
        with Image.open(name) as sheet:
            assert sheet.format == "JPEG"

    @pytest.mark.parametrize("width", [200, 333, 900])
    def test_it_is_no_wider_than_asked_for(self, made, width):
        arguments = ("--rows", "style", "--cols", "seed", "--width", str(width))
        assert made.dsrun("report", "outputs/demo", "--sheet", "s.png", *arguments).code == 0
        with Image.open("s.png") as sheet:
            assert width * 0.9 < sheet.width <= width

    def test_many_pictures_stay_within_what_a_screen_shows(self, work, emulator):
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {number: {range: [1, 24]}, part: [a, b]}
    input: {prompt: "{{ number }} {{ part }}"}
"""
        work.dsrun(work.pipeline(steps))
        arguments = ("--rows", "part", "--cols", "number")
        assert work.dsrun("report", "outputs/demo", "--sheet", "s.jpg", *arguments).code == 0
        with Image.open("s.jpg") as sheet:
            assert sheet.width <= 2400
        assert Path("s.jpg").stat().st_size < 300_000

    def test_what_does_not_fit_is_told_with_a_way_out(self, work, emulator):
        work.dsrun(work.posters(12))
        arguments = ("--cols", "number", "--rows", "step", "--width", "300")
        outcome = work.dsrun("report", "outputs/demo", "--sheet", "s.png", *arguments)
        assert outcome.code == 2
        assert "1 rows and 12 columns" in outcome.err
        assert "choose axes with fewer values or a larger --width" in outcome.err

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--sheet", "s.png", "--rows", "styel"], "did you mean style"),
            (["--rows", "style"], "name its file with --sheet"),
            (["--width", "900"], "name its file with --sheet"),
            (["--sheet", "s.webp"], "found .webp; allowed: .png, .jpg, .jpeg"),
            (["--sheet", "s.png", "--width", "12"], "200<=x<=12000"),
        ],
        ids=["no such axis", "no file", "no file for a width", "another format", "too narrow"],
    )
    def test_what_cannot_be_is_told(self, made, arguments, words):
        outcome = made.dsrun("report", "outputs/demo", *arguments)
        assert outcome.code == 2
        assert words in outcome.err

    def test_a_run_of_voices_has_none(self, work, emulator):
        steps = """
steps:
  host:
    operation: qwen-voice-design
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: A calm voice
      preview_text: Good evening.
      language: en
"""
        assert work.dsrun(work.pipeline(steps)).code == 0
        outcome = work.dsrun("report", "outputs/demo", "--sheet", "s.png")
        assert outcome.code == 2
        assert "no pictures" in outcome.err
