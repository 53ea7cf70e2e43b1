"""`dsrun history`: the runs below an output directory over time, from their ledgers."""

from datetime import timedelta
from pathlib import Path

from dsrun.common.console import answer_json, answer_table, count_of, say
from dsrun.common.errors import ExitCode, UsageError
from dsrun.common.models import JobStatus
from dsrun.common.units import first_as_json
from dsrun.common.yaml_document import parse_yaml
from dsrun.ledger.history import History, PastRun
from dsrun.manifest.files import read_text


def run(pipeline: Path | None, *, out: Path, emulate: bool, limit: int, as_json: bool) -> int:
    """`pipeline` is a file, or a name below `out`; None means all."""
    name = None if pipeline is None else _name(pipeline, out)
    history = History(out, pipeline=name, emulated=emulate)
    runs = history.runs()[-limit:]
    for fault in history.faults:
        say(f"warning: {fault}")
    if as_json:
        answer_json([_as_json(past) for past in runs])
    elif runs:
        answer_table([_HEAD, *map(_row, runs)], titled=True)
    else:
        others = len(History(out, pipeline=name, emulated=not emulate).runs())
        say(f"no runs below {out}{f' of {name}' if name else ''}{_hint(others, emulate=emulate)}")
    return ExitCode.INCOMPLETE if history.is_incomplete else ExitCode.OK


def _hint(others: int, *, emulate: bool) -> str:
    """That there are runs of the other kind."""
    if not others:
        return ""
    kind, way = ("real", "leave out --emulate") if emulate else ("emulated", "add --emulate")
    return f"; {count_of(others, f'{kind} run')} there: {way}"


_HEAD = ("started", "pipeline", "directory", "outcome", "jobs ended", "cost", "took")


def _row(past: PastRun) -> tuple[str, ...]:
    jobs = ", ".join(f"{past.run.jobs[s]} {s}" for s in JobStatus if past.run.jobs.get(s))
    taken = "" if past.duration_s is None else str(timedelta(seconds=round(past.duration_s)))
    cost = ", ".join(map(str, past.cost)) or "nothing"
    started = past.run.started_at[:19].replace("T", " ")
    return (started, past.pipeline, past.directory.name, past.outcome, jobs or "none", cost, taken)


def _as_json(past: PastRun) -> dict[str, object]:
    return {
        "pipeline": past.pipeline,
        "directory": str(past.directory),
        "started_at": past.run.started_at,
        "ended_at": past.run.ended_at,
        "duration_s": past.duration_s,
        "outcome": past.outcome,
        "exit_code": past.run.exit_code,
        "reason": past.run.reason or None,
        "jobs": {status.value: past.run.jobs.get(status, 0) for status in JobStatus},
        "cost": first_as_json(past.cost),
    }


def _name(pipeline: Path, out: Path) -> str:
    if pipeline.is_file():
        value = parse_yaml(read_text(pipeline, shown_as=str(pipeline)), file=str(pipeline)).value
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            return str(value["name"])
        raise UsageError(f"{pipeline}: has no name; name a pipeline, or a folder below {out}")
    if len(pipeline.parts) == 1 and (out / pipeline).is_dir():
        return pipeline.name
    raise UsageError(f"{pipeline} is neither a pipeline file nor the name of one below {out}")
