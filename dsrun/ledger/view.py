"""Reading a ledger: what is done, what is open, and how every job ended."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from itertools import chain
from typing import Any, NamedTuple

import orjson

from dsrun.common.models import LOST_ROW, JobStatus, Json, OpenJob, Part
from dsrun.common.units import Money, sum_money
from dsrun.ledger.reader import LedgerReader, inner, taking_apart
from dsrun.ledger.schema import PAID_UNITS, WANTED_UNITS

_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One invocation; `ended_at` is None while it runs, or when it was killed."""

    started_at: str
    ended_at: str | None
    host: str
    pid: int
    endpoint: str
    exit_code: int | None
    reason: str | None


class StepTotal(NamedTuple):
    """A step as the ledger has it: open jobs, what it has cost, and the price of one unit more."""

    step: str
    operation: str
    jobs: int
    spent: Money
    unit_price: Decimal


class LedgerView(LedgerReader):
    """The ledger of a run, as the run and those who look on read it."""

    def last_run_id(self) -> int:
        return int(self._one("SELECT max(run_id) FROM run")[0])

    def last_run(self) -> RunRow | None:
        row = self._one("SELECT * FROM run ORDER BY run_id DESC LIMIT 1")
        if row is None:
            return None
        return RunRow(**{field.name: row[field.name] for field in fields(RunRow)})

    def runs(self) -> list[RunRow]:
        """Every invocation, the first one first."""
        rows = self._all("SELECT * FROM run ORDER BY run_id")
        return [RunRow(**{field.name: row[field.name] for field in fields(RunRow)}) for row in rows]

    def row_count(self) -> int:
        """Rows of the matrix: jobs, and the rows that make the same job again."""
        sql = "SELECT (SELECT count(*) FROM job) + (SELECT count(*) FROM twin)"
        return int(self._one(sql)[0])

    def is_planned(self, version: str) -> bool:
        return bool(self._one("SELECT 1 FROM plan WHERE dsrun_version = ?", (version,)))

    def has_task(self, task_id: str) -> bool:
        """Whether any job has, or had, this task."""
        return self._one("SELECT 1 FROM attempt WHERE task_id = ?", (task_id,)) is not None

    def made_names(self, operation: str, output: str) -> set[str]:
        """The names of all that jobs of an operation have made, such as voices."""
        rows = self._all(
            "SELECT made.value FROM job, json_each(job.output) AS made "
            "WHERE job.operation = ? AND job.output IS NOT NULL AND made.key = ?",
            (operation, output),
        )
        return {row[0] for row in rows if isinstance(row[0], str)}

    def has_accepted(self, operation: str) -> bool:
        """Whether a create of the operation was ever accepted."""
        sql = (
            "SELECT 1 FROM attempt JOIN job USING (job_id) WHERE job.operation = ? "
            "AND attempt.phase = 'create' AND attempt.outcome = 'accepted' LIMIT 1"
        )
        return self._one(sql, (operation,)) is not None

    def operations(self) -> list[str]:
        return [row[0] for row in self._all("SELECT DISTINCT operation FROM job")]

    @taking_apart
    def counts(self) -> dict[JobStatus, int]:
        """Number of jobs by status."""
        rows = self._all(f"SELECT status, count(*) FROM {self._jobs} GROUP BY status")  # noqa: S608
        return {JobStatus(status): number for status, number in rows}

    @taking_apart
    def open_steps(self) -> list[StepTotal]:
        """The steps that have open jobs, in plan order."""
        rows = self._all(
            "SELECT step, operation, "  # noqa: S608
            f"sum(status IN ('pending', 'submitting', 'submitted') {self._not_held}) AS jobs, "
            f"sum({PAID_UNITS}), unit_price, currency FROM {self._jobs} "
            "GROUP BY step HAVING jobs ORDER BY min(position)"
        )
        return [
            StepTotal(
                step, operation, jobs, Money(amount=units * Decimal(price), currency=currency),
                Decimal(price),
            )
            for step, operation, jobs, units, price, currency in rows
        ]  # fmt: skip

    def may_be_paid(self, *, since: str, only_tasks: bool = False) -> int:
        """How many jobs were sent and are not settled; `unknown` ones only after `since`."""
        some = "AND task_id IS NOT NULL" if only_tasks else ""
        return int(
            self._one(
                "SELECT count(*) FROM job WHERE (status IN ('submitting', 'submitted') "  # noqa: S608
                f"OR (status = 'unknown' AND submitted_at > ?)) {some}",
                (since,),
            )[0]
        )

    def cached_count(self) -> int:
        """Number of jobs whose result came from the cache."""
        return int(self._one(f"SELECT count(*) FROM {self._jobs} WHERE cached")[0])  # noqa: S608

    @taking_apart
    def spent(self) -> list[Money]:
        """What ended jobs cost, by currency."""
        rows = self._all(
            f"SELECT currency, unit_price, sum({PAID_UNITS}) FROM job "  # noqa: S608
            "GROUP BY currency, unit_price"
        )
        return _sum(rows)

    @taking_apart
    def in_doubt(self) -> list[Money]:
        """What jobs would cost that may have been accepted and paid, by currency."""
        rows = self._all(
            "SELECT currency, unit_price, sum(wanted) FROM job "
            "WHERE status IN ('submitting', 'unknown') GROUP BY currency, unit_price"
        )
        return _sum(rows)

    @taking_apart
    def committed(self, *, currency: str) -> tuple[Decimal, Decimal]:
        """What ended jobs cost, and what jobs that may be paid already will cost."""
        spent = under_way = Decimal(0)
        for price, units, wanted in self._all(
            f"SELECT unit_price, sum({PAID_UNITS}), "  # noqa: S608
            f"sum(iif(status IN ('submitting', 'submitted', 'unknown'), {WANTED_UNITS}, 0)) "
            "FROM job WHERE currency = ? GROUP BY unit_price",
            (currency,),
        ):
            spent += Decimal(price) * units
            under_way += Decimal(price) * wanted
        return spent, under_way

    @taking_apart
    def cost_to_send(self) -> list[Money]:
        """What the pending jobs will cost, by currency."""
        rows = self._all(
            f"SELECT currency, unit_price, sum({WANTED_UNITS}) FROM {self._jobs} "  # noqa: S608
            "WHERE status = 'pending' GROUP BY currency, unit_price"
        )
        return _sum(rows)

    def open_jobs(self, *, operation: str) -> Iterator[OpenJob]:
        """Jobs that have not ended: those in doubt, then tasks, the oldest first, then the rest.

        A result lives for a day, so the oldest is fetched before it is gone.
        """
        has_twins = bool(self._one("SELECT 1 FROM twin LIMIT 1"))
        given: set[str] = set()  # whoever has one sees it through, whatever becomes of its row
        for status in (JobStatus.SUBMITTING, JobStatus.SUBMITTED):
            for row in self._by_age(operation, status):
                if row["job_id"] not in given:
                    given.add(row["job_id"])
                    yield self._open_job(row, has_twins=has_twins)
        last = -1
        while rows := self._all(
            f"SELECT * FROM {self._jobs} WHERE position > ? AND operation = ? "  # noqa: S608
            f"AND status = 'pending' {self._not_held} ORDER BY position LIMIT ?",
            (last, operation, _PAGE),
        ):
            for row in rows:
                if row["job_id"] not in given:
                    yield self._open_job(row, has_twins=has_twins)
            last = rows[-1]["position"]

    def tasks(self) -> list[tuple[str, str]]:
        """Job and task id of what is under way at the service."""
        return [
            tuple(row)
            for row in self._all(
                "SELECT job_id, task_id FROM job WHERE status = 'submitted' "
                "AND task_id IS NOT NULL ORDER BY position"
            )
        ]

    @taking_apart
    def answered_jobs(self) -> list[tuple[OpenJob, Json, int]]:
        """Jobs whose answer is recorded and whose file may not be: with output and units."""
        rows = self._all(
            "SELECT * FROM job WHERE status = 'submitting' AND (units > 0 OR output IS NOT NULL)"
        )
        return [
            (
                self._open_job(row, has_twins=True),
                None if row["output"] is None else orjson.loads(row["output"]),
                row["units"],
            )
            for row in rows
        ]

    def _by_age(self, operation: str, status: JobStatus) -> Iterator[sqlite3.Row]:
        age, last = "", -1
        while rows := self._all(
            f"SELECT * FROM {self._jobs} WHERE operation = ? AND status = ? "  # noqa: S608
            f"AND (submitted_at, position) > (?, ?) {self._not_held} "
            "ORDER BY submitted_at, position LIMIT ?",
            (operation, status, age, last, _PAGE),
        ):
            yield from rows
            age, last = rows[-1]["submitted_at"], rows[-1]["position"]

    def result_rows(self) -> Iterator[tuple[sqlite3.Row, list[sqlite3.Row], list[sqlite3.Row]]]:
        """Every job in plan order, with its artifacts and its twins."""
        for page in self._pages("*"):
            artifacts = self._beside(page, "artifact", "idx, path")
            for item in chain.from_iterable(artifacts.values()):
                inner(item["path"])
            twins = self._beside(page, "twin", "step, idx")
            for row in page:
                yield row, artifacts.get(row["job_id"], []), twins.get(row["job_id"], [])

    def artifacts(self) -> Iterator[tuple[str, int, str, str]]:
        """Job id, index, path and SHA-256 of every artifact, in plan order of the jobs."""
        for row in self._artifact_rows():
            yield row["job_id"], row["idx"], inner(row["path"]), row["sha256"]

    def hashes(self) -> Iterator[tuple[str, str]]:
        """Path and SHA-256 of every artifact, in plan order of the jobs; a path may lead out."""
        return ((row["path"], row["sha256"]) for row in self._artifact_rows())

    def job(self, job_id: str) -> OpenJob:
        """One of the ledger's jobs, which may have ended."""
        row = self._one("SELECT * FROM job WHERE job_id = ?", (job_id,))
        return self._open_job(row, has_twins=True)

    def can_be_fetched(self, job_id: str, *, since: str) -> bool:
        """Whether the job has a task that was made after `since`."""
        return bool(
            self._one(
                "SELECT 1 FROM job WHERE job_id = ? AND task_id IS NOT NULL AND submitted_at > ? "
                "AND part_first IS NULL",  # else several tasks made it
                (job_id, since),
            )
        )

    def _artifact_rows(self) -> Iterator[sqlite3.Row]:
        for page in self._pages("job_id"):
            found = self._beside(page, "artifact", "idx, path")
            for rows in found.values():
                yield from rows

    def errors(self, limit: int) -> list[tuple[str, str, int]]:
        """The commonest errors of jobs: code, message, number."""
        rows = self._all(
            f"SELECT error_code, error_message, count(*) AS jobs FROM {self._jobs} "  # noqa: S608
            "WHERE error_code IS NOT NULL AND status NOT IN ('succeeded', 'pending') "
            "GROUP BY 1, 2 ORDER BY jobs DESC LIMIT ?",
            (limit,),
        )
        return [tuple(row) for row in rows]

    @taking_apart
    def unknown(self, limit: int) -> list[tuple[str, str, str]]:
        """Jobs that may be paid: the name of their first file, when it was sent, and the doubt."""
        rows = self._all(
            "SELECT step, stems, submitted_at, error_message "  # noqa: S608
            f"FROM {self._jobs} WHERE status = 'unknown' ORDER BY position LIMIT ?",
            (limit,),
        )
        return [(_stems(row)[0], row["submitted_at"] or "", row["error_message"]) for row in rows]

    def lost_rows(self) -> list[str]:
        """Ids of the jobs of which a repair of the ledger knew nothing."""
        rows = self._all(
            "SELECT job_id FROM job WHERE status = 'unknown' AND error_code = ?", (LOST_ROW,)
        )
        return [row["job_id"] for row in rows]

    @taking_apart
    def partial_jobs(self) -> list[tuple[str, str, tuple[int, ...]]]:
        """Job id, operation and the indexes that have not come, of every partial job."""
        rows = self._all(
            "SELECT job_id, operation, wanted, (SELECT json_group_array(DISTINCT idx) "  # noqa: S608
            "FROM artifact WHERE artifact.job_id = job.job_id) AS made "
            f"FROM {self._jobs} WHERE status = 'partial' ORDER BY position"
        )
        return [
            (
                row["job_id"],
                row["operation"],
                _missing(row["wanted"], set(orjson.loads(row["made"]))),
            )
            for row in rows
        ]

    def _part(self, row: sqlite3.Row) -> Part:
        missing = _missing(row["wanted"], self._made(row["job_id"]))
        return Part(first=row["part_first"], count=row["part_count"], missing=missing)

    @taking_apart
    def _open_job(self, row: sqlite3.Row, *, has_twins: bool) -> OpenJob:
        stems = [_stems(row)]
        is_retry = row["status"] == JobStatus.SUBMITTED and row["error_class"] == "retry"
        if has_twins:
            twins = self._all(
                "SELECT step, stems FROM twin WHERE job_id = ? ORDER BY step, idx", (row["job_id"],)
            )
            stems += map(_stems, twins)
        return OpenJob(
            job_id=row["job_id"],
            operation=row["operation"],
            body=row["request"].encode(),
            status=JobStatus(row["status"]),
            task_id=row["task_id"],
            submitted_at=row["submitted_at"],
            request_id=row["request_id"],
            lost_at=row["lost_at"],
            attempts=row["attempts"],
            stems=tuple(dict.fromkeys(stems)),
            part=None if row["part_first"] is None else self._part(row),
            run_id=row["run_id"],
            is_found=row["task_id"] is not None and row["lost_at"] is not None,
            is_retry=is_retry,
            have=tuple(sorted(self._made(row["job_id"]))) if is_retry else (),
        )

    def _made(self, job_id: str) -> set[int]:
        made = self._all("SELECT idx FROM artifact WHERE job_id = ?", (job_id,))
        return {item[0] for item in made}


def _missing(wanted: int, made: set[int]) -> tuple[int, ...]:
    return tuple(index for index in range(wanted) if index not in made)


def _sum(rows: Iterable[Sequence[Any]]) -> list[Money]:
    """Rows of currency, price of a unit, and number of units."""
    return sum_money(
        Money(amount=Decimal(price) * units, currency=currency) for currency, price, units in rows
    )


def _stems(row: sqlite3.Row) -> tuple[str, ...]:
    names: list[Json] = orjson.loads(row["stems"])
    return tuple(inner(f"{row['step']}/{stem}") for stem in names)
