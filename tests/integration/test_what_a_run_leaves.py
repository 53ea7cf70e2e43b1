"""What a run leaves: a directory, a line for each job, and files that are as recorded."""

import hashlib
import io
import json
import re

import pytest
import soundfile
from PIL import Image

RESULT_KEYS = [
    "job_id",
    "step",
    "index",
    "matrix",
    "request",
    "status",
    "artifacts",
    "output",
    "error",
    "attempts",
    "task_id",
    "request_id",
    "cost",
    "cached",
    "submitted_at",
    "ended_at",
]
MILLISECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|\+00:00)").fullmatch
VOICES = """
steps:
  voices:
    operation: qwen-voice-design
    matrix:
      zip:
        - {format: pcm, rate: 8000}
        - {format: wav, rate: 16000}
        - {format: mp3, rate: 24000}
        - {format: opus, rate: 48000}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: A calm voice
      preview_text: Good evening.
      language: en
    parameters: {response_format: "{{ format }}", sample_rate: "{{ rate }}"}
    filename: "{{ format }}"
"""


class TestDirectory:
    @pytest.fixture
    def outcome(self, work, emulator):
        return work.dsrun(work.posters(2, pictures=2))

    def test_every_job_succeeds_and_stdout_is_the_run_directory(self, work, outcome):
        assert outcome.code == 0
        [line] = outcome.out.splitlines()
        assert (work.folder / line).resolve() == work.run_dir()
        assert "2 succeeded" in outcome.err

    def test_it_is_named_by_the_first_12_digits_of_the_digest(self, work, outcome):
        digest = work.dsrun("plan", "demo.yaml", "--json").answer["digest"]
        assert work.run_dir() == work.folder / "outputs" / "demo" / digest[:12]
        assert re.fullmatch(r"[0-9a-f]{64}", digest)

    def test_latest_is_a_relative_link(self, work, outcome):
        link = work.folder / "outputs" / "demo" / "latest"
        assert link.is_symlink()
        assert str(link.readlink()) == work.run_dir().name

    def test_it_holds_the_files_of_the_contract_and_no_rest(self, work, outcome):
        names = {path.name for path in work.run_dir().iterdir() if path.name != ".lock"}
        assert names - {"report.html", ".thumbs", ".ledger-tail"} == {
            "manifest.yaml",
            "manifest.lock.json",
            "ledger.sqlite3",
            "results.jsonl",
            "artifacts",
            "ro-crate-metadata.json",
        }

    def test_the_manifest_is_kept_byte_for_byte(self, work, emulator):
        pipeline = work.posters(1)
        odd = b"# \xe7\x81\xaf  \r\n" + pipeline.read_bytes().replace(b"\n", b"\r\n")
        pipeline.write_bytes(odd)
        assert work.dsrun(pipeline).code == 0
        assert (work.run_dir() / "manifest.yaml").read_bytes() == odd

    def test_the_lock_says_what_determined_the_run(self, work, emulator, outcome):
        lock = json.loads((work.run_dir() / "manifest.lock.json").read_text())
        assert lock["digest"].startswith(work.run_dir().name)
        assert lock["endpoint"] == emulator.base_url
        assert lock["manifest"]["steps"]["posters"]["parameters"] == {"n": 2}
        assert {"dsrun_version", "files", "run"} <= lock.keys()

    def test_files_carry_their_names_and_are_pictures(self, work, outcome):
        files = work.files()
        assert sorted(files) == [
            f"artifacts/posters/{name}.png" for name in ("0-0", "0-1", "1-0", "1-1")
        ]
        for content in files.values():
            Image.open(io.BytesIO(content)).verify()


class TestResults:
    @pytest.fixture
    def results(self, work, emulator):
        assert work.dsrun(work.posters(3, pictures=2)).code == 0
        return work.results()

    def test_every_line_has_the_keys_of_the_contract_in_order(self, results):
        assert [list(line) for line in results] == [RESULT_KEYS] * 3

    def test_lines_stand_in_plan_order(self, work, results):
        plan = work.dsrun("plan", "demo.yaml", "--json", "--full").answer["job_list"]
        assert [line["job_id"] for line in results] == [job["job_id"] for job in plan]
        assert [line["index"] for line in results] == [0, 1, 2]
        assert [line["matrix"] for line in results] == [{"number": n} for n in range(3)]

    def test_a_line_tells_how_its_job_ended(self, results):
        line = results[1]
        assert line["step"] == "posters"
        assert line["status"] == "succeeded"
        assert line["output"] is None
        assert line["error"] is None
        assert line["attempts"] == 1
        assert line["cached"] is False
        assert line["cost"] == {"amount": 0.32, "currency": "CNY"}
        assert line["task_id"]
        assert line["request_id"]
        assert MILLISECONDS(line["submitted_at"])
        assert MILLISECONDS(line["ended_at"])
        assert line["submitted_at"] < line["ended_at"]

    def test_the_request_is_what_was_sent(self, emulator, results):
        sent = {json.dumps(json.loads(body), sort_keys=True) for body in emulator.creates()}
        assert {json.dumps(line["request"], sort_keys=True) for line in results} == sent

    def test_every_artifact_is_recorded_as_it_is_on_disk(self, work, results):
        recorded = [item for line in results for item in line["artifacts"]]
        files = work.files()
        assert {item["path"] for item in recorded} == files.keys()
        for item in recorded:
            content = files[item["path"]]
            assert list(item) == [
                "path", "sha256", "size", "media_type", "index", "seed", "source_sha256",
                "duration_s", "width", "height", "name",
            ]  # fmt: skip
            assert item["sha256"] == hashlib.sha256(content).hexdigest()
            assert item["size"] == len(content)
            assert item["media_type"] == "image/png"
            with Image.open(io.BytesIO(content)) as picture:
                assert (item["width"], item["height"]) == picture.size

    def test_a_seed_is_derived_and_counts_up_with_the_pictures(self, results):
        for line in results:
            first = line["request"]["parameters"]["seed"]
            assert [(a["index"], a["seed"]) for a in line["artifacts"]] == [
                (0, first),
                (1, first + 1),
            ]
        assert len({line["request"]["parameters"]["seed"] for line in results}) == 3


def test_a_derived_seed_depends_on_the_job_alone(work, emulator):
    work.dsrun(work.posters(2))
    before = [line["request"] for line in work.results()]
    work.dsrun(work.posters(3))
    assert [line["request"] for line in work.results()][:2] == before


def test_a_given_seed_is_sent_and_recorded(work, emulator):
    assert work.dsrun(work.posters(1, pictures=3, seed="7")).code == 0
    [line] = work.results()
    assert line["request"]["parameters"] == {"n": 3, "seed": 7}
    assert [item["seed"] for item in line["artifacts"]] == [7, 8, 9]


def test_seed_null_sends_none(work, emulator):
    assert work.dsrun(work.posters(1, seed="null")).code == 0
    [line] = work.results()
    assert "seed" not in line["request"]["parameters"]
    assert line["artifacts"][0]["seed"] is None


class TestVoices:
    @pytest.fixture
    def results(self, work, emulator):
        assert work.dsrun(work.pipeline(VOICES)).code == 0
        return work.results()

    def test_a_file_has_the_extension_and_type_of_its_format(self, results):
        found = [(a["path"], a["media_type"]) for line in results for a in line["artifacts"]]
        assert found == [
            ("artifacts/voices/pcm.pcm", "audio/pcm"),
            ("artifacts/voices/wav.wav", "audio/wav"),
            ("artifacts/voices/mp3.mp3", "audio/mpeg"),
            ("artifacts/voices/opus.opus", "audio/ogg"),
        ]

    def test_the_rate_is_recorded_and_is_that_of_the_file(self, work, results):
        rates = [a["sample_rate"] for line in results for a in line["artifacts"]]
        assert rates == [8000, 16000, 24000, 48000]
        files = work.files()
        heard = [
            soundfile.info(io.BytesIO(files[f"artifacts/voices/{name}"])).samplerate
            for name in ("wav.wav", "mp3.mp3", "opus.opus")
        ]
        assert heard == [16000, 24000, 48000]

    def test_the_length_is_that_of_the_file_where_its_header_tells_it(self, work, results):
        files, lengths = work.files(), {}
        for item in (item for line in results for item in line["artifacts"]):
            lengths[item["path"].rpartition(".")[2]] = item["duration_s"]
        assert lengths.pop("pcm") is None
        for name, length in lengths.items():
            heard = soundfile.info(io.BytesIO(files[f"artifacts/voices/{name}.{name}"]))
            assert length == pytest.approx(heard.duration, abs=0.15)

    def test_the_voice_is_kept_for_later_steps(self, results):
        for line in results:
            assert line["output"]["target_model"] == "qwen3-tts-vd-2026-01-26"
            assert line["request"]["input"]["preferred_name"] in line["output"]["voice"]

    def test_a_name_is_derived_for_each_voice(self, results):
        names = {line["request"]["input"]["preferred_name"] for line in results}
        assert len(names) == 4
        assert all(re.fullmatch(r"[a-zA-Z0-9_]{1,16}", name) for name in names)

    def test_a_voice_costs_its_price(self, results):
        assert [line["cost"]["amount"] for line in results] == [0.2] * 4


class TestEqualRows:
    @pytest.fixture
    def outcome(self, work, emulator):
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {copy: [front, back]}
    input: {prompt: a lantern}
    parameters: {n: 2}
    filename: "{{ copy }}-{{ index }}"
"""
        return work.dsrun(work.pipeline(steps))

    def test_are_one_job_paid_once(self, work, emulator, outcome):
        assert outcome.code == 0
        assert emulator.paid() == 1
        assert len(work.results()) == 1

    def test_write_the_files_of_every_row(self, work, outcome):
        files = work.files()
        assert sorted(files) == [
            f"artifacts/posters/{name}.png" for name in ("back-0", "back-1", "front-0", "front-1")
        ]
        assert files["artifacts/posters/front-0.png"] == files["artifacts/posters/back-0.png"]
        assert files["artifacts/posters/front-0.png"] != files["artifacts/posters/front-1.png"]

    def test_have_all_their_files_recorded(self, work, outcome):
        [line] = work.results()
        assert {item["path"] for item in line["artifacts"]} == work.files().keys()


def test_repeat_makes_jobs_of_their_own(work, emulator):
    steps = """
steps:
  posters:
    operation: wanx-v1
    repeat: 3
    input: {prompt: a lantern}
"""
    assert work.dsrun(work.pipeline(steps)).code == 0
    assert emulator.paid() == 3
    assert len({line["request"]["parameters"]["seed"] for line in work.results()}) == 3
    assert len(work.files()) == 3
