"""What a plan comes to: jobs, units, money and time, summed up by step."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from dsrun.common.console import count_of
from dsrun.common.models import JobStatus
from dsrun.common.units import Money, Rate, sum_money
from dsrun.planning.plan import Plan
from dsrun.service.operation import Operation


@dataclass(slots=True)
class StepOutlook:
    """Sums over the selected jobs of a step; `units` and cost are of those to send."""

    operation: Operation
    jobs: int = 0
    done: int = 0
    cached: int = 0
    to_send: int = 0
    units: int = 0
    other: Counter[JobStatus] = field(default_factory=Counter)  # neither done nor to send

    def add(self, status: JobStatus, *, units: int, is_cached: bool = False) -> None:
        """Count a job. `is_cached`: pending, but another run has left its result."""
        self.jobs += 1
        if status is JobStatus.SUCCEEDED:
            self.done += 1
        elif status is not JobStatus.PENDING:
            self.other[status] += 1
        elif is_cached:
            self.cached += 1
        else:
            self.to_send += 1
            self.units += units

    @property
    def cost(self) -> Money:
        return self.operation.price.of(self.units)


class Outlook:
    """The outlook of every step of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.steps = {
            step.name: StepOutlook(plan.catalog[step.operation]) for step in plan.manifest.steps
        }

    def total(self, name: str) -> int:
        """The sum of a column: jobs, done, cached or to_send."""
        return sum(getattr(step, name) for step in self.steps.values())

    @property
    def other(self) -> Counter[JobStatus]:
        return sum((step.other for step in self.steps.values()), Counter())

    @property
    def costs(self) -> list[Money]:
        """By currency, in the order of the steps; empty where nothing is sent."""
        return sum_money(step.cost for step in self.steps.values() if step.to_send)


class Bound(NamedTuple):
    """The least time in seconds, and the limit that makes it so."""

    seconds: float
    words: str


def shortest_time(plan: Plan, outlook: Outlook) -> Bound:
    """What the rates alone ask for; operations run side by side."""
    execution = plan.manifest.execution
    bounds = []
    tasks = 0
    for operation, count in _to_send(outlook):
        rate = execution.rate or operation.rate
        limit = f"{operation.name}: {count_of(rate.requests, 'request')} {_each(rate.per_s)}"
        bounds.append(Bound(_least_s(count, rate), limit))
        tasks += count if operation.protocol == "task" else 0
    rate = execution.poll_rate
    asked = f"{count_of(rate.requests, 'question')} about tasks {_each(rate.per_s)}"
    bounds.append(Bound(_least_s(tasks, rate), asked))
    return max(bounds, key=lambda bound: bound.seconds)


def slow_services(outlook: Outlook) -> Iterator[str]:
    """Advice on operations whose tasks wait for each other at the service."""
    for operation, count in _to_send(outlook):
        running = operation.running_tasks
        if running is not None and count > running:
            yield (
                f"{operation.name} runs {count_of(running, 'task')} at a time, so these "
                f"{count_of(count, 'task')} take {count // running} times as long as one"
            )


def _to_send(outlook: Outlook) -> list[tuple[Operation, int]]:
    counts: dict[str, tuple[Operation, int]] = {}
    for step in outlook.steps.values():
        name = step.operation.name
        counts[name] = (step.operation, counts.get(name, (step.operation, 0))[1] + step.to_send)
    return list(counts.values())


def _least_s(count: int, rate: Rate) -> float:
    return round(max(0, count - rate.requests) * rate.per_s / rate.requests, 3)


def _each(seconds: float) -> str:
    named = {1.0: "a second", 60.0: "a minute", 3600.0: "an hour"}
    return named.get(seconds, f"in {seconds:g} s")
