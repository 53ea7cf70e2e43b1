"""`dsrun plan` of lists at several sizes: jobs a second of the processor, and memory."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import measuring, pipelines
from benchmarks.measuring import DSRUN, Done

FEW, MANY, MILLION = 1_000, 100_000, 1_000_000


class Plans(NamedTuple):
    rounds: Sequence[dict[int, Done]]  # by number of jobs

    @property
    def sizes(self) -> list[int]:
        return list(self.rounds[0])

    def rate(self, jobs: int) -> float:
        """Over the plan of few, so that starting up does not count."""
        return statistics.median(
            (jobs - FEW) / (each[jobs].cpu_s - each[FEW].cpu_s) for each in self.rounds
        )

    def growth(self, jobs: int) -> float:
        return statistics.median(each[jobs].peak_mb / each[FEW].peak_mb for each in self.rounds)


def measure(folder: Path, *, sizes: Sequence[int], rounds: int) -> Plans:
    return Plans([
        {jobs: plan(folder / f"plan-{number}-{jobs}", jobs) for jobs in sizes}
        for number in range(rounds)
    ])  # fmt: skip


def plan(folder: Path, jobs: int) -> Done:
    pipelines.write_plan(folder, jobs=jobs)
    return measuring.run([*DSRUN, "plan", "bench.yaml", "--json"], cwd=folder)


def print_table(plans: Plans) -> None:
    print(f"\nplans of three axes and two templates, median of {len(plans.rounds)} rounds")
    print(f"{'jobs':>10}{'time':>10}{'jobs a CPU second':>20}{'memory':>9}{'of 1,000':>10}")
    for jobs in plans.sizes:
        seconds, memory = (
            statistics.median(getattr(each[jobs], column) for each in plans.rounds)
            for column in ("seconds", "peak_mb")
        )
        rate = "" if jobs == FEW else f"{plans.rate(jobs):,.0f}"
        print(f"{jobs:>10,}{seconds:>8.2f} s{rate:>20}{memory:>6.0f} MB{plans.growth(jobs):>10.2f}")
