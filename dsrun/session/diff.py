"""The difference between a plan and an earlier run: which jobs have changed, and why."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dsrun.common.lockfile import read_lockfile
from dsrun.common.messages import show
from dsrun.common.models import Job, Json
from dsrun.common.pointer import KeyPath, value_at
from dsrun.ledger import lookup
from dsrun.ledger.lookup import JobRecord
from dsrun.ledger.reader import LedgerReader, NoLedger
from dsrun.manifest.matrix import same
from dsrun.manifest.model import Text
from dsrun.planning.compiled_step import CompiledStep
from dsrun.planning.job_index import Difference, PlanDiff
from dsrun.planning.plan import Plan
from dsrun.planning.plan_digest import file_digests
from dsrun.storage.layout import RunLayout, is_emulated, newest_run

_ABSENT = object()
_MOST = 3  # changes of one job that are told
_SHORT = 30  # characters of a text that is told with its old and new value
_INCLUDES = re.compile(r"\{%-?\s*(include|import|from)\b")
_PARAMS = re.compile(r"\bparams\b")


class Changes:
    """What has changed between the lock file of an earlier run and a plan."""

    def __init__(self, plan: Plan, lockfile: Mapping[str, Json]) -> None:
        self._plan = plan
        self._steps = {step.step.name: step for step in plan.steps}
        before, now = lockfile.get("files", {}), file_digests(plan.manifest, plan.included)
        self.files = sorted(
            name for name, sha256 in now.items() if before.get(name, sha256) != sha256
        )
        params = lockfile.get("manifest", {}).get("params") or {}
        self.params = [
            _words(*change, "params.") for change in _leaves(params, plan.manifest.params)
        ]

    def reason(self, job: Job, before: JobRecord) -> str:
        """`seed 7 -> 8`, `prompt changed`, `prompt file prompts/tea.j2 edited` and so on."""
        old_operation = before.row["operation"]
        if old_operation != job.operation:
            return f"operation {old_operation} -> {job.operation}"
        axes = [_words(*change) for change in _leaves(before.matrix, dict(job.matrix))]
        return _listed(axes or self._of_request(job, before)) or "another replica"

    def _of_request(self, job: Job, before: JobRecord) -> list[str]:
        step = self._steps[job.step]
        changes = list(_leaves(before.request, dict(job.request)))
        derived = {fill.at for fill in step.operation.fills if fill.derive}
        written = [change for change in changes if change[0] not in derived]
        return [self._of_leaf(step, *change) for change in written or changes]

    def _of_leaf(self, step: CompiledStep, at: KeyPath, old: Any, new: Any) -> str:
        leaf = value_at(step.step.body, at)
        if isinstance(leaf, Text):
            if leaf.file in self.files:
                return f"prompt file {leaf.file} edited"
            included = [name for name in self.files if name in self._plan.included]
            if included and _INCLUDES.search(leaf.source):
                return f"{_name(at)} changed ({', '.join(included)} edited)"
            if self.params and _PARAMS.search(leaf.source):
                return f"{_name(at)} changed ({_listed(self.params)})"
        return _words(at[1:] or at, old, new)


def _leaves(old: Json, new: Json, at: KeyPath = ()) -> Iterator[tuple[KeyPath, Any, Any]]:
    """Path, old value and new value of everything that differs."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in {**new, **old}:
            yield from _leaves(old.get(key, _ABSENT), new.get(key, _ABSENT), (*at, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _leaves(left, right, (*at, number))
    elif old is _ABSENT or new is _ABSENT or not same(old, new):
        yield at, old, new


def _words(at: KeyPath, old: Any, new: Any, prefix: str = "") -> str:
    name = prefix + _name(at)
    if old is _ABSENT:
        return f"{name} added"
    if new is _ABSENT:
        return f"{name} removed"
    values = show(old, longest=200), show(new, longest=200)
    if max(map(len, values)) > _SHORT:
        return f"{name} changed"
    return f"{name} {values[0]} -> {values[1]}"


def _name(at: KeyPath) -> str:
    parts = at[1:] if at[:1] in (("input",), ("parameters",)) else at
    return ".".join(map(str, parts))


def _listed(words: list[str]) -> str:
    rest = [f"{len(words) - _MOST} more"] if len(words) > _MOST else []
    return ", ".join(words[:_MOST] + rest)


class EarlierRun:
    """The newest run, if it is not the plan's own. Close it."""

    def __init__(self, run_dir: Path, plan: Plan) -> None:
        """Raises SetupError where its ledger cannot be read."""
        self.name = run_dir.name
        self._ledger = LedgerReader(RunLayout.of(run_dir).ledger)
        self._diff = PlanDiff(lookup.planned_jobs(self._ledger))
        self.changes = Changes(plan, read_lockfile(run_dir))

    def close(self) -> None:
        self._diff.close()
        self._ledger.close()

    def add(self, jobs: Sequence[Job]) -> None:
        self._diff.add(jobs)

    def end(self) -> Difference:
        return self._diff.end()

    def reason(self, job: Job) -> str:
        """Why the job would be sent although the earlier run was made."""
        earlier_id = self._diff.earlier_id(job.job_id)
        if earlier_id == job.job_id:
            return f"same as in run {self.name}"
        before = None if earlier_id is None else lookup.record(self._ledger, earlier_id)
        return "new" if before is None else self.changes.reason(job, before)


def open_earlier(layout: RunLayout, plan: Plan) -> EarlierRun | None:
    """The last run of the same kind, emulated or not; None where there is none."""
    run_dir = newest_run(layout.pipeline_dir)
    if run_dir is None or run_dir.name == layout.run_dir.name:
        return None
    if layout.emulated != is_emulated(run_dir):
        return None
    try:
        return EarlierRun(run_dir, plan)
    except NoLedger:
        return None
