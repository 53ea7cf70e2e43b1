"""A disk, a ledger, a server or a terminal that is not as it should be.

Always the same rule: one clear message, the right exit code, no traceback, and nothing lost.
"""

import http.server
import os
import shutil
import sqlite3
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import pytest

PAGE = b"<!doctype html><html><title>Sign in</title><body>Welcome to the Wi-Fi</body></html>"
LONG_VOICE = """
steps:
  voices:
    operation: qwen-voice-design
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: A calm voice
      preview_text: "WORDS"
      language: en
    parameters: {response_format: wav, sample_rate: 48000}
""".replace("WORDS", "Good evening and welcome. " * 35)
FULL_DISK = """
set -e
mount -t tmpfs -o size=4m tmpfs disk
cd disk
"$@" --limit 1
dd if=/dev/zero of=ballast bs=1k count=$(($(df -k . | awk 'END {print $4}') - FREE_KB)) 2>&1
set +e
"$@"; echo "full: $?"
rm ballast
"$@"; echo "after: $?"
cp -r outputs/demo/latest/. ../copy
"""


@pytest.fixture
def point_to(monkeypatch, key):
    """Make an address the service that dsrun finds."""

    def point(address):
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", address)
        monkeypatch.setenv("DASHSCOPE_API_KEY", key)

    return point


class TestOutputFolder:
    @pytest.mark.parametrize("blocked", ["outputs", "outputs/demo"])
    def test_a_file_in_its_place_stops_the_run_before_anything_is_sent(
        self, work, emulator, blocked
    ):
        path = work.folder / blocked
        path.parent.mkdir(exist_ok=True)
        path.write_text("in the way")
        outcome = work.dsrun(work.posters(1))
        assert outcome.code == 3
        assert outcome.out == ""
        assert "outputs" in outcome.err
        assert emulator.requests() == []
        assert path.read_text() == "in the way"

    def test_a_place_that_takes_no_folder_is_named(self, work, emulator):
        outcome = work.dsrun(work.posters(1), "-o", "/dev/null/there")
        assert outcome.code == 3
        assert "/dev/null/there" in outcome.err
        assert emulator.requests() == []

    def test_artifacts_that_cannot_be_placed_stay_paid_and_come_later(self, work, emulator):
        pipeline = work.posters(2)
        work.dsrun(pipeline, "--max-cost", "0.01 CNY")
        in_the_way = work.run_dir() / "artifacts"
        in_the_way.write_text("in the way")
        outcome = work.dsrun(pipeline)
        assert outcome.code == 3
        assert "artifacts" in outcome.err
        paid = emulator.paid()
        assert work.statuses().get("submitted", 0) == paid > 0
        in_the_way.unlink()
        assert work.dsrun(pipeline).code == 0
        assert list(emulator.creates().values()) == [1, 1]

    def test_results_that_cannot_be_written_are_still_in_the_ledger(self, work, emulator):
        pipeline = work.posters(2)
        work.dsrun(pipeline, "--max-cost", "0.01 CNY")
        results = work.run_dir() / "results.jsonl"
        results.unlink()
        results.mkdir()
        outcome = work.dsrun(pipeline)
        assert outcome.code == 3
        assert "results.jsonl" in outcome.err
        assert work.statuses() == {"succeeded": 2}
        results.rmdir()
        assert work.dsrun(pipeline).code == 0
        assert len(work.results()) == emulator.paid() == 2


class TestFullDisk:
    @pytest.mark.parametrize("free_kb", [0, 80])
    def test_stops_the_run_and_the_next_one_goes_on(self, work, serve, free_kb):
        """A real file system without room, in a mount namespace of its own."""
        allowed = subprocess.run(
            ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
            capture_output=True,
            check=False,
        )
        if allowed.returncode:
            pytest.skip(f"no mount namespace here: {allowed.stderr.decode().strip()}")
        service = serve(picture_scale=0.5)
        pipeline = work.posters(12)
        (work.folder / "disk").mkdir()
        script = FULL_DISK.replace("FREE_KB", str(free_kb))
        shell = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
        outcome = work.spawn_command([*shell, *work.command, pipeline]).end()

        assert outcome.code == 0, outcome.err
        assert "Traceback" not in outcome.err
        assert "full: 3" in outcome.out
        assert "nothing is lost" in outcome.err
        assert max(service.creates().values()) == 1
        with closing(sqlite3.connect(work.folder / "copy" / "ledger.sqlite3")) as db:
            statuses = dict(db.execute("SELECT status, count(*) FROM job GROUP BY status"))
        # The disk may have become full between a create and the record of its task.
        assert statuses.get("unknown", 0) <= 1
        assert statuses["succeeded"] + statuses.get("unknown", 0) == 12
        assert f"after: {1 if 'unknown' in statuses else 0}" in outcome.out
        assert work.dsrun("verify", work.folder / "copy").code == 0

    def test_a_ledger_that_finds_no_room_sends_nothing(self, work, emulator):
        outcome = self._limited(work, 32, work.posters(2000))
        assert outcome.code == 3
        assert "ledger" in outcome.err
        assert emulator.requests() == []
        assert work.dsrun("demo.yaml", "--limit", "1").code == 0

    def test_a_voice_that_finds_no_room_is_not_paid_again(self, work, emulator):
        pipeline = work.pipeline(LONG_VOICE)
        outcome = self._limited(work, 1000, pipeline)
        assert outcome.code == 3
        assert emulator.paid() == 1
        assert work.dsrun(pipeline).code == 1
        assert emulator.paid() == 1

    def _limited(self, work, half_kb, *arguments):
        """Run with no file above so many half kilobytes: what a full disk does to large files."""
        script = f'ulimit -f {half_kb}; exec "$@"'
        shell = ["sh", "-c", script, "sh"]
        outcome = work.spawn_command([*shell, *work.command, *map(str, arguments)]).end()
        assert "Traceback" not in outcome.err
        return outcome


class TestLedger:
    @pytest.fixture
    def ledger(self, work, emulator):
        assert work.dsrun(work.posters(40), "--limit", "1").code == 0
        return work.run_dir() / "ledger.sqlite3"

    @pytest.mark.parametrize("command", ["run", "status", "plan", "verify"])
    @pytest.mark.parametrize("damage", ["garbage", "cut-off", "overwritten", "some-pages"])
    def test_a_damaged_one_is_told_and_left_as_it_is(self, work, emulator, ledger, damage, command):
        whole = ledger.read_bytes()
        broken = {
            "garbage": b"this is no database\n" * 500,
            "cut-off": whole[: len(whole) // 2],
            "overwritten": whole[:100] + b"\xff" * (len(whole) - 100),
            "some-pages": whole[:4096] + b"\xff" * (len(whole) - 4096),
        }[damage]
        ledger.write_bytes(broken)
        requests = emulator.requests()
        outcome = work.dsrun(command, work.run_dir() if command == "verify" else "demo.yaml")
        assert outcome.code == 3
        assert "ledger" in outcome.err
        assert "Free the disk" not in outcome.err
        assert emulator.requests() == requests
        assert ledger.read_bytes() == broken

    @pytest.mark.parametrize("command", ["run", "status", "plan", "verify"])
    def test_one_of_a_newer_dsrun_is_told_and_left_as_it_is(self, work, emulator, ledger, command):
        with closing(sqlite3.connect(ledger)) as db:
            db.execute("PRAGMA user_version = 99")
            db.execute("ALTER TABLE job RENAME TO job_of_tomorrow")
        requests = emulator.requests()
        outcome = work.dsrun(command, work.run_dir() if command == "verify" else "demo.yaml")
        assert outcome.code == 3
        assert "99" in outcome.err
        assert "update dsrun" in outcome.err.lower()
        assert emulator.requests() == requests

    def test_a_copied_run_directory_goes_on(self, work, emulator):
        pipeline = work.posters(3)
        work.dsrun(pipeline, "--limit", "2")
        shutil.copytree(work.folder / "outputs", work.folder / "elsewhere", symlinks=True)
        assert work.dsrun(pipeline, "-o", "elsewhere").code == 0
        assert list(emulator.creates().values()) == [1, 1, 1]


class TestServer:
    def test_one_that_cannot_be_reached_stops_the_run(self, work, serve, point_to, closed_port):
        point_to(f"http://127.0.0.1:{closed_port}/api/v1")
        pipeline = work.posters(3, max_attempts=1)
        outcome = work.dsrun(pipeline)
        assert outcome.code == 3
        assert f"cannot connect to 127.0.0.1:{closed_port}" in outcome.err
        assert work.statuses() == {"pending": 3}
        service = serve()
        assert work.dsrun(pipeline).code == 0
        assert service.paid() == 3

    def test_one_that_speaks_no_tls_is_named(self, work, emulator, point_to):
        point_to(emulator.base_url.replace("http://", "https://"))
        outcome = work.dsrun(work.posters(2, max_attempts=1))
        assert outcome.code == 3
        assert "127.0.0.1" in outcome.err
        assert work.statuses() == {"pending": 2}

    def test_a_proxy_that_cannot_be_reached_is_told(self, work, emulator, monkeypatch, closed_port):
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", "http://api.example/api/v1")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port}")
        outcome = work.dsrun(work.posters(2, max_attempts=1))
        assert outcome.code == 3
        assert f"the proxy http://127.0.0.1:{closed_port} of http_proxy" in outcome.err
        assert work.statuses() == {"pending": 2}
        assert emulator.requests() == []

    def test_a_web_page_for_every_answer_leaves_the_job_unknown(self, work, serve_page):
        serve_page(502)
        outcome = work.dsrun(work.posters(1, max_attempts=2))
        assert outcome.code == 1
        assert work.statuses() == {"unknown": 1}
        assert "HTTP 502" in outcome.err

    def test_a_web_page_that_says_all_is_well_stops_the_run(self, work, serve_page):
        serve_page(200)
        outcome = work.dsrun(work.posters(2, max_attempts=2))
        assert outcome.code == 3
        assert work.statuses() == {"submitting": 1, "pending": 1}
        assert "base URL" in outcome.err

    def test_a_web_page_with_a_refusal_stops_the_run(self, work, serve_page):
        serve_page(404)
        outcome = work.dsrun(work.posters(2, max_attempts=2))
        assert outcome.code == 3
        assert work.statuses() == {"submitting": 1, "pending": 1}
        assert "HTTP 404" in outcome.err
        assert "base URL" in outcome.err

    def test_after_a_wrong_base_url_the_user_says_that_nothing_was_accepted(
        self, work, serve_page, serve
    ):
        serve_page(404)
        pipeline = work.posters(2, max_attempts=2)
        work.dsrun(pipeline)
        service = serve()
        outcome = work.dsrun(pipeline)
        assert (outcome.code, service.requests()) == (3, [])
        assert "--resubmit-unknown" in outcome.err
        assert work.dsrun(pipeline, "--resubmit-unknown").code == 0
        assert list(service.creates().values()) == [1, 1]

    def test_a_redirect_is_not_followed_with_the_key(self, work, serve_page, emulator):
        target = f"{emulator.base_url}/services/aigc/text2image/image-synthesis"
        serve_page(307, {"Location": target})
        outcome = work.dsrun(work.posters(2, max_attempts=2))
        assert outcome.code == 3
        assert "HTTP 307" in outcome.err
        assert emulator.requests() == []
        assert work.statuses() == {"submitting": 1, "pending": 1}

    def test_one_that_hangs_up_on_everything_stops_the_run(self, work, serve):
        service = serve("reset")
        pipeline = work.posters(2, max_attempts=2)
        outcome = work.dsrun(pipeline)
        assert outcome.code == 3
        assert service.paid() == 0
        assert work.statuses() == {"submitting": 1, "pending": 1}
        elsewhere = serve()
        outcome = work.dsrun(pipeline)
        assert outcome.code == 3
        assert service.base_url in outcome.err
        assert elsewhere.requests() == []
        service.close()
        healthy = serve(port=int(service.base_url.split(":")[2].partition("/")[0]))
        assert work.dsrun(pipeline).code == 0
        assert list(healthy.creates().values()) == [1, 1]

    def test_one_that_is_gone_before_the_tasks_end_leaves_them_for_the_next_run(
        self, work, serve, standing_clock
    ):
        service = serve(clock=standing_clock)
        pipeline = work.posters(2, timeout="1s")
        outcome = work.dsrun(pipeline)
        assert outcome.code == 3
        assert work.statuses() == {"submitted": 2}
        assert "2 left" in outcome.err
        standing_clock.release()
        work.posters(2)
        assert work.dsrun(pipeline).code == 0
        assert list(service.creates().values()) == [1, 1]

    @pytest.fixture
    def serve_page(self, point_to):
        """A web server that answers everything with a page; its requests are read whole."""
        servers = []

        def start(status, headers=None):
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_POST(self):
                    self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    self.send_response(status)
                    for name, value in (headers or {}).items():
                        self.send_header(name, value)
                    self.send_header("Content-Type", "text/html")
                    self.send_header("Content-Length", str(len(PAGE)))
                    self.end_headers()
                    self.wfile.write(PAGE)

                do_GET = do_POST  # noqa: N815  # the server's name for it

                def log_message(self, *_):
                    pass

            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            servers.append((server, thread))
            point_to(f"http://127.0.0.1:{server.server_address[1]}/api/v1")

        yield start
        for server, thread in servers:
            server.shutdown()
            thread.join()
            server.server_close()


class TestTerminal:
    def test_an_answer_that_cannot_be_written_is_no_bug(self, work):
        work.posters(2)
        child = work.spawn_command(
            ["sh", "-c", '"$@" > /dev/full', "sh", *work.command, "plan", "demo.yaml"]
        )
        outcome = child.end()
        assert outcome.code == 3
        assert "No space left" in outcome.err
        assert "bug" not in outcome.err
        assert "Exception ignored" not in outcome.err

    @pytest.mark.parametrize("lost", ["stderr", "stdout"])
    @pytest.mark.parametrize("how", ["nobody reads", "closed", "no room"])
    def test_one_that_is_lost_changes_neither_the_run_nor_its_exit_code(
        self, work, serve, lost, how
    ):
        """A service that fails every task has much to say, and exit code 1."""
        serve("failed-task")
        reader, writer = os.pipe()
        os.close(reader)
        number = {"stdout": 1, "stderr": 2}[lost]
        shell = {"closed": f"exec {number}>&-;", "no room": f"exec {number}>/dev/full;"}
        done = subprocess.run(
            ["sh", "-c", f'{shell.get(how, "")} "$@"', "sh", *work.command, work.posters(2)],
            stdin=subprocess.DEVNULL,
            **({lost: writer} if how == "nobody reads" else {}),
            check=False,
        )  # fmt: skip
        os.close(writer)
        is_told = (lost, how) == ("stdout", "no room")  # the answer itself cannot be written
        assert done.returncode == (3 if is_told else 1)
        assert work.statuses() == {"failed": 2}

    def test_one_that_knows_no_chinese_is_no_bug(self, work, monkeypatch):
        monkeypatch.setenv("PYTHONIOENCODING", "ascii")
        work.pipeline("steps: {a: {operation: wanx-v1, input: {prompt: 灯笼}}}")
        outcome = work.spawn("plan", "demo.yaml").end()
        assert outcome.code == 0
        assert "bug" not in outcome.err


class TestPipeline:
    @pytest.mark.parametrize(
        "content", [None, b"\x89PNG\r\n\x1a\n\x00\x00", b"\xff\xfen\x00", b"", b"just words\n"],
        ids=["folder", "picture", "utf-16", "empty", "text"],
    )  # fmt: skip
    @pytest.mark.parametrize("command", ["run", "plan", "validate"])
    def test_a_file_that_is_none_is_told(self, work, emulator, command, content):
        path = work.folder / "odd.yaml"
        path.mkdir() if content is None else path.write_bytes(content)
        outcome = work.dsrun(command, path)
        assert outcome.code == 2
        assert "odd.yaml" in outcome.err
        assert emulator.requests() == []

    def test_a_file_that_it_names_and_that_is_missing_is_told(self, work, emulator):
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {product: {file: products.csv}}
    input: {prompt: {file: prompts/lantern.j2}}
"""
        outcome = work.dsrun(work.pipeline(steps))
        assert outcome.code == 2
        assert "products.csv" in outcome.err
        assert "prompts/lantern.j2" in outcome.err
        assert not Path("outputs").exists()
