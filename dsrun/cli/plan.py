"""`dsrun plan`: the jobs, what is done, what will be sent, and what it costs. Touches nothing."""

from collections.abc import Iterator
from itertools import islice

from dsrun.cli.problems import warn
from dsrun.common.console import answer, answer_json, answer_pieces, count_of, table
from dsrun.common.digest import json_text
from dsrun.common.errors import ExitCode
from dsrun.common.escaping import shown_json
from dsrun.common.messages import show
from dsrun.common.models import Json
from dsrun.session.opening import open_plan
from dsrun.session.options import RunOptions
from dsrun.session.permit import notice_lines
from dsrun.session.preview import (
    StepOutlook,
    Survey,
    all_warnings,
    job_list,
    shortest_time,
    slow_services,
    summary,
)

_SHOWN = 5


def run(options: RunOptions, *, full: bool = False, as_json: bool = False) -> int:
    """Raises ManifestError where the pipeline is not valid."""
    with Survey(open_plan(options), options) as survey:
        survey.take()
        warnings = all_warnings(survey)
        warn(warnings)
        if not as_json:
            _answer_text(survey, full=full)
        elif full:
            answer_pieces(_json_pieces(summary(survey, warnings), survey))
        else:
            answer_json(summary(survey, warnings))
    return ExitCode.OK


def _json_pieces(head: dict[str, Json], survey: Survey) -> Iterator[str]:
    """Streamed, so that a plan of any length can be printed."""
    yield shown_json(json_text(head)[:-1]) + ',"job_list":['
    for number, item in enumerate(job_list(survey)):
        yield ("," if number else "") + shown_json(json_text(item))
    yield "]}\n"


def _answer_text(survey: Survey, *, full: bool) -> None:
    outlook = survey.outlook
    jobs = outlook.total("jobs")
    shown = None if full else _SHOWN
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
    for line in () if survey.options.emulate else notice_lines(survey.plan.manifest.notify):
        answer(line)
    answer(_last_line(survey))


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
    return f"{price.of(1)} (price of {price.as_of})"


def _difference_words(survey: Survey) -> str:
    assert survey.difference is not None  # noqa: S101  # the caller has looked
    if survey.earlier is None:
        return f"no difference to the last run, {survey.run_name}"
    added, removed, changed, _ = survey.difference
    edits = [*survey.earlier.changes.params, *(f"{n} edited" for n in survey.earlier.changes.files)]
    return (
        f"since the last run, {survey.earlier.name}: {added} added, {removed} removed, "
        f"{changed} changed{': ' + ', '.join(edits) if edits else ''}"
    )


def _last_line(survey: Survey) -> str:
    plan, outlook = survey.plan, survey.outlook
    bound = shortest_time(plan, outlook)
    cached, missing, in_hand = outlook.total("cached"), survey.files_missing, survey.in_hand
    parts = [
        count_of(outlook.total("jobs"), "job"),
        f"{outlook.total('done')} done",
        *([f"{cached} cached"] if cached else []),
        *(f"{number} {status}" for status, number in outlook.other.items()),
        *([f"of these {count_of(missing, 'job')} with a file missing"] if missing else []),
        f"{outlook.total('to_send')} to send",
        *([f"of these {in_hand} left to a run in progress"] if in_hand else []),
    ]
    by = f" ({bound.words})" if bound.seconds else ""
    return (
        f"digest {plan.digest[:12]}: {', '.join(parts)}; "
        f"cost {', '.join(map(str, outlook.costs)) or 'nothing'}; "
        f"at least {bound.seconds:g} s by the rate limits{by}"
    )
