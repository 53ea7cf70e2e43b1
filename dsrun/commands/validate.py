"""`dsrun validate`: every check that needs no network, on every job."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dsrun.commands.common import PlanOptions, open_plan
from dsrun.console import answer, count_of, say
from dsrun.errors import ExitCode, ManifestError


def run(pipelines: Sequence[Path], *, set_params: Mapping[str, str], as_json: bool) -> int:
    """0 when every pipeline is valid, else 2 with every problem told."""
    reports = [_check(path, set_params) for path in pipelines]
    if as_json:
        import orjson  # noqa: PLC0415  # start-up

        answer(orjson.dumps(reports, option=orjson.OPT_INDENT_2).decode())
    return ExitCode.OK if all(report["valid"] for report in reports) else ExitCode.INVALID


def _check(path: Path, set_params: Mapping[str, str]) -> dict[str, object]:
    report: dict[str, object] = {"pipeline": str(path), "valid": True, "problems": []}
    try:
        plan = open_plan(PlanOptions(pipeline=path, set_params=set_params))
        jobs = plan.check()
    except ManifestError as error:
        say(str(error))
        say(f"{path}: {count_of(len(error.problems), 'problem')}")
        problems = [
            {
                "file": item.file,
                "line": item.line,
                "column": item.column,
                "where": item.where,
                "message": item.message,
            }
            for item in error.problems
        ]
        return {**report, "valid": False, "problems": problems}
    for warning in plan.warnings:
        say(f"warning: {warning}")
    say(f"{path}: valid, {count_of(jobs, 'job')}")
    return {**report, "jobs": jobs, "digest": plan.digest, "warnings": plan.warnings}
