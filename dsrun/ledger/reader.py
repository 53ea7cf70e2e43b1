"""Reading a ledger: what was planned, what is open, and how every job ended."""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import orjson

from dsrun.common.errors import ExitCode, SetupError
from dsrun.common.models import JobStatus, OpenJob, Part
from dsrun.common.sqlite import READ_FAULTS, DamagedLedger, OwnFile, UntouchedFile, disk_error
from dsrun.ledger.check import check_content, check_facts, check_seal, is_closed_as
from dsrun.ledger.left_out import IS_LEFT_OUT
from dsrun.ledger.rows import ResultRow, RunRow, named, names_of, path_below
from dsrun.ledger.schema import (
    SINCE_ANSWERS,
    SINCE_LEFT_OUT,
    SINCE_REPEATS,
    VERSION,
    planned_of,
    unit_columns,
)
from dsrun.ledger.sums import Answer, Answers, answer_of, question, read_as_note, rows_of
from dsrun.ledger.tail import Head, read_head, read_note

_PAGE = 500

P = ParamSpec("P")
R = TypeVar("R")


class NoLedger(SetupError):
    """There is no ledger at this place."""

    exit_code = ExitCode.INVALID


def checked(
    read: Callable[Concatenate["LedgerReader", P], R],
) -> Callable[Concatenate["LedgerReader", P], R]:
    """For whatever makes values of rows: a malformed value is reported as damage."""

    def guarded(reader: "LedgerReader", /, *args: P.args, **kwargs: P.kwargs) -> R:
        with reader.reading():
            return read(reader, *args, **kwargs)

    guarded.__doc__ = read.__doc__
    return guarded


class LedgerReader:
    """A connection that reads a ledger, and changes nothing in it.

    Every method raises DamagedLedger where the ledger is not as it was written, and SetupError
    where it cannot be read; none leaves a cursor open while the caller works. `choose`, `hold`
    and `bar` narrow what `jobs` and `open_jobs` give. `totals`, `lookup` and `history` are
    functions of a reader.
    """

    def __init__(self, path: Path, *, live: bool = False, thorough: bool = False) -> None:
        """`live`: this process writes the ledger too. Otherwise no file is touched.

        A ledger that is not live is checked; `thorough` checks all of it, whatever its size.
        Raises SetupError where there is no readable ledger, DamagedLedger where it is damaged.
        """
        if not path.is_file():
            raise NoLedger(f"{path} is not there; name a run directory or a pipeline that ran")
        self._path = path
        self._has_chosen = False
        self._not_held = ""
        self._not_barred = ""
        self.repeats = "0"  # SQL: creates of a job that were sent again; a migrated ledger has them
        self._of_main = ""  # a condition on artifacts; an older ledger has the main kind alone
        self.known: Answers | None = None  # to `sums`, while nothing is written
        self._noted: dict[str, Answer] | None = None  # all answers given, while they are collected
        tail = None if live else read_head(path)  # before the ledger, which is never behind it
        is_sealed = live or check_seal(path, thorough=thorough)
        self._file = OwnFile(path) if live else UntouchedFile(path)
        try:
            self._check(is_sealed=is_sealed, tail=tail, thorough=thorough)
        except BaseException:
            self.close()
            raise

    def _check(self, *, is_sealed: bool, tail: Head | None, thorough: bool) -> None:
        path = self._path
        version = self.row("PRAGMA user_version")[0]
        self._of_main = "AND name = ''" if version >= SINCE_ANSWERS else ""
        if version > VERSION:
            raise SetupError(
                f"{path} has version {version}; this dsrun knows up to {VERSION}. Update dsrun."
            )
        if not is_sealed:
            check_content(self._file.connection(), path, thorough=thorough)
        check_facts(self._file.connection(), path, tail.facts if tail else None)
        if tail is not None and is_sealed and is_closed_as(self._file.connection(), path, tail):
            self.known = read_as_note(read_note(path)).sums
        self.is_left_out = IS_LEFT_OUT if version >= SINCE_LEFT_OUT else "0"
        self.repeats = "job.repeats" if version >= SINCE_REPEATS else "0"
        has_planned = self.row("SELECT 1 FROM pragma_table_info('job') WHERE name = 'planned'")
        self.units = unit_columns(has_planned=bool(has_planned))
        if not version:
            raise NoLedger(f"{path} is empty: its first run is just starting, or never began")

    def close(self) -> None:
        self._file.close()

    def connection(self) -> sqlite3.Connection:
        """What the queries below go to, for a caller with SQL of its own."""
        return self._file.connection()

    def rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        try:
            return self._file.connection().execute(sql, values).fetchall()
        except READ_FAULTS as error:
            raise disk_error(error, self._path) from error

    def row(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return next(iter(self.rows(sql, values)), None)

    def sums(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows of a query that adds up all jobs; where they are known, no job is read."""
        if self._has_chosen or self._not_held or self._not_barred:
            return self.rows(sql, values)
        key = question(sql, values)
        if self.known is not None and key in self.known:
            return rows_of(self._file.connection(), self.known[key])
        rows = self.rows(sql, values)
        if self._noted is not None:
            self._noted[key] = answer_of(rows)
        return rows

    @contextmanager
    def noting_sums(self) -> Iterator[Answers]:
        """The answers that `sums` gives in the block."""
        noted: dict[str, Answer] = {}
        self._noted = noted
        try:
            yield noted
        finally:
            self._noted = None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around whatever makes values of rows: a malformed one is reported as damage."""
        try:
            yield
        except (ValueError, ArithmeticError, TypeError, LookupError) as error:
            raise DamagedLedger(self._path, f"a row is not as dsrun writes it ({error})") from error

    def choose(self, pages: Iterable[Sequence[str]]) -> None:
        """From now on whatever selects from `jobs` sees these alone: `open_jobs` and most totals.

        `pages` are lists of job ids. The choice is a temporary table: it may be of any size.
        """
        self._list_positions("chosen", pages)
        self._has_chosen = True

    def hold(self, pages: Iterable[Collection[str]]) -> int:
        """From now on `open_jobs` and `open_steps` pass over these jobs, and over no others.

        `pages` are lists of ids of jobs that have no task. Returns how many jobs are held.
        """
        only = "AND status IN ('waiting', 'pending', 'submitting')"
        self._list_positions("held", pages, only=only)
        number = int(self.row("SELECT count(*) FROM held")[0])
        self._not_held = "AND job.position NOT IN (SELECT position FROM held)" if number else ""
        return number

    def bar(self, pages: Iterable[Sequence[str]]) -> None:
        """From now on `open_jobs` and `open_steps` pass over these pending jobs too."""
        self._list_positions("barred", pages)
        self._not_barred = (
            "AND NOT (job.status = 'pending' AND job.position IN (SELECT position FROM barred))"
        )

    def _list_positions(
        self, table: str, pages: Iterable[Collection[str]], *, only: str = ""
    ) -> None:
        """Fill a temporary table with the positions of jobs, in place of what it had."""
        self.rows(f"CREATE TEMP TABLE IF NOT EXISTS {table} (position INTEGER PRIMARY KEY)")
        self.rows(f"DELETE FROM {table}")  # noqa: S608  # ours
        for page in pages:
            self.rows(
                f"INSERT OR IGNORE INTO {table} SELECT position FROM job "  # noqa: S608  # ours
                f"WHERE job_id IN (SELECT value FROM json_each(?)) {only}",
                (orjson.dumps(list(page)).decode(),),
            )

    @property
    def has_barred(self) -> bool:
        return bool(self._not_barred)

    @property
    def jobs(self) -> str:
        """What to select from: the chosen jobs, or all."""
        return "chosen CROSS JOIN job USING (position)" if self._has_chosen else "job"

    @property
    def not_held(self) -> str:
        """A condition that leaves out the jobs that are held or barred; empty where none is."""
        return f"{self._not_held} {self._not_barred}"

    def last_run_id(self) -> int:
        return int(self.row("SELECT max(run_id) FROM run")[0])

    def last_run(self) -> RunRow | None:
        row = self.row("SELECT * FROM run ORDER BY run_id DESC LIMIT 1")
        if row is None:
            return None
        return RunRow(**{field.name: row[field.name] for field in fields(RunRow)})

    def runs(self) -> list[RunRow]:
        """Every invocation, the first one first."""
        rows = self.rows("SELECT * FROM run ORDER BY run_id")
        return [RunRow(**{field.name: row[field.name] for field in fields(RunRow)}) for row in rows]

    def is_planned(self, version: str) -> bool:
        return bool(self.row("SELECT 1 FROM plan WHERE dsrun_version = ?", (version,)))

    def row_count(self) -> int:
        """Rows of the matrix: jobs, and the rows that make the same job again."""
        sql = "SELECT (SELECT count(*) FROM job) + (SELECT count(*) FROM twin)"
        return int(self.row(sql)[0])

    def operations(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT DISTINCT operation FROM job")]

    def has_task(self, task_id: str) -> bool:
        """Whether any job has, or had, this task."""
        return self.row("SELECT 1 FROM attempt WHERE task_id = ?", (task_id,)) is not None

    def has_accepted(self, operation: str) -> bool:
        """Whether a create of the operation was ever accepted."""
        sql = (
            "SELECT 1 FROM attempt JOIN job USING (job_id) WHERE job.operation = ? "
            "AND attempt.phase = 'create' AND attempt.outcome = 'accepted' LIMIT 1"
        )
        return self.row(sql, (operation,)) is not None

    def made_names(self, operation: str, output: str) -> set[str]:
        """The names of everything that jobs of an operation have made, such as voices."""
        rows = self.rows(
            "SELECT made.value FROM job, json_each(job.output) AS made "
            "WHERE job.operation = ? AND job.output IS NOT NULL AND made.key = ?",
            (operation, output),
        )
        return {row[0] for row in rows if isinstance(row[0], str)}

    def ids(self, *statuses: JobStatus) -> Iterator[list[str]]:
        """Ids of the jobs of these statuses, page by page."""
        wanted = orjson.dumps(statuses).decode()
        last = -1
        while rows := self.rows(
            f"SELECT position, job_id FROM {self.jobs} WHERE position > ? "  # noqa: S608
            "AND status IN (SELECT value FROM json_each(?)) ORDER BY position LIMIT ?",
            (last, wanted, _PAGE),
        ):
            yield [row["job_id"] for row in rows]
            last = rows[-1]["position"]

    def open_jobs(self, *, operation: str) -> Iterator[OpenJob]:
        """Jobs that have not ended: those in doubt, then tasks, the oldest first, then the rest.

        A result lives for a day, so the oldest is fetched before it is gone. Of the rest, jobs that
        had to wait for others are left to `late_jobs`.
        """
        has_twins = bool(self.row("SELECT 1 FROM twin LIMIT 1"))
        yielded: set[str] = set()  # the caller sees a job through, whatever becomes of its row
        for status in (JobStatus.SUBMITTING, JobStatus.SUBMITTED):
            for row in self._by_age(operation, status):
                if row["job_id"] not in yielded:
                    yielded.add(row["job_id"])
                    yield self.open_job(row, has_twins=has_twins)
        last = -1
        while rows := self.rows(
            f"SELECT * FROM {self.jobs} WHERE position > ? AND operation = ? "  # noqa: S608
            f"AND status = 'pending' AND late IS NULL {self.not_held} ORDER BY position LIMIT ?",
            (last, operation, _PAGE),
        ):
            for row in rows:
                if row["job_id"] not in yielded:
                    yield self.open_job(row, has_twins=has_twins)
            last = rows[-1]["position"]

    def knows_edges(self) -> bool:
        """Whether the ledger is of a version that has them."""
        return self.row("SELECT 1 FROM sqlite_schema WHERE name = 'edge'") is not None

    def job(self, job_id: str) -> OpenJob:
        """One of the ledger's jobs, which may have ended."""
        row = self.row("SELECT * FROM job WHERE job_id = ?", (job_id,))
        return self.open_job(row, has_twins=True)

    def tasks(self) -> list[tuple[str, str]]:
        """Job and task id of what is under way at the service."""
        return [
            tuple(row)
            for row in self.rows(
                "SELECT job_id, task_id FROM job WHERE status = 'submitted' "
                "AND task_id IS NOT NULL ORDER BY position"
            )
        ]

    def answered(self) -> list[tuple[str, str]]:
        """Job and answer where the answer is known and its files are not all there."""
        return [
            tuple(row)
            for row in self.rows(
                "SELECT job_id, answer FROM job WHERE status = 'submitted' "
                "AND answer IS NOT NULL ORDER BY position"
            )
        ]

    def pending_names(self) -> Iterator[list[tuple[str, str, tuple[str, ...]]]]:
        """Job id, operation and the names of the files of the pending jobs, page by page.

        A job that several rows make is there once for each.
        """
        last, has_twins = -1, self.row("SELECT 1 FROM twin LIMIT 1") is not None
        while rows := self.rows(
            f"SELECT position, job_id, operation, step, stems FROM {self.jobs} "  # noqa: S608
            "WHERE position > ? AND status = 'pending' ORDER BY position LIMIT ?",
            (last, _PAGE),
        ):
            twins = self._twins_of([row["job_id"] for row in rows]) if has_twins else []
            with self.reading():
                page = [(row["job_id"], row["operation"], names_of(row)) for row in (*rows, *twins)]
            yield page
            last = rows[-1]["position"]

    def _twins_of(self, job_ids: Sequence[str]) -> list[sqlite3.Row]:
        return self.rows(
            "SELECT job_id, job.operation, twin.step, twin.stems FROM twin "
            "JOIN job USING (job_id) WHERE job_id IN (SELECT value FROM json_each(?))",
            (orjson.dumps(job_ids).decode(),),
        )

    @checked
    def partial_jobs(self) -> list[tuple[str, str, tuple[int, ...]]]:
        """Job id, operation and the indexes that have not come, of every partial job."""
        rows = self.rows(
            "SELECT job_id, operation, wanted, (SELECT json_group_array(DISTINCT idx) "  # noqa: S608
            f"FROM artifact WHERE artifact.job_id = job.job_id {self._of_main}) AS made "
            f"FROM {self.jobs} WHERE status = 'partial' ORDER BY position"
        )
        return [
            (
                row["job_id"],
                row["operation"],
                _missing(row["wanted"], set(orjson.loads(row["made"]))),
            )
            for row in rows
        ]

    def can_be_asked(self, job_id: str, *, since: str) -> bool:
        """Whether the job has a task that was made after `since`."""
        return bool(
            self.row(
                "SELECT 1 FROM job WHERE job_id = ? AND task_id IS NOT NULL AND submitted_at > ? "
                "AND part_first IS NULL",  # several tasks made a job in parts
                (job_id, since),
            )
        )

    def can_be_fetched(self, job_id: str, *, since: str, now: str) -> bool:
        """Whether the job has such a task, or an answer whose addresses live."""
        sql = (
            "SELECT 1 FROM job WHERE job_id = ? AND json_extract(answer, '$.until') > ? "
            "AND part_first IS NULL"
        )
        return self.can_be_asked(job_id, since=since) or bool(self.row(sql, (job_id, now)))

    def result_rows(self) -> Iterator["ResultRow"]:
        """Every job in plan order."""
        has_edges = self.knows_edges()
        for page in self.pages("*"):
            artifacts = self._beside(page, "artifact", "idx, path")
            for item in chain.from_iterable(artifacts.values()):
                path_below(item["path"])
            twins = self._beside(page, "twin", "step, idx")
            edges = self._beside(page, "edge", "number") if has_edges else {}
            for row in page:
                rows = (of.get(row["job_id"], []) for of in (artifacts, twins, edges))
                yield ResultRow(row, *rows)

    def artifacts(self) -> Iterator[tuple[str, tuple[str, int], str, str]]:
        """Job id, name of the kind and index, path, SHA-256 of every artifact, in plan order."""
        for row in self._artifact_rows():
            place = (row["name"], row["idx"])
            yield row["job_id"], place, path_below(row["path"]), row["sha256"]

    def hashes(self) -> Iterator[tuple[str, str]]:
        """Path and SHA-256 of every artifact, in plan order of the jobs; a path may lead out."""
        return ((row["path"], row["sha256"]) for row in self._artifact_rows())

    def _artifact_rows(self) -> Iterator[sqlite3.Row]:
        for page in self.pages("job_id"):
            for rows in self._beside(page, "artifact", "idx, path").values():
                yield from rows

    def pages(self, columns: str) -> Iterator[list[sqlite3.Row]]:
        """Jobs in plan order; no cursor stays open while the caller works."""
        last = -1
        while rows := self.rows(
            f"SELECT position, {columns} FROM job WHERE position > ? "  # noqa: S608
            f"ORDER BY position LIMIT {_PAGE}",
            (last,),
        ):
            yield rows
            last = rows[-1]["position"]

    def _beside(
        self, page: Sequence[sqlite3.Row], table: str, order: str
    ) -> dict[str, list[sqlite3.Row]]:
        """The rows of another table that belong to a page of jobs, by job id."""
        by_job: dict[str, list[sqlite3.Row]] = {}
        for row in self.rows(
            f"SELECT other.* FROM job JOIN {table} AS other USING (job_id) "  # noqa: S608
            f"WHERE job.position BETWEEN ? AND ? ORDER BY job.position, {_of_other(order)}",
            (page[0]["position"], page[-1]["position"]),
        ):
            by_job.setdefault(row["job_id"], []).append(row)
        return by_job

    def _by_age(self, operation: str, status: JobStatus) -> Iterator[sqlite3.Row]:
        age, last = "", -1
        while rows := self.rows(
            f"SELECT * FROM {self.jobs} WHERE operation = ? AND status = ? "  # noqa: S608
            f"AND (submitted_at, position) > (?, ?) {self.not_held} "
            "ORDER BY submitted_at, position LIMIT ?",
            (operation, status, age, last, _PAGE),
        ):
            yield from rows
            age, last = rows[-1]["submitted_at"], rows[-1]["position"]

    @checked
    def open_job(self, row: sqlite3.Row, *, has_twins: bool = True) -> OpenJob:
        """A row of the table `job`."""
        job = named(row)  # of an older version it has fewer columns
        job_id, task_id, sent = job["job_id"], job["task_id"], job.get("sent")
        stems = [names_of(job)]
        is_retry = job["status"] == JobStatus.SUBMITTED and job["error_class"] == "retry"
        if has_twins:
            twins = self.rows(
                "SELECT step, stems FROM twin WHERE job_id = ? ORDER BY step, idx", (job_id,)
            )
            stems += map(names_of, twins)
        return OpenJob(
            job_id=job_id,
            operation=job["operation"],
            body=job["request"].encode(),
            status=JobStatus(job["status"]),
            task_id=task_id,
            answer=job.get("answer"),
            submitted_at=job["submitted_at"],
            request_id=job["request_id"],
            lost_at=job["lost_at"],
            attempts=job["attempts"],
            repeats=job.get("repeats", 0),
            stems=tuple(dict.fromkeys(stems)),
            part=None if job["part_first"] is None else self._part(job),
            run_id=job["run_id"],
            is_found=task_id is not None and job["lost_at"] is not None,
            is_retry=is_retry,
            have=tuple(sorted(self._made(job_id))) if is_retry else (),
            late=_late_places(job.get("late")),
            sent=None if sent is None else sent.encode(),
            planned=planned_of(job),
        )

    def _part(self, row: Mapping[str, Any]) -> Part:
        missing = _missing(row["wanted"], self._made(row["job_id"]))
        return Part(first=row["part_first"], count=row["part_count"], missing=missing)

    def _made(self, job_id: str) -> set[int]:
        """The places of the job's main artifacts that are there."""
        sql = f"SELECT idx FROM artifact WHERE job_id = ? {self._of_main}"  # noqa: S608  # ours
        made = self.rows(sql, (job_id,))
        return {item[0] for item in made}


def _late_places(text: str | None) -> tuple[tuple[str | int, ...], ...]:
    return () if text is None else tuple(map(tuple, orjson.loads(text)))


def _missing(wanted: int, made: set[int]) -> tuple[int, ...]:
    return tuple(index for index in range(wanted) if index not in made)


def _of_other(columns: str) -> str:
    return ", ".join(f"other.{column.strip()}" for column in columns.split(","))
