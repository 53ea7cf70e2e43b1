"""A run from its command line to its files, against an emulator over real sockets."""

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
TWO_STEPS = """
steps:
  posters:
    operation: wanx-v1
    matrix: {number: [0, 1]}
    input: {prompt: "a lantern {{ number }}"}
  voices:
    operation: qwen-voice-design
    matrix: {tone: [calm, bright]}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: "A {{ tone }} voice"
      preview_text: Good evening.
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
            ]  # fmt: skip
            assert item["sha256"] == hashlib.sha256(content).hexdigest()
            assert item["size"] == len(content)
            assert item["media_type"] == "image/png"

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


class TestSecondRun:
    def test_sends_not_one_request(self, work, emulator):
        pipeline = work.pipeline(TWO_STEPS)
        assert work.dsrun(pipeline).code == 0
        before, files = emulator.requests(), work.files()
        again = work.dsrun(pipeline)
        assert again.code == 0
        assert emulator.requests() == before
        assert work.files() == files

    def test_leaves_the_results_as_they_were(self, work, emulator):
        pipeline = work.posters(2)
        work.dsrun(pipeline)
        results = work.results()
        work.dsrun(pipeline)
        assert work.results() == results

    def test_sends_only_what_is_new(self, work, emulator):
        pipeline = work.posters(3)
        assert work.dsrun(pipeline, "--limit", "2").code == 0
        assert emulator.paid() == 2
        assert work.dsrun(pipeline).code == 0
        assert list(emulator.creates().values()) == [1, 1, 1]

    def test_a_comment_and_other_settings_make_no_other_run(self, work, emulator):
        pipeline = work.posters(2)
        work.dsrun(pipeline)
        first = work.run_dir()
        work.posters(2, concurrency=3)
        pipeline.write_text("# a comment\n" + pipeline.read_text())
        assert work.dsrun(pipeline).code == 0
        assert work.run_dir() == first
        assert emulator.paid() == 2

    def test_failed_jobs_are_sent_again_on_request_only(self, work, serve):
        failing = serve("moderation")
        pipeline = work.posters(2)
        assert work.dsrun(pipeline).code == 1
        assert work.dsrun(pipeline).code == 1
        assert failing.count("POST") == 2
        healthy = serve()
        assert work.dsrun(pipeline).code == 1
        assert work.dsrun(pipeline, "--retry-failed").code == 0
        assert healthy.paid() == 2


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


class TestPartialTask:
    @pytest.fixture
    def outcome(self, work, serve):
        serve("partial-task")
        return work.dsrun(work.posters(1, pictures=4))

    def test_ends_as_partial_with_exit_1(self, work, outcome):
        assert outcome.code == 1
        [line] = work.results()
        assert line["status"] == "partial"
        assert line["error"]["class"] == "partial"
        assert line["error"]["code"] in ("InternalError.Timeout", "DataInspectionFailed")

    def test_keeps_the_files_that_were_made(self, work, outcome):
        [line] = work.results()
        kept = line["artifacts"]
        assert 0 < len(kept) < 4
        assert {item["path"] for item in kept} == work.files().keys()

    def test_files_keep_the_number_and_seed_of_their_picture(self, work, outcome):
        [line] = work.results()
        first = line["request"]["parameters"]["seed"]
        for item in line["artifacts"]:
            assert item["path"] == f"artifacts/posters/0-{item['index']}.png"
            assert item["seed"] == first + item["index"]

    def test_costs_what_was_made(self, work, outcome):
        [line] = work.results()
        assert line["cost"]["amount"] == pytest.approx(0.16 * len(line["artifacts"]))

    def test_is_not_sent_again(self, work, serve, outcome):
        healthy = serve()
        assert work.dsrun("demo.yaml").code == 1
        assert healthy.count("POST") == 0


class TestMissingPictures:
    """`--retry-failed` asks for the pictures that did not come, and for no other."""

    JOBS = 8

    @pytest.fixture
    def pipeline(self, work):
        return work.posters(self.JOBS, pictures=4, seed="100")

    def test_makes_the_job_whole_as_if_nothing_had_failed(self, work, serve, pipeline):
        serve("partial-task")
        assert work.dsrun(pipeline).code == 1
        kept = work.files()
        missing = [
            (line["request"]["input"]["prompt"], 100 + index)
            for line in work.results()
            for index in {0, 1, 2, 3} - {item["index"] for item in line["artifacts"]}
        ]
        healthy = serve()
        assert work.dsrun(pipeline, "--retry-failed").code == 0
        assert kept.items() <= work.files().items()
        assert len(work.files()) == 4 * self.JOBS
        asked = [
            (body["input"]["prompt"], body["parameters"]["seed"] + index)
            for body in map(json.loads, healthy.creates())
            for index in range(body["parameters"]["n"])
        ]
        assert sorted(asked) == sorted(missing)
        assert work.statuses() == {"succeeded": self.JOBS}
        assert all(line["cost"]["amount"] == pytest.approx(0.64) for line in work.results())
        for line in work.results():
            assert line["request"]["parameters"]["n"] == 4
            assert [item["seed"] for item in line["artifacts"]] == [100, 101, 102, 103]

    def test_keeps_what_it_has_when_it_fails_again(self, work, serve, pipeline):
        serve("partial-task")
        work.dsrun(pipeline)
        kept = work.files()
        serve("failed-task")
        assert work.dsrun(pipeline, "--retry-failed").code == 1
        assert work.statuses() == {"partial": self.JOBS}
        assert work.files() == kept
        serve("moderation")
        assert work.dsrun(pipeline, "--retry-failed").code == 1
        assert {line["error"]["code"] for line in work.results()} == {"DataInspectionFailed"}
        assert work.statuses() == {"partial": self.JOBS}

    def test_goes_on_with_the_part_after_a_stop(self, work, serve, standing_clock, pipeline):
        serve("partial-task")
        work.dsrun(pipeline)
        service = serve(clock=standing_clock)
        child = work.spawn(pipeline, "--retry-failed")
        work.until(lambda: service.tasks_asked_for() == self.JOBS, what="every part asked for")
        child.kill()
        parts = len(service.creates())
        standing_clock.release()
        work.dsrun(pipeline)
        assert len(service.creates()) >= parts
        assert set(service.creates().values()) == {1}
        assert work.dsrun(pipeline, "--retry-failed").code == 0
        assert set(service.creates().values()) == {1}
        assert len(work.files()) == 4 * self.JOBS


class TestFailedJobs:
    def test_a_failed_task_fails_its_job(self, work, serve):
        serve("failed-task")
        outcome = work.dsrun(work.posters(2))
        assert outcome.code == 1
        for line in work.results():
            assert line["status"] == "failed"
            assert line["error"]["code"] == "InternalError.Timeout"
            assert line["cost"]["amount"] == 0
            assert line["artifacts"] == []
        assert "InternalError.Timeout" in outcome.err

    def test_a_refused_prompt_fails_its_job_at_once(self, work, serve):
        service = serve("moderation")
        assert work.dsrun(work.posters(2)).code == 1
        assert service.count("POST") == 2
        for line in work.results():
            assert line["status"] == "failed"
            assert line["error"]["code"] == "DataInspectionFailed"
            assert line["attempts"] == 1
            assert line["task_id"] is None

    def test_others_go_on(self, work, serve):
        service = serve("moderation=0.5", seed=1)
        assert work.dsrun(work.posters(6)).code == 1
        statuses = work.statuses()
        assert statuses["failed"] + statuses["succeeded"] == 6
        assert statuses["succeeded"] == service.paid() == len(work.files()) > 0

    def test_fail_fast_sends_nothing_more(self, work, serve):
        service = serve("moderation")
        assert work.dsrun(work.posters(4), "-x").code == 3
        assert service.count("POST") == 1
        assert work.statuses() == {"failed": 1, "pending": 3}

    def test_max_failures_stops_the_run(self, work, serve):
        service = serve("moderation")
        outcome = work.dsrun(work.posters(5, max_failures=2))
        assert outcome.code == 3
        assert service.count("POST") == 2
        assert "max_failures" in outcome.err

    def test_a_forgotten_task_is_unknown_and_not_paid_again(self, work, serve):
        service = serve("unknown-task")
        assert work.dsrun(work.posters(1)).code == 1
        [line] = work.results()
        assert (line["status"], line["error"]["class"]) == ("unknown", "lost")
        assert work.dsrun("demo.yaml", "--retry-failed").code == 1
        assert service.paid() == 1


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
        assert work.dsrun(work.pipeline(TWO_STEPS)).code == 3
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
        outcome = work.dsrun(work.pipeline(TWO_STEPS))
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


LOST_VOICES = """
steps:
  voices:
    operation: qwen-voice-design
    matrix: {mood: [calm, bright, grave]}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: "A {{ mood }} voice"
      preview_text: Good evening.
    filename: "{{ mood }}"
"""


class TestLostAnswer:
    """A create may have been accepted: it is looked for before anything is sent again."""

    @pytest.mark.parametrize("fault", ["lost-answer", "server-error-after"])
    def test_a_create_that_was_accepted_is_found_and_adopted(self, work, serve, fault):
        service = serve(fault)
        assert work.dsrun(work.posters(4)).code == 0
        assert list(service.creates().values()) == [1] * 4
        assert work.statuses() == {"succeeded": 4}
        assert len({line["task_id"] for line in work.results()}) == 4
        outcomes = [row["outcome"] for row in work.query("SELECT outcome FROM attempt")]
        assert (outcomes.count("lost"), outcomes.count("found")) == (4, 4)

    @pytest.mark.parametrize(
        ("fault", "seed"), [("server-error=0.3", 1), ("html=0.3", 3), ("reset=0.3", 3)]
    )
    def test_a_create_that_was_not_accepted_is_sent_again(self, work, serve, fault, seed):
        service = serve(fault, seed=seed)
        # In which order the dice fall is up to the machine, so no job may run out of tries.
        assert work.dsrun(work.posters(6, max_attempts=30)).code == 0
        assert list(service.creates().values()) == [1] * 6
        assert work.query("SELECT 1 FROM attempt WHERE outcome = 'lost'")

    def test_every_picture_is_that_of_its_own_job(self, work, serve):
        """Half of the answers are lost; the files are those of a run without trouble."""
        pipeline = work.posters(8, seed="7")
        serve()
        work.dsrun(pipeline, "-o", "quiet")
        quiet = work.folder / "quiet/demo"
        [run_dir] = [path for path in quiet.iterdir() if path.name != "latest"]
        wanted = {path.name: path.read_bytes() for path in run_dir.glob("artifacts/posters/*")}
        service = serve("lost-answer=0.5", seed=5)
        assert work.dsrun(pipeline).code == 0
        assert list(service.creates().values()) == [1] * 8
        found = {path.rpartition("/")[2]: data for path, data in work.files().items()}
        assert found == wanted

    def test_a_list_that_is_late_is_asked_again_within_the_grace(self, work, serve):
        service = serve("lost-answer", "late-list")
        assert work.dsrun(work.posters(1, grace="3s")).code == 0
        assert service.paid() == 1

    def test_a_wide_window_keeps_the_promise_and_leaves_what_cannot_be_told(self, work, serve):
        service = serve("lost-answer=0.3", seed=4)
        outcome = work.dsrun(work.posters(20, concurrency=10, submit_window=10))
        assert list(service.creates().values()) == [1] * 20
        assert outcome.code in (0, 1)
        assert set(work.statuses()) <= {"succeeded", "unknown"}

    def test_voices_are_found_by_their_own_texts(self, work, serve):
        service = serve("lost-answer")
        outcome = work.dsrun(work.pipeline(LOST_VOICES))
        assert outcome.code == 1
        assert list(service.creates().values()) == [1, 1, 1]
        for line in work.results():
            assert line["status"] == "partial"
            assert line["output"]["voice"].startswith("qwen-tts-vd-v")
            assert line["cost"]["amount"] == 0.2
            assert "the preview audio" in line["error"]["message"]
        assert work.dsrun("demo.yaml", "--retry-failed").code == 1
        assert service.paid() == 3

    def test_voices_that_were_not_made_are_made(self, work, serve):
        service = serve("server-error=0.3", seed=6)
        assert work.dsrun(work.pipeline(LOST_VOICES)).code == 0
        assert list(service.creates().values()) == [1, 1, 1]
        assert work.query("SELECT 1 FROM attempt WHERE outcome = 'lost'")


class TestServerWithoutList:
    """Nobody can tell what became of a lost create; the user decides."""

    def test_leaves_the_job_unknown_and_names_it(self, work, serve):
        service = serve("lost-answer", "no-list")
        outcome = work.dsrun(work.posters(2))
        assert outcome.code == 1
        assert list(service.creates().values()) == [1, 1]
        for line in work.results():
            assert (line["status"], line["error"]["class"]) == ("unknown", "unknown")
        assert "--resubmit-unknown" in outcome.err
        assert "unknown: posters/0-0" in outcome.err
        assert "the list is refused" in outcome.err
        assert "posters/0-0" in work.dsrun("status", "demo.yaml").out

    def test_is_never_sent_again_by_itself(self, work, serve):
        service = serve("lost-answer", "no-list")
        pipeline = work.posters(2)
        work.dsrun(pipeline)
        assert work.dsrun(pipeline).code == 1
        assert work.dsrun(pipeline, "--retry-failed").code == 1
        assert list(service.creates().values()) == [1, 1]

    def test_is_found_by_a_later_run_when_there_is_a_list(self, work, serve, monkeypatch):
        service = serve("lost-answer", "no-list=0.75", seed=2)
        pipeline = work.posters(1)
        assert work.dsrun(pipeline).code == 1
        for _ in range(20):
            if work.dsrun(pipeline).code == 0:
                break
        assert work.statuses() == {"succeeded": 1}
        assert service.paid() == 1

    def test_is_looked_for_first_when_the_user_decides_to_send_it_again(self, work, serve):
        service = serve("lost-answer", "no-list")
        pipeline = work.posters(1)
        work.dsrun(pipeline)
        service.heal()
        assert work.dsrun(pipeline, "--resubmit-unknown").code == 0
        assert list(service.creates().values()) == [1]
        assert work.statuses() == {"succeeded": 1}

    def test_the_users_decision_holds_for_what_was_in_doubt_before_and_is_sent_once(
        self, work, serve
    ):
        service = serve("lost-answer", "no-list")
        pipeline = work.posters(1)
        work.dsrun(pipeline)
        assert work.dsrun(pipeline, "--resubmit-unknown").code == 1
        assert service.paid() == 2
        assert work.statuses() == {"unknown": 1}

    def test_is_not_looked_for_at_another_endpoint(self, work, serve):
        service = serve("lost-answer", "no-list")
        pipeline = work.posters(1)
        work.dsrun(pipeline)
        other = serve()
        outcome = work.dsrun(pipeline)
        assert outcome.code == 3
        assert service.base_url in outcome.err
        assert other.requests() == []

    def test_counts_against_the_budget_since_it_may_be_paid(self, work, serve):
        service = serve("lost-answer", "no-list")
        assert work.dsrun(work.posters(4), "--max-cost", "0.40 CNY").code == 3
        assert service.paid() == 2
        assert work.statuses() == {"unknown": 2, "pending": 2}


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

    def test_a_cheap_run_is_not_asked_about(self, work, emulator):
        assert work.dsrun(work.posters(2, confirm_above="0.40 CNY")).code == 0


class TestSelection:
    def test_limit_runs_the_first_jobs_of_the_plan(self, work, emulator):
        assert work.dsrun(work.posters(4), "--limit", "2").code == 0
        assert [line["status"] for line in work.results()] == ["succeeded"] * 2 + ["pending"] * 2

    def test_step_runs_that_step_alone(self, work, emulator):
        assert work.dsrun(work.pipeline(TWO_STEPS), "--step", "voices").code == 0
        assert emulator.count("POST", "image-synthesis") == 0
        assert emulator.count("POST", "customization") == 2

    def test_limit_counts_within_the_step(self, work, emulator):
        pipeline = work.pipeline(TWO_STEPS)
        assert work.dsrun(pipeline, "--step", "voices", "--limit", "1").code == 0
        assert emulator.count("POST", "image-synthesis") == 0
        assert emulator.count("POST", "customization") == 1

    def test_an_unknown_step_is_an_error(self, work, emulator):
        outcome = work.dsrun(work.pipeline(TWO_STEPS), "--step", "voice")
        assert outcome.code == 2
        assert "voices" in outcome.err

    def test_no_more_jobs_are_under_way_than_allowed(self, work, serve, standing_clock):
        service = serve(clock=standing_clock)
        child = work.spawn(work.posters(5), "-j", "2")
        work.until(lambda: service.paid() == 2, what="two creates")
        asked = service.count("GET")
        work.until(
            lambda: service.count("GET") > asked + 10, what="more questions for the two tasks"
        )
        assert service.paid() == 2
        standing_clock.advance(1)
        work.until(lambda: service.paid() == 4, what="the next two")
        standing_clock.advance(1)
        work.until(lambda: service.paid() == 5, what="the last one")
        standing_clock.advance(1)
        assert child.end().code == 0


class TestInvalid:
    def test_nothing_is_sent_when_one_job_is_invalid(self, work, emulator):
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {text: [short, LONG]}
    input: {prompt: "{{ text }}"}
""".replace("LONG", "x" * 801)
        outcome = work.dsrun(work.pipeline(steps))
        assert outcome.code == 2
        assert "800" in outcome.err
        assert emulator.requests() == []
        assert not (work.folder / "outputs").exists()


class TestKey:
    def test_is_in_no_file_and_in_no_output(self, work, serve, key, monkeypatch, tmp_path):
        monkeypatch.setenv("DSRUN_VERBOSE", "1")
        serve("throttle-bare=0.2", "download-error=0.2", "moderation=0.2", seed=4)
        child = work.spawn(work.pipeline(TWO_STEPS))
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
