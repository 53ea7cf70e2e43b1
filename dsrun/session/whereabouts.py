"""From what a user names, a pipeline or a directory, to the run directory that is meant."""

from collections.abc import Mapping
from pathlib import Path

from dsrun.common.errors import ManifestError, SetupError, UsageError
from dsrun.session.options import PlanOptions, open_plan
from dsrun.storage.layout import RunLayout


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
