"""`dsrun verify --repair`: a new ledger from what is left of a damaged one.

From its readable rows, the plan of the lock file, results.jsonl, the tail and the files on the
disk. The damaged ledger is kept. Of what may be paid nothing is sent before the service's lists
were asked, or the user has decided.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from dsrun import __version__
from dsrun.common.clock import SystemClock, stamp
from dsrun.common.console import count_of, say
from dsrun.common.errors import DsrunError, ManifestError, SetupError
from dsrun.common.models import LOST_ROW, Artifact, JobStatus, Json, OpenJob
from dsrun.common.sqlite import DamagedLedger, beside
from dsrun.common.units import Money
from dsrun.ledger.check import LostFacts, is_own_job
from dsrun.ledger.reader import LedgerReader, NoLedger
from dsrun.ledger.salvage import Known, Restoring, empty_ledger, salvage, whole_jobs
from dsrun.ledger.tail import read_entries, read_head
from dsrun.ledger.writer import Ledger
from dsrun.ledger.writes import Kind
from dsrun.planning.plan import Plan
from dsrun.service.request import bill_of
from dsrun.session.on_disk import pictures_of
from dsrun.session.opening import open_plan
from dsrun.session.options import PlanOptions
from dsrun.storage.files import sha256_of
from dsrun.storage.layout import RunLayout
from dsrun.storage.run_lock import run_lock

_LONG_AGO = "1970-01-01T00:00:00.000Z"
_ENDED = (JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.PARTIAL)


def repair(run_dir: Path) -> None:
    """Raises SetupError where it cannot, RunLocked where a run holds the directory."""
    layout = RunLayout.of(run_dir)
    with run_lock(
        layout.lock, if_running="fail", describe_owner=lambda: "a run",
        check=lambda: None, say=say,
    ):  # fmt: skip
        ledger = layout.ledger
        try:
            LedgerReader(ledger, thorough=True).close()
        except (DamagedLedger, NoLedger):
            say(asyncio.run(_Repair(run_dir, ledger).run()))
        except LostFacts:
            asyncio.run(_catch_up(ledger))
            say(f"what the tail has was put back into {ledger}")
        else:
            say(f"{ledger} is whole: there is nothing to repair")


class _Repair:
    """Builds the new ledger beside the damaged one, then puts it in its place."""

    def __init__(self, run_dir: Path, ledger: Path) -> None:
        self._run_dir = run_dir
        self._ledger = ledger
        self._lines = _lines_of(RunLayout.of(run_dir).results)
        self._late = _late_words(ledger)
        self._ended_whole = _ended_whole(ledger)

    async def run(self) -> str:
        """What was saved, in words. Raises SetupError."""
        folder = Path(tempfile.mkdtemp(prefix=".repair-", dir=self._run_dir))
        try:
            new = empty_ledger(folder / self._ledger.name)
            kept = salvage(self._ledger, new, is_whole=is_own_job) if self._ledger.exists() else 0
            plan = _plan_of(self._run_dir)
            whole = whole_jobs(new)
            doubted = self._lines.keys() if self._ended_whole else set()
            lost = await _with_plan(new, plan, whole - doubted)
            unknown = self._fill_in(new, plan, lost)
            aside = self._swap(new)
        finally:
            shutil.rmtree(folder)
        words = (
            f"{self._ledger} is new: {count_of(kept, 'job')} could be read in the damaged one, the "
            "others come from results.jsonl, their files and their tasks"
        )
        if unknown:
            words += (
                f", and of {unknown} nothing is known: they are unknown, and the next run looks "
                "for them at the service before it sends anything"
            )
        return f"{words}; the damaged ledger is kept as {aside.name}"

    def _fill_in(self, new: Path, plan: Plan, lost: Sequence[OpenJob]) -> int:
        """Write what is known of each lost job; returns the number of those with nothing known.

        Where the last run ended, results.jsonl has its last word on every job. It counts for more
        than a row, which can be readable and still have a flipped bit.
        """
        restoring = Restoring(new)
        unknown = 0
        for job in lost:
            known = self._known(job, plan, restoring)
            unknown += known.status is JobStatus.UNKNOWN
            restoring.fill_in(job, known)
        is_level = self._ended_whole and not unknown
        since = restoring.started_at() or _LONG_AGO
        restoring.close(lost=None if is_level else unknown, since=since)
        return unknown

    def _known(self, job: OpenJob, plan: Plan, restoring: Restoring) -> Known:
        """What other places say of a job whose row is lost; a newer fact replaces an older one."""
        operation = plan.catalog[job.operation]
        line = self._lines.get(job.job_id)
        known = _of_line(line, price=operation.price.grain)
        if line is not None and self._ended_whole:
            return known
        known = replace(known, **restoring.kept(job.job_id))
        known = _of_attempts(known, restoring.attempts(job.job_id))
        known = replace(known, **self._late.get(job.job_id, {}))
        artifacts = self._files_of(job, known, restoring, media=operation.main.media)
        made = {item.index for item in artifacts if not item.name}
        wanted = operation.fewest_files(len(job.stems[0]))
        if known.status is not JobStatus.SUCCEEDED:
            wanted = max(1, wanted)  # else nothing says that it has ended
        if made.issuperset(range(wanted)) and known.status is not JobStatus.PARTIAL:
            made_units = bill_of(job.request, operation, (), made=len(made)).units
            return replace(
                known, status=JobStatus.SUCCEEDED, artifacts=tuple(artifacts),
                ended_at=known.ended_at or stamp(SystemClock().now()),
                units=max(known.units, made_units), error=(None, None, None),
            )  # fmt: skip
        if known.status in _ENDED:
            return replace(known, artifacts=tuple(artifacts))
        has_answer = known.task_id is not None or known.answer is not None
        if has_answer and known.submitted_at is not None:
            return replace(known, status=JobStatus.SUBMITTED, artifacts=())
        if known.status is JobStatus.SUBMITTING and known.submitted_at is not None:
            return replace(known, artifacts=())
        words = "its row in the damaged ledger could not be read; it may have been sent and paid"
        return replace(
            known, status=JobStatus.UNKNOWN, artifacts=(), error=(LOST_ROW, words, "unknown")
        )

    def _files_of(
        self, job: OpenJob, known: Known, restoring: Restoring, *, media: str
    ) -> Sequence[Artifact]:
        """The job's files that are as they were recorded; else those that name it themselves."""
        recorded = [*known.artifacts, *restoring.artifacts(job.job_id)]
        whole = [item for item in recorded if sha256_of(self._run_dir / item.path) == item.sha256]
        return whole or pictures_of(job, self._run_dir, media=media)

    def _swap(self, new: Path) -> Path:
        """Rename the damaged ledger and its companions, and put the new one in its place.

        A kill in between leaves a directory without a ledger, which the next run treats as lost.
        """
        layout, number = RunLayout.of(self._run_dir), 1
        while (aside := layout.damaged_ledger(number)).exists():
            number += 1
        for source, target in (
            (self._ledger, aside),
            (beside(self._ledger, "-wal"), beside(aside, "-wal")),
            (beside(self._ledger, "-shm"), beside(aside, "-shm")),
            (layout.tail, beside(aside, "-tail")),
        ):
            if source.exists():
                source.rename(target)
        new.replace(self._ledger)
        fresh = RunLayout.of(new.parent).tail
        if fresh.exists():
            fresh.replace(layout.tail)
        return aside


async def _with_plan(new: Path, plan: Plan, saved: set[str]) -> list[OpenJob]:
    """Give every job of the plan a row; returns the jobs whose row was not saved."""
    ledger = Ledger(new)
    try:
        await ledger.load_plan(plan.jobs(), prices=plan.catalog.prices, version=__version__)
        pages = ledger.view.ids(*JobStatus)
        return [ledger.view.job(each) for page in pages for each in page if each not in saved]
    finally:
        ledger.close()


def _plan_of(run_dir: Path) -> Plan:
    """The plan of the lock file. Raises SetupError."""
    lockfile = RunLayout.of(run_dir).lockfile
    try:
        plan = open_plan(PlanOptions(pipeline=lockfile, set_params={}))
        if plan.problems:
            raise ManifestError(plan.problems)
    except DsrunError as error:
        raise SetupError(
            f"{run_dir} cannot be repaired: its plan cannot be made again ({error}). Bring "
            f"{lockfile.name} and the files that it names back, and repair again"
        ) from error
    return plan


def _lines_of(path: Path) -> dict[str, dict[str, Json]]:
    """results.jsonl by job id, without lines that are broken."""
    lines = {}
    for text in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            item = orjson.loads(text)
            lines[item["job_id"]] = item
        except (ValueError, TypeError, KeyError):
            continue
    return lines


def _ended_whole(ledger: Path) -> bool:
    """Whether the last run closed the ledger, so that results.jsonl has its last word."""
    head = read_head(ledger)
    return head is not None and head.seal is not None


def _late_words(ledger: Path) -> dict[str, dict[str, Any]]:
    """The latest facts in the tail, by job id."""
    words: dict[str, dict[str, Any]] = {}
    head = read_head(ledger)
    for entry in read_entries(ledger, head) if head else ():
        for kind, rows in entry.writes:
            for row in rows if kind in Kind.__members__ else ():
                words.setdefault(row[0], {}).update(_word_of(str(kind), row))
    return words


def _word_of(kind: str, row: Sequence[Json]) -> dict[str, Any]:
    """The columns that a row of the tail sets; `kind` is the name of a Kind."""
    if kind == Kind.INTENT.name:
        began = {"status": JobStatus.SUBMITTING, "submitted_at": row[1]}
        return began | {"task_id": None, "answer": None, "request_id": None}
    if kind == Kind.SENT.name:
        return {"sent": row[1]}
    if kind == Kind.TASK.name:
        return {"status": JobStatus.SUBMITTED, "task_id": row[1], "request_id": row[2]}
    if kind == Kind.ANSWER.name:
        output = None if row[2] is None else orjson.loads(row[2])
        answered = {"status": JobStatus.SUBMITTED, "answer": row[1], "output": output}
        return answered | {"request_id": row[3]}
    if kind == Kind.REFUSAL.name:
        return {"status": JobStatus.PENDING}
    if kind == Kind.RESULT.name:
        return {"status": JobStatus(row[1]), "units": row[6], "ended_at": row[7]}
    return {}


def _of_line(line: Mapping[str, Json] | None, *, price: Decimal) -> Known:
    if line is None:
        return Known(status=JobStatus.UNKNOWN)
    error = line["error"] or {}
    units = round(Money.from_json(line["cost"]).amount / price) if price else 0
    return Known(
        status=JobStatus(line["status"]), task_id=line["task_id"], request_id=line["request_id"],
        submitted_at=line["submitted_at"], ended_at=line["ended_at"], output=line["output"],
        error=(error.get("code"), error.get("message"), error.get("class")), units=units,
        attempts=line["attempts"], cached=line["cached"],
        artifacts=[
            Artifact(
                path=item["path"], sha256=item["sha256"], source_sha256=item["source_sha256"],
                size=item["size"], media_type=item["media_type"], index=item["index"],
                seed=item["seed"], sample_rate=item.get("sample_rate"),
                duration_s=item.get("duration_s"), width=item.get("width"),
                height=item.get("height"),
                name=item.get("name", ""),
            )
            for item in line["artifacts"]
        ],
    )  # fmt: skip


def _of_attempts(known: Known, attempts: Sequence[Any]) -> Known:
    """Add what the rows of attempts say, which are never updated."""
    for row in attempts:
        if row["phase"] == "create" and row["task_id"] is not None:
            known = replace(
                known, task_id=row["task_id"], request_id=row["request_id"],
                submitted_at=known.submitted_at or row["at"],
            )  # fmt: skip
        if row["phase"] == "end" and row["outcome"] in set(JobStatus):
            known = replace(known, status=JobStatus(row["outcome"]), ended_at=row["at"])
    return known


async def _catch_up(ledger: Path) -> None:
    """Opening puts back what the log has lost; the next run asks the service for the rest."""
    opened = Ledger(ledger)
    opened.close()
