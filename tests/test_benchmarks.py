"""benchmarks/: its programs build and run, its client of C notices what is odd, aims are judged."""

import os
import re
import shutil
import socketserver
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))  # at the end: dsrun is what is installed
aims, measuring, plans, rates = (
    import_module(f"benchmarks.{name}") for name in ("aims", "measuring", "plans", "rates")
)
PAGE = (ROOT / "docs/design/performance.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"python -m (benchmarks[.\w]*)((?: [\w.-]+)*)", PAGE)
MODULES = ["million", "plan_rate", "join_rate", "same_plans", "startup"]
PNG = b"\x89PNG\r\n\x1a\n"
DONE = '{"output":{"task_status":"SUCCEEDED","results":[{"url":"%s"}]}}'

wants_gcc = pytest.mark.skipif(
    shutil.which("gcc") is None and os.environ.get("CI") != "true", reason="gcc is not installed"
)


def run(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=280, **options,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["benchmarks", *(f"benchmarks.{module}" for module in MODULES)])
def test_every_benchmark_says_what_it_does(name):
    done = run(name, "--help")
    assert (done.returncode, done.stdout[:7]) == (0, "usage: ")


def test_the_page_names_commands_and_options_that_there_are():
    assert {name for name, _ in COMMANDS} >= {"benchmarks", "benchmarks.million"}
    for name in {name for name, _ in COMMANDS}:
        known = set(re.findall(r"--[a-z-]+", run(name, "--help").stdout))
        named = {word for other, words in COMMANDS if other == name for word in words.split()}
        assert {word for word in named if word.startswith("--")} <= known


@wants_gcc
@pytest.mark.parametrize("name", ["client", "server"])
def test_a_program_of_c_compiles_without_a_warning(tmp_path, name):
    subprocess.run(
        ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", tmp_path / name,
         ROOT / f"benchmarks/{name}.c"],
        check=True,
    )  # fmt: skip


@wants_gcc
@pytest.mark.timeout(300)
def test_a_small_round_prints_every_program_and_judges_every_aim(tmp_path):
    (folder := tmp_path / "work").mkdir()
    done = run("benchmarks", "--jobs", "64", "--rounds", "1", "--folder", str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    made, planned, starts, judged = re.split(r"\n\n(?=plans|start|aims)", done.stdout)
    for name in ("bare aiohttp", "C client", "official, 64 threads", "dsrun, aiohttp"):
        assert len(re.findall(rf"^{name} ", made, re.MULTILINE)) == 2  # tasks of 0 and of 50 ms
    assert [line.split()[0] for line in planned.splitlines()[2:]] == ["1,000", "100,000"]
    assert "first create of quickstart.yaml" in starts
    words = [line.rpartition("  ")[2] for line in judged.splitlines()[1:]]
    assert len(words) == len(aims.AIMS)
    assert set(words) <= {"met", "missed", "not measured"}
    assert list(folder.iterdir()) == []


@wants_gcc
@pytest.mark.parametrize("transport", ["aiohttp", "fast"])
def test_a_soak_draws_memory_handles_threads_and_rate(tmp_path, transport):
    picture = tmp_path / "soak.png"
    done = run(
        "benchmarks", "--soak", "300", "--png", str(picture), "--transport", transport,
        "--folder", str(tmp_path),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("memory, MB", "open handles", "threads", "jobs a second"):
        assert len(re.findall(rf"^  {name} +[\d.]+ +[\d.]+$", done.stdout, re.MULTILINE)) == 1
    with Image.open(picture) as image:
        assert image.size == (1000, 940)


@wants_gcc
def test_a_client_that_ends_badly_ends_the_benchmark_with_its_words(tmp_path):
    command = [measuring.build("client", tmp_path), "http://127.0.0.1:1/api/v1", "1", "0"]
    with pytest.raises(SystemExit, match="ended with 1: client: port 1 does not answer"):
        measuring.run(command)


@wants_gcc
def test_what_a_million_jobs_cost_is_measured_of_two_hundred_too(tmp_path):
    folder = tmp_path / "kept"
    verbs = ["first", "rerun", "status", "plan", "history", "cost", "report", "verify"]
    done = run(
        "benchmarks.million", "--jobs", "200", "--light", "--best-of", "1", "--keep", str(folder),
        "--runs", "2", "--of", "100", "--verbs", *verbs,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    rows = [re.split(r" {2,}", line.strip())[1] for line in done.stdout.splitlines()[1:]]
    measured = ["first request", "the run", *verbs[1:], "history of 2", "cost of 2"]
    assert rows == measured
    assert {path.name for path in folder.iterdir()} == {"200", "many"}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    return measuring.build("client", tmp_path_factory.mktemp("client"))


def run_client(client, url, jobs=1, task_ms=0):
    return subprocess.run(
        [client, url, str(jobs), str(task_ms)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@wants_gcc
@pytest.mark.parametrize("jobs", [1, 63, 64, 65, 1000])
@pytest.mark.parametrize("task_ms", [0, 5])
def test_the_client_of_c_makes_every_job_once(tmp_path, client, jobs, task_ms):
    command = measuring.build_server(tmp_path)
    with measuring.serving(command, task_ms=task_ms) as server:
        done = run_client(client, server.url, jobs, task_ms)
        with urllib.request.urlopen(server.url.removesuffix("/api/v1") + "/count") as answer:
            pictures = int(answer.read())
    assert (done.returncode, done.stderr, pictures) == (0, "", jobs)


def http(body, status="200 OK", length=None):
    data = body if isinstance(body, bytes) else body.encode()
    said = len(data) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {said}\r\n\r\n".encode() + data


TASK = http('{"output":{"task_id":"t-1","task_status":"PENDING"}}')
ODD = {
    "a create that is refused": ([http("{}", "429 Too Many Requests")], "began with HTTP/1.1 429"),
    "a create without a task": ([http('{"output":{}}')], "no task_id"),
    "a task id that is written with an escape": ([http(r'{"task_id":"t\u0031"}')], "no task_id"),
    "a task id without end": ([http('{"task_id":"' + "t" * 600)], "no task_id"),
    "a task id that is null": ([http('{"task_id":null}')], "no task_id"),
    "a failed task": ([TASK, http('{"task_status":"FAILED"}')], "a task is FAILED"),
    "a task without status": ([TASK, http("{}")], "no task_status"),
    "a task without picture": ([TASK, http('{"task_status":"SUCCEEDED"}')], "no url"),
    "a picture elsewhere": ([TASK, http(DONE % "https://a.example/1.png")], "a picture elsewhere"),
    "a picture that is none": ([TASK, None, http("<html>sorry</html>")], "no picture came"),
    "an empty picture": ([TASK, None, http("")], "no picture came"),
    "a picture that is gone": ([TASK, None, http(PNG, "404 Not Found")], "began with HTTP/1.1 404"),
    "a picture that is cut off": ([TASK, None, http(PNG, length=100)], "a connection ended"),
    "an answer of no length": ([b"HTTP/1.1 200 OK\r\n\r\n{}"], "does not say its length"),
    "an answer too long to hold": ([http("{}", length=2**40)], "an answer of 1099511627"),
    "more than was asked for": ([TASK + TASK], "nothing asked for"),
    "no answer at all": ([b""], "a connection ended"),
}


@contextmanager
def answering(answers):
    """A server of one connection: these answers, one a request, then it hangs up."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            here = f"http://127.0.0.1:{self.server.server_address[1]}/1.png"
            for answer in answers:
                assert self.request.recv(65536)
                self.request.sendall(http(DONE % here) if answer is None else answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/api/v1"
        thread.join()


@wants_gcc
@pytest.mark.parametrize(("answers", "words"), ODD.values(), ids=ODD)
def test_the_client_of_c_ends_at_an_answer_that_is_odd(client, answers, words):
    with answering(answers) as url:
        done = run_client(client, url)
    assert done.returncode == 1
    assert words in done.stderr


@wants_gcc
@pytest.mark.parametrize("url", ["", "https://127.0.0.1:1/api", "http://example.com/api"])
def test_the_client_of_c_talks_to_loopback_alone(client, url):
    done = run_client(client, url)
    assert (done.returncode, done.stderr[:8]) == (1, "client: ")


@wants_gcc
def test_the_client_of_c_tells_that_nothing_listens(client):
    done = run_client(client, "http://127.0.0.1:1/api/v1")
    assert (done.returncode, done.stderr) == (1, "client: port 1 does not answer\n")


@wants_gcc
def test_a_run_that_ends_before_its_first_create_is_told_from_a_slow_one(tmp_path):
    server = measuring.build_server(tmp_path)
    command = [sys.executable, "-c", "import sys; sys.exit('no key')"]
    with pytest.raises(SystemExit, match="no key"):
        measuring.first_create(server, command, cwd=tmp_path)


def test_an_aim_is_met_at_its_bound_and_missed_beyond():
    least = aims.Aim("rate", "at least", 0.5, lambda _: 0)
    most = aims.Aim("memory", "at most", 1.5, lambda _: 0)
    assert [least.judge(value) for value in (0.49, 0.5, 0.51)] == ["missed", "met", "met"]
    assert [most.judge(value) for value in (1.49, 1.5, 1.51)] == ["met", "met", "missed"]
    assert least.judge(None) == "not measured"


def test_a_ratio_is_the_median_of_those_within_a_round():
    """The second round met a busy machine; a ratio of medians would be 0.6."""
    rounds = [
        {"a": rates.Rate(a, 1, 1), "b": rates.Rate(b, 1, 1)}
        for a, b in ((100, 200), (30, 60), (60, 100))
    ]
    assert rates.Rates(rounds).ratio("a", "b", "per_s") == 0.5
    assert rates.Rates(rounds).ratio("a", "not installed", "per_s") is None


def test_the_rate_of_a_plan_leaves_the_start_out():
    few, many = measuring.Done(1, 1, 50), measuring.Done(3, 3, 75)
    found = plans.Plans([{1_000: few, 100_000: many}])
    assert (found.rate(100_000), found.growth(100_000)) == (49_500, 1.5)
