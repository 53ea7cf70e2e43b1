"""`dsrun report DIR DIR`: what the command says and writes of two runs."""

import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from dsrun.ledger.schema import SINCE_FACTS
from tests.files_of_kinds import FILES, TEXT, picture
from tests.older import downgrade
from tests.studio import write_operations

STEPS = """
steps:
  posters:
    operation: wanx-v1
    matrix: {{style: {styles}}}
    input: {{prompt: "{prompt}"}}
    parameters: {{style: "{{{{ style }}}}", seed: 7}}
"""
STYLES = ["<anime>", "<sketch>"]


@pytest.fixture
def two(work, emulator):
    """Makes two runs of `demo`; each is its styles and prompt, and what its execution says."""

    def run(styles=STYLES, prompt="a lantern", *, code=0, **about):
        pipeline = work.pipeline(STEPS.format(styles=json.dumps(styles), prompt=prompt), **about)
        assert work.dsrun(pipeline).code == code
        return work.run_dir(about.get("name", "demo"))

    def both(old=None, new=None):
        return run(**(old or {})), run(**({"prompt": "a red lantern"} | (new or {})))

    return both


def compared(work, *arguments):
    outcome = work.dsrun("report", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return outcome.answer


def data_of(page):
    return json.loads(re.search(r'(?s)id="data">(.+?)</script>', Path(page).read_text())[1])


def facts(answer):
    """The state, the rule and the changed fields of every pair."""
    return [
        (pair["state"], pair["by"], [change["field"] for change in pair["changes"]])
        for pair in answer["pairs"]
    ]


class TestAnswer:
    def test_the_page_stands_in_the_second_directory_and_its_path_goes_to_stdout(self, work, two):
        old, new = two()
        outcome = work.dsrun("report", old, new)
        page = new / f"compare-{old.name}.html"
        assert (outcome.code, outcome.out) == (0, f"{page}\n")
        assert page.is_file()
        assert work.dsrun("report", new, old).out == f"{old / f'compare-{new.name}.html'}\n"

    def test_a_pipeline_is_its_newest_run(self, work, two):
        old, new = two()
        answer = compared(work, old, "outputs/demo")
        assert answer["directories"] == [str(old), str(new)]

    def test_every_changed_field_is_told_with_both_values(self, work, two):
        answer = compared(work, *two())
        assert answer["counts"] == {"changed": 2, "unchanged": 0, "new": 0, "gone": 0}
        (change, _) = [pair["changes"][0] for pair in answer["pairs"]]
        assert change == {
            "field": "input.prompt",
            "change": "changed",
            "old": "a lantern",
            "new": "a red lantern",
        }
        assert [edit["field"] for edit in answer["edits"]] == ["steps.posters.input.prompt"]

    def test_new_gone_and_unchanged_rows(self, work, two):
        answer = compared(
            work,
            *two(
                {"styles": ["<anime>", "<sketch>"]}, {"styles": ["<anime>"], "prompt": "a lantern"}
            ),
        )
        assert facts(answer) == [("unchanged", "row", []), ("gone", None, [])]
        assert answer["pairs"][1]["right"] is None
        (kept, gone) = [pair["files"][0] for pair in answer["pairs"]]
        assert kept["same"]
        assert kept["difference"] == 0
        assert (gone["right"], gone["same"], gone["difference"]) == (None, None, None)

    def test_pictures_are_measured(self, work, two):
        answer = compared(work, *two())
        for pair in answer["pairs"]:
            (slot,) = pair["files"]
            assert slot["same"] is False
            assert 0 < slot["difference"] <= 100

    def test_a_file_goes_where_output_says_with_links_to_both(self, work, two):
        old, new = two()
        (work.folder / "seen #1").mkdir()
        outcome = work.dsrun("report", old, new, "-o", "seen #1/two.html")
        assert outcome.out == "seen #1/two.html\n"
        page = work.folder / "seen #1/two.html"
        for side, run in zip(data_of(page)["sides"], (old, new), strict=True):
            assert (page.parent / side["base"]).resolve() == run
        assert not list(new.glob("compare-*"))

    def test_json_names_the_page_too(self, work, two):
        answer = compared(work, *two())
        assert Path(answer["report"]).is_file()
        assert len(data_of(answer["report"])["pairs"]) == len(answer["pairs"])


class TestUnlikeRuns:
    def test_of_two_pipelines(self, work, two):
        answer = compared(work, *two({"name": "old"}, {"name": "new"}))
        assert "These are runs of two pipelines, old and new." in answer["notes"]
        assert [pair["by"] for pair in answer["pairs"]] == ["row", "row"]

    def test_of_unequal_matrices(self, work, emulator):
        assert work.dsrun(work.posters(2)).code == 0
        old = work.run_dir()
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {number: [0, 1, 2], light: [noon]}
    input: {prompt: "{{ number }} at {{ light }}"}
"""
        assert work.dsrun(work.pipeline(steps)).code == 0
        answer = compared(work, old, work.run_dir())
        assert [pair["by"] for pair in answer["pairs"]] == ["axes", "axes", None]
        assert answer["notes"] == [
            "Only the right run's posters has the axis light.",
            "2 rows are paired by the axes that both runs have.",
        ]

    def test_of_nothing_in_common(self, work, two, emulator):
        old, _ = two()
        step = "{operation: wanx-v1, input: {prompt: one}}"
        steps = f"steps:\n  a: {step}\n  b: {step.replace('one', 'two')}\n"
        assert work.dsrun(work.pipeline(steps)).code == 0
        answer = compared(work, old, work.run_dir())
        assert answer["counts"] == {"changed": 0, "unchanged": 0, "new": 2, "gone": 2}
        assert answer["notes"] == [
            "Only the left run has the step posters.",
            "Only the right run has the steps a, b.",
            "No row of one run has a counterpart in the other: nothing can be compared.",
        ]

    def test_emulated_beside_real(self, work, two):
        _, real = two()
        assert work.dsrun("demo.yaml", "--emulate").code == 0
        (emulated,) = work.folder.glob("outputs/demo/emulated-*")
        answer = compared(work, emulated, real)
        assert any("The left run is emulated and the right is real" in n for n in answer["notes"])
        assert any(
            "The right run is emulated" in n for n in compared(work, real, emulated)["notes"]
        )

    def test_one_that_has_not_ended(self, work, two):
        old, new = two({"max_cost": "0.2 CNY", "code": 3})
        answer = compared(work, old, new)
        assert answer["notes"] == ["The left run is unfinished: 1 of 2 jobs has not ended."]
        assert sorted(pair["left"]["status"] for pair in answer["pairs"]) == [
            "pending",
            "succeeded",
        ]

    def test_one_that_left_jobs_out_is_not_unfinished(self, work, two):
        old, _ = two()
        assert work.dsrun(work.posters(3), "--limit", "1").code == 0
        notes = compared(work, old, work.run_dir())["notes"]
        assert "The right run left out 2 of 3 jobs, by its picks or by a selection." in notes
        assert not any("unfinished" in note for note in notes)

    def test_one_that_still_runs(self, work, two, serve):
        old, _ = two()
        service = serve(task_time_s=60)
        steps = STEPS.format(styles=json.dumps(STYLES), prompt="a slow lantern")
        child = work.spawn(work.pipeline(steps))
        work.until(lambda: service.paid() == 2, what="tasks")
        answer = compared(work, old, "outputs/demo")
        child.process.kill()
        assert answer["notes"][0] == (
            "The right run is still running, 2 of 2 jobs have not ended; run this again later."
        )

    def test_a_missing_file_is_told(self, work, two):
        old, new = two()
        (gone, _) = sorted(old.glob("artifacts/posters/*"))
        gone.unlink()
        answer = compared(work, old, new)
        assert answer["notes"] == [
            "The left run lacks 1 file that its ledger has; `dsrun verify` names them."
        ]
        assert answer["pairs"][0]["files"][0]["same"] is None
        assert answer["pairs"][0]["files"][0]["difference"] is None

    def test_a_picture_that_cannot_be_read_is_a_warning(self, work, two):
        old, new = two()
        (bad, _) = sorted(old.glob("artifacts/posters/*"))
        bad.chmod(0o644)
        bad.write_bytes(b"no picture")
        for run in (old, new):
            shutil.rmtree(run / ".thumbs", ignore_errors=True)
        outcome = work.dsrun("report", old, new, "--json")
        assert outcome.code == 0
        assert f"1 file of {old} cannot be shown" in outcome.err
        assert outcome.answer["pairs"][0]["files"][0]["difference"] is None

    def test_a_failed_job_stands_beside_what_came(self, work, serve):
        serve()
        assert work.dsrun(work.posters(2)).code == 0
        old = work.run_dir()
        serve("failed-task")
        assert work.dsrun(work.posters(2, subject="bad lamp")).code == 1
        answer = compared(work, old, work.run_dir())
        for pair in answer["pairs"]:
            assert pair["left"]["status"] == "succeeded"
            assert pair["right"]["status"] == "failed"
            assert pair["right"]["error"]["code"]
            assert pair["files"][0]["right"] is None


class TestKinds:
    def test_files_of_every_kind_are_paired(self, work, studio):
        steps = f"steps:\n{write_operations(work.folder, *FILES)}"
        assert work.dsrun(work.pipeline(steps)).code == 0
        old = work.run_dir()
        studio.files |= {f"{media} again": studio.files[media] for media in FILES}
        studio.files["text again"] = TEXT.replace(b"rises", b"falls")
        studio.files["image again"] = picture(size=(48, 64))
        again = re.sub(r"prompt: (\w+)", r"prompt: \1 again", steps)
        assert work.dsrun(work.pipeline(again)).code == 0
        answer = compared(work, old, work.run_dir())
        assert facts(answer) == [("changed", "row", ["input.prompt"])] * len(FILES)
        slots = {pair["step"]: pair["files"][-1] for pair in answer["pairs"]}
        others = {step: slot for step, slot in slots.items() if step not in ("text", "image")}
        assert all(slot["same"] and slot["difference"] == 0 for slot in others.values())
        assert 0 < slots["image"]["difference"] <= 100
        assert slots["text"]["difference"] == 25  # one of four words


class TestRefusals:
    @pytest.mark.parametrize("second", ["outputs/demo", "outputs/demo/latest"])
    def test_the_same_run_twice(self, work, two, second):
        _, new = two()
        outcome = work.dsrun("report", new, second)
        assert outcome.code == 2
        assert outcome.err == (
            f"{new} and {second} name one run, {new}; `dsrun history` lists the others\n"
        )

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["-o", "x.html"], "--output names the page of two runs"),
            (["outputs/demo", "-o", "outputs/demo/latest/ledger.sqlite3"], "allowed: .html"),
            (["outputs/demo", "-o", "page"], "found no ending; allowed: .html"),
            (["outputs/demo", "--sheet", "s.png"], "--sheet makes a contact sheet of one run"),
            (["outputs/demo", "outputs/demo"], "found 3 directories; name one run, or two"),
            (["outputs/demo", "--rows", "style"], "name its file with --sheet"),
            (["nowhere"], "nowhere"),
            (["demo.yaml"], "is a file; name the directory of a run"),
        ],
    )
    def test_what_does_not_go_together(self, work, two, options, words):
        old, _ = two()
        outcome = work.dsrun("report", old, *options)
        assert outcome.code == 2
        assert words in outcome.err

    def test_a_place_that_cannot_be_written(self, work, two):
        outcome = work.dsrun("report", *two(), "-o", "no/such/folder.html")
        assert outcome.code == 3
        assert "no/such/folder.html" in outcome.err

    def test_no_directory_at_all(self, work):
        outcome = work.dsrun("report")
        assert outcome.code == 2
        assert "DIR [DIR]" in outcome.err


def test_a_small_picture_of_a_run_that_cannot_be_written_to_is_done_without(work, two):
    old, new = two()
    shutil.rmtree(old / ".thumbs")
    (old / ".thumbs").write_text("in the way")
    outcome = work.dsrun("report", old, new, "--json")
    assert outcome.code == 0
    assert "note: the page shows whole pictures" in outcome.err
    assert all(pair["files"][0]["difference"] for pair in outcome.answer["pairs"])
    assert "thumb" not in data_of(outcome.answer["report"])["pairs"][0]["files"][0]["left"]


class TestSiblings:
    def test_of_two_output_directories(self, work, two):
        _, new = two()
        shutil.copytree(new, work.folder / "elsewhere/demo" / new.name)
        answer = compared(work, new, work.folder / "elsewhere/demo")
        assert answer["counts"] == {"changed": 0, "unchanged": 2, "new": 0, "gone": 0}
        assert Path(answer["report"]).name == f"compare-{new.name}.html"
        assert str(new) not in Path(answer["report"]).read_text(), "a page names no machine's path"

    @pytest.mark.parametrize("name", ["a #1 100%?", 'say "<b>"', "caf\u00e9 \u202e", b"caf\xe9"])
    def test_of_directories_with_any_name(self, work, two, name):
        old, new = two()
        moved = new.parent / (os.fsdecode(name) if isinstance(name, bytes) else name)
        try:
            old.rename(moved)
        except OSError:
            pytest.skip("this disk takes no such name")
        outcome = work.dsrun("report", moved, new, "-o", "two.html")
        assert outcome.code == 0
        (base, _) = (side["base"] for side in data_of(work.folder / "two.html")["sides"])
        assert os.fsencode(work.folder) + b"/" + unquote_to_bytes(base) == os.fsencode(moved)
        assert work.dsrun("report", moved, new).code == 0

    def test_more_pictures_of_a_row_than_before(self, work, emulator):
        assert work.dsrun(work.posters(1, pictures=1, seed="7")).code == 0
        old = work.run_dir()
        assert work.dsrun(work.posters(1, pictures=3, seed="7")).code == 0
        (pair,) = compared(work, old, work.run_dir())["pairs"]
        assert [change["field"] for change in pair["changes"]] == ["parameters.n"]
        assert [slot["index"] for slot in pair["files"]] == [0, 1, 2]
        assert [slot["left"] is None for slot in pair["files"]] == [False, True, True]
        assert [slot["difference"] is None for slot in pair["files"]] == [False, True, True]

    def test_replicas_stand_beside_replicas(self, work, emulator):
        steps = """
steps:
  posters: {operation: wanx-v1, repeat: 2, input: {prompt: one}}
"""
        assert work.dsrun(work.pipeline(steps)).code == 0
        old = work.run_dir()
        assert work.dsrun(work.pipeline(steps.replace("repeat: 2", "repeat: 3"))).code == 0
        answer = compared(work, old, work.run_dir())
        assert facts(answer) == [("unchanged", "row", [])] * 2 + [("new", None, [])]

    def test_without_lock_files_the_rows_are_still_paired(self, work, two):
        old, new = two()
        (old / "manifest.lock.json").unlink()
        answer = compared(work, old, new)
        assert answer["counts"]["changed"] == 2
        assert answer["edits"] == []

    def test_an_older_ledger(self, work, two):
        old, new = two()
        downgrade(old / "ledger.sqlite3", SINCE_FACTS - 1)
        assert compared(work, old, new)["counts"]["changed"] == 2

    def test_a_damaged_ledger_is_named(self, work, two):
        old, new = two()
        (old / "ledger.sqlite3").write_bytes(b"SQLite format 3\0" + bytes(5000))
        outcome = work.dsrun("report", old, new)
        assert outcome.code == 3
        assert str(old / "ledger.sqlite3") in outcome.err
        assert not list(new.glob("compare-*"))

    def test_steps_on_steps(self, work, serve):
        serve(picture_scale=0.5)
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {number: [0, 1]}
    input: {prompt: "a lantern {{ number }}"}
  films:
    operation: wan2.6-i2v-flash
    matrix: {still: {step: posters}}
    input: {img_url: "{{ still.artifact }}", prompt: it moves}
    parameters: {resolution: 720P, duration: 2, audio: false}
"""
        assert work.dsrun(work.pipeline(steps)).code == 0
        old = work.run_dir()
        assert work.dsrun(work.pipeline(steps.replace("a lantern", "a boat"))).code == 0
        answer = compared(work, old, work.run_dir())
        assert [pair["by"] for pair in answer["pairs"]] == ["row"] * 4
        fields = [{change["field"] for change in pair["changes"]} for pair in answer["pairs"]]
        assert all("input.prompt" in some for some in fields[:2])
        assert all("input.img_url.upload" in some for some in fields[2:])
