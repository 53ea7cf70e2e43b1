"""The output directory as path arithmetic (design 1.5)."""

from dataclasses import dataclass
from pathlib import Path

_DIGITS = 12


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
        prefix = "emulated-" if self.emulated else ""
        return self.pipeline_dir / f"{prefix}{self.digest[:_DIGITS]}"

    @property
    def latest(self) -> Path:
        return self.pipeline_dir / "latest"

    @property
    def ledger(self) -> Path:
        return self.run_dir / "ledger.sqlite3"

    @property
    def results(self) -> Path:
        return self.run_dir / "results.jsonl"

    @property
    def lock(self) -> Path:
        return self.run_dir / ".lock"
