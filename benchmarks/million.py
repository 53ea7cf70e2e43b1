"""What dsrun costs beside the jobs themselves, at a thousand jobs and at a million: time and memory.

    python -m benchmarks.million
    python -m benchmarks.million --jobs 1000 30000 100000 1000000 --keep /dev/shm/million
    python -m benchmarks.million --light --verbs first --jobs 1000000
    python -m benchmarks.million --light --jobs --runs 100 --of 10000

The ledgers are made by real runs against the server of C, which answers at once with a picture of
one dot; no row is inserted by hand. `--light` makes jobs of one call instead of three. `--keep`
keeps the runs, and the next measurement takes what it finds there. Each command is a process of its
own; its time is the best of a few, its memory the highest. `--runs` makes as many runs of `--of`
jobs, and measures `history` and `cost` over all.

Targets at 1,000,000 jobs: a rerun that has nothing to do under 10 s and 200 MB, `status` under 1 s,
`plan` under 20 s, the first request of a fresh run within 30 s; `history` and `cost` over 100 runs
of 10,000 jobs under 1 s.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks import measuring
from benchmarks.measuring import DSRUN, Command, Done

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
    "history": ["history", "--limit", "1000"],
    "cost": ["cost"],
    "verify": ["verify", "RUN"],
}
ALWAYS = ["rerun", "status", "plan", "history", "cost", "report"]


def main() -> int:
    options = parse_options()
    print(f"{'jobs':>9}  {'command':<14} {'time':>9} {'CPU':>9} {'peak':>8}")
    with tempfile.TemporaryDirectory(prefix="dsrun-million-") as place:
        scratch = Path(place)
        measuring.settle(scratch)
        server = measuring.build_server(scratch, size=measuring.DOT_SIZE)
        root = options.keep or scratch
        make_run(write_pipeline(scratch / "warm", "warm", 64, is_light=options.light), server)
        for jobs in options.jobs:
            measure_size(root / str(jobs), server, jobs, options)
        if options.runs:
            measure_many(root / "many", server, options)
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.million",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--jobs", type=int, nargs="*", default=[1000, 30_000])
    parser.add_argument("--runs", type=int, default=0, help="for history and cost (default none)")
    parser.add_argument("--of", type=int, default=10_000, help="jobs of each (default 10000)")
    parser.add_argument("--verbs", nargs="*", default=ALWAYS, choices=[*VERBS, "first"])
    parser.add_argument("--light", action="store_true", help="jobs of one call instead of three")
    parser.add_argument("--keep", type=Path, help="keep the runs there, and take what is there")
    parser.add_argument("--best-of", type=int, default=3, help="of each command (default 3)")
    return parser.parse_args()


def measure_size(folder: Path, server: Command, jobs: int, options: argparse.Namespace) -> None:
    pipeline = write_pipeline(folder, "million", jobs, is_light=options.light)
    if "first" in options.verbs:
        print_row(jobs, "first request", first_request(folder, server, jobs, options))
    verbs = [verb for verb in options.verbs if verb != "first"]
    if verbs and (made := make_run(pipeline, server)):
        print_row(jobs, "the run", made)
        run("rerun", pipeline, server)  # it leaves what each later one finds
    for verb in verbs:
        print_row(jobs, verb, best(verb, pipeline, server, of=options.best_of))


def measure_many(folder: Path, server: Command, options: argparse.Namespace) -> None:
    """`history` and `cost` over many runs of different pipelines."""
    for number in range(options.runs):
        first = 1 + number * options.of
        pipeline = write_pipeline(
            folder, f"many-{number}", options.of, first=first, is_light=options.light
        )
        make_run(pipeline, server)
    for verb in ("history", "cost"):
        found = best(verb, pipeline, server, of=options.best_of)
        print_row(options.of, f"{verb} of {options.runs}", found)


def make_run(pipeline: Path, server: Command) -> Done | None:
    """None where it is there already."""
    return None if run_dir(pipeline).exists() else run("rerun", pipeline, server)


def best(verb: str, pipeline: Path, server: Command, *, of: int) -> Done:
    found = [run(verb, pipeline, server) for _ in range(of)]
    return min(found)._replace(peak_mb=max(done.peak_mb for done in found))


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


def run_dir(pipeline: Path) -> Path:
    return pipeline.parent / "outputs" / pipeline.stem / "latest"


def run(verb: str, pipeline: Path, server: Command) -> Done:
    places = {"PIPELINE": pipeline.name, "RUN": str(run_dir(pipeline).resolve())}
    words = [places.get(word, word) for word in VERBS[verb]]
    folder = pipeline.parent
    with measuring.serving(server, task_ms=0) as service:
        return measuring.run(
            [*DSRUN, *words],
            cwd=folder,
            DASHSCOPE_HTTP_BASE_URL=service.url,
            XDG_STATE_HOME=state_of(folder),
        )


def first_request(folder: Path, server: Command, jobs: int, options: argparse.Namespace) -> Done:
    """From the start of a fresh run to its first create; the run is killed then."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        fresh = Path(place)
        pipeline = write_pipeline(fresh, "fresh", jobs, is_light=options.light)
        command = [*DSRUN, "run", pipeline.name, "--yes", "--quiet"]
        return measuring.first_create(server, command, cwd=fresh, XDG_STATE_HOME=state_of(fresh))


def state_of(folder: Path) -> str:
    """The history of the runs of a folder is kept with them."""
    return str(folder.resolve() / "state")


def print_row(jobs: int, name: str, found: Done) -> None:
    print(
        f"{jobs:>9,}  {name:<14} {found.seconds:>7.2f} s {found.cpu_s:>7.2f} s "
        f"{found.peak_mb:>5.0f} MB",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
