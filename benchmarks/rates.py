"""Jobs a second of five programs that make the same jobs, in rounds: one after the other, several times."""

import statistics
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from benchmarks import measuring, pipelines
from benchmarks.measuring import DSRUN, PYTHON, Done

BARE, C = "bare aiohttp", "C client"
OFFICIAL, PLAIN, FAST = "official, 64 threads", "dsrun, aiohttp", "dsrun[fast]"
NEEDS = {OFFICIAL: ("dashscope",), FAST: ("httptools", "uvloop")}
AT_ONCE = 64

Column = Literal["per_s", "cpu_ms", "peak_mb"]
Program = tuple[int, Callable[[Path], Done]]  # its jobs, and how it makes them in a new folder


class Rate(NamedTuple):
    per_s: float
    cpu_ms: float  # a job
    peak_mb: float


class Rates(NamedTuple):
    rounds: Sequence[dict[str, Rate]]

    def median(self, name: str, column: Column) -> float:
        return statistics.median(getattr(each[name], column) for each in self.rounds)

    def ratio(self, name: str, to: str, column: Column) -> float | None:
        """Within a round: a busy moment of the machine hits both. None for what is not installed."""
        if not {name, to} <= self.rounds[0].keys():
            return None
        return statistics.median(
            getattr(each[name], column) / getattr(each[to], column) for each in self.rounds
        )


def measure(url: str, client: Path, folder: Path, *, jobs: int, rounds: int, task_ms: int) -> Rates:
    """A small round is before those that count: it writes the bytecode."""
    found = []
    for number in range(rounds + 1):
        made = jobs if number else AT_ONCE
        programs = installed(url, client, jobs=made, task_ms=task_ms)
        place = folder / f"rates-{task_ms}-{number}"
        found.append(
            {name: rate(programs[name], place / str(at)) for at, name in enumerate(programs)}
        )
    return Rates(found[1:])


def installed(url: str, client: Path, *, jobs: int, task_ms: int) -> dict[str, Program]:
    few = max(AT_ONCE, jobs // 8)  # it is slow
    programs: dict[str, Program] = {
        BARE: (jobs, lambda _: others("bare", url, jobs, task_ms)),
        C: (jobs, lambda _: measuring.run([client, url, str(jobs), str(task_ms)])),
        OFFICIAL: (few, lambda _: others("official", url, few, task_ms)),
        PLAIN: (jobs, lambda at: dsrun(url, at, jobs, task_ms, "aiohttp")),
        FAST: (jobs, lambda at: dsrun(url, at, jobs, task_ms, "fast")),
    }
    return {name: programs[name] for name in programs if not missing(name)}


def missing(name: str) -> list[str]:
    """The packages that a program needs and this environment lacks."""
    return [package for package in NEEDS.get(name, ()) if not find_spec(package)]


def rate(program: Program, folder: Path) -> Rate:
    jobs, make = program
    done = make(folder)
    return Rate(jobs / done.seconds, 1000 * done.cpu_s / jobs, done.peak_mb)


def others(kind: str, url: str, jobs: int, task_ms: int) -> Done:
    return measuring.run([*PYTHON, "-m", "benchmarks.clients", kind, url, str(jobs), str(task_ms)])


def dsrun(url: str, folder: Path, jobs: int, task_ms: int, transport: str) -> Done:
    pipelines.write_run(folder, jobs=jobs, task_ms=task_ms)
    done = measuring.run(
        [*DSRUN, "run", "bench.yaml", "--yes", "--quiet"],
        cwd=folder,
        DASHSCOPE_HTTP_BASE_URL=url,
        DSRUN_TRANSPORT=transport,
    )
    pipelines.check_run(folder, jobs=jobs)
    return done


def print_table(rates: Rates, *, jobs: int, task_ms: int) -> None:
    print(f"\ntasks of {task_ms} ms, {jobs} jobs, median of {len(rates.rounds)} rounds")
    print(
        f"{'':<22}{'jobs/s':>8}{'of bare':>9}{'of C':>7}{'CPU a job':>12}{'of bare':>9}{'memory':>9}"
    )
    for name in rates.rounds[0]:
        of_bare, of_c, cpu_of_bare = (
            rates.ratio(name, to, column)
            for to, column in ((BARE, "per_s"), (C, "per_s"), (BARE, "cpu_ms"))
        )
        # Less than this process has cannot be seen from outside, and the client of C has less.
        memory = "" if name == C else f"{rates.median(name, 'peak_mb'):.0f} MB"
        print(
            f"{name:<22}{rates.median(name, 'per_s'):>8.0f}{of_bare:>9.2f}{of_c:>7.2f}"
            f"{rates.median(name, 'cpu_ms'):>9.2f} ms{cpu_of_bare:>9.2f}{memory:>9}",
            flush=True,
        )
    for name in NEEDS:
        if packages := missing(name):
            print(f"{name}: left out, {' and '.join(packages)} not installed")
