"""`dsrun verify` holds every file against its recorded digest."""

import pytest


class TestVerify:
    @pytest.fixture
    def run_dir(self, work, emulator):
        work.dsrun(work.posters(3))
        return work.run_dir()

    def test_finds_nothing_where_nothing_is_damaged(self, work, run_dir):
        outcome = work.dsrun("verify", run_dir)
        assert (outcome.code, outcome.err) == (0, "")
        assert "3 files" in outcome.out

    def test_names_what_is_changed_and_what_is_missing(self, work, run_dir):
        first, second = run_dir / "artifacts/posters/0-0.png", run_dir / "artifacts/posters/1-0.png"
        content = first.read_bytes()
        first.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        second.unlink()
        outcome = work.dsrun("verify", run_dir, "--json")
        assert outcome.code == 1
        assert outcome.answer["checked"] == 3
        assert [(item["path"], item["problem"]) for item in outcome.answer["damaged"]] == [
            ("artifacts/posters/0-0.png", "changed"),
            ("artifacts/posters/1-0.png", "missing"),
        ]
        told = work.dsrun("verify", run_dir)
        assert told.code == 1
        assert "artifacts/posters/0-0.png: changed" in told.out

    def test_takes_the_folder_of_a_pipeline_for_its_latest_run(self, work, run_dir):
        assert work.dsrun("verify", "outputs/demo").code == 0

    def test_of_a_folder_without_a_run_fails(self, work):
        outcome = work.dsrun("verify", work.folder)
        assert outcome.code not in (0, 1)
        assert "ledger" in outcome.err
