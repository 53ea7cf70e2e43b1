"""`dsrun plan`: the jobs, what is done, what will be sent, and what it costs. Touches nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from dsrun.cli.problems import warn
from dsrun.common.console import answer, answer_json, answer_pieces, count_of, table
from dsrun.common.digest import json_text
from dsrun.common.errors import ExitCode, Problem
from dsrun.common.escaping import shown_json
from dsrun.common.messages import show
from dsrun.common.models import JobStatus, Json
from dsrun.manifest.execution import Money
from dsrun.planning.plan import Plan
from dsrun.session.options import PlanOptions, open_plan
from dsrun.session.outlook import StepOutlook, shortest_time, slow_services
from dsrun.session.permit import notice_json, notice_lines
from dsrun.session.survey import Survey

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowOptions(PlanOptions):
    """`again`: what `run` would send again; `max_cost`: in place of the manifest's."""

    full: bool = False
    as_json: bool = False
    max_cost: Money | None = None
    again: frozenset[JobStatus] = frozenset()


def run(options: ShowOptions) -> int:
    """Raises ManifestError where the pipeline is not valid."""
    plan = open_plan(options)
    with Survey(plan, options, again=options.again) as survey:
        survey.take()
        warnings = all_warnings(plan, survey, options)
        warn(warnings)
        if options.as_json:
            _answer_json(plan, survey, options, warnings)
        else:
            _answer_text(plan, survey, options)
    return ExitCode.OK


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
        before = sum(survey.ledger.committed(currency=limit.currency), Decimal(0))
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
    zero = Money(amount=Decimal(0), currency=_currency(survey))
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
        "cost": _cost_json(next(iter(outlook.costs), zero)),
        "shortest_time_s": bound.seconds,
        "bound_by": bound.words,
        "steps": {name: _step_json(step) for name, step in outlook.steps.items()},
        "difference": _difference_json(survey),
        "advice": list(slow_services(outlook)),
        "warnings": [str(warning) for warning in warnings],
        "notify": None if options.emulate else notice_json(plan.manifest.notify),
    }


def _answer_json(plan: Plan, survey: Survey, options: ShowOptions, warnings: list[Problem]) -> None:
    head = summary(plan, survey, options, warnings)
    if not options.full:
        answer_json(head)
        return
    answer_pieces(_json_pieces(head, survey))


def _json_pieces(head: dict[str, Json], survey: Survey) -> Iterator[str]:
    """Streamed, so that a plan of any length can be printed."""
    yield shown_json(json_text(head)[:-1]) + ',"job_list":['
    for number, item in enumerate(job_list(survey)):
        yield ("," if number else "") + shown_json(json_text(item))
    yield "]}\n"


def _currency(survey: Survey) -> str:
    prices = [step.operation.price for step in survey.outlook.steps.values()]
    return prices[0].currency if prices else "CNY"


def _cost_json(cost: Money) -> dict[str, Json]:
    return {"amount": float(cost.amount), "currency": cost.currency}


def _step_json(step: StepOutlook) -> dict[str, Json]:
    price = step.operation.price
    return {
        "operation": step.operation.name,
        "jobs": step.jobs,
        "done": step.done,
        "cached": step.cached,
        "to_send": step.to_send,
        "units": step.units,
        "cost": _cost_json(step.cost),
        "price": {
            "amount": float(price.amount),
            "currency": price.currency,
            "unit": price.unit,
            "as_of": price.as_of,
        },
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


def _answer_text(plan: Plan, survey: Survey, options: ShowOptions) -> None:
    outlook = survey.outlook
    jobs = outlook.total("jobs")
    shown = None if options.full else _SHOWN
    for item in islice(job_list(survey), shown):
        axes = ", ".join(f"{name} {show(value)}" for name, value in item["matrix"].items())
        answer(f"{item['step']} {item['index']}  {item['job_id'][:12]}  {item['reason']}  {axes}")
        answer(f"    {json_text(item['request'])}")
    if shown is not None and jobs > shown:
        answer(f"... and {jobs - shown} more; --full shows all")
    head = ["step", "operation", "jobs", "done", "cached", "to send", "cost", "of"]
    answer(table([head, *_rows(survey)]))
    if survey.difference is not None:
        answer(_difference_words(survey))
    for advice in slow_services(outlook):
        answer(advice)
    for line in () if options.emulate else notice_lines(plan.manifest.notify):
        answer(line)
    answer(_last_line(plan, survey))


def _rows(survey: Survey) -> list[list[str]]:
    return [
        [
            name,
            step.operation.name,
            *map(str, (step.jobs, step.done, step.cached, step.to_send, step.cost)),
            f"{count_of(step.units, step.operation.price.unit)} at {_price(step)}",
        ]
        for name, step in survey.outlook.steps.items()
    ]


def _price(step: StepOutlook) -> str:
    price = step.operation.price
    return f"{Money(amount=price.amount, currency=price.currency)} (price of {price.as_of})"


def _difference_words(survey: Survey) -> str:
    assert survey.difference is not None  # noqa: S101  # the caller has looked
    if survey.earlier is None:
        return f"no difference to the last run, {survey.run_name}"
    added, removed, changed, _ = survey.difference
    told = [*survey.earlier.changes.params, *(f"{n} edited" for n in survey.earlier.changes.files)]
    return (
        f"since the last run, {survey.earlier.name}: {added} added, {removed} removed, "
        f"{changed} changed{': ' + ', '.join(told) if told else ''}"
    )


def _last_line(plan: Plan, survey: Survey) -> str:
    outlook, bound = survey.outlook, shortest_time(plan, survey.outlook)
    cached, missing, in_hand = outlook.total("cached"), survey.files_missing, survey.in_hand
    parts = [
        count_of(outlook.total("jobs"), "job"),
        f"{outlook.total('done')} done",
        *([f"{cached} cached"] if cached else []),
        *(f"{number} {status}" for status, number in outlook.other.items()),
        *([f"of these {count_of(missing, 'job')} with a file missing"] if missing else []),
        f"{outlook.total('to_send')} to send",
        *([f"of these {in_hand} in hand of a run that goes on now"] if in_hand else []),
    ]
    by = f" ({bound.words})" if bound.seconds else ""
    return (
        f"digest {plan.digest[:12]}: {', '.join(parts)}; "
        f"cost {', '.join(map(str, outlook.costs)) or 'nothing'}; "
        f"at least {bound.seconds:g} s by the rate limits{by}"
    )
