"""What the caller of a session wants: the one form in which both faces ask for it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from dsrun.common.digest import json_text
from dsrun.common.models import JobStatus, Json
from dsrun.common.units import Money, parse_limit
from dsrun.planning.selection import EVERYTHING, Selection
from dsrun.session.ranges import (
    CONCURRENCY,
    IF_RUNNING,
    LIMIT,
    SAMPLE,
    YEARS,
    OutOfRange,
    Unreadable,
    check_number,
    check_place,
)

DEFAULT_OUT = Path("outputs")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What determines and selects the jobs of a pipeline. Raises OutOfRange."""

    pipeline: Path
    out: Path = DEFAULT_OUT
    set_params: Mapping[str, str] = field(default_factory=dict)
    allow_files: tuple[Path, ...] = ()  # folders beside the pipeline's own
    selection: Selection = EVERYTHING
    emulate: bool = False
    no_cache: bool = False
    day: date | None = None  # whose run.date; None: today
    env_file: Path | None = None  # has been read; the commands that are suggested name it

    def __post_init__(self) -> None:
        check_number("sample", self.selection.sample, SAMPLE)
        check_number("limit", self.selection.limit, LIMIT)
        if self.day is not None and not YEARS.holds(self.day.year):
            raise OutOfRange("date", self.day.isoformat(), f"a year of {YEARS}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions(PlanOptions):
    """The options of `run`; None leaves the manifest's word or the default. Raises OutOfRange."""

    concurrency: int | None = None
    max_cost: Money | None = None
    retry_failed: bool = False
    resubmit_unknown: bool = False
    fail_fast: bool = False
    if_running: str = "fail"
    yes: bool = False
    allow_notify: bool = False
    quiet: bool = False
    progress: bool = False
    junit: Path | None = None
    textfile: Path | None = None
    jitter_s: float = 0.0

    def __post_init__(self) -> None:
        PlanOptions.__post_init__(self)  # super() does not know a class with slots
        check_number("concurrency", self.concurrency, CONCURRENCY)
        if self.if_running not in IF_RUNNING:
            raise OutOfRange("if_running", self.if_running, ", ".join(IF_RUNNING))

    @property
    def sent_again(self) -> frozenset[JobStatus]:
        """The statuses of jobs that have ended and are sent again all the same."""
        failed = {JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.PARTIAL, JobStatus.SKIPPED}
        unknown = {JobStatus.UNKNOWN}
        return frozenset(
            (failed if self.retry_failed else set()) | (unknown if self.resubmit_unknown else set())
        )


def run_options(
    *,
    pipeline: str | Path,
    out: str | Path = DEFAULT_OUT,
    set_params: Mapping[str, Json] | None = None,
    allow_files: str | Path | Iterable[str | Path] = (),
    date: date | str | None = None,
    steps: Sequence[str] = (),
    only: str | None = None,
    sample: int | None = None,
    limit: int | None = None,
    max_cost: str | Money | None = None,
    **others: Any,
) -> RunOptions:
    """The options in the words of a command line or of a call; `others` are fields of RunOptions.

    Raises OutOfRange or Unreadable.
    """
    check_place("out", out)
    return RunOptions(
        pipeline=Path(pipeline),
        out=Path(out),
        set_params=_texts(set_params or {}),
        allow_files=_folders(allow_files),
        day=_day(date),
        selection=Selection(steps=tuple(steps), only=only, sample=sample, limit=limit),
        max_cost=_limit(max_cost),
        **others,
    )


def _texts(params: Mapping[str, Json]) -> dict[str, str]:
    """Params as --set writes them; the manifest gives them their types."""
    return {
        name: value if isinstance(value, str) else json_text(value)
        for name, value in params.items()
    }


def _folders(paths: str | Path | Iterable[str | Path]) -> tuple[Path, ...]:
    folders = tuple(map(Path, [paths] if isinstance(paths, str | Path) else paths))
    for folder in folders:
        if not folder.is_dir():
            raise Unreadable("allow_files", f"{folder} is no folder")
    return folders


def _day(day: date | str | None) -> date | None:
    try:
        if isinstance(day, str):
            return date.fromisoformat(day)
    except ValueError as error:
        raise Unreadable("date", f"{day!r} is no day such as 2026-11-01") from error
    return day.date() if isinstance(day, datetime) else day


def _limit(amount: str | Money | None) -> Money | None:
    try:
        return parse_limit(amount) if isinstance(amount, str) else amount
    except ValueError as error:
        raise Unreadable("max_cost", error) from error
