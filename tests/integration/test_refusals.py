"""A refusal of the account stops what it concerns; throttling only slows a run down."""

import pytest


class TestBadAccount:
    def test_a_bad_key_stops_everything_after_one_create_an_operation(
        self, work, emulator, monkeypatch
    ):
        monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-bad")
        outcome = work.dsrun(work.posters(4))
        assert outcome.code == 3
        assert emulator.count("POST") == 1
        assert work.statuses() == {"pending": 4}
        assert "InvalidApiKey" in outcome.err

    def test_a_bad_key_costs_no_operation_more_than_one_create(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-bad")
        assert work.dsrun(work.posters_and_voices("calm", "bright")).code == 3
        assert emulator.count("POST", "image-synthesis") <= 1
        assert emulator.count("POST", "customization") <= 1

    def test_with_a_good_key_the_next_run_goes_on(self, work, emulator, monkeypatch, key):
        pipeline = work.posters(2)
        monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-bad")
        assert work.dsrun(pipeline).code == 3
        monkeypatch.setenv("DASHSCOPE_API_KEY", key)
        assert work.dsrun(pipeline).code == 0
        assert emulator.paid() == 2

    def test_arrears_stop_the_run_and_keep_what_is_paid(self, work, serve):
        service = serve("arrears=0.4", seed=1)
        outcome = work.dsrun(work.posters(8))
        assert outcome.code == 3
        assert "Arrearage" in outcome.err
        assert 0 < service.paid() < 8
        assert work.statuses() == {"succeeded": service.paid(), "pending": 8 - service.paid()}
        assert len(work.files()) == service.paid()

    def test_a_used_up_quota_stops_its_operation_alone(self, work, serve):
        service = serve("voice-quota")
        outcome = work.dsrun(work.posters_and_voices("calm", "bright"))
        assert outcome.code == 3
        assert service.count("POST", "customization") == 1
        assert work.statuses() == {"succeeded": 2, "pending": 2}
        assert "qwen-voice-design" in outcome.err


class TestThrottling:
    """With these seeds the second create is refused, and nothing else."""

    @pytest.mark.parametrize(
        ("fault", "seed"),
        [("throttle=0.1", 9), ("throttle-bare=0.1", 158)],
        ids=["retry-after", "bare"],
    )
    def test_is_no_failure_and_costs_no_attempt(self, work, serve, fault, seed):
        service = serve(fault, seed=seed)
        assert work.dsrun(work.posters(5, max_attempts=1)).code == 0
        assert service.count("POST") > service.paid() == 5
        assert work.statuses() == {"succeeded": 5}
        assert [line["attempts"] for line in work.results()] == [1] * 5

    def test_a_refused_create_stands_in_the_ledger(self, work, serve):
        service = serve("throttle-bare=0.1", seed=158)
        work.dsrun(work.posters(5))
        refused = work.query("SELECT * FROM attempt WHERE phase = 'create' AND outcome = 'refused'")
        assert len(refused) == service.count("POST") - 5
        assert {row["error_code"] for row in refused} == {"Throttling.RateQuota"}

    def test_the_published_rate_is_kept(self, work, serve):
        """12 jobs at 2 a second, judged by an emulator that counts as the service does."""
        service = serve(limits=True)
        assert work.dsrun(work.posters(12, rate=None, polling={"first": "50ms"})).code == 0
        assert service.count("POST") == service.paid() == 12
        assert work.query("SELECT * FROM attempt WHERE outcome IN ('refused', 'failed')") == []
