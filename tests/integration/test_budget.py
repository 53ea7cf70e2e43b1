"""A run never spends more than `max_cost`, and asks before it spends much."""

import pytest

# Pictures that are found again by their prompts, and voices.
TWO_STEPS = """
steps:
  pictures:
    operation: wan2.2-t2i-flash
    matrix: {number: [0, 1]}
    input: {prompt: "a lantern {{ number }}"}
  voices:
    operation: qwen-voice-design
    matrix: {tone: [calm, warm]}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: "A {{ tone }} voice"
      preview_text: Good evening.
      language: en
"""


class TestBudget:
    def test_max_cost_stops_before_the_request_that_would_pass_it(self, work, emulator):
        outcome = work.dsrun(work.posters(5), "--max-cost", "0.40 CNY")
        assert outcome.code == 3
        assert emulator.count("POST") == emulator.paid() == 2
        assert work.statuses() == {"succeeded": 2, "pending": 3}
        assert "max_cost" in outcome.err

    def test_max_cost_counts_what_earlier_runs_spent(self, work, emulator):
        pipeline = work.posters(5, max_cost="0.40 CNY")
        assert work.dsrun(pipeline).code == 3
        assert work.dsrun(pipeline).code == 3
        assert emulator.paid() == 2
        assert work.dsrun(pipeline, "--max-cost", "0.64 CNY").code == 3
        assert emulator.paid() == 4
        assert work.dsrun(pipeline, "--max-cost", "0.80 CNY").code == 0
        assert emulator.paid() == 5

    def test_a_budget_that_is_just_enough_is_enough(self, work, emulator):
        assert work.dsrun(work.posters(3), "--max-cost", "0.48 CNY").code == 0

    def test_all_pictures_of_a_request_count(self, work, emulator):
        assert work.dsrun(work.posters(2, pictures=4), "--max-cost", "1 CNY").code == 3
        assert emulator.paid() == 1

    def test_what_failed_is_not_counted(self, work, serve):
        service = serve("failed-task")
        assert work.dsrun(work.posters(4, concurrency=1), "--max-cost", "0.16 CNY").code == 1
        assert service.paid() == 4

    def test_a_budget_in_another_currency_is_refused(self, work, emulator):
        outcome = work.dsrun(work.posters(2), "--max-cost", "1 USD")
        assert outcome.code == 2
        assert "CNY" in outcome.err
        assert emulator.requests() == []

    def test_an_expensive_run_wants_yes_without_a_terminal(self, work, emulator):
        pipeline = work.posters(3, confirm_above="0.40 CNY")
        refused = work.dsrun(pipeline)
        assert refused.code == 3
        assert "--yes" in refused.err
        assert emulator.requests() == []
        assert work.dsrun(pipeline, "--yes").code == 0

    @pytest.mark.parametrize("option", [[], ["--limit", "3"], ["--step", "posters"]])
    def test_a_run_that_is_not_agreed_to_leaves_nothing_behind(self, work, emulator, option):
        outcome = work.dsrun(work.posters(4, confirm_above="0.40 CNY"), *option)
        assert outcome.code == 3
        assert outcome.out == ""
        assert "nothing was sent" in outcome.err
        assert {path.name for path in work.folder.iterdir()} == {"demo.yaml"}
        assert emulator.requests() == []

    def test_nor_does_it_take_the_place_of_the_newest_run(self, work, emulator):
        work.dsrun(work.posters(1))
        newest, before = work.run_dir(), sorted((work.folder / "outputs").rglob("*"))
        assert work.dsrun(work.posters(5, confirm_above="0.40 CNY")).code == 3
        assert work.run_dir() == newest
        assert sorted((work.folder / "outputs").rglob("*")) == before

    def test_what_is_made_already_is_not_asked_about(self, work, emulator):
        work.dsrun(work.posters(3))
        assert work.dsrun(work.posters(5, confirm_above="0.40 CNY")).code == 0
        assert emulator.paid() == 5

    def test_what_is_sent_again_is_asked_about(self, work, serve):
        serve("failed-task")
        pipeline = work.posters(3, confirm_above="0.40 CNY")
        assert work.dsrun(pipeline, "--yes").code == 1
        assert work.dsrun(pipeline).code == 1  # failed jobs are not sent again by themselves
        refused = work.dsrun(pipeline, "--retry-failed")
        assert refused.code == 3
        assert "0.48 CNY" in refused.err

    def test_a_run_that_turns_out_dearer_than_was_agreed_sends_nothing(self, work, emulator):
        """The cache has the results, but they are damaged."""
        work.dsrun(work.posters(3))
        for file in (work.folder / "outputs/.cache/objects").rglob("*-0"):
            file.chmod(0o644)
            file.write_bytes(b"x" * file.stat().st_size)
        paid = emulator.paid()
        outcome = work.dsrun(work.posters(4, confirm_above="0.40 CNY"))
        assert outcome.code == 3
        assert "0.64 CNY" in outcome.err
        assert emulator.paid() == paid
        assert "--yes" in work.dsrun("demo.yaml").err
        assert work.dsrun("demo.yaml", "--yes").code == 0

    def test_a_cheap_run_is_not_asked_about(self, work, emulator):
        assert work.dsrun(work.posters(2, confirm_above="0.40 CNY")).code == 0

    def test_once_it_is_used_up_what_may_be_paid_is_still_looked_for_and_fetched(self, work, serve):
        service = serve("lost-answer", "no-list")
        work.dsrun(work.pipeline(TWO_STEPS), "--step", "pictures")
        assert (service.paid(), work.statuses().get("succeeded")) == (2, None)
        service.heal()
        outcome = work.dsrun(work.pipeline(TWO_STEPS, max_cost="0.40 CNY"))
        assert outcome.code == 3
        assert "max_cost of 0.40 CNY would be passed" in outcome.err
        assert work.statuses() == {"succeeded": 2, "pending": 2}
        assert service.paid() == 2

    def test_so_it_is_once_too_many_jobs_have_failed(self, work, serve):
        service = serve("lost-answer", "no-list")
        work.dsrun(work.pipeline(TWO_STEPS), "--step", "pictures")
        service.suffer("moderation")
        outcome = work.dsrun(work.pipeline(TWO_STEPS, max_failures=1))
        assert "max_failures is 1" in outcome.err
        assert work.statuses()["succeeded"] == 2
        assert service.paid() == 2
