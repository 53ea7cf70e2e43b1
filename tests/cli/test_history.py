"""What the ledgers say of the past: runs over time, and what was paid."""

import pytest

VOICE = """
steps:
  voices:
    operation: qwen-voice-design
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: A calm voice
      preview_text: Good evening.
      language: en
"""


def tree(folder):
    """Every file with its bytes and its time."""
    found = (p for p in folder.rglob("*") if p.is_file())
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in found}


class TestHistory:
    def test_tells_each_run_with_what_ended_in_it(self, work, emulator):
        posters = work.posters(3)
        assert work.dsrun(posters, "--limit", "1").code == 0
        assert work.dsrun(posters).code == 0
        assert work.dsrun(posters).code == 0
        runs = work.dsrun("history", "demo", "--json").answer
        assert [run["jobs"]["succeeded"] for run in runs] == [1, 2, 0]
        assert [run["cost"]["amount"] for run in runs] == [0.16, 0.32, 0.0]
        assert {(run["pipeline"], run["outcome"], run["exit_code"]) for run in runs} == {
            ("demo", "succeeded", 0)
        }
        assert runs == sorted(runs, key=lambda run: run["started_at"])
        assert all(run["duration_s"] >= 0 for run in runs)

    def test_what_the_cache_gave_is_not_paid_again(self, work, emulator):
        assert work.dsrun(work.posters(2)).code == 0
        assert work.dsrun(work.posters(3)).code == 0
        runs = work.dsrun("history", "--json").answer
        assert [run["cost"]["amount"] for run in runs] == [0.32, 0.16]
        assert work.dsrun("cost", "--json").answer[0]["cost"]["amount"] == 0.48

    @pytest.mark.parametrize("named", ["demo", "demo.yaml", "other.yaml"])
    def test_can_be_of_one_pipeline(self, work, emulator, named):
        assert work.dsrun(work.posters(1)).code == 0
        assert work.dsrun(work.pipeline(VOICE, path="other.yaml", name="other")).code == 0
        runs = work.dsrun("history", named, "--json").answer
        assert [run["pipeline"] for run in runs] == [named.removesuffix(".yaml")]

    def test_a_table_is_for_people_and_the_newest_count(self, work, emulator):
        posters = work.posters(1)
        for _ in range(3):
            work.dsrun(posters)
        outcome = work.dsrun("history", "--limit", "2")
        head, first, second = outcome.out.splitlines()
        assert head.split()[:4] == ["started", "pipeline", "directory", "outcome"]
        assert all("none" in line for line in (first, second))  # nothing was left to do
        assert outcome.err == ""

    def test_a_live_run_is_running_and_a_killed_one_is_killed(self, work, serve, standing_clock):
        service = serve(clock=standing_clock)
        posters = work.posters(1)
        child = work.spawn("run", posters)
        work.until(service.tasks_asked_for, what="a task that is asked for")
        (live,) = work.dsrun("history", "--json").answer
        child.kill()
        (killed,) = work.dsrun("history", "--json").answer
        standing_clock.release()
        assert (live["outcome"], killed["outcome"]) == ("running", "killed")
        assert killed["duration_s"] is None

    def test_a_failed_run_is_failed(self, work, serve):
        serve("failed-task")
        assert work.dsrun(work.posters(1)).code == 1
        (run,) = work.dsrun("history", "--json").answer
        assert (run["outcome"], run["jobs"]["failed"], run["cost"]["amount"]) == ("failed", 1, 0)

    def test_emulated_runs_stand_apart_and_cost_nothing(self, work):
        assert work.dsrun(work.posters(1), "--emulate").code == 0
        assert work.dsrun("history", "--json").answer == []
        (run,) = work.dsrun("history", "--json", "--emulate").answer
        assert work.dsrun("history").err == (
            "no runs below outputs; 1 emulated run there: add --emulate\n"
        )
        assert "emulated runs below outputs cost nothing" in work.dsrun("cost").err
        assert run["cost"]["amount"] == 0.0
        assert work.dsrun("cost", "--json").answer == []

    def test_nothing_is_touched(self, work, emulator):
        assert work.dsrun(work.posters(1)).code == 0
        before = tree(work.folder)
        work.dsrun("history")
        work.dsrun("cost")
        assert tree(work.folder) == before

    def test_a_damaged_ledger_leaves_the_answer_incomplete_and_hides_no_other(self, work, emulator):
        assert work.dsrun(work.posters(1)).code == 0
        broken = work.folder / "outputs/demo/0123456789ab"
        broken.mkdir()
        (broken / "ledger.sqlite3").write_bytes(b"no database" * 100)
        for command in ("history", "cost"):
            outcome = work.dsrun(command, "--json")
            assert outcome.code == 3
            assert len(outcome.answer) == 1
            assert outcome.err.startswith("warning: outputs/demo/0123456789ab: ")

    def test_where_nothing_ran_it_says_so(self, work):
        outcome = work.dsrun("history")
        assert (outcome.code, outcome.out) == (0, "")
        assert outcome.err == "no runs below outputs\n"

    @pytest.mark.parametrize("named", ["nothing.yaml", "nothing", "../work"])
    def test_a_pipeline_that_is_not_there_is_named(self, work, named):
        outcome = work.dsrun("history", named)
        assert outcome.code == 2
        assert f"{named} is neither a pipeline file nor" in outcome.err


class TestCost:
    @pytest.mark.parametrize(
        ("by", "keys"),
        [
            ("pipeline", ["demo", "other"]),
            ("operation", ["qwen-voice-design", "wanx-v1"]),
        ],
    )
    def test_is_summed_up_by(self, work, emulator, by, keys):
        assert work.dsrun(work.posters(2, pictures=2)).code == 0
        assert work.dsrun(work.pipeline(VOICE, path="other.yaml", name="other")).code == 0
        rows = work.dsrun("cost", "--by", by, "--json").answer
        assert [row[by] for row in rows] == keys
        assert {row["jobs"]: row["cost"] for row in rows} == {
            2: {"amount": 0.64, "currency": "CNY"},
            1: {"amount": 0.2, "currency": "CNY"},
        }

    def test_months_are_those_in_which_jobs_ended(self, work, emulator):
        assert work.dsrun(work.posters(1)).code == 0
        (job,) = work.query("SELECT ended_at FROM job")
        outcome = work.dsrun("cost")
        lines = [line.split() for line in outcome.out.splitlines()]
        assert lines == [
            ["month", "paid", "jobs", "cost"],
            [job["ended_at"][:7], "1", "0.16", "CNY"],
            ["total:", "0.16", "CNY"],
        ]

    def test_nothing_paid_is_said(self, work):
        assert work.dsrun("cost").out == "total: nothing\n"
