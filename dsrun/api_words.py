"""The keywords of the Python API: the options of the commands, checked as those are."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from dsrun.cli.plan import ShowOptions
from dsrun.common.digest import json_text
from dsrun.common.errors import UsageError
from dsrun.common.models import JobStatus, Json
from dsrun.manifest.execution import Money, parse_limit
from dsrun.planning.selection import Selection
from dsrun.session.options import DEFAULT_OUT, RunOptions

_MOST_AT_ONCE = 10_000  # as --max-concurrency


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A pipeline that was read and found valid. Its file is read anew when it is planned or run."""

    path: Path
    set_params: Mapping[str, Json]
    name: str
    digest: str
    warnings: tuple[str, ...]
    allow_files: tuple[Path, ...] = ()


class PlanWords(TypedDict, total=False):
    """Keywords of `plan`; each is the option of that name, `set_params` is --set."""

    set_params: Mapping[str, Json]
    allow_files: Sequence[str | Path]
    out: str | Path
    emulate: bool
    no_cache: bool
    date: dt.date | str | None
    steps: Sequence[str]
    only: str | None
    sample: int | None
    limit: int | None
    max_cost: str | Money | None
    retry_failed: bool
    resubmit_unknown: bool


class RunWords(PlanWords, total=False):
    """Keywords of `run`. `concurrency` is --max-concurrency; `progress` shows a bar on stderr."""

    concurrency: int | None
    fail_fast: bool
    if_running: str
    yes: bool
    allow_notify: bool
    progress: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The keywords of a call, checked."""

    path: Path
    set_params: Mapping[str, Json] = field(default_factory=dict)
    allow_files: Sequence[str | Path] = ()
    out: str | Path = DEFAULT_OUT
    emulate: bool = False
    no_cache: bool = False
    date: dt.date | str | None = None
    steps: Sequence[str] = ()
    only: str | None = None
    sample: int | None = None
    limit: int | None = None
    max_cost: str | Money | None = None
    retry_failed: bool = False
    resubmit_unknown: bool = False
    concurrency: int | None = None
    fail_fast: bool = False
    if_running: str = "fail"
    yes: bool = False
    allow_notify: bool = False
    progress: bool = False

    def for_plan(self) -> ShowOptions:
        again: set[JobStatus] = set()
        if self.retry_failed:
            again |= {JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.PARTIAL}
        if self.resubmit_unknown:
            again.add(JobStatus.UNKNOWN)
        return ShowOptions(**self._common(), max_cost=self._max_cost(), again=frozenset(again))

    def for_run(self) -> RunOptions:
        return RunOptions(
            **self._common(),
            concurrency=self.concurrency,
            max_cost=self._max_cost(),
            retry_failed=self.retry_failed,
            resubmit_unknown=self.resubmit_unknown,
            fail_fast=self.fail_fast,
            if_running=self.if_running,
            yes=self.yes,
            allow_notify=self.allow_notify,
            progress=self.progress,
        )

    def _common(self) -> dict[str, Any]:
        texts = {
            key: value if isinstance(value, str) else json_text(value)
            for key, value in self.set_params.items()
        }
        return {
            "pipeline": self.path,
            "out": Path(self.out),
            "set_params": texts,
            "allow_files": self.folders(),
            "emulate": self.emulate,
            "no_cache": self.no_cache,
            "day": self._day(),
            "selection": Selection(
                steps=tuple(self.steps), only=self.only, sample=self.sample, limit=self.limit
            ),
        }

    def folders(self) -> tuple[Path, ...]:
        """Raises UsageError for one that is not there."""
        given = self.allow_files
        folders = tuple(map(Path, [given] if isinstance(given, str | Path) else given))
        for folder in folders:
            if not folder.is_dir():
                raise UsageError(f"allow_files: {folder} is no folder")
        return folders

    def _day(self) -> dt.date | None:
        day = self.date
        try:
            if isinstance(day, str):
                return dt.date.fromisoformat(day)
            return day.date() if isinstance(day, dt.datetime) else day
        except ValueError as error:
            raise UsageError(f"date: {day!r} is no day such as 2026-11-01") from error

    def _max_cost(self) -> Money | None:
        if not isinstance(self.max_cost, str):
            return self.max_cost
        try:
            return parse_limit(self.max_cost)
        except ValueError as error:
            raise UsageError(f"max_cost: {error}") from error


def read_words(function: str, pipeline: Pipeline | str | Path, words: Mapping[str, Any]) -> Asked:
    """Raises UsageError for a keyword that is not there or a value that cannot be."""
    known = (
        {*RunWords.__annotations__} if function.startswith("run") else {*PlanWords.__annotations__}
    )
    for name in words.keys() - known:
        raise UsageError(f"{function}: unknown keyword {name}; allowed: {', '.join(sorted(known))}")
    given = dict(words)
    if isinstance(pipeline, Pipeline):
        given["set_params"] = {**pipeline.set_params, **given.get("set_params", {})}
        given.setdefault("allow_files", pipeline.allow_files)
        pipeline = pipeline.path
    asked = Asked(path=Path(pipeline), **given)
    for name in ("sample", "limit", "concurrency"):
        number = getattr(asked, name)
        most = _MOST_AT_ONCE if name == "concurrency" else None
        if number is not None and (number < 1 or (most and number > most)):
            allowed = f"1 to {most}" if most else "at least 1"
            raise UsageError(f"{function}: {name}={number}; allowed: {allowed}")
    if asked.if_running not in ("fail", "skip", "wait"):
        raise UsageError(f"{function}: if_running={asked.if_running!r}; allowed: fail, skip, wait")
    return asked
