"""The way from a pipeline's file to its plan, or to the directory of its run."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

from dsrun.common.clock import SystemClock
from dsrun.common.console import say
from dsrun.common.errors import ManifestError, SetupError, UsageError
from dsrun.common.models import Json
from dsrun.common.names import path_fault
from dsrun.common.user_files import nearest_path
from dsrun.manifest.model import Manifest
from dsrun.manifest.reader import read_manifest
from dsrun.manifest.schedule import Schedule
from dsrun.planning.plan import Plan, build_plan
from dsrun.service.catalog import Catalog, load_catalog
from dsrun.session.options import PlanOptions
from dsrun.storage.layout import RunLayout, newest_run
from dsrun.storage.run_lock import is_locked

OWN_OPERATIONS = "operations"  # folder beside the manifest


def open_plan(options: PlanOptions) -> Plan:
    """Read and compile. Jobs are not checked yet. Raises ManifestError or UsageError."""
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
    """The operations that a pipeline in this folder can use. Raises ManifestError."""
    return load_catalog(folder / OWN_OPERATIONS, folders=(folder, *allow_files))


def run_values(
    clock: SystemClock, *, schedule: Schedule | None = None, day: date | None = None
) -> dict[str, Json]:
    """`run.date`, `run.datetime`, and `run.id`, which is unique to the second.

    They are in the zone of the schedule, else in that of the machine. Where a `day` was asked for
    they are those of its first moment, so that they are the same each time.
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
    """`where` is a run directory, the directory of a pipeline's runs, or a pipeline.

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
    layout = RunLayout.for_plan(
        out=out, name=plan.manifest.name, digest=plan.digest, emulated=emulate
    )
    if not layout.ledger.is_file():
        other = RunLayout.for_plan(
            out=out, name=plan.manifest.name, digest=plan.digest, emulated=not emulate
        )
        hint = _only(other) if other.ledger.is_file() else ""
        raise SetupError(f"{where} has not been run yet: there is no {layout.run_dir}{hint}")
    return layout.run_dir


def _only(other: RunLayout) -> str:
    now = ", and it goes on now" if is_locked(other.lock) else ""
    if other.emulated:
        return f"; only an emulated run is there{now}: add --emulate"
    return f"; only a real run is there{now}: leave out --emulate"


def run_dir_of(directory: Path) -> Path:
    """The run directory itself, or the newest of a pipeline. Raises UsageError, SetupError."""
    try:
        if directory.is_file():
            raise UsageError(f"{directory} is a file; name the directory of a run: outputs/NAME")
        if not directory.is_dir() and (near := nearest_path(directory)):
            raise UsageError(f"{directory}: no such directory (did you mean {near}?)")
        return newest_run(directory) or directory
    except PermissionError as error:
        raise _unreadable(directory, error) from error


def _unreadable(path: Path, error: PermissionError) -> SetupError:
    return SetupError(f"{path} cannot be read: {error.strerror}")
