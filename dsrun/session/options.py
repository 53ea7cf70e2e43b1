"""What several commands do alike: from a pipeline file to a checked plan, or to its directory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

from dsrun.common.clock import SystemClock
from dsrun.common.console import say
from dsrun.common.errors import ManifestError, SetupError, UsageError
from dsrun.common.models import Json
from dsrun.common.names import path_fault
from dsrun.common.units import Money
from dsrun.manifest.reader import Manifest, read_manifest
from dsrun.manifest.schedule import Schedule
from dsrun.planning.plan import Plan, build_plan
from dsrun.planning.selection import EVERYTHING, Selection
from dsrun.service.catalog import Catalog, load_catalog
from dsrun.storage.layout import RunLayout

OWN_OPERATIONS = "operations"  # folder beside the manifest
_FIRST_YEAR, _LAST_YEAR = 1970, 2999
DEFAULT_OUT = Path("outputs")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What determines and selects the jobs of a pipeline."""

    pipeline: Path
    out: Path = DEFAULT_OUT
    set_params: Mapping[str, str]
    allow_files: tuple[Path, ...] = ()  # folders beside the pipeline's own
    selection: Selection = EVERYTHING
    emulate: bool = False
    no_cache: bool = False
    day: date | None = None  # whose run.date; None: today


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions(PlanOptions):
    """The options of `run`; None leaves the manifest's word or the default."""

    concurrency: int | None = None
    max_cost: Money | None = None
    retry_failed: bool = False
    resubmit_unknown: bool = False
    fail_fast: bool = False
    if_running: str = "fail"
    yes: bool = False
    allow_notify: bool = False
    quiet: bool = False
    progress: bool = True
    junit: Path | None = None
    textfile: Path | None = None
    jitter_s: float = 0.0


def open_plan(options: PlanOptions) -> Plan:
    """Read and compile. Jobs are not checked yet. Raises ManifestError or UsageError."""
    if options.day is not None and not _FIRST_YEAR <= options.day.year <= _LAST_YEAR:
        raise UsageError(f"--date {options.day}; allowed: a year of {_FIRST_YEAR} to {_LAST_YEAR}")
    check_out(options.out)
    catalog = own_catalog(options.pipeline.parent, options.allow_files)
    manifest = read_manifest(
        options.pipeline,
        catalog=catalog,
        set_params=options.set_params,
        allow_files=options.allow_files,
    )
    values = run_values(SystemClock(), schedule=manifest.schedule, day=options.day)
    plan = build_plan(manifest, catalog=catalog, run_values=values)
    if options.day is not None and (manifest.pinned or not plan.run_values):
        say("warning: --date changes nothing: no template of this pipeline uses run.date")
    return plan


def check_out(out: Path) -> None:
    """Raises UsageError for an output directory that nothing can name."""
    if fault := path_fault(out):
        raise UsageError(f"the output directory {out}: {fault}")


def own_catalog(folder: Path, allow_files: Sequence[Path] = ()) -> Catalog:
    """The operations that a pipeline in this folder knows. Raises ManifestError."""
    return load_catalog(folder / OWN_OPERATIONS, folders=(folder, *allow_files))


def run_values(
    clock: SystemClock, *, schedule: Schedule | None = None, day: date | None = None
) -> dict[str, Json]:
    """`run.date`, `run.datetime`, and `run.id`, unique to the second.

    In the schedule's zone, else in the machine's. Of a `day` that was asked for they are those of
    its first moment, the same each time.
    """
    now = _now(clock, schedule=schedule, day=day).replace(microsecond=0)
    return {
        "date": now.date().isoformat(),
        "datetime": now.isoformat(),
        "id": now.strftime("%Y%m%dT%H%M%S%z"),
    }


def today(manifest: Manifest) -> date:
    """The day that `run.date` is without --date."""
    return _now(SystemClock(), schedule=manifest.schedule, day=None).date()


def _now(clock: SystemClock, *, schedule: Schedule | None, day: date | None) -> datetime:
    if schedule is None or schedule.timezone is None:
        return clock.local_now() if day is None else clock.local_midnight(day)
    zone = ZoneInfo(schedule.timezone)
    return clock.now().astimezone(zone) if day is None else datetime.combine(day, time(), zone)


def find_run_dir(
    where: Path,
    *,
    out: Path,
    emulate: bool,
    set_params: Mapping[str, str],
    allow_files: tuple[Path, ...] = (),
) -> Path:
    """`where` is a run directory, a directory that holds `latest`, or a pipeline.

    Raises ManifestError, SetupError.
    """
    try:
        is_directory = where.is_dir()
    except PermissionError as error:
        raise _unreadable(where, error) from error
    if is_directory:
        return run_dir_of(where)
    plan = open_plan(
        PlanOptions(pipeline=where, out=out, set_params=set_params, allow_files=allow_files)
    )
    if plan.problems:
        raise ManifestError(plan.problems)
    layout = RunLayout(out=out, name=plan.manifest.name, digest=plan.digest, emulated=emulate)
    if not layout.ledger.is_file():
        hint = "" if emulate else "; --emulate shows an emulated run"
        raise SetupError(f"{where} has not been run yet: there is no {layout.run_dir}{hint}")
    return layout.run_dir


def run_dir_of(directory: Path) -> Path:
    """The same for a command that takes no pipeline. Raises UsageError, SetupError."""
    try:
        if directory.is_file():
            raise UsageError(f"{directory} is a file; name the directory of a run: outputs/NAME")
        latest = directory / "latest"
        return latest.resolve() if latest.is_dir() else directory
    except PermissionError as error:
        raise _unreadable(directory, error) from error


def _unreadable(path: Path, error: PermissionError) -> SetupError:
    return SetupError(f"{path} cannot be read: {error.strerror}")
