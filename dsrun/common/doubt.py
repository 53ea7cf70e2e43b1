"""A create whose answer was lost: when it was sent, and until when it may have been accepted."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

_DEFAULT_LIFE_S = 300.0  # of a create whose end nobody saw
LATE_S = 30.0  # a service may still accept a create that its client has given up on


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A create that left at `since` by our clock; we gave up on its answer at `lost_at`.

    The service may have accepted it at any time until `until`.
    """

    job_id: str
    since: float
    lost_at: float
    until: float
    request_id: str | None = None
    is_seen: bool = True  # whether a run saw the loss; else it was killed, and lost_at is `since`
    is_slow: bool = False  # the wait timed out, so it may be accepted much later
    run_id: int | None = None  # the run of its ledger whose clock dated it; None where unknown


class Span(NamedTuple):
    """When a create was sent and answered, by the clock of a run of ours."""

    sent: float
    answered: float
    run_id: int | None = None


def doubt_of(
    job_id: str,
    submitted_at: str,
    lost_at: str | None,
    request_id: str | None,
    *,
    run_id: int | None = None,
    next_run_at: str | None = None,
    is_slow: bool = False,
) -> Doubt:
    """The doubt about a ledger row: from the intent until the create can no longer arrive.

    `next_run_at`: when the next run of its ledger began; its own run was dead by then.
    """
    since = epoch(submitted_at)
    until = epoch(lost_at) if lost_at else since + _DEFAULT_LIFE_S
    if next_run_at is not None and not lost_at:
        until = max(since, min(until, epoch(next_run_at)))
    return Doubt(
        job_id=job_id,
        since=since,
        lost_at=epoch(lost_at) if lost_at else since,
        until=until + LATE_S,
        request_id=request_id,
        is_seen=lost_at is not None,
        is_slow=is_slow,
        run_id=run_id,
    )


def epoch(stamp: str) -> float:
    """A time of the ledger as seconds since the epoch."""
    return datetime.fromisoformat(stamp).timestamp()
