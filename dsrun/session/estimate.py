"""How long a run would take: what the rate limits alone allow, and what earlier runs tell."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import ceil, inf
from typing import NamedTuple

from dsrun.common.console import count_of
from dsrun.common.models import JobStatus
from dsrun.common.units import Rate, duration_words
from dsrun.ledger.durations import TaskTime
from dsrun.manifest.execution import Execution
from dsrun.manifest.shared_limits import shared_limits
from dsrun.planning.plan import Plan
from dsrun.service.catalog_words import each
from dsrun.service.operation import Operation
from dsrun.session.outlook import Outlook

_UNDER_WAY = (JobStatus.SUBMITTING, JobStatus.SUBMITTED)


class Bound(NamedTuple):
    """The least time in seconds, and the limit that makes it so."""

    seconds: float
    words: str


class Estimate(NamedTuple):
    """The likely time in seconds, and why; None where nothing tells how long a task takes."""

    seconds: float | None
    words: str


class _Load(NamedTuple):
    """What an operation has to do: jobs to send, and tasks that are under way."""

    operation: Operation
    to_send: int
    under_way: int

    @property
    def tasks(self) -> int:
        return self.to_send + self.under_way


def shortest_time(plan: Plan, outlook: Outlook) -> Bound:
    """The least time that the rate limits allow; operations run side by side."""
    execution = plan.manifest.execution
    loads = _loads(outlook)
    bounds = [_bound(one.name, count, execution.limits_of(one).rate) for one, count, _ in loads]
    for shared in shared_limits(plan.catalog, execution):
        count = sum(to_send for one, to_send, _ in loads if one.limits.group == shared.name)
        bounds.append(_bound(f"all of {shared.name}", count, shared.rate))
    tasks = sum(load.to_send for load in loads if load.operation.protocol == "task")
    rate = execution.poll_rate
    asked = f"{count_of(rate.requests, 'question')} about tasks {each(rate)}"
    bounds.append(Bound(_least_s(tasks, rate), asked))
    return max(bounds, key=lambda bound: bound.seconds)


def _bound(name: str, count: int, rate: Rate) -> Bound:
    words = f"{name}: {count_of(rate.requests, 'request')} {each(rate)}"
    return Bound(_least_s(count, rate), words)


def slow_services(plan: Plan, outlook: Outlook) -> Iterator[str]:
    """Advice on operations whose tasks queue at the service."""
    for operation, count, _ in _loads(outlook):
        running = plan.manifest.execution.limits_of(operation).running_tasks
        if running is not None and count > running:
            yield (
                f"{operation.name} runs {count_of(running, 'task')} at a time, so these "
                f"{count_of(count, 'task')} take {-(-count // running)} times as long as one"
            )


def busy_operations(plan: Plan, outlook: Outlook) -> dict[str, int | None]:
    """The operations that have anything to do, and how many of their tasks the service runs."""
    limits_of = plan.manifest.execution.limits_of
    busy = (load.operation for load in _loads(outlook) if load.tasks)
    return {operation.name: limits_of(operation).running_tasks for operation in busy}


def likely_time(
    plan: Plan,
    outlook: Outlook,
    times: Mapping[str, TaskTime],
    *,
    concurrency: int | None = None,
) -> Estimate:
    """The time that tasks like those of earlier runs would take; `times` are by operation.

    `concurrency`: that of the command line.
    """
    execution = plan.manifest.execution
    if concurrency is not None:
        execution = replace(execution, concurrency=concurrency)
    loads = [load for load in _loads(outlook) if load.tasks]
    unknown = [load.operation for load in loads if load.operation.name not in times]
    if unknown:
        each = "; ".join(_pace_words(operation, execution) for operation in unknown)
        return Estimate(None, f"{each}, and no earlier run tells how long one takes")
    least = shortest_time(plan, outlook)
    estimates = [Estimate(least.seconds, least.words if least.seconds else "")]
    for load in loads:
        one = times[load.operation.name]
        together = _at_a_time(load.operation, execution)
        rate = execution.limits_of(load.operation).rate
        queued_s = ceil(load.tasks / together) * one.seconds
        sent_s = _least_s(load.to_send, rate) + one.seconds
        estimates.append(Estimate(round(max(queued_s, sent_s), 3), _words(load, together, one)))
    return max(estimates, key=lambda estimate: estimate.seconds or 0.0)


def _words(load: _Load, together: int, one: TaskTime) -> str:
    return (
        f"{load.operation.name}: {count_of(together, _noun(load.operation))} at a time, each about "
        f"{duration_words(one.seconds)}, the mean of {one.tasks} in earlier runs"
    )


def _pace_words(operation: Operation, execution: Execution) -> str:
    together = count_of(_at_a_time(operation, execution), _noun(operation))
    return f"{operation.name}: {together} at a time"


def _noun(operation: Operation) -> str:
    return "task" if operation.protocol == "task" else "request"


def _at_a_time(operation: Operation, execution: Execution) -> int:
    """How many requests of an operation are worked on at once, by its limits and ours."""
    if operation.protocol == "task":
        limits = execution.limits_of(operation)
        return int(
            min(limits.running_tasks or inf, limits.queued_tasks or inf, execution.concurrency)
        )
    return min(execution.submit_window, execution.concurrency)


def _loads(outlook: Outlook) -> list[_Load]:
    """The sums of all steps, by operation."""
    loads: dict[str, _Load] = {}
    for _, call in outlook.calls():
        before = loads.get(call.operation.name, _Load(call.operation, 0, 0))
        under_way = sum(call.other[status] for status in _UNDER_WAY)
        loads[call.operation.name] = _Load(
            call.operation, before.to_send + call.to_send, before.under_way + under_way
        )
    return list(loads.values())


def _least_s(count: int, rate: Rate) -> float:
    return round(max(0, count - rate.requests) * rate.per_s / rate.requests, 3)
