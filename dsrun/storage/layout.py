"""Where everything stands below an output directory. No other module spells a file name of a run.

    OUT/
      .lock                         held while a run takes its number
      .budget.sqlite3               what all runs have spent; `.budget-emulated` for emulated ones
      .cache/                       the results of real runs; `emulated/` has those of emulated ones
      NAME/                         a pipeline
        latest                      a symbolic link to its newest run
        .removed.jsonl, .failed     notes about removed runs; there while the last run failed
        DIGEST/, emulated-DIGEST/   run directories: the first digits of their plan's digest

`common.lockfile` names the lock file: it may be a pipeline, so readers of manifests know it too.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dsrun.common import lockfile

# Names in a run directory, for those who write them down or look for them in many directories.
ARTIFACTS = "artifacts"
THUMBS = ".thumbs"
MANIFEST = "manifest.yaml"
RESULTS = "results.jsonl"
REPORT = "report.html"
CRATE = "ro-crate-metadata.json"
LEDGER = "ledger.sqlite3"
TAIL = ".ledger-tail"
LOCK = ".lock"

_DIGITS = 12
_EMULATED = "emulated-"
_CACHE = ".cache"
_RUN_NAME = re.compile(rf"({_EMULATED})?[0-9a-f]{{{_DIGITS}}}").fullmatch


@dataclass(frozen=True, slots=True)
class RunLayout:
    """The paths in and around one run directory, which need not exist."""

    run_dir: Path

    @classmethod
    def of(cls, run_dir: Path) -> Self:
        return cls(run_dir)

    @classmethod
    def for_plan(cls, *, out: Path, name: str, digest: str, emulated: bool) -> Self:
        """The directory in which a plan runs; `name` is that of its pipeline."""
        prefix = _EMULATED if emulated else ""
        return cls(out / name / f"{prefix}{digest[:_DIGITS]}")

    @property
    def pipeline_dir(self) -> Path:
        return self.run_dir.parent

    @property
    def out(self) -> Path:
        return self.pipeline_dir.parent

    @property
    def name(self) -> str:
        """The name of the pipeline."""
        return self.pipeline_dir.name

    @property
    def emulated(self) -> bool:
        return is_emulated(self.run_dir)

    @property
    def ledger(self) -> Path:
        return self.run_dir / LEDGER

    @property
    def tail(self) -> Path:
        """The newest facts of the ledger once more."""
        return self.run_dir / TAIL

    @property
    def lock(self) -> Path:
        """Held for as long as a run goes on in the directory."""
        return self.run_dir / LOCK

    @property
    def number(self) -> Path:
        """The run's place among those that go on at the same time."""
        return self.run_dir / ".number"

    @property
    def reserve(self) -> Path:
        """Room on the disk that is kept for the ledger."""
        return self.run_dir / ".reserve"

    @property
    def orders(self) -> Path:
        """What `dsrun control` wants of the run that goes on, until that takes it."""
        return self.run_dir / ".orders"

    @property
    def temp(self) -> Path:
        """The folder of files that are not whole yet."""
        return self.run_dir / ".tmp"

    @property
    def artifacts(self) -> Path:
        return self.run_dir / ARTIFACTS

    @property
    def thumbs(self) -> Path:
        """The folder of the report's thumbnails."""
        return self.run_dir / THUMBS

    @property
    def manifest(self) -> Path:
        """The pipeline as it was read."""
        return self.run_dir / MANIFEST

    @property
    def lockfile(self) -> Path:
        """The pipeline with everything resolved."""
        return self.run_dir / lockfile.NAME

    @property
    def results(self) -> Path:
        return self.run_dir / RESULTS

    @property
    def report(self) -> Path:
        return self.run_dir / REPORT

    def comparison(self, other: "RunLayout") -> Path:
        """The page of this run beside an earlier one."""
        return self.run_dir / f"compare-{other.run_dir.name}.html"

    @property
    def marks(self) -> Path:
        """What a person has picked, rejected and noted in a served report."""
        return self.run_dir / "picks.json"

    @property
    def crate(self) -> Path:
        return self.run_dir / CRATE

    def damaged_ledger(self, number: int) -> Path:
        """Where a repair puts the ledger that it replaces."""
        return self.run_dir / f"ledger.damaged-{number}.sqlite3"

    @property
    def latest(self) -> Path:
        return latest_of(self.pipeline_dir)

    def latest_is_real(self) -> bool:
        """Whether `latest` names a run that was not emulated."""
        return self.latest.is_symlink() and not self.latest.readlink().name.startswith(_EMULATED)

    @property
    def failed(self) -> Path:
        """There from a failed run on, until one succeeds."""
        return self.pipeline_dir / (".failed-emulated" if self.emulated else ".failed")

    @property
    def budget(self) -> Path:
        """The book of what all runs beside this one have spent; emulated ones have their own."""
        return self.out / (".budget-emulated.sqlite3" if self.emulated else ".budget.sqlite3")

    @property
    def cache(self) -> Path:
        return cache_folders(self.out)[self.emulated]


def latest_of(pipeline_dir: Path) -> Path:
    return pipeline_dir / "latest"


def newest_run(pipeline_dir: Path) -> Path | None:
    """The run that `latest` names. Without a link, the one that began last, real ones first."""
    latest = latest_of(pipeline_dir)
    if latest.is_dir():
        return latest.resolve()
    began = [
        (not is_emulated(file.parent), file.stat().st_mtime_ns, file.parent)
        for file in pipeline_dir.glob(f"*/{lockfile.NAME}")
        if is_run_name(file.parent.name)
    ]
    return max(began)[-1] if began else None


def removed_of(pipeline_dir: Path) -> Path:
    """The notes about run directories that were removed."""
    return pipeline_dir / ".removed.jsonl"


def gate_of(out: Path) -> Path:
    """Held while a run takes its number."""
    return out / LOCK


def cache_folders(out: Path) -> tuple[Path, Path]:
    """The cache of an output directory, and that of its emulated runs, which never mix."""
    return out / _CACHE, out / _CACHE / "emulated"


def run_dirs(out: Path, *, pipeline: str = "*", holding: str = LEDGER) -> list[Path]:
    """The directories of a pipeline's runs that hold this file, sorted. `latest` is not one."""
    paths = sorted(out.glob(f"{pipeline}/*/{holding}"))
    return [path.parent for path in paths if not path.parent.is_symlink()]


def recent_run_dirs(out: Path, *, emulated: bool, pipeline: str = "*") -> list[Path]:
    """The directories of a pipeline's runs of one kind, the one that was written to last first.

    A run may be removed meanwhile, so none of them has to be there any more.
    """
    dated = []
    for folder in run_dirs(out, pipeline=pipeline):
        if is_emulated(folder) == emulated:
            with suppress(OSError):
                dated.append(((folder / LEDGER).stat().st_mtime, folder))
    return [folder for _, folder in sorted(dated, reverse=True)]


def is_below(path: object) -> bool:
    """Whether a relative path, read as text, stays within the folder that it starts from."""
    if not isinstance(path, str) or not path or "\0" in path:
        return False
    return not path.startswith("/") and ".." not in path.split("/")


def is_emulated(run_dir: Path) -> bool:
    """Whether a run directory is that of an emulated run, by its name."""
    return run_dir.name.startswith(_EMULATED)


def is_run_name(name: object) -> bool:
    """Whether a directory of this name may be that of a run."""
    return isinstance(name, str) and _RUN_NAME(name) is not None
