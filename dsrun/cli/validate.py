"""`dsrun validate`: every check that needs no network, on every job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsrun.cli.problems import annotations, as_json, tell, warn
from dsrun.common.console import answer, answer_json, count_of, say
from dsrun.common.errors import ExitCode, ManifestError, Problem
from dsrun.common.models import Json
from dsrun.session.opening import open_plan
from dsrun.session.options import PlanOptions
from dsrun.session.permit import notice_json, notice_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """The answer about one pipeline; `jobs` and `digest` only where it is valid."""

    pipeline: Path
    problems: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()
    jobs: int = 0
    digest: str = ""
    notify: Json = None

    def as_json(self) -> dict[str, Any]:
        head = {"pipeline": str(self.pipeline), "valid": not self.problems}
        problems = {"problems": [as_json(problem) for problem in self.problems]}
        if self.problems:
            return head | problems
        warnings = [str(warning) for warning in self.warnings]
        counts = {"jobs": self.jobs, "digest": self.digest, "warnings": warnings}
        return head | problems | counts | ({"notify": self.notify} if self.notify else {})


def run(
    pipelines: Sequence[Path],
    *,
    set_params: Mapping[str, str],
    allow_files: tuple[Path, ...],
    form: str,
) -> int:
    """0 when every pipeline is valid, else 2 with every problem told.

    The words go to stderr; `form` says what goes to stdout: text (nothing), json or github.
    """
    asked = [
        PlanOptions(pipeline=path, set_params=set_params, allow_files=allow_files)
        for path in pipelines
    ]
    reports = list(map(_check, asked))
    if form == "json":
        texts = [report.as_json() for report in reports]
        answer_json(texts)
    elif form == "github":
        for report in reports:
            for line in annotations(report.problems, level="error"):
                answer(line)
            for line in annotations(report.warnings, level="warning"):
                answer(line)
    return ExitCode.INVALID if any(report.problems for report in reports) else ExitCode.OK


def _check(options: PlanOptions) -> _Report:
    path = options.pipeline
    try:
        plan = open_plan(options)
        jobs = plan.check()
    except ManifestError as error:
        tell(error.problems)
        say(f"{path}: {count_of(len(error.problems), 'problem')}")
        return _Report(pipeline=path, problems=error.problems)
    warn(plan.warnings)
    say(f"{path}: valid, {count_of(jobs, 'job')}")
    notify = plan.manifest.notify
    for line in notice_lines(notify):
        say(f"{path}: {line}")
    return _Report(
        pipeline=path, warnings=plan.warnings, jobs=jobs, digest=plan.digest,
        notify=notice_json(notify),
    )  # fmt: skip
