"""What bounds the cost of a run, and whether a plan would reach it."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from dsrun.common.console import count_of
from dsrun.common.errors import Problem
from dsrun.common.models import Json
from dsrun.common.units import Money, sum_money
from dsrun.ledger import totals
from dsrun.planning.plan import Plan
from dsrun.service.price import AT_MOST, EXACT, SIGNS
from dsrun.session.options import RunOptions
from dsrun.session.outlook import CallOutlook
from dsrun.session.preview import Survey


def all_warnings(survey: Survey) -> list[Problem]:
    """Those of the manifest, and those of what this run would cost."""
    return [*survey.plan.warnings, *_cost_warnings(survey)]


def max_cost_of(plan: Plan, options: RunOptions) -> Money | None:
    return options.max_cost or plan.manifest.execution.max_cost


def limit_of(plan: Plan, options: RunOptions) -> tuple[str, str] | None:
    """The name and the amount of what bounds the cost of a run, if anything does."""
    if limit := max_cost_of(plan, options):
        return "max_cost", str(limit)
    budget = plan.manifest.execution.budget
    return None if budget is None else ("budget", str(budget))


def unbounded(plan: Plan, options: RunOptions, unknown: str) -> str:
    """Words for a run that its limit refuses, since nobody can tell what it costs."""
    name, amount = limit_of(plan, options) or ("", "")
    return (
        f"{name} is {amount}, but {unknown}; take {name} away, or bound what a request may cost: "
        "`most` in execution.prices"
    )


def _cost_warnings(survey: Survey) -> Iterator[Problem]:
    """Whether the run would reach one of its limits, or be refused for it."""
    plan, options = survey.plan, survey.options
    unknown, limit = survey.outlook.unknown_words, limit_of(plan, options)
    if unknown and limit is not None:
        words = f"{unbounded(plan, options, unknown)}; a run is refused"
        yield _of_limit(survey, limit[0], words)
    if not options.emulate:
        yield from _of_max_cost(survey)
    if survey.budget is not None:
        left = survey.budget.left
        cost = _cost_in(survey, left.currency)
        if cost.amount > left.amount:
            words = (
                f"{survey.budget.state}, but what is left to send costs {cost}; the run would stop "
                "before the request that passes it"
            )
            yield _of_limit(survey, "budget", words)


def _of_max_cost(survey: Survey) -> Iterator[Problem]:
    limit = max_cost_of(survey.plan, survey.options)
    if limit is None:
        return
    cost, before = _cost_in(survey, limit.currency), Decimal(0)
    if survey.ledger is not None:
        before = sum(totals.committed(survey.ledger, currency=limit.currency), Decimal(0))
    if cost.amount + before > limit.amount:
        done = Money(amount=before, currency=limit.currency)
        spent = f", and {done} are spent or under way here" if before else ""
        words = (
            f"max_cost is {limit}, but what is left to send costs {cost}{spent}; "
            "the run would stop before the request that passes it"
        )
        yield _of_limit(survey, "max_cost", words)


def _cost_in(survey: Survey, currency: str) -> Money:
    """What is left to send costs in a currency."""
    amounts = (cost.amount for cost in survey.outlook.costs if cost.currency == currency)
    return Money(amount=sum(amounts, Decimal(0)), currency=currency)


def _of_limit(survey: Survey, name: str, words: str) -> Problem:
    if name == "max_cost" and survey.options.max_cost is not None:
        return Problem(file="--max-cost", line=0, column=0, where="", message=words)
    return survey.plan.manifest.document.problem(("execution", name), words)


def most_with_tries(survey: Survey) -> list[Money]:
    """What the run would cost at most, were every try of every task billed."""
    tries = 1 + survey.plan.manifest.execution.retry.failed_tasks
    return sum_money(
        replace(call.cost, amount=call.cost.amount * (tries if _has_tasks(call) else 1))
        for _, call in survey.outlook.calls()
    )


def retry_words(survey: Survey) -> str:
    """What further tries of failed tasks may come to; an empty text where there are none."""
    retry = survey.plan.manifest.execution.retry
    if not retry.failed_tasks or not any(_has_tasks(call) for _, call in survey.outlook.calls()):
        return ""
    which = f" with {' or '.join(retry.codes)}" if retry.codes else ""
    outlook, most = survey.outlook, ", ".join(map(str, most_with_tries(survey)))
    sign = SIGNS[AT_MOST if outlook.sure == EXACT else outlook.sure] if most else ""
    would = "nobody can tell what the run would cost" if outlook.unknown_words else ""
    return (
        f"retry: a task that fails at the service{which} is tried again up to "
        f"{count_of(retry.failed_tasks, 'time')}; were each of them billed, "
        f"{would or f'the run would cost {sign} {most}'}"
    )


def retry_json(survey: Survey) -> Json:
    """The same for a program."""
    retry = survey.plan.manifest.execution.retry
    return {
        "failed_tasks": retry.failed_tasks,
        "codes": retry.codes and list(retry.codes),
        "cost_at_most": [cost.as_json() for cost in most_with_tries(survey)],
    }


def _has_tasks(call: CallOutlook) -> bool:
    return call.operation.protocol == "task"
