"""What a plan comes to: the jobs of each step by what would become of them, and their cost.

A step may call several operations; each of them has its own sums.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dsrun.common.console import count_of
from dsrun.common.models import JobStatus
from dsrun.common.units import Money, sum_money
from dsrun.planning.plan import Plan
from dsrun.service.operation import Operation
from dsrun.service.price import AT_MOST, EXACT, UNKNOWN, weakest


@dataclass(slots=True)
class CallOutlook:
    """Sums over the selected jobs of a step that call one operation.

    `units` and cost are of those to send.
    """

    operation: Operation
    jobs: int = 0
    done: int = 0
    cached: int = 0
    to_send: int = 0
    waiting: int = 0  # of those to send: jobs that others have to end before
    units: int = 0  # in grains of the price
    unknown: int = 0  # jobs to send whose cost nobody can tell
    bound: int = 0  # jobs to send that may cost less, since they build on what is not there yet
    other: Counter[JobStatus] = field(default_factory=Counter)  # neither done nor to send

    def add(
        self,
        status: JobStatus,
        *,
        units: int | None,
        is_cached: bool = False,
        is_bound: bool = False,
    ) -> bool:
        """Count a job; whether it is to send.

        `is_cached`: pending, but another run has left its result.
        """
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
            self.bound += is_bound
            return True
        return False

    def add_done(self, jobs: int) -> None:
        """Count so many jobs that have succeeded."""
        self.jobs += jobs
        self.done += jobs

    @property
    def ready(self) -> int:
        """Jobs to send that wait for no others."""
        return self.to_send - self.waiting

    @property
    def cost(self) -> Money:
        """Of those whose cost is known."""
        return self.operation.price.of(self.units)

    @property
    def sure(self) -> str:
        """How sure the cost is."""
        if self.unknown or not self.to_send:
            return UNKNOWN if self.unknown else EXACT
        return weakest([self.operation.price.sure, AT_MOST if self.bound else EXACT])


class Outlook:
    """The outlook of every step of a plan, and of each operation that it calls."""

    def __init__(self, plan: Plan) -> None:
        self._catalog = plan.catalog
        self._steps: dict[str, dict[str, CallOutlook]] = {}
        for step in plan.manifest.steps:
            self._steps[step.name] = {}
            for name in () if step.calls.model else step.calls.operations:
                self.of(step.name, name)

    @property
    def steps(self) -> Mapping[str, Mapping[str, CallOutlook]]:
        """By step, and then by operation."""
        return self._steps

    def of(self, step: str, operation: str) -> CallOutlook:
        """What the jobs of a step come to that call an operation."""
        calls = self._steps[step]
        if operation not in calls:
            calls[operation] = CallOutlook(self._catalog[operation])
        return calls[operation]

    def calls(self) -> Iterator[tuple[str, CallOutlook]]:
        """Every step with each of its operations, in order."""
        for step, calls in self._steps.items():
            yield from ((step, call) for call in calls.values())

    def total(self, name: str) -> int:
        """The sum of a column: jobs, done, cached, to_send, ready or waiting."""
        return sum_of((call for _, call in self.calls()), name)

    @property
    def other(self) -> Counter[JobStatus]:
        return sum((call.other for _, call in self.calls()), Counter())

    @property
    def costs(self) -> list[Money]:
        """By currency, in the order of the steps; empty where nothing is sent."""
        return costs_of(call for _, call in self.calls())

    @property
    def unknown_words(self) -> str:
        """Of how many jobs nobody can tell the cost; an empty text for none."""
        parts = [
            f"{count_of(call.unknown, 'job')} of {name} ({call.operation.name}: "
            f"{call.operation.price})"
            for name, call in self.calls()
            if call.unknown
        ]
        return f"nobody can tell what it costs to send {', '.join(parts)}" if parts else ""

    @property
    def sure(self) -> str:
        """How sure the whole cost is: as sure as that of the least sure step."""
        return sure_of(call for _, call in self.calls())


def sure_of(calls: Iterable[CallOutlook]) -> str:
    """How sure the cost of all of these is."""
    return weakest([call.sure for call in calls])


def sum_of(calls: Iterable[CallOutlook], name: str) -> int:
    """The sum of a column: jobs, done, cached, to_send, ready, waiting or units."""
    return sum(getattr(call, name) for call in calls)


def costs_of(calls: Iterable[CallOutlook]) -> list[Money]:
    """By currency; empty where nothing is sent."""
    return sum_money(call.cost for call in calls if call.to_send)
