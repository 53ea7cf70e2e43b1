"""All rates in one interleaved run, as ratios: what is said of one moment of one machine.

    python -m benchmarks                              five minutes on a quiet machine
    python -m benchmarks --jobs 5000 --rounds 5
    python -m benchmarks --soak 100000 --png soak.png
    python -m benchmarks --soak 100000 --png soak.png --transport aiohttp

Whole processes, 64 jobs at a time, one after the other and several times, against a server of C
that this builds with gcc: create, ask, download 50 KB. The bare loop of aiohttp and the official
package keep nothing; dsrun keeps its promises. Clients have one core and the server another, where
the system can do that. A task takes 0 or 50 ms.

The disk is part of the measure; `--folder /dev/shm` measures without it.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks import measuring, pipelines
from benchmarks.measuring import Done
from benchmarks.soak import soak

TASK_MS = (0, 50)
PLANS = (1_000, 100_000)
KEYS = {"DASHSCOPE_API_KEY": "sk-bench"}


def main() -> int:
    options = parse_options()
    with tempfile.TemporaryDirectory(prefix="dsrun-bench-", dir=options.folder) as place:
        folder = Path(place)
        command = measuring.build_server(folder)
        print(surroundings())
        if options.soak:
            with measuring.serving(command, task_ms=0) as url:
                soak(url, folder, jobs=options.soak, transport=options.transport, png=options.png)
            return 0
        for task_ms in TASK_MS:
            with measuring.serving(command, task_ms=task_ms) as url:
                print_rates(url, folder, options, task_ms=task_ms)
        print_plans(folder, rounds=options.rounds)
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--jobs", type=int, default=2000, help="of a process (default 2000)")
    parser.add_argument("--rounds", type=int, default=3, help="of each (default 3)")
    parser.add_argument("--folder", type=Path, help="where to write (default: the temporary one)")
    parser.add_argument(
        "--soak", type=int, metavar="JOBS", help="only one long run, and its curves"
    )
    parser.add_argument("--png", type=Path, default=Path("soak.png"), help="of --soak")
    parser.add_argument(
        "--transport", choices=("aiohttp", "fast"), default="fast", help="of --soak"
    )
    return parser.parse_args()


def surroundings() -> str:
    core, other = measuring.client_core(), measuring.server_core()
    where = "not pinned" if core is None else f"clients on core {core}, the server on {other}"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return f"{os.cpu_count()} cores, {where}; load {load:.1f} as it began (1 or less: quiet)"


def print_rates(url: str, folder: Path, options: argparse.Namespace, *, task_ms: int) -> None:
    jobs, few = options.jobs, max(64, options.jobs // 8)
    programs: dict[str, tuple[int, Callable[[Path], Done]]] = {
        "bare aiohttp": (jobs, lambda _: client("bare", url, jobs, task_ms)),
        "official, 64 threads": (few, lambda _: client("official", url, few, task_ms)),
        "dsrun, aiohttp": (jobs, lambda at: dsrun(url, at, jobs, task_ms, "aiohttp")),
    }
    if find_spec("pyreqwest") and find_spec("uvloop"):
        programs["dsrun[fast]"] = (jobs, lambda at: dsrun(url, at, jobs, task_ms, "fast"))
    rounds: list[dict[str, tuple[float, float, float]]] = []
    for number in range(options.rounds):
        found = {}
        for name, (made, program) in programs.items():
            done = program(folder / f"{task_ms}-{number}-{len(found)}")
            found[name] = made / done.seconds, 1000 * done.cpu_s / made, done.peak_mb
        rounds.append(found)
    print(f"\ntasks of {task_ms} ms, {jobs} jobs, median of {options.rounds} rounds")
    print(f"{'':<22}{'jobs/s':>8}{'of bare':>9}{'CPU a job':>12}{'of bare':>9}{'memory':>9}")
    for name in programs:
        rate, cpu, memory = (median(rounds, name, column) for column in range(3))
        of_rate, of_cpu = (ratio(rounds, name, column) for column in range(2))
        print(f"{name:<22}{rate:>8.0f}{of_rate:>9.2f}{cpu:>9.2f} ms{of_cpu:>9.2f}{memory:>6.0f} MB")


def median(rounds: Sequence[dict[str, tuple[float, float, float]]], name: str, at: int) -> float:
    return statistics.median(each[name][at] for each in rounds)


def ratio(rounds: Sequence[dict[str, tuple[float, float, float]]], name: str, at: int) -> float:
    """To the bare loop of the same round: a busy moment of the machine hits both."""
    return statistics.median(each[name][at] / each["bare aiohttp"][at] for each in rounds)


def client(kind: str, url: str, jobs: int, task_ms: int) -> Done:
    return measuring.run(["-m", "benchmarks.clients", kind, url, str(jobs), str(task_ms)])


def dsrun(url: str, folder: Path, jobs: int, task_ms: int, transport: str) -> Done:
    pipelines.write_run(folder, jobs=jobs, task_ms=task_ms)
    done = measuring.run(
        ["-m", "dsrun", "run", "bench.yaml", "--yes", "--quiet"],
        cwd=folder,
        **KEYS,
        DASHSCOPE_HTTP_BASE_URL=url,
        DSRUN_TRANSPORT=transport,
    )
    pipelines.check_run(folder, jobs=jobs)
    return done


def print_plans(folder: Path, *, rounds: int) -> None:
    """The rate is that of the second plan over the first, so that starting up does not count."""
    found: list[list[Done]] = []
    for number in range(rounds):
        each = []
        for jobs in PLANS:
            place = folder / f"plan-{number}-{jobs}"
            pipelines.write_plan(place, jobs=jobs)
            each.append(measuring.run(["-m", "dsrun", "plan", "bench.yaml", "--json"], cwd=place))
        found.append(each)
    few, many = PLANS
    rate = statistics.median((many - few) / (b.cpu_s - a.cpu_s) for a, b in found)
    growth = statistics.median(b.peak_mb / a.peak_mb for a, b in found)
    print(f"\nplan, three axes and two templates: {rate:,.0f} jobs a CPU second")
    for jobs, column in zip(PLANS, zip(*found, strict=True), strict=True):
        seconds, memory = (statistics.median(each[at] for each in column) for at in (0, 2))
        print(f"{jobs:>9,} jobs: {seconds:>6.2f} s, {memory:>4.0f} MB")
    print(f"memory of {many:,} against {few:,} jobs: {growth:.2f}")


if __name__ == "__main__":
    sys.exit(main())
