"""Runs of what a person has picked of an earlier step."""

import json

import pytest

STEPS = """
steps:
  drafts:
    operation: wanx-v1
    matrix: {beat: [fox, owl]}
    input: {prompt: "{{ beat }}"}
    parameters: {n: 2}
    filename: "{{ beat }}-{{ index }}"
  large:
    operation: wan2.5-i2i-preview
    matrix: {pick: {step: drafts, each: artifact, only: picks.txt}}
    input: {prompt: "{{ pick.beat }}", images: ["{{ pick.artifact }}"]}
    filename: "{{ pick.beat }}-{{ pick.artifact.index }}"
"""
RUN = ("run", "demo.yaml", "--emulate")


def made(work, out="outputs"):
    return sorted(path.name for path in (work.folder / out).rglob("artifacts/large/*.png"))


def pick(work, *lines):
    (work.folder / "picks.txt").write_text("".join(f"{line}\n" for line in lines))


class TestPicks:
    def test_without_a_file_the_drafts_are_made_and_nothing_is_picked(self, work):
        work.pipeline(STEPS)
        outcome = work.dsrun(*RUN)
        assert outcome.code == 0
        assert "picks.txt is not there, so nothing is picked" in outcome.err
        assert made(work) == []
        assert len(list((work.folder / "outputs").rglob("artifacts/drafts/*.png"))) == 4

    def test_what_is_not_picked_is_left_out(self, work):
        work.pipeline(STEPS)
        pick(work, "artifacts/drafts/owl-1.png")
        work.dsrun(*RUN)
        words = work.dsrun("status", "demo.yaml", "--emulate").out
        assert "6 jobs: 3 succeeded, 3 left out of the last run;" in words
        made_of_fox = work.dsrun("explain", "drafts/0", "demo.yaml", "--emulate").out
        assert made_of_fox.count("left out of the last run") == 2

    def test_what_is_picked_later_runs_in_the_same_directory(self, work):
        work.pipeline(STEPS)
        work.dsrun(*RUN)
        pick(work, "artifacts/drafts/owl-1.png")
        assert work.dsrun(*RUN).code == 0
        assert made(work) == ["owl-1.png"]
        pick(work, "artifacts/drafts/owl-1.png", "artifacts/drafts/fox-0.png")
        assert work.dsrun(*RUN).code == 0
        assert made(work) == ["fox-0.png", "owl-1.png"]
        assert len(list((work.folder / "outputs").glob("*/emulated-*"))) == 1

    def test_a_lock_file_repeats_picks_as_they_were(self, work):
        work.pipeline(STEPS)
        pick(work, "artifacts/drafts/owl-1.png")
        work.dsrun(*RUN)
        lock = next((work.folder / "outputs").glob("*/emulated-*/manifest.lock.json"))
        assert json.loads(lock.read_bytes())["picks"] == {
            "picks.txt": "artifacts/drafts/owl-1.png\n"
        }
        pick(work, "artifacts/drafts/fox-0.png", "artifacts/drafts/fox-1.png")
        assert work.dsrun("run", str(lock), "--emulate", "-o", "again").code == 0
        assert made(work, "again") == ["owl-1.png"]

    def test_a_lock_file_repeats_that_nothing_was_picked(self, work):
        work.pipeline(STEPS)
        work.dsrun(*RUN)
        lock = next((work.folder / "outputs").glob("*/emulated-*/manifest.lock.json"))
        pick(work, "artifacts/drafts/fox-0.png")
        assert work.dsrun("run", str(lock), "--emulate", "-o", "again").code == 0
        assert made(work, "again") == []

    def test_the_plan_warns_of_a_line_that_names_nothing(self, work):
        work.pipeline(STEPS)
        pick(work, "artifacts/drafts/owl-1.png", "artifacts/drafts/oul-0.png")
        outcome = work.dsrun("plan", "demo.yaml", "--emulate")
        assert outcome.code == 0
        assert "picks.txt:2:1: found" in outcome.err + outcome.out
        assert "3 jobs" in outcome.out

    @pytest.mark.parametrize("full", [(), ("--full",)])
    def test_what_a_step_builds_on_and_is_done_is_one_line_of_the_plan(self, work, full):
        work.pipeline(STEPS)
        work.dsrun(*RUN)
        pick(work, "artifacts/drafts/owl-1.png")
        shown = work.dsrun("plan", "demo.yaml", "--emulate", "--step", "large", *full).out
        assert "1 job of drafts that these build on: nothing of them is sent" in shown
        assert [line[:7] for line in shown.splitlines() if "not sent yet" in line] == ["large 3"]
        assert "  done  beat" not in shown
        assert "more" not in shown

    def test_what_it_builds_on_and_is_not_done_is_listed_as_it_is_sent(self, work):
        work.pipeline(STEPS)
        pick(work, "artifacts/drafts/owl-1.png")
        shown = work.dsrun("plan", "demo.yaml", "--emulate", "--step", "large", "--full").out
        assert "drafts 1" in shown
        assert "that these build on" not in shown

    def test_a_step_brings_along_what_it_waits_for(self, work):
        work.pipeline(STEPS)
        pick(work, "artifacts/drafts/owl-1.png")
        assert work.dsrun(*RUN, "--step", "large").code == 0
        assert made(work) == ["owl-1.png"]
        drafts = sorted(path.name for path in (work.folder / "outputs").rglob("drafts/*.png"))
        assert drafts == ["owl-0.png", "owl-1.png"]

    def test_the_ledgers_table_tells_what_was_left_out(self, work):
        work.pipeline(STEPS)
        pick(work, "artifacts/drafts/owl-1.png")
        work.dsrun(*RUN)
        told = work.dsrun("ledger", "demo.yaml", "--emulate")
        assert told.out.count("pending") + told.out.count("waiting") == 3
        assert "of the jobs without a result, 3 were left out of the last run" in told.err
        assert not work.dsrun("ledger", "demo.yaml", "--emulate", "--format", "csv").err

    def test_the_plan_counts_what_picks_leave_out_apart(self, work):
        work.pipeline(STEPS)
        pick(work, "artifacts/drafts/owl-1.png")
        work.dsrun(*RUN)
        work.pipeline(STEPS.replace("{{ pick.beat }}", "{{ pick.beat }}, larger", 1))
        shown = work.dsrun("plan", "demo.yaml", "--emulate").out
        assert ": 0 added, 0 removed, 1 changed (3 more left out)" in shown
        assert " 1 to send" in shown
