"""What dsrun costs beside the jobs themselves, at a thousand jobs and at a million: time and memory.

    python benchmarks/million.py
    python benchmarks/million.py --jobs 1000 30000 100000 1000000 --keep /dev/shm/million
    python benchmarks/million.py --runs 100 --of 10000

The ledgers are made by real runs against a loopback server that answers at once with a file of a
few bytes; no row is inserted by hand. `--keep` keeps them, and the next measurement takes what it
finds there. Each command is a process of its own; its time is the best of a few, its memory the
highest. `--runs` makes as many runs of `--of` jobs, and measures `history` and `cost` over all.

Targets at 1,000,000 jobs: a rerun that has nothing to do under 10 s and 200 MB, `status` under 1 s,
`plan` under 20 s, the first request of a fresh run within 30 s; `history` and `cost` over 100 runs
of 10,000 jobs under 1 s.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from run_rate import Service, json_answer

# A grey dot, as PNG.
DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c63680000"
    "0082008177cd72b60000000049454e44ae426082"
)
CAPTION_PATH = "/services/aigc/captions"
MANIFEST = """\
version: 1
name: NAME
steps:
  posters:
    operation: OPERATION
    matrix: {series: {range: [1, SERIES]}, seed: {range: [1, SEEDS]}}
    input: {prompt: "a paper lantern over the river, picture {{ seed }} of {{ series }}"}
    parameters: {style: "<watercolor>", size: 1024*1024, n: 1, seed: "{{ seed }}"}
    filename: "{{ series }}/{{ seed }}"
execution:
  concurrency: 64
  submit_window: 64
  rate: 100000/s
  polling: {first: 0s, max: 100ms, rate: 100000/s}
"""
# The same request, answered at once by what is kept: one call a job instead of three.
CAPTIONS = {
    "title": "captions",
    "description": "A caption in one call.",
    "type": "object",
    "required": ["model", "input"],
    "properties": {
        "model": {"type": "string", "const": "captions-v1"},
        "input": {"type": "object", "properties": {"prompt": {"type": "string"}}},
        "parameters": {
            "type": "object",
            "properties": {
                "style": {"type": "string"},
                "size": {"type": "string"},
                "n": {"type": "integer"},
                "seed": {"type": "integer"},
            },
        },
    },
    "x-dsrun": {
        "protocol": "sync",
        "endpoint": {"method": "POST", "path": CAPTION_PATH, "headers": {}, "timeout_s": 300},
        "fill": [],
        "outputs": {},
        "artifacts": [{"media": "json", "at": "/output", "as": "value", "asked": 1}],
        "price": {
            "currency": "CNY",
            "as_of": "2026-05",
            "items": [
                {
                    "unit": "caption",
                    "amount": "0.01",
                    "units": {"count": True},
                    "billed": ["/usage/count"],
                    "sure": "exact",
                }
            ],
        },
        "limits": {"requests": 64, "per_s": 86400},
        "sample": {
            "request": {"model": "captions-v1", "input": {"prompt": "a paper lantern"}},
            "answer": {"output": {"text": "A lantern."}, "usage": {"count": 1}},
        },
    },
}
SERIES = 1000  # pictures in a folder
VERBS = {
    "rerun": ["run", "PIPELINE", "--yes", "--quiet"],
    "status": ["status", "PIPELINE"],
    "plan": ["plan", "PIPELINE"],
    "report": ["report", "RUN"],
    "history": ["history"],
    "cost": ["cost"],
    "verify": ["verify", "RUN"],
}
ALWAYS = ["rerun", "status", "plan", "history", "cost", "report"]


class Measured(NamedTuple):
    seconds: float
    cpu_s: float  # of all its threads
    megabytes: float


def main() -> int:
    options = parse_options()
    if options.serve:
        return asyncio.run(serve())
    print(f"{'jobs':>9}  {'command':<14} {'time':>9} {'CPU':>9} {'peak':>8}")
    with tempfile.TemporaryDirectory(prefix="dsrun-million-") as scratch, serving() as server:
        root = options.keep or Path(scratch)
        for jobs in options.jobs:
            measure_size(root / str(jobs), server.address, jobs, options)
        if options.runs:
            measure_many(root / "many", server.address, options)
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, nargs="*", default=[1000, 30_000])
    parser.add_argument("--runs", type=int, default=0, help="for history and cost (default none)")
    parser.add_argument("--of", type=int, default=10_000, help="jobs of each (default 10000)")
    parser.add_argument("--verbs", nargs="*", default=ALWAYS, choices=[*VERBS, "first"])
    parser.add_argument("--light", action="store_true", help="jobs of one call instead of three")
    parser.add_argument("--keep", type=Path, help="keep the runs there, and take what is there")
    parser.add_argument("--best-of", type=int, default=3, help="of each command (default 3)")
    parser.add_argument("--serve", action="store_true", help="only serve, and print the address")
    return parser.parse_args()


def measure_size(folder: Path, base_url: str, jobs: int, options: argparse.Namespace) -> None:
    keys = environment(folder, base_url)
    pipeline = write_pipeline(folder, "million", jobs, is_light=options.light)
    if "first" in options.verbs:
        print_row(jobs, "first request", first_request(folder, jobs, is_light=options.light))
    run_dir = folder / "outputs/million/latest"
    if options.verbs != ["first"] and not run_dir.exists():
        print_row(jobs, "the run", run(VERBS["rerun"], folder, pipeline, run_dir, keys))
        run(VERBS["rerun"], folder, pipeline, run_dir, keys)
    for verb in options.verbs:
        if verb != "first":
            found = [
                run(VERBS[verb], folder, pipeline, run_dir, keys) for _ in range(options.best_of)
            ]
            highest = max(one.megabytes for one in found)
            print_row(jobs, verb, min(found)._replace(megabytes=highest))


def measure_many(folder: Path, base_url: str, options: argparse.Namespace) -> None:
    """`history` and `cost` over many runs of different pipelines."""
    keys = environment(folder, base_url)
    for number in range(options.runs):
        name = f"many-{number}"
        pipeline = write_pipeline(
            folder, name, options.of, first=1 + number * options.of, is_light=options.light
        )
        if not (run_dir := folder / f"outputs/{name}/latest").exists():
            run(VERBS["rerun"], folder, pipeline, run_dir, keys)
    for verb in ("history", "cost"):
        found = min(run(VERBS[verb], folder, pipeline, run_dir, keys) for _ in range(3))
        print_row(options.of, f"{verb} of {options.runs}", found)


def write_pipeline(folder: Path, name: str, jobs: int, *, is_light: bool, first: int = 1) -> Path:
    """A pipeline of so many jobs, a thousand to a series; `first` is the number of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    operation = "wanx-v1"
    if is_light:
        operation = "captions"
        (folder / "operations").mkdir(exist_ok=True)
        (folder / "operations/captions.json").write_text(json.dumps(CAPTIONS), encoding="utf-8")
    seeds = min(jobs, SERIES)
    text = MANIFEST.replace("NAME", name).replace("SEEDS", str(seeds))
    text = text.replace("OPERATION", operation).replace(
        "[1, SERIES]", f"[{first}, {first + jobs // seeds - 1}]"
    )
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def run(
    verb: Sequence[str], folder: Path, pipeline: Path, run_dir: Path, keys: dict[str, str]
) -> Measured:
    """A process from start to end. What it says is shown where it fails."""
    places = {"PIPELINE": pipeline.name, "RUN": str(run_dir)}
    command = [sys.executable, "-m", "dsrun", *(places.get(word, word) for word in verb)]
    with tempfile.TemporaryFile() as words:
        began = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=folder, env=os.environ | keys, stdout=subprocess.DEVNULL, stderr=words
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            words.seek(0)
            raise SystemExit(f"{command} ended with {child.returncode}: {words.read().decode()}")
    return measured(seconds, usage)


def first_request(folder: Path, jobs: int, *, is_light: bool) -> Measured:
    """From the start of a fresh run to its first request; the run is killed then."""
    with tempfile.TemporaryDirectory(dir=folder) as place, serving() as server:
        keys = environment(Path(place), server.address)
        pipeline = write_pipeline(Path(place), "fresh", jobs, is_light=is_light)
        command = [sys.executable, "-m", "dsrun", "run", pipeline.name, "--yes", "--quiet"]
        began = time.perf_counter()
        with subprocess.Popen(command, cwd=place, env=os.environ | keys) as child:
            server.wait_first()
            seconds = time.perf_counter() - began
            child.kill()
            _, _, usage = os.wait4(child.pid, 0)
            child.returncode = 0
    return measured(seconds, usage)


def environment(folder: Path, base_url: str) -> dict[str, str]:
    """The state of the user stays out of it."""
    return {
        "DASHSCOPE_API_KEY": "sk-bench",
        "DASHSCOPE_HTTP_BASE_URL": base_url,
        "XDG_STATE_HOME": str(folder.resolve() / "state"),
    }


def measured(seconds: float, usage: resource.struct_rusage) -> Measured:
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6)


class Server(NamedTuple):
    address: str
    words: IO[str]

    def wait_first(self) -> None:
        """Until the first request has come."""
        self.words.readline()


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server in its own process."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            if not address:
                raise SystemExit("the server did not start")
            yield Server(address, process.stdout)
        finally:
            process.terminate()


class TellingService(Service):
    """Says when the first request comes; makes captions too."""

    is_first = True

    def data_received(self, data: bytes) -> None:
        if TellingService.is_first:
            TellingService.is_first = False
            print("first", flush=True)
        super().data_received(data)

    def _answer(self, method: str, target: str) -> bytes:
        if target.endswith(CAPTION_PATH):
            number = f"{next(self.numbers):08d}-0000-4000-8000-000000000000"
            output = {"text": "A lantern."}
            return json_answer({"output": output, "usage": {"count": 1}, "request_id": number})
        return super()._answer(method, target)


async def serve() -> int:
    """Serve until this process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: TellingService(DOT, 0), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1", flush=True)
    await server.serve_forever()
    return 0


def print_row(jobs: int, name: str, found: Measured) -> None:
    print(
        f"{jobs:>9,}  {name:<14} {found.seconds:>7.2f} s {found.cpu_s:>7.2f} s "
        f"{found.megabytes:>5.0f} MB",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
