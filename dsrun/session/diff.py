"""The difference between a plan and an earlier run, in a temporary table, for any number of jobs.

A job is the same where its id is. Else it is the change of the job that had its row, or, where
that row is gone, of the one that stood at its place; a job without either is new.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from dsrun.common.digest import json_text
from dsrun.common.lockfile import read_lock
from dsrun.common.messages import show
from dsrun.common.models import Job, Json
from dsrun.ledger.lookup import JobRecord, LedgerLookup, PlannedJob
from dsrun.ledger.reader import NoLedger
from dsrun.manifest.matrix import same
from dsrun.manifest.reader import Text
from dsrun.planning.compiled_step import CompiledStep
from dsrun.planning.plan import Plan
from dsrun.planning.plan_digest import file_digests
from dsrun.storage.layout import RunLayout

Path_ = tuple[str | int, ...]

_ABSENT = object()
_MOST = 3  # changes of one job that are told
_SHORT = 30  # characters of a text that is told with its old and new value
_INCLUDES = re.compile(r"\{%-?\s*(include|import|from)\b")
_PARAMS = re.compile(r"\bparams\b")


class Changes:
    """What has changed between the lock file of an earlier run and a plan."""

    def __init__(self, plan: Plan, lock: Mapping[str, Json]) -> None:
        self._plan = plan
        self._steps = {step.step.name: step for step in plan.steps}
        before, now = lock.get("files", {}), file_digests(plan.manifest, plan.included)
        self.files = sorted(
            name for name, sha256 in now.items() if before.get(name, sha256) != sha256
        )
        params = lock.get("manifest", {}).get("params") or {}
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

    def _of_leaf(self, step: CompiledStep, at: Path_, old: Any, new: Any) -> str:
        leaf = _leaf(step.step.body, at)
        if isinstance(leaf, Text):
            if leaf.file in self.files:
                return f"prompt file {leaf.file} edited"
            included = [name for name in self.files if name in self._plan.included]
            if included and _INCLUDES.search(leaf.source):
                return f"{_name(at)} changed ({', '.join(included)} edited)"
            if self.params and _PARAMS.search(leaf.source):
                return f"{_name(at)} changed ({_listed(self.params)})"
        return _words(at[1:] or at, old, new)


def _leaves(old: Json, new: Json, at: Path_ = ()) -> Iterator[tuple[Path_, Any, Any]]:
    """Path, old value and new value of everything that differs."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in {**new, **old}:
            yield from _leaves(old.get(key, _ABSENT), new.get(key, _ABSENT), (*at, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _leaves(left, right, (*at, number))
    elif old is _ABSENT or new is _ABSENT or not same(old, new):
        yield at, old, new


def _words(at: Path_, old: Any, new: Any, prefix: str = "") -> str:
    name = prefix + _name(at)
    if old is _ABSENT:
        return f"{name} added"
    if new is _ABSENT:
        return f"{name} removed"
    values = show(old, longest=200), show(new, longest=200)
    if max(map(len, values)) > _SHORT:
        return f"{name} changed"
    return f"{name} {values[0]} -> {values[1]}"


def _name(at: Path_) -> str:
    parts = at[1:] if at[:1] in (("input",), ("parameters",)) else at
    return ".".join(map(str, parts))


def _listed(words: list[str]) -> str:
    rest = [f"{len(words) - _MOST} more"] if len(words) > _MOST else []
    return ", ".join(words[:_MOST] + rest)


def _leaf(body: Any, at: Path_) -> Any:
    for key in at:
        if isinstance(body, Mapping):
            body = body.get(str(key))
        elif isinstance(body, list) and isinstance(key, int) and key < len(body):
            body = body[key]
        else:
            return None
    return body


class Difference(NamedTuple):
    """Numbers of jobs."""

    added: int
    removed: int
    changed: int
    same: int


class PlanDiff:
    """Compares the jobs of a plan, batch by batch, with those of an earlier run. Close it."""

    def __init__(self, earlier: Iterable[Sequence[PlannedJob]]) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(
            """
            PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8000;
            CREATE TABLE old (id TEXT PRIMARY KEY, key BLOB, step TEXT, idx INT, met INT);
            CREATE TABLE new (id TEXT PRIMARY KEY, key BLOB, step TEXT, idx INT, was TEXT);
            BEGIN;
            """
        )
        for page in earlier:
            self._db.executemany(
                "INSERT INTO old VALUES (?, ?, ?, ?, 0)",
                [
                    (job.job_id, _key(job.step, job.replica, job.matrix), job.step, job.index)
                    for job in page
                ],
            )
        self._same = 0

    def close(self) -> None:
        self._db.close()

    def add(self, jobs: Sequence[Job]) -> None:
        """Jobs of the plan, each once."""
        marks = ",".join("?" * len(jobs))
        rows = self._db.execute(
            f"UPDATE old SET met = 1 WHERE id IN ({marks}) RETURNING id",  # noqa: S608
            [job.job_id for job in jobs],
        )
        same = {row[0] for row in rows}
        self._same += len(same)
        self._db.executemany(
            "INSERT INTO new VALUES (?, ?, ?, ?, NULL)",
            [
                (
                    job.job_id,
                    _key(job.step, job.replica, json_text(job.matrix)),
                    job.step,
                    job.index,
                )
                for job in jobs
                if job.job_id not in same
            ],
        )

    def end(self) -> Difference:
        """Match new jobs with old ones, after the last job was added."""
        self._db.executescript(
            """
            CREATE INDEX old_key ON old (key) WHERE NOT met;
            CREATE INDEX old_place ON old (step, idx) WHERE NOT met;
            UPDATE new SET was = (SELECT id FROM old WHERE old.key = new.key AND NOT met);
            UPDATE old SET met = 1 WHERE id IN (SELECT was FROM new);
            UPDATE new SET was = (
                SELECT id FROM old WHERE old.step = new.step AND old.idx = new.idx AND NOT met
            ) WHERE was IS NULL;
            UPDATE old SET met = 1 WHERE id IN (SELECT was FROM new);
            """
        )
        changed, added = self._db.execute("SELECT count(was), sum(was IS NULL) FROM new").fetchone()
        removed = self._db.execute("SELECT count(*) FROM old WHERE NOT met").fetchone()[0]
        return Difference(added or 0, removed, changed, self._same)

    def earlier_id(self, job_id: str) -> str | None:
        """The id that the job had in the earlier run: its own if unchanged, None if it is new."""
        row = self._db.execute("SELECT was FROM new WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            return job_id
        return None if row[0] is None else str(row[0])


def _key(step: str, replica: int, matrix: str) -> bytes:
    return blake2b(f"{step}/{replica}/{matrix}".encode(), digest_size=16).digest()


class EarlierRun:
    """The run that `latest` names, if it is not the plan's own. Close it."""

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
        """Why the job would be sent although the earlier run was made."""
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
