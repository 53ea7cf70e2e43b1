"""What was aimed at, and what is measured now."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from benchmarks import startup
from benchmarks.plans import MANY, Plans
from benchmarks.rates import BARE, FAST, OFFICIAL, PLAIN, C, Rates
from benchmarks.startup import Starts


class Found(NamedTuple):
    rates: dict[int, Rates]  # by the task's time in ms
    plans: Plans
    starts: Starts


class Aim(NamedTuple):
    figure: str
    bound: Literal["at least", "at most"]
    must: float
    find: Callable[[Found], float | None]  # None: not measured
    form: str = ".2f"

    def judge(self, value: float | None) -> str:
        if value is None:
            return "not measured"
        is_met = value >= self.must if self.bound == "at least" else value <= self.must
        return "met" if is_met else "missed"


AIMS = (
    Aim("jobs/s against the bare loop, 0 ms, plain", "at least", 0.42,
        lambda found: found.rates[0].ratio(PLAIN, BARE, "per_s")),
    Aim("jobs/s against the bare loop, 0 ms, fast", "at least", 0.6,
        lambda found: found.rates[0].ratio(FAST, BARE, "per_s")),
    Aim("jobs/s against the C client, 50 ms, fast", "at least", 0.5,
        lambda found: found.rates[50].ratio(FAST, C, "per_s")),
    Aim("CPU a job against the bare loop, 0 ms, plain", "at most", 2.2,
        lambda found: found.rates[0].ratio(PLAIN, BARE, "cpu_ms")),
    Aim("CPU a job against the bare loop, 0 ms, fast", "at most", 1.7,
        lambda found: found.rates[0].ratio(FAST, BARE, "cpu_ms")),
    Aim("jobs/s against the official package, 0 ms, plain", "at least", 3.5,
        lambda found: found.rates[0].ratio(PLAIN, OFFICIAL, "per_s")),
    Aim("jobs/s against the official package, 50 ms, plain", "at least", 7,
        lambda found: found.rates[50].ratio(PLAIN, OFFICIAL, "per_s")),
    Aim("plan, jobs a CPU second", "at least", 55_000,
        lambda found: found.plans.rate(MANY), form=",.0f"),
    Aim("memory of the largest plan against 1,000 jobs", "at most", 1.5,
        lambda found: found.plans.growth(max(found.plans.sizes))),
    Aim("dsrun --version over bare Python, s", "at most", 0.06,
        lambda found: startup.over_bare(found.starts, startup.VERSION), form=".3f"),
    Aim("dsrun validate of the quickstart, s", "at most", 0.25,
        lambda found: found.starts[startup.VALIDATE].seconds),
    Aim("first create of the quickstart, s", "at most", 0.5,
        lambda found: found.starts[startup.FIRST].seconds),
)  # fmt: skip


def print_table(found: Found) -> None:
    print(f"\n{'aims':<48}{'must':>16}{'now':>9}")
    for aim in AIMS:
        value = aim.find(found)
        must = f"{aim.bound} {aim.must:{aim.form}}"
        now = "" if value is None else f"{value:{aim.form}}"
        print(f"{aim.figure:<48}{must:>16}{now:>9}  {aim.judge(value)}")
