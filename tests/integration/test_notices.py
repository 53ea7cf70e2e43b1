"""Runs that nobody watches: who is told, in which words, and that nothing of it fails a run."""

import json
import os
import re
import signal
import sqlite3
import sys
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

TOKEN = "hook-token-of-this-test"


@pytest.fixture(autouse=True)
def allowed(monkeypatch):
    """Who is told what is tested here; that it is asked for is test_permits.py's."""
    monkeypatch.setenv("DSRUN_ALLOW_NOTIFY", "1")


class Hook:
    """A webhook on loopback: what was posted, and what it answers."""

    def __init__(self):
        hook = self
        self.posts, self.answers = [], []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.posts.append((self.path, dict(self.headers), body))
                self.send_response(hook.answers.pop(0) if hook.answers else 204)
                self.end_headers()

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/{TOKEN}?token={TOKEN}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01])
        self._thread.start()

    def told(self):
        return [json.loads(body) for _, _, body in self.posts]

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def hook(monkeypatch):
    server = Hook()
    monkeypatch.setenv("HOOK", server.url)
    yield server
    server.close()


def with_notify(path, section):
    path.write_text(f"{path.read_text()}notify: {json.dumps(section)}\n")
    return path


class TestWhen:
    def test_a_failure_is_told_a_success_is_not_and_a_recovery_is(
        self, work, serve, hook, monkeypatch
    ):
        service = serve("failed-task")
        posters = with_notify(work.posters(2), {"url": {"env": "HOOK"}})
        assert work.dsrun(posters).code == 1
        service.heal()
        assert work.dsrun(posters, "--retry-failed").code == 0
        assert work.dsrun(posters).code == 0
        failure, recovery = hook.told()
        assert failure["outcome"] == "failure"
        assert failure["exit_code"] == 1
        assert failure["jobs"]["failed"] == 2
        assert failure["errors"][0]["jobs"] == 2
        assert failure["cost"]["amount"] == 0
        assert failure["directory"] == str(work.run_dir())
        assert (recovery["outcome"], recovery["exit_code"]) == ("recovery", 0)
        assert recovery["cost"] == {"amount": 0.32, "currency": "CNY"}
        assert recovery["results"] == str(work.run_dir() / "results.jsonl")

    def test_a_run_that_cannot_begin_is_told_and_so_is_its_recovery(
        self, work, emulator, hook, monkeypatch, key
    ):
        posters = with_notify(work.posters(1), {"url": {"env": "HOOK"}})
        monkeypatch.delenv("DASHSCOPE_API_KEY")
        assert work.dsrun(posters).code == 3
        monkeypatch.setenv("DASHSCOPE_API_KEY", key)
        assert work.dsrun(posters).code == 0
        first, second = hook.told()
        assert (first["outcome"], first["exit_code"]) == ("failure", 3)
        assert "no API key" in first["reason"]
        assert second["outcome"] == "recovery"

    def test_an_invalid_job_is_told(self, work, emulator, hook):
        path = work.pipeline("steps: {s: {operation: wanx-v1, input: {prompt: ''}}}")
        assert work.dsrun(with_notify(path, {"url": {"env": "HOOK"}})).code == 2
        (told,) = hook.told()
        assert (told["outcome"], told["exit_code"]) == ("failure", 2)
        assert emulator.requests() == []

    def test_the_run_after_a_killed_one_is_a_recovery(self, work, serve, hook, standing_clock):
        service = serve(clock=standing_clock)
        posters = with_notify(work.posters(1), {"url": {"env": "HOOK"}})
        child = work.spawn("run", posters)
        work.until(service.tasks_asked_for, what="a task that is asked for")
        child.kill()
        standing_clock.release()
        assert work.dsrun(posters).code == 0
        assert [told["outcome"] for told in hook.told()] == ["recovery"]

    def test_a_run_that_finds_another_one_is_told_unless_it_was_to_be_skipped(
        self, work, serve, hook, standing_clock
    ):
        service = serve(clock=standing_clock)
        posters = with_notify(work.posters(1), {"url": {"env": "HOOK"}, "on": "always"})
        child = work.spawn("run", posters)
        work.until(service.tasks_asked_for, what="a task that is asked for")
        prom = work.folder / "p.prom"
        assert work.dsrun(posters, "--if-running", "skip", "--textfile", prom).code == 0
        assert (hook.posts, prom.exists()) == ([], False)
        assert work.dsrun(posters).code == 75
        standing_clock.release()
        assert child.end().code == 0
        assert [told["exit_code"] for told in hook.told()] == [75, 0]

    def test_ctrl_c_is_no_failure(self, work, serve, hook, standing_clock):
        service = serve(clock=standing_clock)
        posters = with_notify(work.posters(1), {"url": {"env": "HOOK"}})
        child = work.spawn("run", posters)
        work.until(service.tasks_asked_for, what="a task that is asked for")
        child.send(signal.SIGINT)
        child.wait_for_words("stopping")
        child.send(signal.SIGINT)
        assert child.end().code == 130
        standing_clock.release()
        assert work.dsrun(posters).code == 0
        assert hook.posts == []


class TestHow:
    def test_the_payload_and_the_headers_are_what_the_manifest_says(self, work, emulator, hook):
        section = {
            "on": "always",
            "url": {"env": "HOOK"},
            "headers": {"Authorization": {"env": "HOOK"}, "X-Plain": "yes"},
            "payload": {"text": "{{ pipeline }} {{ outcome }}", "n": "{{ jobs.succeeded }}"},
        }
        assert work.dsrun(with_notify(work.posters(2), section)).code == 0
        ((path, headers, body),) = hook.posts
        assert path == f"/{TOKEN}?token={TOKEN}"
        assert headers["Authorization"] == hook.url
        assert headers["X-Plain"] == "yes"
        assert headers["Content-Type"] == "application/json"
        assert json.loads(body) == {"text": "demo success", "n": 2}

    def test_a_host_that_is_out_of_breath_is_asked_again(self, work, emulator, hook):
        hook.answers += [503]
        posters = with_notify(work.posters(1), {"on": "always", "url": {"env": "HOOK"}})
        outcome = work.dsrun(posters)
        assert (outcome.code, len(hook.posts)) == (0, 2)
        assert "delivered" not in outcome.err

    @pytest.mark.parametrize(
        ("section", "words"),
        [
            ({"url": "http://127.0.0.1:9/very-secret"}, "cannot connect to 127.0.0.1:9"),
            ({"url": {"env": "NOT_SET"}}, "the environment has no NOT_SET"),
            ({"url": {"env": "HOOK"}, "headers": {"X": "a\nb"}}, "notify.url: "),
            ({"command": ["no-such-program"]}, "no-such-program cannot be started"),
            ({"command": ["sh", "-c", "echo a; echo bad luck >&2; exit 7"]}, "code 7: bad luck"),
        ],
    )
    def test_a_notice_that_fails_is_a_warning(self, work, emulator, hook, section, words):
        outcome = work.dsrun(with_notify(work.posters(1), {"on": "always"} | section))
        assert outcome.code == 0
        assert outcome.out.strip().endswith(work.run_dir().name)
        (line,) = (one for one in outcome.err.splitlines() if "notice was" in one)
        assert line.startswith("warning: the notice was not delivered: notify.")
        assert words in line
        assert "very-secret" not in outcome.err

    def test_a_refusal_is_told_and_not_repeated(self, work, emulator, hook):
        hook.answers += [404]
        posters = with_notify(work.posters(1), {"on": "always", "url": {"env": "HOOK"}})
        outcome = work.dsrun(posters, "-v")
        assert (outcome.code, len(hook.posts)) == (0, 1)
        assert "the host answered HTTP 404" in outcome.err
        assert TOKEN not in outcome.err

    def test_a_command_gets_the_payload_and_no_key(self, work, emulator, tmp_path):
        script = (
            "import json, os, sys; json.dump([json.load(sys.stdin), dict(os.environ), os.getcwd()],"
            " open('got.json', 'w'))"
        )
        section = {"on": "always", "command": [sys.executable, "-c", script]}
        assert work.dsrun(with_notify(work.posters(1), section)).code == 0
        payload, environment, folder = json.loads((work.folder / "got.json").read_text())
        assert payload["outcome"] == environment["DSRUN_OUTCOME"] == "success"
        assert environment["DSRUN_PIPELINE"] == "demo"
        assert environment["DSRUN_DIRECTORY"] == str(work.run_dir())
        assert "DASHSCOPE_API_KEY" not in environment
        assert folder == str(work.folder)

    def test_a_command_that_reads_nothing_and_leaves_a_child_holds_up_nobody(self, work, emulator):
        section = {"on": "always", "command": ["sh", "-c", "sleep 50 & echo $! > pid"]}
        outcome = work.dsrun(with_notify(work.posters(1), section))
        os.kill(int((work.folder / "pid").read_text()), signal.SIGKILL)  # it still ran
        assert (outcome.code, "delivered" in outcome.err) == (0, False)

    def test_it_is_no_part_of_the_digest(self, work, emulator, hook):
        posters = work.posters(1)
        before = work.dsrun("plan", posters, "--json").answer["digest"]
        with_notify(posters, {"url": {"env": "HOOK"}})
        assert work.dsrun("plan", posters, "--json").answer["digest"] == before

    def test_a_slip_in_its_template_is_told_before_anything_is_sent(self, work, emulator):
        section = {"command": ["true"], "payload": "{{ job.failed }}"}
        outcome = work.dsrun("validate", with_notify(work.posters(1), section))
        assert outcome.code == 2
        assert "notify.payload: " in outcome.err


class TestFiles:
    def test_a_run_leaves_what_was_asked_for(self, work, serve, monkeypatch):
        serve("failed-task")
        summary = work.folder / "summary.md"
        summary.write_text("before\n")
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
        outcome = work.dsrun(work.posters(3), "--junit", "ci/j.xml", "--textfile", "m/demo.prom")
        assert outcome.code == 1
        suites = ET.parse("ci/j.xml").getroot()
        assert (suites.get("tests"), suites.get("failures")) == ("3", "3")
        assert len(list(suites.iter("failure"))) == 3
        metrics = (work.folder / "m/demo.prom").read_text().splitlines()
        assert 'dsrun_jobs{pipeline="demo",status="failed"} 3' in metrics
        assert 'dsrun_last_run_exit_code{pipeline="demo"} 1' in metrics
        assert not any("last_success" in line for line in metrics)
        assert [path.name for path in (work.folder / "m").iterdir()] == ["demo.prom"]
        assert summary.read_text().startswith("before\n### dsrun demo: failure\n")

    def test_the_last_success_outlives_a_failure(self, work, serve, monkeypatch):
        service = serve()
        posters = work.posters(1)
        assert work.dsrun(posters).code == 0
        (ended,) = work.query("SELECT ended_at FROM run")
        monkeypatch.delenv("DASHSCOPE_API_KEY")
        assert work.dsrun(posters, "--textfile", "demo.prom").code == 3
        metrics = (work.folder / "demo.prom").read_text()
        assert service.paid() == 1
        assert "last_success" in metrics
        assert 'dsrun_last_run_exit_code{pipeline="demo"} 3' in metrics
        assert ended["ended_at"]

    def test_a_success_that_a_wrong_clock_noted_for_the_future_silences_no_alert(
        self, work, emulator
    ):
        posters = work.posters(1)
        work.dsrun(posters)
        with closing(sqlite3.connect(work.run_dir() / "ledger.sqlite3")) as db, db:
            db.execute("UPDATE run SET ended_at = '2099-01-01T00:00:00.000Z'")
        work.dsrun(posters, "--textfile", "demo.prom")
        metrics = dict(line.rsplit(" ", 1) for line in Path("demo.prom").read_text().splitlines())
        success = metrics['dsrun_last_success_timestamp_seconds{pipeline="demo"}']
        assert float(success) <= time.time()

    @pytest.mark.parametrize("option", ["--junit", "--textfile"])
    def test_a_file_that_cannot_be_written_is_a_warning(self, work, emulator, option):
        (work.folder / "file").write_text("")
        outcome = work.dsrun(work.posters(1), option, "file/x")
        assert outcome.code == 0
        assert f"warning: {option} file/x was not written" in outcome.err


class TestSummary:
    def test_where_nobody_watches_it_has_five_lines(self, work, serve):
        serve("lost-answer", "no-list")
        outcome = work.dsrun(work.posters(8))
        assert outcome.code == 1
        closing = outcome.err.partition("\n8 jobs: ")[2].splitlines()
        assert len(closing) == 5
        assert closing[0].startswith("8 unknown; cost so far: ")
        assert closing[1].startswith("  8 x ")
        assert "--resubmit-unknown" in closing[3]
        assert re.fullmatch(r"\d more lines: `dsrun status outputs/demo/\w+`", closing[4])


class TestLogs:
    def test_json_is_all_that_stderr_gets(self, work, serve):
        serve("failed-task")
        posters = work.posters(2)
        outcome = work.dsrun(posters, "--log-format", "json", "-v")
        lines = [json.loads(line) for line in outcome.err.splitlines()]
        assert {line.keys() == {"at", "level", "message"} for line in lines} == {True}
        assert {line["level"] for line in lines} == {"warning", "info", "debug"}
        assert any(line["message"].startswith("2 jobs: 2 failed") for line in lines)

    def test_an_error_that_ends_dsrun_is_json_too(self, work, monkeypatch):
        monkeypatch.setenv("DSRUN_LOG_FORMAT", "json")
        *_, line = map(json.loads, work.dsrun(work.posters(1)).err.splitlines())
        assert line["level"] == "error"
        assert line["message"].startswith("no API key")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--bogus"], "No such option '--bogus'"),
            (["--limit", "x"], "'x' is not a valid integer"),
            (["--set", "x"], "--set x: write it as KEY=VALUE"),
            (["--env-file", "nowhere"], "--env-file nowhere: cannot be read"),
            (["--log-file", "no/where"], "--log-file no/where: cannot be written"),
        ],
        ids=lambda value: value[0] if isinstance(value, list) else "",
    )
    @pytest.mark.parametrize("spelled", [["--log-format", "json"], ["--log-format=json"], []])
    def test_a_slip_in_the_command_line_is_json_too(
        self, work, monkeypatch, spelled, arguments, words
    ):
        if not spelled:
            monkeypatch.setenv("DSRUN_LOG_FORMAT", "json")
        outcome = work.dsrun(work.posters(1), *spelled, *arguments)
        (line,) = map(json.loads, outcome.err.splitlines())
        assert (outcome.code, line["level"]) == (2, "error")
        assert words in line["message"]

    @pytest.mark.parametrize(
        ("end", "code"), [("raise KeyboardInterrupt", 130), ("raise ValueError('a\\nb')", 4)]
    )
    def test_what_python_says_is_json_too(self, work, tmp_path, end, code):
        script = f"""
import asyncio, logging, sys, warnings
import dsrun.cli.main, dsrun.cli.run
def broken(options):
    warnings.warn("a warning of Python's")
    logging.getLogger("asyncio").error("a task was lost")
    {end}
dsrun.cli.run.run = broken
sys.exit(dsrun.cli.main.main(["demo.yaml", "--emulate", "--log-format", "json"]))
"""
        work.posters(1)
        python = [sys.executable, "-W", "default", "-c", script]
        outcome = work.spawn_command(python, env=os.environ | {"TMPDIR": str(tmp_path)}).end()
        told = [json.loads(line)["message"] for line in outcome.err.splitlines()]
        assert (outcome.code, len(told)) == (code, 3)
        assert "a warning of Python's" in told[0]
        assert told[1] == "a task was lost"

    def test_the_next_command_speaks_text_again(self, work, emulator):
        posters = work.posters(1)
        work.dsrun(posters, "--log-format", "json")
        assert "\nnothing to send" in work.dsrun(posters).err

    def test_a_file_has_the_words_of_stderr_with_their_time(self, work, emulator):
        outcome = work.dsrun(work.posters(1), "--log-file", "demo.log")
        stamp = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (warning|info) ", re.MULTILINE)
        written = (work.folder / "demo.log").read_text()
        assert stamp.sub("", written) == outcome.err
        assert stamp.findall(written) == ["warning", "info"]

    def test_a_file_grows_over_runs_and_is_turned_over(self, work, emulator, monkeypatch):
        monkeypatch.setattr("dsrun.common.console.FILE_BYTES", 1000)
        posters = work.posters(1)
        for _ in range(6):
            assert work.dsrun(posters, "--log-file", "demo.log", "--log-format", "json").code == 0
        logs = sorted(work.folder.glob("demo.log*"))
        assert len(logs) > 2
        assert max(log.stat().st_size for log in logs) <= 1000
        assert all(json.loads(line) for log in logs for line in log.read_text().splitlines())

    def test_a_file_that_cannot_be_opened_is_a_usage_error(self, work, emulator):
        outcome = work.dsrun(work.posters(1), "--log-file", "no/such/folder.log")
        assert outcome.code == 2
        assert "--log-file no/such/folder.log: cannot be written" in outcome.err
        assert emulator.requests() == []

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
    def test_a_full_disk_under_the_log_is_told_once(self, work, emulator):
        outcome = work.dsrun(work.posters(2), "-v", "--log-file", "/dev/full")
        assert outcome.code == 0
        assert outcome.err.count("--log-file /dev/full cannot be written") == 1

    def test_the_key_is_in_no_word(self, work, serve, key):
        serve(api_key="another-key-than-ours")
        outcome = work.dsrun(work.posters(1), "-v", "--log-file", "demo.log")
        assert outcome.code == 3
        assert key not in outcome.err + (work.folder / "demo.log").read_text()
