"""The last run of a pipeline, as its folder tells, and how a plan differs from it."""

from collections.abc import Sequence
from pathlib import Path

from dsrun.common.lockfile import read_lock
from dsrun.common.models import Job
from dsrun.ledger.lookup import LedgerLookup
from dsrun.ledger.reader import NoLedger
from dsrun.planning.plan import Plan
from dsrun.session.diff import Difference, PlanDiff
from dsrun.session.reasons import Changes
from dsrun.storage.layout import RunLayout


class EarlierRun:
    """The run that `latest` names, where it is another one than the plan's. Close it."""

    def __init__(self, run_dir: Path, plan: Plan) -> None:
        """Raises SetupError where its ledger cannot be read."""
        self.name = run_dir.name
        self._ledger = LedgerLookup(run_dir / "ledger.sqlite3")
        self._diff = PlanDiff(self._ledger.planned_jobs())
        self.changes = Changes(plan, read_lock(run_dir))

    def close(self) -> None:
        self._diff.close()
        self._ledger.close()

    def add(self, jobs: Sequence[Job]) -> None:
        self._diff.add(jobs)

    def end(self) -> Difference:
        return self._diff.end()

    def reason(self, job: Job) -> str:
        """Why the job would be sent although there was that run."""
        earlier_id = self._diff.earlier_id(job.job_id)
        if earlier_id == job.job_id:
            return f"same as in run {self.name}"
        before = None if earlier_id is None else self._ledger.record(earlier_id)
        return "new" if before is None else self.changes.reason(job, before)


def open_earlier(layout: RunLayout, plan: Plan) -> EarlierRun | None:
    """The last run of the same kind, emulated or not; None where there is none."""
    run_dir = layout.latest.resolve()
    if run_dir.name == layout.run_dir.name or not run_dir.is_dir():
        return None
    if layout.emulated == layout.latest_is_real():
        return None
    try:
        return EarlierRun(run_dir, plan)
    except NoLedger:
        return None
