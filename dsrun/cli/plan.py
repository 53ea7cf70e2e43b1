"""`dsrun plan`: the jobs, what is done, what will be sent, and what it costs. Touches nothing."""

from collections.abc import Iterator, Mapping, Sequence

from dsrun.cli.problems import warn
from dsrun.common.console import answer, answer_json, answer_pieces, answer_table, count_of
from dsrun.common.digest import json_text
from dsrun.common.errors import ExitCode
from dsrun.common.escaping import shown_json
from dsrun.common.late import told
from dsrun.common.messages import axis_words, show
from dsrun.common.models import Json
from dsrun.common.units import Money, duration_words
from dsrun.planning.own_limits import operation_notes
from dsrun.service.price import EXACT, SIGNS
from dsrun.service.request import BY_CONTENT
from dsrun.session.cost_limits import all_warnings, retry_words
from dsrun.session.diff import FieldChange, shared_ends
from dsrun.session.estimate import shortest_time, slow_services
from dsrun.session.lineage import building_lines, names_of, request_words
from dsrun.session.opening import open_plan
from dsrun.session.options import RunOptions
from dsrun.session.outlook import CallOutlook, Outlook
from dsrun.session.permit import notice_lines
from dsrun.session.plan_json import job_list, summary
from dsrun.session.preview import PlannedJob, Survey

_MOST_EDITS = 20
_WIDE = 100  # characters of a change on one line
_LONG = 600  # characters of a value, and of an old and a new text, that are shown as they are
_WHOLE = 10_000_000  # no value is longer
_DIGEST = len(BY_CONTENT) + 12
_NO_NAMES: Mapping[str, str] = {}
_AROUND = 60  # characters beside a change, where the texts are longer


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
    _answer_jobs(survey, full=full)
    builds = list(building_lines(survey.plan))
    more = ["ready", "waiting"] if builds else []
    head = ["step", "operation", "jobs", "done", "cached", "to send", *more, "cost", "of"]
    answer_table([head, *_rows(survey, more)], titled=True)
    for line in builds:
        answer(line)
    if survey.difference is not None:
        answer(_difference_words(survey))
    _answer_edits(survey, full=full)
    for note in operation_notes(survey.plan.manifest, survey.plan.catalog):
        answer(f"note: {note}")
    for advice in slow_services(survey.plan, survey.outlook):
        answer(advice)
    for line in () if survey.options.emulate else notice_lines(survey.plan.manifest.notify):
        answer(line)
    if words := retry_words(survey):
        answer(words)
    if survey.budget is not None:
        answer(survey.budget.words)
    if words := _time_words(survey):
        answer(words)
    answer(_last_line(survey))


def _answer_edits(survey: Survey, *, full: bool) -> None:
    """What the manifest says in another way than in the last run."""
    shown = len(survey.edits) if full else _MOST_EDITS
    for edit in survey.edits[:shown]:
        for line in change_lines(edit, full=full):
            answer(f"  {line}")
    if more := len(survey.edits[shown:]):
        answer(f"  ... and {count_of(more, 'edit')} more; --full shows all")


def _answer_jobs(survey: Survey, *, full: bool) -> None:
    """The jobs that will be sent, and after them the others: all, or the first of them."""
    told = told_to_send = 0
    for planned in _to_send_first(survey) if full else survey.first_jobs():
        _answer_job(planned, full=full)
        told += 1
        told_to_send += planned.to_send
    more = survey.outlook.total("jobs") - told - survey.resting.total()
    if more:
        to_send = survey.outlook.total("to_send") - told_to_send
        which = f", {to_send} of them to send" if to_send else ""
        answer(f"... and {more} more{which}; --full shows all")
    for step, number in survey.resting.items():
        answer(f"{count_of(number, 'job')} of {step} that these build on: nothing of them is sent")


def _to_send_first(survey: Survey) -> Iterator[PlannedJob]:
    """Every job but those that rest; the plan is walked twice, since it may be of any length."""
    yield from (planned for planned in survey.jobs() if planned.to_send)
    resting = survey.resting.total()
    if survey.outlook.total("to_send") < survey.outlook.total("jobs") - resting:
        others = (planned for planned in survey.jobs() if not planned.to_send)
        yield from (planned for planned in others if not planned.only_along)


def _answer_job(planned: PlannedJob, *, full: bool) -> None:
    job = planned.job
    of_axis = {one.axis: f" {one.step} {one.index}" for one in job.parents}
    axes = ", ".join(
        axis_words(f"{name}{of_axis.get(name, '')}", value) for name, value in job.matrix.items()
    )
    answer(f"{job.step} {job.index}  {job.job_id[:12]}  {planned.reason}  {axes}")
    for change in planned.changes:
        for line in change_lines(change, full=full, names=names_of(job)):
            answer(f"    {line}")
    if not planned.changes:
        answer(f"    {json_text(request_words(job))}")


def change_lines(
    change: FieldChange, *, full: bool, names: Mapping[str, str] = _NO_NAMES
) -> list[str]:
    """A change as `terraform plan` shows it: on one line, or with old and new below each other.

    `names` are those of the jobs that late values come from.
    """
    mark = {"added": "+", "removed": "-"}.get(change.change, "~")
    where = f"  ({', '.join(change.sources)})" if change.sources else ""
    old, new = told(change.old, names), told(change.new, names)
    if not full:
        old, new = _cut(old, new)
    longest = _WHOLE if full else _LONG
    sides = {"+": [new], "-": [old]}.get(mark, [old, new])
    values = [_value(side, longest=longest) for side in sides]
    line = f"{mark} {change.field}: {' -> '.join(values)}"
    if len(line) <= _WIDE or mark != "~":
        return [line + where]
    return [f"~ {change.field}:{where}", f"    - {values[0]}", f"    + {values[1]}"]


def _value(value: Json, *, longest: int) -> str:
    """A value as JSON, of a file's digest only as much as tells it from others."""
    is_digest = isinstance(value, str) and value.startswith(BY_CONTENT)
    return show(value[:_DIGEST] if is_digest else value, longest=longest)


def _cut(old: Json, new: Json) -> tuple[Json, Json]:
    """Two long texts without most of what they begin and end with alike."""
    if not (isinstance(old, str) and isinstance(new, str) and len(old) + len(new) > _LONG):
        return old, new
    head, tail = shared_ends(old, new)
    return _middle(old, head, tail), _middle(new, head, tail)


def _middle(text: str, head: int, tail: int) -> str:
    start, end = max(0, head - _AROUND), len(text) - max(0, tail - _AROUND)
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"


def _rows(survey: Survey, more: Sequence[str]) -> list[list[str]]:
    return [
        [
            name,
            call.operation.name,
            *map(str, (call.jobs, call.done, call.cached, call.to_send)),
            *(str(getattr(call, name)) for name in more),
            _cost_words([call.cost], call.sure, call.unknown),
            _price(call),
        ]
        for name, call in survey.outlook.calls()
    ]


def _cost_words(costs: Sequence[Money], sure: str, unknown: int) -> str:
    """`= 0.16 CNY`, `≤ 3 CNY`; unknown where there are jobs of which nobody can tell."""
    if not unknown:
        return f"{SIGNS[sure]} {', '.join(map(str, costs))}"
    known = ", ".join(str(cost) for cost in costs if cost.amount)
    return f"unknown{known and f', beside {known}'}"


def _price(call: CallOutlook) -> str:
    """`2 images at 0.16 CNY (price of 2026-06)`; the price alone where a count says nothing."""
    price = call.operation.price
    counted = price.counted(call.units)
    own = "price of the manifest" if price.is_own else f"price of {price.as_of}"
    if counted is None or price.items[0].per != 1:
        return f"{price} ({own})"
    each = Money(amount=price.items[0].amounts[0], currency=price.currency)
    number = f"{counted:f}"
    return f"{number} {price.unit}{'' if number == '1' else 's'} at {each} ({own})"


def _difference_words(survey: Survey) -> str:
    assert survey.difference is not None  # noqa: S101  # the caller has looked
    if survey.earlier is None:
        return f"no difference to the last run, {survey.run_name}"
    counts = survey.difference._asdict()
    added, removed, changed = (
        _without(counts[name], survey.left_out[name], name)
        for name in ("added", "removed", "changed")
    )
    edits = [*survey.earlier.changes.params, *(f"{n} edited" for n in survey.earlier.changes.files)]
    return (
        f"since the last run, {survey.earlier.name}: {added}, {removed}, "
        f"{changed}{': ' + ', '.join(edits) if edits else ''}"
    )


def _without(number: int, left_out: int, words: str) -> str:
    """`4 changed (3 more left out)`: what is left out is not in the table above it."""
    return f"{number - left_out} {words}{f' ({left_out} more left out)' if left_out else ''}"


def _time_words(survey: Survey) -> str:
    """How long it takes; nothing where nothing is to do, or none of it waits for another."""
    seconds, words = survey.estimate
    if seconds is None:
        return (
            f"time: not known ({words})" if any(slow_services(survey.plan, survey.outlook)) else ""
        )
    return f"time: about {duration_words(seconds)} ({words})" if words else ""


def _whole_cost(outlook: Outlook) -> str:
    unknown = sum(call.unknown for _, call in outlook.calls())
    words = _cost_words(outlook.costs, outlook.sure, unknown) if outlook.costs else "nothing"
    return words.removeprefix(f"{SIGNS[EXACT]} ")  # nothing is surer than an amount alone


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
    least = f"; at least {bound.seconds:g} s by the rate limits ({bound.words})"
    return (
        f"digest {plan.digest[:12]}: {', '.join(parts)}; "
        f"cost {_whole_cost(outlook)}{least if bound.seconds else ''}"
    )
