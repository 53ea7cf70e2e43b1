"""What `plan --json` says: the sums of a survey, and the list of its jobs."""

from collections.abc import Collection, Iterator, Mapping

from dsrun.common.errors import Problem
from dsrun.common.models import Json
from dsrun.common.units import first_as_json
from dsrun.manifest.execution import Execution
from dsrun.planning.own_limits import operation_notes
from dsrun.service.operation import Operation
from dsrun.session.cost_limits import retry_json
from dsrun.session.estimate import shortest_time, slow_services
from dsrun.session.lineage import building_json, parent_json
from dsrun.session.outlook import CallOutlook, costs_of, sum_of, sure_of
from dsrun.session.permit import notice_json
from dsrun.session.preview import Survey


def summary(survey: Survey, warnings: list[Problem]) -> dict[str, Json]:
    """The keys of `plan --json`, except for `job_list`."""
    plan, options, outlook = survey.plan, survey.options, survey.outlook
    bound = shortest_time(plan, outlook)
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
        "costs": [cost.as_json() for cost in outlook.costs],
        "cost_is": outlook.sure,
        "retry": retry_json(survey),
        "budget": survey.budget and survey.budget.as_json(),
        "shortest_time_s": bound.seconds,
        "bound_by": bound.words,
        "estimated_time_s": survey.estimate.seconds,
        "estimated_by": survey.estimate.words,
        "steps": {
            name: _step_json(calls, survey, building_json(plan, name))
            for name, calls in outlook.steps.items()
        },
        "by_model": _by_model(survey),
        "difference": _difference_json(survey),
        "edits": [edit.as_json() for edit in survey.edits],
        "notes": operation_notes(plan.manifest, plan.catalog),
        "advice": list(slow_services(plan, outlook)),
        "warnings": [str(warning) for warning in warnings],
        "notify": None if options.emulate else notice_json(plan.manifest.notify),
    }


def _currency(survey: Survey) -> str:
    prices = [call.operation.price for _, call in survey.outlook.calls()]
    return prices[0].currency if prices else "CNY"


_COLUMNS = ("jobs", "done", "cached", "to_send")


def _step_json(
    calls: Mapping[str, CallOutlook], survey: Survey, building: Mapping[str, Json]
) -> dict[str, Json]:
    """A step; with several operations, `operation` is their list, and there is no one price."""
    names, prices = list(calls), [call.operation.price.as_json() for call in calls.values()]
    return {
        "operation": names[0] if len(names) == 1 else names,
        **{name: sum_of(calls.values(), name) for name in (*_COLUMNS, "ready", "waiting")},
        **building,
        "units": _counted(calls.values()),
        "cost": first_as_json(costs_of(calls.values()), currency=_currency(survey)),
        "cost_is": sure_of(calls.values()),
        "price": prices[0] if len(prices) == 1 else None,
    }


def _counted(calls: Collection[CallOutlook]) -> Json:
    """How many images, seconds or characters are paid for; null where they cost this or that."""
    counted = [call.operation.price.counted(call.units) for call in calls]
    if None in counted or len({call.operation.price.unit for call in calls}) > 1:
        return None
    total = sum(number for number in counted if number is not None)
    return int(total) if total == int(total) else float(total)


def _by_model(survey: Survey) -> dict[str, Json]:
    """What each operation, of any step, comes to; its price, its rate and its running tasks."""
    calls: dict[str, list[CallOutlook]] = {}
    for _, call in survey.outlook.calls():
        calls.setdefault(call.operation.name, []).append(call)
    return {
        name: {
            **{column: sum_of(each, column) for column in _COLUMNS},
            "units": _counted(each),
            "cost": first_as_json(costs_of(each), currency=each[0].operation.price.currency),
            "cost_is": sure_of(each),
            "price": each[0].operation.price.as_json(),
            **_limits_json(survey.plan.manifest.execution, each[0].operation),
        }
        for name, each in calls.items()
    }


def _limits_json(execution: Execution, operation: Operation) -> dict[str, Json]:
    limits = execution.limits_of(operation)
    return {
        "rate": {"requests": limits.rate.requests, "per_s": limits.rate.per_s},
        "running_tasks": limits.running_tasks,
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
    for job, reason, to_send, changes, _ in survey.jobs():
        yield {
            "job_id": job.job_id,
            "step": job.step,
            "index": job.index,
            "matrix": job.matrix,
            "request": job.request,
            "parents": [parent_json(one) for one in job.parents],
            "reason": reason,
            "to_send": to_send,
            "changes": [change.as_json() for change in changes],
        }
