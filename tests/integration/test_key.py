"""The key goes to the host of the API alone, and is written nowhere."""


class TestKey:
    def test_is_in_no_file_and_in_no_output(self, work, serve, key, monkeypatch, tmp_path):
        monkeypatch.setenv("DSRUN_VERBOSE", "1")
        serve("throttle-bare=0.2", "download-error=0.2", "moderation=0.2", seed=4)
        child = work.spawn(work.posters_and_voices("calm", "bright"))
        outcome = child.end()
        assert outcome.code in (0, 1)
        assert key not in outcome.out + outcome.err
        for path in tmp_path.rglob("*"):
            if path.is_file():
                assert key.encode() not in path.read_bytes(), path

    def test_is_in_no_output_when_the_service_refuses_it(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-another-secret")
        outcome = work.dsrun(work.posters(1))
        assert outcome.code == 3
        assert "sk-another-secret" not in outcome.out + outcome.err

    def test_is_not_sent_to_the_file_host(self, work, emulator):
        """The emulator's file host, like the real one, refuses a request that carries a key."""
        assert work.dsrun(work.posters(1)).code == 0
        assert emulator.count("GET", "/dashscope-result/") == 1

    def test_no_password_of_a_netrc_file_is_sent_instead(self, work, emulator, monkeypatch):
        netrc = work.folder.parent / "home" / ".netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password something\n")
        netrc.chmod(0o600)
        assert work.dsrun(work.posters(1, max_attempts=1)).code == 0
        assert emulator.count("GET", "/dashscope-result/") == 1
