"""What a run would do, as `plan` says it to a person, a program or the Python API."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from dsrun.common.errors import Problem
from dsrun.common.models import JobStatus, Json
from dsrun.common.units import Money, first_as_json
from dsrun.ledger import totals
from dsrun.planning.plan import Plan
from dsrun.session.options import PlanOptions
from dsrun.session.outlook import StepOutlook, shortest_time, slow_services
from dsrun.session.permit import notice_json
from dsrun.session.survey import Survey


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowOptions(PlanOptions):
    """`again`: what `run` would send again; `max_cost`: in place of the manifest's."""

    full: bool = False
    as_json: bool = False
    max_cost: Money | None = None
    again: frozenset[JobStatus] = frozenset()


def all_warnings(plan: Plan, survey: Survey, options: ShowOptions) -> list[Problem]:
    """Those of the manifest, and those of what this run would cost."""
    return [*plan.warnings, *_cost_warnings(plan, survey, options)]


def _cost_warnings(plan: Plan, survey: Survey, options: ShowOptions) -> Iterator[Problem]:
    """A limit that this run would meet."""
    limit = options.max_cost or plan.manifest.execution.max_cost
    if limit is None or options.emulate:
        return
    cost = sum((c.amount for c in survey.outlook.costs if c.currency == limit.currency), Decimal(0))
    before = Decimal(0)
    if survey.ledger is not None:
        before = sum(totals.committed(survey.ledger, currency=limit.currency), Decimal(0))
    if cost + before > limit.amount:
        spent = f", and {_money(before, limit)} are spent or under way here" if before else ""
        words = (
            f"max_cost is {limit}, but what is left to send costs {_money(cost, limit)}{spent}; "
            "the run would stop before the request that passes it"
        )
        if options.max_cost is None:
            yield plan.manifest.document.problem(("execution", "max_cost"), words)
        else:
            yield Problem(file="--max-cost", line=0, column=0, where="", message=words)


def _money(amount: Decimal, like: Money) -> Money:
    return Money(amount=amount, currency=like.currency)


def summary(
    plan: Plan, survey: Survey, options: ShowOptions, warnings: list[Problem]
) -> dict[str, Json]:
    """The keys of `plan --json` but `job_list`."""
    outlook, bound = survey.outlook, shortest_time(plan, survey.outlook)
    return {
        "pipeline": str(options.pipeline),
        "name": plan.manifest.name,
        "digest": plan.digest,
        "jobs": outlook.total("jobs"),
        "done": outlook.total("done"),
        "cached": outlook.total("cached"),
        "to_send": outlook.total("to_send"),
        "other": {status.value: number for status, number in outlook.other.items()},
        "in_hand": survey.in_hand,
        "files_missing": survey.files_missing,
        "cost": first_as_json(outlook.costs, currency=_currency(survey)),
        "shortest_time_s": bound.seconds,
        "bound_by": bound.words,
        "steps": {name: _step_json(step) for name, step in outlook.steps.items()},
        "difference": _difference_json(survey),
        "advice": list(slow_services(outlook)),
        "warnings": [str(warning) for warning in warnings],
        "notify": None if options.emulate else notice_json(plan.manifest.notify),
    }


def _currency(survey: Survey) -> str:
    prices = [step.operation.price for step in survey.outlook.steps.values()]
    return prices[0].currency if prices else "CNY"


def _step_json(step: StepOutlook) -> dict[str, Json]:
    return {
        "operation": step.operation.name,
        "jobs": step.jobs,
        "done": step.done,
        "cached": step.cached,
        "to_send": step.to_send,
        "units": step.units,
        "cost": step.cost.as_json(),
        "price": step.operation.price.as_json(),
    }


def _difference_json(survey: Survey) -> Json:
    """Against the last run of this pipeline; null where there is none."""
    if survey.difference is None:
        return None
    changes = survey.earlier.changes if survey.earlier else None
    return {
        "run": survey.earlier.name if survey.earlier else survey.run_name,
        **survey.difference._asdict(),
        "files": changes.files if changes else [],
        "params": changes.params if changes else [],
    }


def job_list(survey: Survey) -> Iterator[dict[str, Json]]:
    """The items of `job_list` of `plan --json --full`."""
    for job, reason, to_send in survey.jobs():
        yield {
            "job_id": job.job_id,
            "step": job.step,
            "index": job.index,
            "matrix": job.matrix,
            "request": job.request,
            "reason": reason,
            "to_send": to_send,
        }
