"""What a plan comes to: the jobs of each step by what would become of them, and their cost."""

from collections import Counter
from dataclasses import dataclass, field

from dsrun.common.console import count_of
from dsrun.common.models import JobStatus
from dsrun.common.units import Money, sum_money
from dsrun.planning.plan import Plan
from dsrun.service.operation import Operation
from dsrun.service.price import EXACT, UNKNOWN, weakest


@dataclass(slots=True)
class StepOutlook:
    """Sums over the selected jobs of a step; `units` and cost are of those to send."""

    operation: Operation
    jobs: int = 0
    done: int = 0
    cached: int = 0
    to_send: int = 0
    units: int = 0  # in grains of the price
    unknown: int = 0  # jobs to send whose cost nobody can tell
    other: Counter[JobStatus] = field(default_factory=Counter)  # neither done nor to send

    def add(self, status: JobStatus, *, units: int | None, is_cached: bool = False) -> None:
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
            self.units += units or 0
            self.unknown += units is None

    @property
    def cost(self) -> Money:
        """Of those whose cost is known."""
        return self.operation.price.of(self.units)

    @property
    def sure(self) -> str:
        """How sure the cost is."""
        return UNKNOWN if self.unknown else self.operation.price.sure if self.to_send else EXACT


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

    @property
    def unknown_words(self) -> str:
        """Of how many jobs nobody can tell the cost; an empty text for none."""
        parts = [
            f"{count_of(step.unknown, 'job')} of {name} ({step.operation.name}: "
            f"{step.operation.price})"
            for name, step in self.steps.items()
            if step.unknown
        ]
        return f"nobody can tell what it costs to send {', '.join(parts)}" if parts else ""

    @property
    def sure(self) -> str:
        """How sure the whole cost is: as sure as that of the least sure step."""
        return weakest([step.sure for step in self.steps.values()])
