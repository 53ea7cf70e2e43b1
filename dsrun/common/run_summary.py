"""How one invocation ended, for notices, metrics and summaries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dsrun.common.escaping import escaped
from dsrun.common.models import JobStatus
from dsrun.common.redaction import mask
from dsrun.common.units import Money, first_as_json


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """Times are stamps (UTC), paths are absolute; `jobs` counts all jobs of the run directory.

    `cost` is what this invocation paid. A run that could not begin has no jobs.
    """

    pipeline: str
    outcome: str  # success, failure, recovery or interrupted
    exit_code: int
    reason: str | None
    host: str
    emulated: bool
    started_at: str
    ended_at: str
    duration_s: float
    directory: str
    results: str
    report: str | None
    jobs: Mapping[JobStatus, int] = field(default_factory=dict)
    cost: tuple[Money, ...] = ()
    errors: tuple[tuple[str, str, int], ...] = ()  # code, message, number of jobs

    @property
    def text(self) -> str:
        """One line for people."""
        counts = ", ".join(f"{self.jobs[name]} {name}" for name in JobStatus if self.jobs.get(name))
        paid = "emulated" if self.emulated else ", ".join(map(str, self.cost)) or "nothing paid"
        head = f"dsrun {self.pipeline}: {self.outcome} (exit code {self.exit_code})"
        parts = [part for part in (counts, paid, self.reason) if part]
        return escaped(mask(f"{head}: {'; '.join(parts)}"))

    def as_json(self) -> dict[str, Any]:
        """The keys that the manual documents and the templates of a notice read."""
        return {
            "text": self.text,
            "pipeline": self.pipeline,
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "reason": self.reason and mask(self.reason),
            "host": self.host,
            "emulated": self.emulated,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "duration_s": self.duration_s,
            "jobs": {status.value: self.jobs.get(status, 0) for status in JobStatus},
            "cost": first_as_json(self.cost),
            "errors": [
                {"code": code, "message": mask(message), "jobs": number}
                for code, message, number in self.errors
            ],
            "directory": self.directory,
            "results": self.results,
            "report": self.report,
        }
