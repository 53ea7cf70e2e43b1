"""Recording facts: what was planned, asked for, paid and received.

One connection writes, on its own thread, in groups: a fact is on disk when its future ends. A
second connection reads on the event loop's thread (WAL lets both work).
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from pathlib import Path

import orjson

from dsrun.common.batch_worker import GroupWorker
from dsrun.common.digest import json_text
from dsrun.common.errors import SetupError
from dsrun.common.models import Job, JobResult, JobStatus, Json, OpenJob, SentElsewhere
from dsrun.ledger import totals
from dsrun.ledger.checked_rows import CheckedRows, walked_pages
from dsrun.ledger.commits import Commits
from dsrun.ledger.left_out import leaving_out
from dsrun.ledger.looks import noted_sums
from dsrun.ledger.lookup import job_prices, price_of_job
from dsrun.ledger.orders import OrderRows, begun
from dsrun.ledger.reader import LedgerReader
from dsrun.ledger.schema import MAY_BE_REPRICED
from dsrun.ledger.transactions import Transactions
from dsrun.ledger.uploads import UploadRows
from dsrun.ledger.waiting import WaitingJobs
from dsrun.ledger.writes import (
    REOPEN,
    RETRIED,
    Kind,
    Row,
    Statement,
    Write,
    artifact_values,
)  # fmt: skip
from dsrun.service.kept_answer import addresses_of
from dsrun.service.price import Price, common_grain

_PAGE = 500
_ASK_AGAIN = "UPDATE job SET status = 'submitted', error_class = 'retry', ended_at = NULL"
# What was sent may have been accepted, whatever becomes of its job: no other job may take its task.
_ABANDON = (
    "INSERT INTO attempt (run_id, job_id, phase, at, outcome, error_message, request_id) "
    "SELECT coalesce(run_id, (SELECT max(run_id) FROM run)), job_id, 'create', submitted_at, "
    "'abandoned', lost_at, request_id FROM job WHERE status IN ('submitting', 'unknown') "
    "AND task_id IS NULL AND answer IS NULL AND output IS NULL AND submitted_at IS NOT NULL"
)
_REPRICE = (
    "UPDATE job SET planned = new.value ->> 1, unit_price = new.value ->> 2, "  # noqa: S608  # ours
    "currency = new.value ->> 3 FROM json_each(?) AS new WHERE job_id = new.value ->> 0 "
    f"AND {MAY_BE_REPRICED}"
)
_PRICE_OF_NOW = "UPDATE job SET unit_price = ?, currency = ?, planned = ? WHERE job_id = ?"
_FINER = (
    "UPDATE job SET unit_price = ?1, units = units * ?2, units_before = units_before * ?2, "
    "planned = coalesce(planned, wanted) * ?2 WHERE job_id = ?3"
)
_LOOK_AGAIN = (
    "UPDATE job SET status = iif(coalesce(task_id, answer) IS NULL, 'submitting', 'submitted'), "
    "ended_at = NULL WHERE status = 'unknown' AND iif(answer IS NULL, submitted_at > ?, "
    "json_extract(answer, '$.until') > ?)"
)
_IS_ALIVE = "task_id IS NOT NULL AND part_first IS NULL AND submitted_at > ?"


class Ledger(WaitingJobs, OrderRows, UploadRows):
    """The ledger of one run directory, open for writing, and with `view` for reading. Close it."""

    def __init__(self, path: Path) -> None:
        """Raises SetupError where the file cannot be opened, is damaged or of a newer version."""
        self._path = path
        self._transactions = Transactions(path)
        self.mark = self._transactions.mark
        self.view = LedgerReader(path, live=True)
        self.note = self._transactions.note
        self.view.known = self.note.sums
        self._commits = Commits(path, self._transactions.db, commit=self._transactions.commit)
        self._writer: GroupWorker[Write, None] = GroupWorker(self._commits.commit, name="ledger")
        self.run_id = 0
        self._prices: Mapping[str, Price] = {}
        self._repriced: set[str] = set()  # operations with jobs at an earlier price
        self._is_planned_now = False  # all jobs have the prices of now
        self._endpoint = ""

    def close(self) -> None:
        """The file is whole then, without a log; sealed with `note` where nobody else reads it."""
        self._writer.close()
        known, is_lost = self.view.known, self.lost()
        self.view.close()
        with suppress(SetupError):  # then a look asks the ledger itself, and says what is wrong
            sums = known or ({} if is_lost else noted_sums(self._path))
            self.note = replace(self.note, sums=sums)
        self._commits.close()
        self._transactions.close(self.note.encoded())

    def keep_room(self, creates: int) -> None:
        """Before anything is sent, keep room for so many answers: the disk may become full.

        Raises SetupError where there is none.
        """
        self._commits.keep_room(creates)

    def lost(self) -> str:
        """Why nobody would find what is written now; an empty text while all is where it was."""
        return self._commits.lost()

    def unrecorded(self) -> list[str]:
        """Tasks and answers that could not be recorded, in words."""
        words = {Kind.TASK: _task_words, Kind.ANSWER: _answer_words}
        rows = self._commits.unrecorded
        return [words[row.kind]((row.values[0], row.values[1])) for row in rows]

    def under_way(self) -> str:
        """The tasks that are paid and have not ended, for a user who may lose this ledger."""
        answers = map(_answer_words, self.view.answered())
        tasks = [*map(_task_words, self.view.tasks()), *answers, *self.unrecorded()]
        if not tasks:
            return "No task is under way."
        return f"Under way at the service, which keeps results for a day: {', '.join(tasks)}."

    async def start_run(
        self, *, at: str, version: str, endpoint: str, host: str, pid: int, live_since: str,
        in_force: Mapping[str, Json] | None = None,
    ) -> None:  # fmt: skip
        """Record this invocation. What was sent after `live_since` and not found is looked for.

        `in_force`: the bounds that orders may change.
        """
        await self._write_run(
            Statement(
                "INSERT INTO run (started_at, dsrun_version, endpoint, host, pid) "
                "VALUES (?, ?, ?, ?, ?)",
                (at, version, endpoint, host, pid),
            ),
            begun(in_force or {}),
        )
        if totals.counts(self.view).get(JobStatus.UNKNOWN):
            await self._write(Statement(_LOOK_AGAIN, (live_since, at)))
        self.run_id = self.view.last_run_id()
        self._endpoint = endpoint

    async def end_run(self, *, at: str, exit_code: int, reason: str) -> None:
        await self._write_run(
            Statement(
                "UPDATE run SET ended_at = ?, exit_code = ?, reason = ? WHERE run_id = ?",
                (at, exit_code, reason, self.run_id),
            )
        )

    async def settle_loss(self) -> None:
        """What this ledger had lost has been found, or the user has decided about it."""
        await self._write(Statement("UPDATE mark SET lost = NULL, lost_since = NULL", ()))
        self.mark = self.mark._replace(lost=None, lost_since=None)

    async def leave_out(self, chosen: Iterable[Sequence[str]] | None) -> None:
        """Record which jobs this run is not about; `chosen` as `leaving_out` takes it."""
        if chosen is not None or self.view.row("SELECT 1 FROM left_out LIMIT 1"):
            await self._write(*(Statement(*one) for one in leaving_out(chosen)))

    async def load_plan(
        self,
        jobs: Iterator[Job],
        *,
        prices: Mapping[str, Price],
        version: str,
        checked: CheckedRows | None = None,
    ) -> None:
        """Record every job of the plan that is not recorded yet. `prices` are by operation.

        `checked`: the rows of these jobs, with which a ledger without jobs is filled quicker.
        """
        self._prices = prices
        if self.view.is_planned(version):
            return
        self._is_planned_now = not self.view.operations()
        pages = walked_pages(jobs, prices)
        if self._is_planned_now and checked is not None and checked.is_complete:
            pages = checked.pages()
        position = 0
        for count, page in pages:
            await self._write(*page)
            position += count
        await self._write(Statement("INSERT INTO plan VALUES (?, ?)", (version, position)))

    async def reprice(self, jobs: Iterator[Job]) -> None:
        """Give unpaid jobs the prices of now, where those are others than they were planned at.

        `jobs` are those of the plan. What has been paid keeps its own price.
        """
        others = {
            name: bool(may_be)
            for name, grain, currency, may_be in job_prices(self.view)
            if (price := self._prices.get(name))
            and (self._may_differ(price) or not _is_priced(price, grain, currency))
        }
        self._repriced = set(others)
        while any(others.values()) and (batch := list(islice(jobs, _PAGE))):
            rows = [
                [job.job_id, job.units or 0, str(price.grain), price.currency]
                for job in batch
                if job.operation in self._repriced
                for price in [self._prices[job.operation]]
            ]
            await self._write(Statement(_REPRICE, (json_text(rows),)))

    def _may_differ(self, price: Price) -> bool:
        """Whether jobs may have been planned at another price whose grain is the same."""
        return price.steady is None and not self._is_planned_now

    async def reopen(
        self,
        statuses: Iterable[JobStatus],
        *,
        among: Iterable[Sequence[str]] | None = None,
        asking_since: str | None = None,
    ) -> None:
        """Make jobs of these statuses pending again, their old task forgotten.

        `among`: lists of the ids that may be; None means all. A task that was made after
        `asking_since` is asked once more before it is forgotten.
        """
        wanted = json_text(list(statuses))
        where = "WHERE status IN (SELECT value FROM json_each(?))"
        pages: Iterable[tuple[str, ...]] = [(wanted,)]
        if among is not None:
            where += " AND job_id IN (SELECT value FROM json_each(?))"
            pages = ((wanted, json_text(page)) for page in among)
        for values in pages:
            if asking_since is not None:
                alive = f"{_ASK_AGAIN} {where} AND {_IS_ALIVE}"
                await self._write(Statement(alive, (*values, asking_since)))
            doubts = Statement(f"{_ABANDON} {where.replace('WHERE', 'AND')}", values)
            await self._write(doubts, Statement(f"{REOPEN} {where}", values))

    async def reopen_task(self, job_id: str) -> None:
        """A partial job whose task may still have what is missing."""
        await self._write(Statement(f"{_ASK_AGAIN} WHERE job_id = ?", (job_id,)))

    async def share_open(self, jobs: Iterable[SentElsewhere], *, at: str) -> None:
        """Take over creates of the same jobs that other run directories have sent.

        Anybody can ask for a task, and fetch what an answer names, so what is known there ends a
        doubt here; a create in doubt there is in doubt here too.
        """
        for job in jobs:
            await self._write(
                Statement(
                    f"{_ABANDON} AND job_id = ? AND part_first IS NULL AND ? IS NOT NULL",
                    (job.job_id, job.task_id or job.answer),
                ),
                Statement(
                    "UPDATE job SET status = iif(coalesce(?1, ?7) IS NULL, 'submitting', "
                    "'submitted'), task_id = ?1, request_id = ?2, submitted_at = ?3, lost_at = ?4, "
                    "run_id = NULL, answer = ?7, repeats = max(repeats, ?6), "
                    "output = coalesce(json_extract(?7, '$.output'), output), "
                    "sent = coalesce(?8, sent) "
                    "WHERE job_id = ?5 AND part_first IS NULL AND (status = 'pending' OR (status = "
                    "'submitting' AND output IS NULL AND coalesce(?1, ?7) IS NOT NULL))",
                    (
                        job.task_id,
                        job.request_id,
                        job.submitted_at,
                        job.lost_at,
                        job.job_id,
                        job.repeats,
                        job.answer,
                        job.sent,
                    ),
                ),
                Statement(
                    "INSERT INTO attempt (run_id, job_id, phase, at, outcome, task_id, request_id) "
                    "SELECT ?1, ?5, 'create', ?2, 'shared', ?3, ?4 WHERE changes() > 0",
                    (self.run_id, at, job.task_id, job.request_id, job.job_id),
                ),
            )

    async def reopen_part(self, job_id: str, *, first: int, count: int) -> None:
        """Make a partial job pending for some of what is missing; what it has, it keeps."""
        await self._write(
            Statement(
                f"{REOPEN}, part_first = ?, part_count = ? WHERE job_id = ?",
                (first, count, job_id),
            )
        )

    async def reopen_lost(self, job_id: str) -> None:
        """A finished job whose file is gone: its task is asked once more, which costs nothing."""
        await self._write(
            Statement(
                "UPDATE job SET status = 'submitted', ended_at = NULL WHERE job_id = ?", (job_id,)
            )
        )

    async def record_intent(self, job: OpenJob, *, at: str) -> None:
        """Before a create is sent: from now on it may be paid."""
        intent = Row(Kind.INTENT, (job.job_id, at, self.run_id))
        await self._write(intent, *(await self._as_sent(job)))

    async def _as_sent(self, job: OpenJob) -> Sequence[Row]:
        """The request of a job that waited, with what the others gave and its price by now."""
        if job.sent is None:
            return ()
        planned = await self._in_row(job, job.planned)
        return (Row(Kind.SENT, (job.job_id, job.sent.decode(), planned)),)

    async def record_lost(
        self, job: OpenJob, *, at: str, message: str, request_id: str | None
    ) -> None:
        """A create's answer is lost: it may have been accepted."""
        await self._write(
            Row(Kind.LOST, (job.job_id, at, request_id)),
            self._attempt(job, "create", at, "lost", message=message, request_id=request_id),
        )

    async def record_task(
        self, job: OpenJob, *, task_id: str, request_id: str | None, at: str, found: bool = False
    ) -> None:
        """Right after a create was accepted, before anything else happens to the job.

        `found`: the answer was lost, and the task was in the service's list.
        """
        outcome = "found" if found else "accepted"
        await self._write(
            Row(Kind.TASK, (job.job_id, task_id, request_id, int(found))),
            self._attempt(job, "create", at, outcome, task_id=task_id, request_id=request_id),
        )

    async def record_foreign(self, job: OpenJob, *, task_id: str, at: str, message: str) -> None:
        """The task found for the job turned out to be another's: the job is in doubt again."""
        await self._write(
            Row(Kind.FOREIGN, (job.job_id,)),
            self._attempt(job, "create", at, "foreign", message=message, task_id=task_id),
        )

    async def forget_task(self, job: OpenJob) -> None:
        """The task of a job that is retried has no more to give: the job is pending."""
        await self._write(Statement(f"{REOPEN} WHERE job_id = ?", (job.job_id,)))

    async def record_retry(self, job: OpenJob, result: JobResult, *, at: str) -> None:
        """The task has failed and the job is tried again: it is pending, and the try counts."""
        error = result.error
        code, message = (error.code, error.message) if error else (None, None)
        units = await self._in_row(job, result.units)
        await self._write(
            Statement("UPDATE job SET units = max(units, ?) WHERE job_id = ?", (units, job.job_id)),
            Statement(f"{REOPEN} WHERE job_id = ?", (job.job_id,)),
            self._attempt(job, "end", at, RETRIED, code=code, message=message, task_id=job.task_id),
        )

    async def record_answer(
        self,
        job: OpenJob,
        *,
        answer: str,
        output: Mapping[str, Json] | None,
        request_id: str | None,
        at: str,
    ) -> None:
        """Right after a create was answered with its results, before they are fetched.

        From then on the answer is to the job what a task id is to others.
        """
        named = None if output is None else json_text(dict(output))
        await self._write(
            Row(Kind.ANSWER, (job.job_id, answer, named, request_id)),
            self._attempt(job, "create", at, "accepted", request_id=request_id),
        )

    async def record_refusal(
        self, job: OpenJob, *, at: str, code: str, message: str, counts: bool
    ) -> None:
        """A create was explicitly refused, or never left: nothing was paid.

        `counts`: whether it is an attempt, which a refusal for the rate is not.
        """
        await self._write(
            Row(Kind.REFUSAL, (job.job_id, 0 if counts else 1)),
            self._attempt(job, "create", at, "refused", code=code, message=message),
        )

    async def record_repeat(self, job: OpenJob, *, at: str) -> None:
        """A create whose answer is lost is sent again; it stays possible that it was paid."""
        await self._write(
            Row(Kind.REPEAT, (job.job_id,)),
            self._attempt(job, "create", at, "repeated"),
        )

    async def record_abandoned(self, job: OpenJob) -> None:
        """A create in doubt is sent again because the user said so."""
        await self._write(Statement(f"{_ABANDON} AND job_id = ?", (job.job_id,)))

    async def record_trouble(self, job: OpenJob, *, at: str, phase: str, message: str) -> None:
        """A query or download failed and will be tried again."""
        await self._write(self._attempt(job, phase, at, "failed", message=message))

    async def record_result(
        self, job: OpenJob, result: JobResult, *, at: str, request_id: str | None = None
    ) -> None:
        """How a job ended, with its artifacts."""
        error = result.error
        code, message, kind = (error.code, error.message, error.kind) if error else (None,) * 3
        output = None if result.output is None else orjson.dumps(result.output).decode()
        units = await self._in_row(job, result.units)
        values = (job.job_id, result.status.value, output, code, message, kind, units, at)
        await self._write(
            Row(Kind.RESULT, (*values, request_id or result.request_id)),
            *(Row(Kind.ARTIFACT, artifact_values(job, item)) for item in result.artifacts),
            *(
                Row(Kind.ADDRESS, (job.job_id, index, url, self._endpoint, at))
                for index, url in result.addresses.items()
            ),
            self._attempt(job, "end", at, result.status.value, code=code, message=_told(result)),
        )

    async def record_cached(self, results: Sequence[tuple[OpenJob, JobResult]], *, at: str) -> None:
        """Jobs whose results came from the cache; nothing was sent for them."""
        ids = json_text([job.job_id for job, _ in results])
        await self._write(
            Statement(_ABANDON + " AND job_id IN (SELECT value FROM json_each(?))", (ids,))  # noqa: S608  # ours
        )
        rows = []
        for job, result in results:
            output = None if result.output is None else orjson.dumps(result.output).decode()
            error = result.error
            told = (error.code, error.message, error.kind) if error else (None, None, None)
            values = (job.job_id, result.status, output, *told, result.units, at, None)
            rows += [Row(Kind.CACHED, (job.job_id,)), Row(Kind.RESULT, values)]
            rows += await self._as_sent(job)
            rows += [Row(Kind.ARTIFACT, artifact_values(job, item)) for item in result.artifacts]
        await self._write(*rows)

    async def _in_row(self, job: OpenJob, units: int) -> int:
        """Grains of the price of now, in those of a job's row.

        The row may get finer ones for them. That is a commit of its own: it changes no amount.
        """
        if not units or job.operation not in self._repriced:
            return units
        price, row = self._prices[job.operation], price_of_job(self.view, job.job_id)
        before, currency, is_paid = Decimal(row[0]), row[1], bool(row[2])
        if _is_priced(price, row[0], currency):
            return units
        if not is_paid:
            values = (str(price.grain), price.currency, units, job.job_id)
            await self._write(Statement(_PRICE_OF_NOW, values))
            return units
        if currency != price.currency:
            return job.planned  # in another currency only the price of then can be told
        grain = common_grain(before, price.grain)
        factor = int(before / grain) if grain else 1
        await self._write(Statement(_FINER, (str(grain), factor, job.job_id)))
        return units * (int(price.grain / grain) if grain else 1)

    def _attempt(
        self,
        job: OpenJob,
        phase: str,
        at: str,
        outcome: str,
        *,
        code: str | None = None,
        message: str | None = None,
        task_id: str | None = None,
        request_id: str | None = None,
    ) -> Row:
        values = (self.run_id, job.job_id, phase, at, outcome, code, message, task_id, request_id)
        return Row(Kind.ATTEMPT, values)

    def _write(self, *write: Row | Statement) -> "asyncio.Future[None]":
        self.view.known = None  # it may add up to something else now
        return self._writer.put(write)

    def _write_run(self, *write: Row | Statement) -> "asyncio.Future[None]":
        """What says something of this run, and nothing of jobs."""
        return self._writer.put(write)


def _is_priced(price: Price, grain: str, currency: str) -> bool:
    return currency == price.currency and Decimal(grain) == price.grain


def _told(result: JobResult) -> str | None:
    parts = (result.error.message if result.error else "", result.warning)
    return "; ".join(filter(None, parts)) or None


def _task_words(pair: tuple[str, str]) -> str:
    return f"job {pair[0][:12]} is task {pair[1]}"


def _answer_words(pair: tuple[str, str]) -> str:
    named = ", ".join(addresses_of(pair[1])) or "files in the answer itself"
    return f"job {pair[0][:12]} was answered with {named}"
