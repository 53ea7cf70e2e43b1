"""`--emulate` and `dsrun emulate` need no key and no service, and never stand in for a real one."""

import json
import re
import signal
import sys

import pytest

from dsrun.emulator import FAULTS


class TestEmulate:
    """`--emulate` needs nothing: no key, no service."""

    def test_writes_to_a_directory_of_its_own(self, work):
        outcome = work.dsrun(work.posters(1), "--emulate")
        assert outcome.code == 0
        assert work.run_dir().name.startswith("emulated-")
        assert len(work.files()) == 1
        assert "emulated" in outcome.err

    def test_never_stands_in_for_a_real_result(self, work, emulator):
        pipeline = work.posters(1)
        work.dsrun(pipeline, "--emulate")
        assert emulator.requests() == []
        assert work.dsrun(pipeline).code == 0
        assert emulator.paid() == 1
        assert not work.run_dir().name.startswith("emulated-")

    def test_a_second_one_makes_nothing_anew(self, work):
        pipeline = work.posters(1)
        work.dsrun(pipeline, "--emulate")
        results = work.results()
        assert work.dsrun(pipeline, "--emulate").code == 0
        assert work.results() == results

    def test_plan_and_status_know_it(self, work):
        pipeline = work.posters(1)
        work.dsrun(pipeline, "--emulate")
        assert work.dsrun("plan", pipeline, "--emulate", "--json").answer["done"] == 1
        assert work.dsrun("plan", pipeline, "--json").answer["done"] == 0
        status = work.dsrun("status", pipeline, "--emulate", "--json").answer
        assert status["jobs"]["succeeded"] == 1

    def test_the_served_one_can_be_used_as_it_says(self, work, monkeypatch):
        child = work.spawn("emulate", "--port", "0", "--task-time", "0.05", "--no-limits")
        child.wait_for_answer("DASHSCOPE_API_KEY=")
        for name, value in re.findall(r"export (\w+)=(\S+)", child.answered()):
            monkeypatch.setenv(name, value)
        assert work.dsrun(work.posters(1)).code == 0
        child.send(signal.SIGTERM)
        outcome = child.end()
        assert outcome.code == 0
        assert outcome.err == ""

    def test_the_served_one_lists_its_faults(self, work):
        outcome = work.dsrun("emulate", "--fault", "list")
        assert outcome.code == 0
        assert all(name in outcome.out for name in FAULTS)

    def test_a_port_in_use_is_told(self, work, emulator):
        port = emulator.base_url.split(":")[2].partition("/")[0]
        outcome = work.dsrun("emulate", "--port", port)
        assert outcome.code == 3
        assert port in outcome.err


class TestWithoutTheExtraAudio:
    """The plain install emulates pictures, films and WAV; mp3 and opus come with an extra."""

    @pytest.fixture(autouse=True)
    def _plain_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "soundfile", None)
        monkeypatch.setitem(sys.modules, "numpy", None)

    def _voices(self, work, *formats):
        return work.pipeline(f"""
steps:
  voices:
    operation: qwen-voice-design
    matrix: {{form: {json.dumps(formats)}}}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: A calm voice
      preview_text: Good evening.
      language: en
    parameters: {{response_format: "{{{{ form }}}}"}}
    filename: "{{{{ form }}}}"
""")

    def test_pictures_and_wav_are_made(self, work):
        assert work.dsrun(work.posters(1), "--emulate").code == 0
        assert work.dsrun(self._voices(work, "wav", "pcm"), "--emulate").code == 0

    @pytest.mark.parametrize("name", ["mp3", "opus"])
    def test_who_asks_for_more_is_told_what_to_install(self, work, name):
        outcome = work.dsrun(self._voices(work, "wav", name), "--emulate")
        assert outcome.code == 1
        assert f"failed: voices/{name}" in outcome.err
        assert f"The emulator makes {name} only with the extra audio" in outcome.err
        assert "pip install 'dsrun[audio]'" in outcome.err
        assert "2 jobs: 1 succeeded, 1 failed" in outcome.err
