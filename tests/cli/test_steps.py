"""Steps that build on steps: what plan, explain, status, ledger, report and cost tell of them."""

import json

import pytest

import dsrun

BOOK = """
steps:
  cast:
    operation: qwen-voice-design
    matrix:
      who: [{name: Mia, says: a warm voice}, {name: Mira, says: a cold voice}]
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: "{{ who.says }}"
      preview_text: Good evening.
      language: en
  speech:
    operation: qwen3-tts
    model: "{{ voice.request.input.target_model }}"
    matrix:
      line: [{by: Mira, text: Hello.}, {by: Mia, text: Bye.}, {by: Mira, text: Now?}]
      voice: {step: cast}
      where: voice.who.name == line.by
    input:
      text: "{{ line.text }}"
      voice: "{{ voice.output.voice }}"
"""
FILM = """
steps:
  shots:
    operation: wanx-v1
    matrix: {beat: [a fox]}
    input: {prompt: "{{ beat }}"}
  edit:
    operation: wan2.5-i2i-preview
    matrix: {still: {step: shots}, tone: [dark, light]}
    input: {prompt: "{{ tone }}", images: ["{{ still.artifact }}"]}
  again:
    operation: wan2.5-i2i-preview
    matrix: {pic: {step: edit}}
    input: {prompt: once more, images: ["{{ pic.artifact }}"]}
"""


@pytest.fixture
def book(work):
    return work.pipeline(BOOK)


@pytest.fixture
def large(serve):
    """A service whose pictures are large enough to be edited."""
    return serve(picture_scale=0.5)


def ids(work):
    return {f"{line['step']}/{line['index']}": line["job_id"] for line in work.results()}


class TestPlan:
    def test_a_step_says_what_it_builds_on_and_how_much_waits(self, work, book):
        told = work.dsrun("plan", book).out
        assert "speech builds on cast (voice); 3 lines: 1 voice each" in told
        table = told.splitlines()
        head, *rows = [row.split() for row in table if " qwen" in row or " jobs " in row]
        assert head[5:9] == ["to", "send", "ready", "waiting"]
        assert [row[5:8] for row in rows[:2]] == [["2", "2", "0"], ["3", "0", "3"]]

    def test_a_late_value_is_told_in_words_and_by_json_as_it_is(self, work, book):
        told = work.dsrun("plan", book).out
        assert '"voice":"← cast 1 output.voice"' in told
        assert 'voice cast 1 (who.name "Mira"' in told
        plan = work.dsrun("plan", book, "--json", "--full").answer
        cast, speech = plan["job_list"][1], plan["job_list"][2]
        assert speech["request"]["input"]["voice"] == {
            "from": cast["job_id"], "at": "/output/voice",
        }  # fmt: skip
        assert speech["parents"] == [
            {"axis": "voice", "step": "cast", "index": 1, "job_id": cast["job_id"], "file": None}
        ]
        step = plan["steps"]["speech"]
        assert (step["ready"], step["waiting"], step["partners"]) == (
            0,
            3,
            ["3 lines: 1 voice each"],
        )
        assert [(one["axis"], one["step"]) for one in step["builds_on"]] == [("voice", "cast")]

    def test_what_waits_is_ready_once_its_parents_are_done(self, work, book, emulator):
        assert work.dsrun(book, "--step", "cast").code == 0
        steps = work.dsrun("plan", book, "--json").answer["steps"]
        assert [(steps["speech"][key]) for key in ("to_send", "ready", "waiting")] == [3, 3, 0]
        steps = work.dsrun("plan", book, "--step", "speech", "--json").answer["steps"]
        assert [steps[name]["to_send"] for name in ("cast", "speech")] == [0, 3]
        assert steps["speech"]["ready"] == 3

    def test_an_edited_parent_is_named_in_the_change_of_its_child(self, work, book, emulator):
        assert work.dsrun(book).code == 0
        book.write_text(book.read_text().replace("a cold voice", "an icy voice"))
        told = work.dsrun("plan", book).out
        assert "~ input.voice: " in told
        assert '"← cast 1 output.voice"' in told


class TestExplain:
    @pytest.mark.parametrize("is_done", [False, True], ids=["before a run", "after it"])
    def test_the_chain_up_and_the_children_down(self, work, large, is_done):
        film = work.pipeline(FILM)
        if is_done:
            assert work.dsrun(film).code == 0
        facts = work.dsrun("explain", "again/1", film, "--json").answer
        (edit,) = facts["parents"]
        (shot,) = edit["parents"]
        assert [(one["step"], one["index"], one["takes"]) for one in (edit, shot)] == [
            ("edit", 1, "file:0"), ("shots", 0, "file:0"),
        ]  # fmt: skip
        assert shot["status"] == ("succeeded" if is_done else None)
        children = work.dsrun("explain", "shots/0", film, "--json").answer["children"]
        assert children["jobs"] == 2
        assert [(one["step"], one["index"]) for one in children["first"]] == [
            ("edit", 0), ("edit", 1),
        ]  # fmt: skip
        told = work.dsrun("explain", "edit/0", film).out
        assert "made of\n  shots/0" in told
        assert "used in\n  again/0" in told

    def test_the_hashed_text_of_a_second_take_gives_its_id(self, work):
        film = work.pipeline(FILM.replace("wanx-v1\n", "wanx-v1\n    take: 2\n"))
        facts = work.dsrun("explain", "shots/0", film, "--json").answer
        assert facts["hashed"].endswith(',"take":2}')


class TestRun:
    def test_results_have_the_parents_and_the_request_as_sent(self, work, book, emulator):
        assert work.dsrun(book).code == 0
        lines = work.results()
        voices = {line["index"]: line["output"]["voice"] for line in lines[:2]}
        for line in lines[2:]:
            (parent,) = line["parents"]
            assert line["request"]["input"]["voice"] == voices[parent["index"]]
        told = work.dsrun("ledger", "demo.yaml", "--columns", "parents.0.step,voice.who.name",
                          "--format", "jsonl").out  # fmt: skip
        assert json.loads(told.splitlines()[2]) == {
            "parents.0.step": "cast", "voice.who.name": "Mira",
        }  # fmt: skip

    def test_what_a_failed_job_takes_along_is_told_by_its_name(self, work, serve):
        serve("failed-task")
        film = work.pipeline(FILM)
        outcome = work.dsrun(film)
        assert outcome.code == 1
        assert work.statuses() == {"failed": 1, "skipped": 4}
        shot = ids(work)["shots/0"][:12]
        why = f"2 skipped: shots 0 (job {shot}) has no file 0: it is failed"
        assert why in outcome.err
        told = work.dsrun("status", film).out
        assert why in told
        assert "2 skipped: they build on skipped jobs" in told
        plan = work.dsrun("plan", film).out
        assert "skipped before; --retry-failed sends it again" in plan
        again = work.dsrun("plan", film, "--retry-failed", "--json").answer
        assert again["to_send"] == 5
        junit = work.folder / "junit.xml"
        assert work.dsrun(film, "--junit", junit).code == 1
        assert 'failures="1" errors="0" skipped="4"' in junit.read_text()

    def test_the_python_api_has_parents(self, work, book, emulator):
        result = dsrun.run_sync(book)
        (parent,) = list(result.results())[2].parents
        assert (parent.axis, parent.step, parent.index, parent.file) == ("voice", "cast", 1, None)
        assert [len(item.parents) for item in dsrun.plan(book)] == [0, 0, 1, 1, 1]

    def test_an_action_of_the_crate_names_the_file_that_it_was_made_of(self, work, large):
        assert work.dsrun(work.pipeline(FILM)).code == 0
        graph = json.loads((work.run_dir() / "ro-crate-metadata.json").read_text())["@graph"]
        actions = {one["name"]: one for one in graph if one["@type"] == "CreateAction"}
        shot = actions["shots/0"]["result"]
        assert [shot in actions[f"edit/{n}"]["object"] for n in (0, 1)] == [True, True]


class TestCost:
    @pytest.mark.parametrize(
        ("by", "rows"),
        [
            ("still.beat", {"a fox": 2, "-": 3}),
            ("pic.tone", {"dark": 1, "light": 1, "-": 3}),
            ("pic.still.beat", {"a fox": 2, "-": 3}),
        ],
    )
    def test_by_an_axis_of_a_step_above_each_job_counts_once(self, work, large, by, rows):
        assert work.dsrun(work.pipeline(FILM)).code == 0
        told = work.dsrun("cost", "--by", by, "--json").answer
        assert {row[by]: row["jobs"] for row in told} == rows
        whole = work.dsrun("cost", "--json").answer
        assert sum(row["cost"]["amount"] for row in told) == pytest.approx(
            sum(row["cost"]["amount"] for row in whole)
        )

    def test_an_axis_that_no_job_has_is_refused_with_the_nearest(self, work, large):
        assert work.dsrun(work.pipeline(FILM)).code == 0
        outcome = work.dsrun("cost", "--by", "stil.beat")
        assert outcome.code == 2
        assert "did you mean still?" in outcome.err
