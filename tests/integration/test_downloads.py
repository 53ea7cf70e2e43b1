"""What is paid for is fetched whole, now or by a later run."""

import io

import pytest
from PIL import Image


class TestDownloads:
    @pytest.mark.parametrize(
        ("fault", "seed"),
        [("truncated-download", 235), ("wrong-type-download", 155), ("download-error", 186)],
    )
    def test_a_broken_download_is_tried_again(self, work, serve, fault, seed):
        """With these seeds the first and the third download break, and no other."""
        service = serve(f"{fault}=0.3", seed=seed)
        assert work.dsrun(work.posters(4)).code == 0
        assert service.count("GET", "/dashscope-result/") > 4
        assert service.paid() == 4
        for content in work.files().values():
            Image.open(io.BytesIO(content)).verify()
        assert work.dsrun("verify", work.run_dir()).code == 0

    @pytest.mark.parametrize(
        "fault", ["truncated-download", "wrong-type-download", "download-error", "expired-url"]
    )
    def test_a_paid_result_that_does_not_come_is_left_for_the_next_run(self, work, serve, fault):
        service = serve(fault)
        outcome = work.dsrun(work.posters(2, max_attempts=1))
        assert outcome.code == 3
        assert work.statuses() == {"submitted": 2}
        assert work.files() == {}
        assert not (work.run_dir() / ".tmp").exists()
        assert "could not be fetched" in outcome.err
        assert work.dsrun("demo.yaml").code == 3
        assert service.paid() == 2

    def test_trouble_with_questions_does_not_hurt(self, work, serve):
        service = serve("garbage-json=0.5", seed=2)
        assert work.dsrun(work.posters(3, max_attempts=1)).code == 0
        assert service.paid() == 3
