"""Where the key and the address of the service come from, and what is said where there is none."""

from pathlib import Path


class TestKey:
    def test_without_one_both_ways_out_are_named(self, work):
        outcome = work.dsrun(work.posters(1))
        assert outcome.code == 3
        assert outcome.out == ""
        assert "DASHSCOPE_API_KEY" in outcome.err
        assert "--emulate" in outcome.err
        assert not (work.folder / "outputs").exists()

    def test_is_read_from_the_file_that_is_named(self, work, emulator, monkeypatch, key):
        monkeypatch.delenv("DASHSCOPE_API_KEY")
        (work.folder / "key.txt").write_text(f"{key}\n")
        monkeypatch.setenv("DASHSCOPE_API_KEY_FILE_PATH", "key.txt")
        assert work.dsrun(work.posters(1)).code == 0

    def test_is_read_from_the_home_of_the_official_package(self, work, emulator, monkeypatch, key):
        monkeypatch.delenv("DASHSCOPE_API_KEY")
        folder = Path.home() / ".dashscope"
        folder.mkdir()
        (folder / "api_key").write_text(key)
        assert work.dsrun(work.posters(1)).code == 0

    def test_a_named_file_that_is_missing_is_told(self, work, emulator, monkeypatch):
        monkeypatch.delenv("DASHSCOPE_API_KEY")
        monkeypatch.setenv("DASHSCOPE_API_KEY_FILE_PATH", "nowhere.txt")
        outcome = work.dsrun(work.posters(1))
        assert outcome.code == 3
        assert "nowhere.txt" in outcome.err

    def test_one_that_cannot_be_a_key_is_not_sent_and_not_shown(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-half secret")
        outcome = work.dsrun(work.posters(1))
        assert outcome.code == 3
        assert "half" not in outcome.err
        assert emulator.requests() == []

    def test_plan_and_validate_need_none(self, work):
        pipeline = work.posters(1)
        assert work.dsrun("plan", pipeline).code == 0
        assert work.dsrun("validate", pipeline).code == 0

    def test_a_second_name_of_the_base_url_is_known(self, work, emulator, monkeypatch):
        monkeypatch.delenv("DASHSCOPE_HTTP_BASE_URL")
        monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.base_url + "/")
        assert work.dsrun(work.posters(1)).code == 0
        assert emulator.paid() == 1

    def test_a_base_url_that_is_none_is_told(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", "dashscope.aliyuncs.com/api/v1")
        outcome = work.dsrun(work.posters(1))
        assert outcome.code == 3
        assert "DASHSCOPE_HTTP_BASE_URL" in outcome.err
