"""What other runs did, according to the ledgers below this output root and others on this machine.

Their tasks and voices, so that none is adopted twice; their newest creates, so that no run begins
with a burst.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import orjson

from dsrun.common.doubt import Doubt, Span, doubt_of, epoch
from dsrun.common.models import SentElsewhere
from dsrun.common.sqlite import READ_FAULTS, connect_readonly
from dsrun.ledger.schema import SINCE_ANSWERS, SINCE_EDGES, SINCE_REPEATS, SINCE_RUN_IDS
from dsrun.storage.layout import RunLayout, is_emulated, run_dirs
from dsrun.storage.precedence import Living


class LedgerClaims:
    """Reads the ledger of this run and those of all other runs below the output root."""

    def __init__(
        self,
        own: Path,
        *,
        out: Path,
        endpoint: str | None = None,
        other_roots: Callable[[], Sequence[Path]] = list,
    ) -> None:
        """`own` is the ledger of this run. Emulated and real runs have nothing in common.

        What other runs have sent counts where it was sent to `endpoint`; None means anywhere.
        `other_roots` names output roots whose runs may use the same account, as of now.
        """
        self._own = own
        self._out = out
        self._endpoint = endpoint
        self._other_roots = other_roots

    def accepted(self, task_ids: Collection[str]) -> dict[str, Span]:
        """Those of the tasks that this run has, with the times of their creates."""
        return self._spans(_ANSWERED, _json(task_ids))

    def newly_accepted(self, operation: str) -> dict[str, Span]:
        """The tasks of this run that were accepted last, with the times of their creates."""
        return self._spans(_NEWLY, operation)

    def made(self, operation: str, names: Collection[str]) -> dict[str, Span]:
        """Those of the names that this run has made, with the times of their creates."""
        return self._spans(_MADE, operation, _json(names))

    def _spans(self, sql: str, *values: str) -> dict[str, Span]:
        with suppress(*READ_FAULTS), closing(connect_readonly(self._own)) as db:
            rows = db.execute(sql, values)
            return {row[0]: Span(epoch(row[1]), epoch(row[2]), row[3]) for row in rows}
        return {}

    def claimed(self, operation: str, names: Collection[str], *, job_id: str) -> set[str]:
        """Which of these tasks, or things made, belong to another job of any run.

        The same job of another run directory makes the same request: they may share a task. A
        task that has shown to be no task of this job counts too.
        """
        claimed: set[str] = set()
        for place, db in enumerate(self._all_ledgers()):
            same = job_id if place else ""
            with suppress(*READ_FAULTS):
                values = (_json(names), same, job_id)
                claimed.update(row[0] for row in db.execute(_TASKS, values))
                made = (operation, _json(names), same)
                claimed.update(row[0] for row in db.execute(_OUTPUTS, made))
        return claimed

    def rivals(self, operations: Collection[str], *, job_id: str) -> list[Doubt]:
        """Other creates of the operations, in any run, whose task nobody knows."""
        names = _json(operations)
        doubts: list[Doubt] = []
        for place, db in enumerate(self._all_ledgers()):
            with suppress(*READ_FAULTS):
                rows = db.execute(_of_version(db, _RIVALS), (names, job_id)).fetchall()
                rows += db.execute(_ABANDONED, (names,)).fetchall()
                doubts += [_doubt(row, is_own=place == 0) for row in rows]
        return doubts

    def requests(self, job_ids: Collection[str]) -> dict[str, bytes]:
        """The requests of these jobs of any run, as canonical JSON."""
        found: dict[str, bytes] = {}
        for db in self._all_ledgers():
            with suppress(*READ_FAULTS):
                sql = _of_version(db, _REQUESTS)
                rows = db.execute(sql, (_json(job_ids),)).fetchall()
                found |= {job_id: request.encode() for job_id, request in rows}
        return found

    def same_job(self, job_id: str, *, since: str) -> list[Doubt]:
        """Creates of this job by other runs after `since` whose task nobody knows."""
        doubts: list[Doubt] = []
        for path in self._others():
            with suppress(*READ_FAULTS), closing(connect_readonly(path)) as db:
                values = (self._endpoint, job_id, since)
                doubts += map(_doubt, db.execute(_of_version(db, _SAME), values))
        return doubts

    def open_elsewhere(self, *, since: str, living: Iterable[Living]) -> list[SentElsewhere]:
        """Jobs of other run directories that were sent after `since` and have not ended.

        A living run sees its own tasks and answers through. A create whose answer it has lost is
        left to the earliest run.
        """
        alive = {run.run_dir.resolve(): run for run in living}
        open_jobs: list[SentElsewhere] = []
        for path in self._others():
            run = alive.get(path.parent.resolve())
            if run is None or not run.is_earlier:
                with suppress(*READ_FAULTS), closing(connect_readonly(path)) as db:
                    sql = _of_version(db, _OPEN)
                    rows = db.execute(sql, (self._endpoint, since)).fetchall()
                    sent = [SentElsewhere(*row) for row in rows]
                    open_jobs += [job for job in sent if run is None or not job.is_answered]
        return open_jobs

    def in_hand(self, job_ids: Sequence[str], run_dir: Path, *, planned: bool) -> set[str]:
        """Which of the jobs another run has as tasks or results; if `planned`, also in its plan."""
        path = RunLayout.of(run_dir).ledger
        with suppress(*READ_FAULTS), closing(connect_readonly(path)) as db:
            values = (self._endpoint, _json(job_ids), planned)
            return {row[0] for row in db.execute(_IN_HAND, values)}
        return set()

    def other_dirs(self) -> list[Path]:
        """The other run directories of the root."""
        return [path.parent for path in self._others()]

    def was_active(self, *, since: str) -> bool:
        """Whether the run before this one, in this directory, was killed or ended after `since`."""
        with suppress(*READ_FAULTS), closing(connect_readonly(self._own)) as db:
            return bool(db.execute(_ACTIVE, (1, since)).fetchone()[0])
        return False

    def recent_creates(self, operation: str, *, since: str) -> int:
        """How many creates of the operation any run has begun after `since`."""
        number = 0
        for place, db in enumerate(self._ledgers()):
            own = 1 if place == 0 else 0
            with suppress(*READ_FAULTS):
                # The runs are looked at first: there may be a million jobs.
                if db.execute(_ACTIVE, (own, since)).fetchone()[0]:
                    number += db.execute(_RECENT, (operation, since)).fetchone()[0]
        return number

    def open_tasks(self, operation: str, *, since: str) -> int:
        """How many tasks of the operation other run directories have sent and not seen end."""
        number = 0
        for path in self._others():
            with suppress(*READ_FAULTS), closing(connect_readonly(path)) as db:
                if db.execute(_ACTIVE, (0, since)).fetchone()[0]:
                    values = (self._endpoint, operation, since)
                    number += db.execute(_OPEN_TASKS, values).fetchone()[0]
        return number

    def _ledgers(self) -> Iterator[sqlite3.Connection]:
        """Open ledgers, ours first. A ledger that cannot be read claims nothing."""
        for path in (self._own.resolve(), *self._others()):
            with suppress(*READ_FAULTS), closing(connect_readonly(path)) as db:
                yield db

    def _all_ledgers(self) -> Iterator[sqlite3.Connection]:
        """Those of `_ledgers`, then those of the other output roots on this machine."""
        yield from self._ledgers()
        known = set(self._others())
        for root in self._other_roots():
            for path in self._below(root):
                if path not in known:
                    with suppress(*READ_FAULTS), closing(connect_readonly(path)) as db:
                        yield db

    def _others(self) -> list[Path]:
        return self._below(self._out)

    def _below(self, root: Path) -> list[Path]:
        own = self._own.resolve()
        emulated = is_emulated(own.parent)
        return [
            path
            for run_dir in run_dirs(root)
            if is_emulated(run_dir) == emulated
            and (path := RunLayout.of(run_dir).ledger).resolve() != own
        ]


def _doubt(row: sqlite3.Row, *, is_own: bool = False) -> Doubt:
    """A run id counts within its own ledger, so that of another ledger means nothing here."""
    return doubt_of(
        row["job_id"],
        row["submitted_at"],
        row["lost_at"],
        row["request_id"],
        run_id=row["run_id"] if is_own else None,
        next_run_at=row["next_run_at"],
    )


def _of_version(db: sqlite3.Connection, sql: str) -> str:
    """A statement for a ledger that may be of an older version, and stays as it is."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    for since, column, stand_in in _NEWER:
        sql = sql if version >= since else sql.replace(column, stand_in)
    return sql


def _json(names: Collection[str]) -> str:
    return orjson.dumps(list(names)).decode()


_NEWER = (
    (SINCE_RUN_IDS, "job.run_id", "NULL"),
    (SINCE_REPEATS, "job.repeats", "0"),
    (SINCE_ANSWERS, "job.answer", "NULL"),
    (SINCE_EDGES, "job.sent", "NULL"),
)
_TASKS = (  # an attempt `foreign` takes back what its job had found
    "SELECT task_id FROM attempt AS one WHERE task_id IN (SELECT value FROM json_each(?1)) "
    "AND iif(job_id = ?3 AND outcome = 'foreign', true, job_id <> ?2 AND NOT EXISTS ("
    "SELECT 1 FROM attempt AS other WHERE other.task_id = one.task_id "
    "AND other.job_id = one.job_id AND other.outcome = 'foreign'))"
)
_SPAN = "SELECT attempt.task_id, job.submitted_at, attempt.at, attempt.run_id "
_IS_ANSWERED = (
    "attempt.phase = 'create' AND attempt.outcome = 'accepted' AND job.task_id = attempt.task_id"
)
_ANSWERED = (  # not those that were found later: their time says nothing of the service's clock
    f"{_SPAN} FROM attempt JOIN job USING (job_id) "  # noqa: S608  # ours
    f"WHERE attempt.task_id IN (SELECT value FROM json_each(?)) AND {_IS_ANSWERED}"
)
_NEWLY = (
    f"{_SPAN} FROM attempt JOIN job USING (job_id) "  # noqa: S608  # ours
    "WHERE attempt_id > (SELECT max(attempt_id) - 1000 FROM attempt) "
    f"AND job.operation = ? AND {_IS_ANSWERED}"
)
_MADE = (
    "SELECT made.value, job.submitted_at, job.ended_at, job.run_id FROM job, "
    "json_each(job.output) AS made WHERE job.operation = ? AND job.output IS NOT NULL "
    "AND job.ended_at IS NOT NULL AND job.cached = 0 AND job.status = 'succeeded' "
    "AND made.value IN (SELECT value FROM json_each(?))"
)
_OUTPUTS = (
    "SELECT made.value FROM job, json_each(job.output) AS made WHERE job.operation = ? "
    "AND job.output IS NOT NULL AND made.value IN (SELECT value FROM json_each(?)) "
    "AND job.job_id != ?"
)
_HERE = "coalesce(? = (SELECT endpoint FROM run ORDER BY run_id DESC LIMIT 1), true)"
_IN_DOUBT = (
    "SELECT job_id, submitted_at, lost_at, request_id, job.run_id AS run_id, "
    "(SELECT min(started_at) FROM run WHERE run.run_id > job.run_id) AS next_run_at "
    "FROM job WHERE task_id IS NULL AND job.answer IS NULL AND output IS NULL "
    "AND submitted_at IS NOT NULL AND status IN ('submitting', 'unknown')"
)
_ABANDONED = (  # of any job, the one in question too
    "SELECT attempt.job_id, attempt.at AS submitted_at, attempt.error_message AS lost_at, "
    "attempt.request_id, attempt.run_id AS run_id, NULL AS next_run_at "
    "FROM attempt JOIN job USING (job_id) "
    "WHERE attempt.outcome = 'abandoned' "
    "AND job.operation IN (SELECT value FROM json_each(?))"
)
_RIVALS = (
    f"{_IN_DOUBT} AND operation IN (SELECT value FROM json_each(?)) "  # noqa: S608  # ours
    "AND job_id != ?"
)
_REQUESTS = (
    "SELECT job_id, coalesce(job.sent, request) FROM job "
    "WHERE job_id IN (SELECT value FROM json_each(?))"
)
_SAME = f"{_IN_DOUBT} AND {_HERE} AND job_id = ? AND submitted_at > ? AND part_first IS NULL"
_OPEN = (
    "SELECT job_id, task_id, request_id, submitted_at, lost_at, job.repeats, job.answer, "  # noqa: S608  # ours
    f"job.sent FROM job WHERE {_HERE} AND submitted_at > ? "
    "AND status IN ('submitting', 'submitted', 'unknown') "
    "AND part_first IS NULL AND (output IS NULL OR json_extract(job.answer, '$.whole')) "
    "AND coalesce(json_extract(job.answer, '$.whole'), true)"
)
_OPEN_TASKS = (
    f"SELECT count(*) FROM job WHERE {_HERE} AND operation = ? "  # noqa: S608  # ours
    "AND status IN ('submitting', 'submitted') AND submitted_at > ?"
)
_IN_HAND = (  # one that was made there comes into the cache soon
    f"SELECT job_id FROM job WHERE {_HERE} AND job_id IN (SELECT value FROM json_each(?)) "  # noqa: S608  # ours
    "AND status NOT IN ('failed', 'cancelled', 'partial', 'skipped') "
    "AND (? OR status IN ('submitted', 'succeeded'))"
)
_ACTIVE = (
    "SELECT EXISTS (SELECT 1 FROM (SELECT ended_at FROM run ORDER BY run_id DESC LIMIT 1 OFFSET ?) "
    "WHERE ended_at IS NULL OR ended_at > ?)"
)
_RECENT = "SELECT count(*) FROM job WHERE operation = ? AND submitted_at > ?"
