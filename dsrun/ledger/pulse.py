"""How fast a run goes on now, read from its ledger alone: creates, ends, refusals for the rate."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from dsrun.common.clock import stamp
from dsrun.ledger.reader import LedgerReader, checked
from dsrun.ledger.rows import names_of
from dsrun.service.classify import Decision, judge_code

_MOST = 20_000  # newest attempts that are looked at: more than a window of the fastest run has
_WINDOW_S = 60.0
_SENT = "('accepted', 'found', 'refused', 'lost')"
_OF_THE_RATE = 400  # any status of a clear no: the code decides


class Failure(NamedTuple):
    at: str
    status: str
    name: str
    words: str


class Pulse(NamedTuple):
    """Of the last `seconds`, at most a minute: all since the newest run began."""

    seconds: float
    creates: int  # that were answered, or whose answers were lost
    ended: int  # jobs
    throttled: int  # creates that the service refused for their rate
    left: int  # jobs that have not ended


@checked
def pulse(reader: LedgerReader, now: datetime) -> Pulse:
    """How fast the newest run goes on."""
    run = reader.last_run()
    began = datetime.fromisoformat(run.started_at) if run else now
    seconds = max(1.0, min(_WINDOW_S, (now - began).total_seconds()))
    since = stamp(now - timedelta(seconds=seconds))
    rows = reader.rows(
        "SELECT phase, outcome, error_code, count(*) AS number FROM attempt WHERE attempt_id > "  # noqa: S608
        f"(SELECT max(attempt_id) FROM attempt) - {_MOST} AND at > ? "
        "AND run_id = (SELECT max(run_id) FROM run) "
        f"AND (phase = 'end' OR (phase = 'create' AND outcome IN {_SENT})) GROUP BY 1, 2, 3",
        (since,),
    )
    left = reader.row(
        "SELECT count(*) FROM job WHERE status IN ('waiting', 'pending', 'submitting', 'submitted')"
    )
    return Pulse(
        seconds=seconds,
        creates=_sum(row for row in rows if row["phase"] == "create"),
        ended=_sum(row for row in rows if row["phase"] == "end"),
        throttled=_sum(row for row in rows if _is_throttled(row)),
        left=left[0],
    )


@checked
def last_failures(reader: LedgerReader, limit: int) -> list[Failure]:
    """The jobs that failed last, the newest first."""
    rows = reader.rows(
        "SELECT ended_at, status, step, stems, error_code, error_message FROM job "
        "WHERE status IN ('failed', 'partial', 'cancelled', 'unknown') "
        "ORDER BY coalesce(ended_at, submitted_at) DESC LIMIT ?",
        (limit,),
    )
    return [
        Failure(
            row["ended_at"] or "", row["status"], names_of(row)[0],
            ": ".join(filter(None, (row["error_code"], row["error_message"]))),
        )
        for row in rows
    ]  # fmt: skip


def _is_throttled(row: Any) -> bool:
    is_refused = row["phase"] == "create" and row["outcome"] == "refused"
    code = row["error_code"] or ""
    return is_refused and judge_code(_OF_THE_RATE, code, "") is Decision.THROTTLE


def _sum(rows: Iterable[Any]) -> int:
    return sum(row["number"] for row in rows)
