"""Stopped in every way there is, and run again: nothing is lost and nothing is paid twice."""

import io
import json
import shutil
import signal
import sqlite3
from contextlib import closing, suppress

import pytest
from PIL import Image

from dsrun.ledger.schema import MIGRATIONS

VOICE = """
steps:
  voices:
    operation: qwen-voice-design
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: A calm voice
      preview_text: Good evening.
    filename: calm
"""
TWINS = """
steps:
  posters:
    operation: wanx-v1
    matrix: {copy: [front, back]}
    input: {prompt: a lantern}
    filename: "{{ copy }}"
"""


class TestKill:
    """`kill -9` at a moment that the service sees; what the client was doing then is left open."""

    @pytest.mark.parametrize(
        ("method", "part", "number"),
        [
            ("POST", "/services/", 1),
            ("POST", "/services/", 3),
            ("POST", "/services/", 8),
            ("GET", "/tasks/", 1),
            ("GET", "/dashscope-result/", 1),
            ("GET", "/dashscope-result/", 6),
        ],
        ids=["create-1", "create-3", "create-8", "query-1", "download-1", "download-6"],
    )
    def test_loses_nothing_and_pays_nothing_twice(self, work, emulator, method, part, number):
        pipeline = work.posters(8)
        child = work.spawn(pipeline)
        work.until(
            lambda: emulator.count(method, part) >= number, what=f"{number} x {method} {part}"
        )
        child.kill()
        self._check_the_files_of_a_killed_run(work)

        assert work.dsrun(pipeline).code == 0
        assert list(emulator.creates().values()) == [1] * 8
        assert work.statuses() == {"succeeded": 8}
        assert len(work.files()) == 8
        assert work.dsrun("verify", work.run_dir()).code == 0

    def test_again_and_again_is_as_good_as_once(self, work, emulator):
        pipeline = work.posters(9, concurrency=2)
        for number in (2, 4, 6):
            child = work.spawn(pipeline)
            work.until(lambda n=number: emulator.paid() >= n, what=f"{number} creates")
            child.kill()
        assert work.dsrun(pipeline).code == 0
        assert list(emulator.creates().values()) == [1] * 9
        assert work.statuses() == {"succeeded": 9}

    def test_among_the_rows_of_the_plan_is_made_good_by_the_next_run(self, work, emulator):
        pipeline = work.posters(6000)
        child = work.spawn(pipeline, "--limit", "1")
        work.until(lambda: self._jobs_of_ledgers(work), what="the first rows in the ledger")
        child.kill()
        assert work.dsrun(pipeline, "--limit", "2").code == 0
        assert work.query("SELECT count(*) AS jobs FROM job") == [{"jobs": 6000}]
        assert [row["jobs"] for row in work.query("SELECT jobs FROM plan")] == [6000]
        assert set(emulator.creates().values()) == {1}

    @staticmethod
    def _jobs_of_ledgers(work):
        for path in work.folder.glob("outputs/demo/*/ledger.sqlite3"):
            with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as db:
                return db.execute("SELECT count(*) FROM job").fetchone()[0]
        return 0

    def test_the_run_is_recorded_as_one_without_an_end(self, work, serve, standing_clock):
        service = serve(clock=standing_clock)
        child = work.spawn(work.posters(2))
        work.until(lambda: service.count("GET") > 0, what="a question")
        child.kill()
        status = work.dsrun("status", "demo.yaml", "--json").answer
        assert status["running"] is False
        assert [row["ended_at"] for row in work.query("SELECT * FROM run")] == [None]

    def _check_the_files_of_a_killed_run(self, work):
        if (work.run_dir() / "artifacts").exists():
            for content in work.files().values():
                Image.open(io.BytesIO(content)).verify()


class TestChangedManifest:
    """Another digest, another run directory; the jobs that stay the same stay paid."""

    def test_goes_on_with_the_tasks_that_the_old_one_has_under_way(
        self, work, serve, standing_clock
    ):
        service = serve(clock=standing_clock)
        child = work.spawn(work.posters(2))
        work.until(lambda: service.tasks_asked_for() == 2, what="two tasks")
        child.kill()
        standing_clock.release()
        assert work.dsrun(work.posters(3)).code == 0
        assert list(service.creates().values()) == [1, 1, 1]
        assert len(work.files()) == 3
        assert work.query("SELECT 1 FROM attempt WHERE outcome = 'shared'")

    def test_looks_for_what_the_old_one_has_in_doubt(self, work, serve):
        service = serve("lost-answer", "no-list")
        work.dsrun(work.posters(1))
        service.heal()
        assert work.dsrun(work.posters(2)).code == 0
        assert list(service.creates().values()) == [1, 1]

    def test_a_ledger_of_another_version_beside_it_is_passed_over(self, work, serve):
        service = serve("lost-answer")
        old = work.folder / "outputs/old/abc"
        old.mkdir(parents=True)
        with closing(sqlite3.connect(old / "ledger.sqlite3")) as db:
            db.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
        assert work.dsrun(work.posters(1)).code == 0
        assert service.paid() == 1


class TestSignals:
    @pytest.mark.parametrize(
        ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
    )
    def test_the_first_one_submits_no_more_and_finishes_what_is_under_way(
        self, work, serve, standing_clock, number, code
    ):
        service = serve(clock=standing_clock)
        pipeline = work.posters(6, concurrency=3)
        child = work.spawn(pipeline)
        work.until(lambda: service.tasks_asked_for() == 3, what="three tasks asked for")
        child.send(number)
        child.wait_for_words("stopping")
        standing_clock.release()
        outcome = child.end()
        assert outcome.code == code
        assert work.statuses() == {"succeeded": 3, "pending": 3}
        assert service.paid() == 3
        assert "3 left" in outcome.err
        assert len(work.results()) == 6

        assert work.dsrun(pipeline).code == 0
        assert list(service.creates().values()) == [1] * 6

    @pytest.mark.parametrize(
        ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
    )
    def test_the_second_one_stops_at_once_and_keeps_the_tasks(
        self, work, serve, standing_clock, number, code
    ):
        service = serve(clock=standing_clock)
        pipeline = work.posters(6, concurrency=3)
        child = work.spawn(pipeline)
        work.until(lambda: service.tasks_asked_for() == 3, what="three tasks asked for")
        child.send(number)
        child.wait_for_words("stopping")
        child.send(number)
        outcome = child.end()
        assert outcome.code == code
        assert "Traceback" not in outcome.err
        assert work.statuses() == {"submitted": 3, "pending": 3}

        standing_clock.release()
        assert work.dsrun(pipeline).code == 0
        assert list(service.creates().values()) == [1] * 6

    def test_a_run_that_ends_all_its_jobs_in_spite_of_one_has_succeeded(
        self, work, serve, standing_clock
    ):
        service = serve(clock=standing_clock)
        child = work.spawn(work.posters(2))
        work.until(lambda: service.tasks_asked_for() == 2, what="two tasks asked for")
        child.send(signal.SIGINT)
        child.wait_for_words("stopping")
        standing_clock.release()
        assert child.end().code == 0
        assert work.statuses() == {"succeeded": 2}


class TestOneRunAtATime:
    @pytest.fixture
    def service(self, serve, standing_clock):
        return serve(clock=standing_clock)

    @pytest.fixture
    def child(self, work, service):
        """A run that cannot end before the clock of the service goes."""
        child = work.spawn(work.posters(2))
        work.until(lambda: service.tasks_asked_for() == 2, what="two tasks asked for")
        return child

    def test_a_second_run_is_refused_with_75_and_told_who_runs(self, work, service, child):
        outcome = work.dsrun("demo.yaml")
        assert outcome.code == 75
        assert str(child.process.pid) in outcome.err
        assert "--if-running" in outcome.err
        assert service.paid() == 2

    def test_skip_is_content(self, work, service, child, monkeypatch):
        assert work.dsrun("demo.yaml", "--if-running", "skip").code == 0
        monkeypatch.setenv("DSRUN_IF_RUNNING", "skip")
        assert work.dsrun("demo.yaml").code == 0
        assert service.paid() == 2

    def test_wait_waits_and_finds_everything_done(self, work, service, child, standing_clock):
        waiting = work.spawn("demo.yaml", "--if-running", "wait")
        waiting.wait_for_words("waiting")
        assert child.process.poll() is None
        standing_clock.release()
        assert child.end().code == 0
        assert waiting.end().code == 0
        assert list(service.creates().values()) == [1, 1]

    def test_status_shows_a_run_while_it_runs(self, work, child, standing_clock):
        status = work.dsrun("status", "demo.yaml", "--json").answer
        assert status["running"] is True
        assert status["jobs"]["submitted"] == 2
        standing_clock.release()
        assert child.end().code == 0
        assert work.dsrun("status", "demo.yaml", "--json").answer["running"] is False

    def test_plan_looks_on_without_disturbing(self, work, child, standing_clock):
        assert work.dsrun("plan", "demo.yaml", "--json").answer["to_send"] == 0
        standing_clock.release()
        assert child.end().code == 0

    def test_another_pipeline_runs_beside_it(self, work, child, standing_clock):
        other = work.pipeline(VOICE, path="other.yaml", name="other")
        assert work.dsrun(other).code == 0
        assert child.process.poll() is None


class TestLockFile:
    def test_names_the_same_directory_and_sends_nothing(self, work, emulator):
        work.dsrun(work.posters(2))
        run_dir, requests = work.run_dir(), emulator.requests()
        assert work.dsrun(run_dir / "manifest.lock.json").code == 0
        assert work.run_dir() == run_dir
        assert emulator.requests() == requests

    def test_leaves_what_the_first_run_wrote(self, work, emulator):
        pipeline = work.posters(2)
        work.dsrun(pipeline)
        names = ("manifest.yaml", "manifest.lock.json", "results.jsonl")
        before = {name: (work.run_dir() / name).read_bytes() for name in names}
        assert work.dsrun(work.run_dir() / "manifest.lock.json").code == 0
        assert {name: (work.run_dir() / name).read_bytes() for name in names} == before

    def test_goes_on_with_a_run_that_stopped(self, work, emulator):
        work.dsrun(work.posters(3), "--max-cost", "0.20 CNY")
        assert work.dsrun(work.run_dir() / "manifest.lock.json").code == 0
        assert list(emulator.creates().values()) == [1, 1, 1]

    def test_makes_the_same_requests_in_another_place(self, work, emulator):
        steps = """
params: {tone: noon sun}
steps:
  posters:
    operation: wanx-v1
    matrix: {product: {file: products.csv}}
    input: {prompt: "{{ product.name }}, {{ params.tone }}, {{ run.datetime }}"}
"""
        (work.folder / "products.csv").write_text("name\nlantern\ntea house\n")
        work.dsrun(work.pipeline(steps), "--set", "tone=noir")
        first, requests = work.run_dir(), [line["request"] for line in work.results()]
        assert "noir" in requests[0]["input"]["prompt"]
        lock = first / "manifest.lock.json"
        assert work.dsrun(lock, "-o", "elsewhere").code == 0
        results = work.folder / "elsewhere" / "demo" / first.name / "results.jsonl"
        again = [json.loads(line)["request"] for line in results.read_text().splitlines()]
        assert again == requests

    def test_says_which_file_has_changed(self, work, emulator):
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {product: {file: products.csv}}
    input: {prompt: "{{ product.name }}"}
"""
        (work.folder / "products.csv").write_text("name\nlantern\n")
        work.dsrun(work.pipeline(steps))
        (work.folder / "products.csv").write_text("name\nkite\n")
        assert work.dsrun(work.run_dir() / "manifest.lock.json").code == 0  # the run's own copy
        shutil.rmtree(work.run_dir() / "inputs")
        outcome = work.dsrun(work.run_dir() / "manifest.lock.json")
        assert outcome.code == 2
        assert "products.csv" in outcome.err
        assert emulator.paid() == 1


class TestLostFiles:
    def test_a_deleted_file_is_fetched_again_without_a_create(self, work, emulator):
        pipeline = work.posters(3)
        work.dsrun(pipeline, "--no-cache")
        files, results = work.files(), work.results()
        (work.run_dir() / "artifacts/posters/1-0.png").unlink()
        creates, downloads = emulator.count("POST"), emulator.count("GET", "/dashscope-result/")
        assert work.dsrun(pipeline).code == 0
        assert emulator.count("POST") == creates
        assert emulator.count("GET", "/dashscope-result/") == downloads + 1
        assert work.files() == files
        assert [line["artifacts"] for line in work.results()] == [r["artifacts"] for r in results]

    def test_a_file_that_was_edited_is_left_as_it_is_and_verify_tells(self, work, emulator):
        pipeline = work.posters(1)
        work.dsrun(pipeline)
        path = work.run_dir() / "artifacts/posters/0-0.png"
        path.write_bytes(b"retouched")
        assert work.dsrun(pipeline).code == 0
        assert path.read_bytes() == b"retouched"
        assert work.dsrun("verify", str(work.run_dir())).code == 1
        assert emulator.paid() == 1

    def test_all_files_of_equal_rows_come_back(self, work, emulator):
        pipeline = work.pipeline(TWINS)
        work.dsrun(pipeline)
        files = work.files()
        (work.run_dir() / "artifacts/posters/back.png").unlink()
        assert work.dsrun(pipeline).code == 0
        assert work.files() == files
        assert emulator.paid() == 1

    def test_a_voice_preview_cannot_come_back_and_its_voice_is_not_paid_again(self, work, emulator):
        pipeline = work.pipeline(VOICE)
        work.dsrun(pipeline, "--no-cache")
        (work.run_dir() / "artifacts/voices/calm.wav").unlink()
        outcome = work.dsrun(pipeline, "--retry-failed")
        assert outcome.code == 0
        assert "calm.wav is missing" in outcome.err
        assert emulator.paid() == 1
        [line] = work.results()
        assert line["output"]["voice"].startswith("qwen-tts-vd-")

    def test_a_file_of_a_forgotten_task_is_lost_but_stays_paid(self, work, serve):
        serve()
        pipeline = work.posters(1)
        work.dsrun(pipeline, "--no-cache")
        (work.run_dir() / "artifacts/posters/0-0.png").unlink()
        forgetful = serve("unknown-task")
        assert work.dsrun(pipeline).code == 1
        assert forgetful.count("POST") == 0
        [line] = work.results()
        assert (line["status"], line["error"]["class"]) == ("unknown", "lost")
        assert work.dsrun("status", "demo.yaml", "--json").answer["cost"]["amount"] == 0.16

    def test_an_emulated_file_is_made_again(self, work):
        pipeline = work.posters(1)
        assert work.dsrun(pipeline, "--emulate").code == 0
        files = work.files()
        (work.run_dir() / "artifacts/posters/0-0.png").unlink()
        assert work.dsrun(pipeline, "--emulate").code == 0
        assert work.files() == files
