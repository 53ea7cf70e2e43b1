"""Jobs per second of `dsrun` against a bare aiohttp loop: create, query, 50 KB download.

    python benchmarks/run_rate.py
    python benchmarks/run_rate.py --jobs 10000 --rounds 3
    python benchmarks/run_rate.py --answer-ms 10

All talk to the same loopback server, 64 jobs at a time, as whole processes, one after the other,
several times; the ratio is the median over the rounds. The bare loop keeps nothing: no ledger, no
hash, no file, no validation. Target: at least 0.6 of its rate.

The keeping loop tells how much of that a machine leaves to any program with dsrun's promises: it
is the bare loop with an intent and a task id committed (SQLite, WAL, synchronous FULL, in groups),
each file hashed, synced and renamed, and nothing else that dsrun does.

The server answers at once, as no service does, so that the figure is of the client's processor
alone. `--answer-ms` lets it think: 10 ms is less than any network on the way to the real one.

The disk is part of the measure: ext4 makes new files slowly for some minutes after many were
removed (a test run just before is enough). `--folder /dev/shm` measures dsrun without it.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from keeping import Keeper

TARGET = 0.6
AT_ONCE = 64
PICTURE_SIZE = (130, 128)  # of random pixels: 50 KB as PNG
DRAW = "/api/v1/services/aigc/text2image/image-synthesis"

MANIFEST = """\
version: 1
name: run-rate
steps:
  posters:
    operation: wanx-v1
    matrix: {seed: {range: [1, JOBS]}}
    input: {prompt: "a paper lantern over the river, picture {{ seed }}"}
    parameters: {style: "<watercolor>", size: 1024*1024, n: 1, seed: "{{ seed }}"}
execution:
  concurrency: 64
  submit_window: 64
  rate: 100000/s
  polling: {first: 0s, max: 100ms, rate: 100000/s}
"""


class Process(NamedTuple):
    seconds: float
    cpu_s: float  # of all its threads


class Round(NamedTuple):
    bare: float  # jobs a second, of whole processes
    keeping: float
    dsrun: float
    bare_cpu_ms: float  # a job
    keeping_cpu_ms: float
    dsrun_cpu_ms: float
    dsrun_inside: float  # jobs a second from the first create to the last file, by the ledger

    @property
    def ratio(self) -> float:
        return self.dsrun / self.bare

    @property
    def ratio_of_keeping(self) -> float:
        return self.keeping / self.bare


def main() -> int:
    options = parse_options()
    if options.serve:
        return asyncio.run(serve(options.answer_ms / 1000))
    if options.bare:
        return asyncio.run(run_bare(options.bare, options.jobs, keep_in=options.keep_in))
    # Nothing is removed before the end: ext4 passes over inodes freed in the last minutes one by
    # one, which makes every new file slow.
    with serving(options.answer_ms) as base_url, scratch(options.folder) as folder:
        # What is installed has its bytecode; a work tree may be told to write none.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(folder) / "bytecode")
        measure_round(base_url, Path(folder) / "warm", jobs=100)
        print(
            f"{'':<6} {'bare aiohttp':>12} {'keeping':>9} {'dsrun':>8} {'ratio':>6} "
            f"{'CPU a job, of each':>23} {'sending':>9}"
        )
        rounds = []
        for number in range(1, options.rounds + 1):
            rounds.append(measure_round(base_url, Path(folder) / str(number), jobs=options.jobs))
            print_row(str(number), rounds[-1])
        median = Round(*(statistics.median(column) for column in zip(*rounds, strict=True)))
    print_row("median", median)
    ratio = statistics.median(each.ratio for each in rounds)
    of_keeping = statistics.median(each.ratio_of_keeping for each in rounds)
    is_met = ratio >= TARGET
    print(
        f"median ratio {ratio:.2f}; target {TARGET}: {'met' if is_met else 'MISSED'}; "
        f"the keeping loop has {of_keeping:.2f}"
    )
    return 0 if is_met else 1


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2000, help="in each run (default 2000)")
    parser.add_argument("--rounds", type=int, default=5, help="of each (default 5)")
    parser.add_argument(
        "--folder", type=Path, help="where to write (default: the system's temporary folder)"
    )
    parser.add_argument(
        "--answer-ms", type=float, default=0.0, help="before each answer (default 0)"
    )
    parser.add_argument("--serve", action="store_true", help="only serve, and print the address")
    parser.add_argument("--bare", metavar="URL", help="only the bare loop, against a server")
    parser.add_argument("--keep-in", type=Path, metavar="DIR", help="and keep what comes there")
    return parser.parse_args()


def print_row(name: str, row: Round) -> None:
    print(
        f"{name:<6} {row.bare:>10.0f}/s {row.keeping:>7.0f}/s {row.dsrun:>6.0f}/s {row.ratio:>6.2f} "
        f"{row.bare_cpu_ms:>7.2f} {row.keeping_cpu_ms:.2f} {row.dsrun_cpu_ms:.2f} ms "
        f"{row.dsrun_inside:>9.0f}/s"
    )


@contextlib.contextmanager
def serving(answer_ms: float) -> Iterator[str]:
    """A server in its own process; gives its base URL."""
    command = [sys.executable, __file__, "--serve", "--answer-ms", str(answer_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            base_url = server.stdout.readline().strip()
            if not base_url:
                raise SystemExit("the server did not start")
            yield base_url
        finally:
            server.terminate()


def scratch(parent: Path | None) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="dsrun-run-rate-", dir=parent)


def measure_round(base_url: str, folder: Path, *, jobs: int) -> Round:
    loop = [__file__, "--bare", base_url, "--jobs", str(jobs)]
    bare = run(loop)
    keeping = run([*loop, "--keep-in", str(folder / "keeping")])
    (folder / "bench.yaml").write_text(MANIFEST.replace("JOBS", str(jobs)), encoding="utf-8")
    keys = {"DASHSCOPE_API_KEY": "sk-bench", "DASHSCOPE_HTTP_BASE_URL": base_url}
    dsrun = run(
        ["-m", "dsrun", "run", "bench.yaml", "--yes", "--quiet"],
        cwd=folder,
        env=os.environ | keys,
    )
    every = (bare, keeping, dsrun)
    return Round(
        *(jobs / each.seconds for each in every),
        *(1000 * each.cpu_s / jobs for each in every),
        jobs / inside_s(folder, jobs),
    )


def run(arguments: list[str], **options: Any) -> Process:
    """A Python process from start to end; what it says is shown only where it fails."""
    with tempfile.TemporaryFile() as words:
        began = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=words, **options
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            words.seek(0)
            raise SystemExit(f"{arguments} ended with {child.returncode}: {words.read().decode()}")
    return Process(seconds, usage.ru_utime + usage.ru_stime)


def inside_s(folder: Path, jobs: int) -> float:
    """Seconds from the first create to the last job's end; sees to it that every file came."""
    ledger = folder / "outputs/run-rate/latest/ledger.sqlite3"
    with contextlib.closing(sqlite3.connect(ledger)) as db:
        row = db.execute(
            "SELECT 86400 * (max(julianday(ended_at)) - min(julianday(submitted_at))), count(*) "
            "FROM job WHERE status = 'succeeded'"
        ).fetchone()
    files = sum(1 for _ in ledger.parent.glob("artifacts/posters/*.png"))
    if row[1] != jobs or files != jobs:
        raise SystemExit(f"{row[1]} jobs succeeded and {files} files came; {jobs} were expected")
    return float(row[0])


async def run_bare(base_url: str, jobs: int, *, keep_in: Path | None = None) -> int:
    """What any client must do at least: three requests a job, answers parsed, bytes read."""
    import aiohttp

    headers = {"Authorization": "Bearer sk-bench", "X-DashScope-Async": "enable"}
    numbers = iter(range(jobs))
    keeper = Keeper(keep_in) if keep_in else None

    async def worker(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            body = {
                "model": "wanx-v1",
                "input": {"prompt": f"a paper lantern over the river, picture {number}"},
                "parameters": {"style": "<watercolor>", "size": "1024*1024", "n": 1},
            }
            url = f"{base_url}/services/aigc/text2image/image-synthesis"
            if keeper:
                await keeper.commit("INSERT INTO job (number, status) VALUES (?, 'asked')", number)
            async with session.post(url, json=body, headers=headers) as response:
                task_id = (await response.json())["output"]["task_id"]
            if keeper:
                await keeper.commit("UPDATE job SET task_id = ? WHERE number = ?", task_id, number)
            async with session.get(f"{base_url}/tasks/{task_id}", headers=headers) as response:
                found = (await response.json())["output"]["results"][0]["url"]
            async with session.get(found) as response:
                picture = await response.read()
            if keeper:
                sha256 = await keeper.keep(f"{number}.png", picture)
                await keeper.commit("UPDATE job SET sha256 = ? WHERE number = ?", sha256, number)

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker(session))
    if keeper:
        keeper.close()
    return 0


async def serve(answer_s: float) -> int:
    """Serve until this process is ended."""
    picture = make_picture()
    server = await asyncio.get_running_loop().create_server(
        lambda: Service(picture, answer_s), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}/api/v1", flush=True)
    await server.serve_forever()
    return 0


def make_picture() -> bytes:
    import io

    from PIL import Image

    width, height = PICTURE_SIZE
    file = io.BytesIO()
    Image.frombytes("RGB", PICTURE_SIZE, os.urandom(width * height * 3)).save(file, "PNG")
    return file.getvalue()


class Service(asyncio.Protocol):
    """The published API with tasks that are done at once; as cheap as a server can be."""

    numbers = iter(range(10**9))

    def __init__(self, picture: bytes, answer_s: float) -> None:
        self._picture = answer("image/png", picture)
        self._answer_s = answer_s
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host = "http://{}:{}".format(*transport.get_extra_info("sockname")[:2])

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            end += 4 + (int(found[1]) if found else 0)
            if len(self._received) < end:
                return
            self._received = self._received[end:]
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            whole = self._answer(method, target)
            if self._answer_s:
                loop = asyncio.get_running_loop()
                loop.call_later(self._answer_s, self._transport.write, whole)
            else:
                self._transport.write(whole)

    def _answer(self, method: str, target: str) -> bytes:
        request_id = f"{next(self.numbers):08d}-0000-4000-8000-000000000000"
        if method == "POST" and target == DRAW:
            output = {"task_status": "PENDING", "task_id": f"task-{request_id}"}
            return json_answer({"output": output, "request_id": request_id})
        if target.startswith("/api/v1/tasks/"):
            task_id = target.rpartition("/")[2]
            ended: dict[str, Any] = {
                "task_id": task_id,
                "task_status": "SUCCEEDED",
                "submit_time": "2026-01-01 10:00:00.000",
                "scheduled_time": "2026-01-01 10:00:00.100",
                "end_time": "2026-01-01 10:00:00.200",
                "results": [{"url": f"{self._host}/results/{task_id}.png?Expires=1"}],
                "task_metrics": {"TOTAL": 1, "SUCCEEDED": 1, "FAILED": 0},
            }
            usage = {"image_count": 1}
            return json_answer({"request_id": request_id, "output": ended, "usage": usage})
        return self._picture


def answer(media_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def json_answer(payload: dict[str, Any]) -> bytes:
    return answer("application/json", json.dumps(payload).encode())


if __name__ == "__main__":
    sys.exit(main())
