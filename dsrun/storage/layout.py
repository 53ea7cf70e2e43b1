"""The output directory as path arithmetic (design 1.5)."""

import re
from dataclasses import dataclass
from pathlib import Path

_DIGITS = 12
_EMULATED = "emulated-"
_CACHE = ".cache"
_RUN_NAME = re.compile(r"(emulated-)?[0-9a-f]{12}").fullmatch


def cache_folders(out: Path) -> tuple[Path, Path]:
    """The cache of an output directory, and that of its emulated runs, which never mix."""
    return out / _CACHE, out / _CACHE / "emulated"


def is_below(path: object) -> bool:
    """Whether a text names something inside of the folder that it counts from, by its words."""
    if not isinstance(path, str) or not path or "\0" in path:
        return False
    return not path.startswith("/") and ".." not in path.split("/")


def is_emulated(run_dir: Path) -> bool:
    """Whether a run directory is of an emulated run, by its name."""
    return run_dir.name.startswith(_EMULATED)


def is_run_name(name: object) -> bool:
    """Whether a directory of this name may be that of a run."""
    return isinstance(name, str) and _RUN_NAME(name) is not None


def lock_of(run_dir: Path) -> Path:
    """Held for as long as a run goes on in a run directory."""
    return run_dir / ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLayout:
    """Where the parts of one run directory are."""

    out: Path
    name: str
    digest: str
    emulated: bool

    @property
    def pipeline_dir(self) -> Path:
        return self.out / self.name

    @property
    def run_dir(self) -> Path:
        prefix = _EMULATED if self.emulated else ""
        return self.pipeline_dir / f"{prefix}{self.digest[:_DIGITS]}"

    @property
    def latest(self) -> Path:
        return self.pipeline_dir / "latest"

    def latest_is_real(self) -> bool:
        """Whether `latest` names a run that was not emulated."""
        return self.latest.is_symlink() and not self.latest.readlink().name.startswith(_EMULATED)

    @property
    def ledger(self) -> Path:
        return self.run_dir / "ledger.sqlite3"

    @property
    def results(self) -> Path:
        return self.run_dir / "results.jsonl"

    @property
    def cache(self) -> Path:
        return cache_folders(self.out)[self.emulated]

    @property
    def lock(self) -> Path:
        return lock_of(self.run_dir)
