"""What a ledger says was paid or may be paid, by the time at which it was asked for."""

from decimal import Decimal

import pytest

from dsrun.common.units import Money
from dsrun.ledger.commitments import commitments

_JOB = (
    "INSERT INTO job (job_id, position, step, idx, replica, operation, request, matrix, stems, "
    "wanted, planned, unit_price, currency, status, units, units_before, repeats, cached, "
    "submitted_at, ended_at) VALUES (?, 0, 's', 0, 0, 'o', '{}', '{}', '[[\"a\"]]', "
    "1, 2, '0.5', 'CNY', ?, ?, ?, ?, ?, ?, ?)"
)
AT, LATER = "2026-11-27T17:44:59.999Z", "2026-11-27T17:50:00.000Z"


@pytest.fixture
def read(ledger):
    """The commitments of a ledger with one job."""

    def read(status, *, units=0, before=0, repeats=0, cached=0, sent=AT, ended=None):
        values = ("j", status, units, before, repeats, cached, sent, ended)
        ledger._transactions.db.execute(_JOB, values)
        return commitments(ledger.view)

    return read


@pytest.mark.parametrize(
    ("job", "amount"),
    [
        ({"status": "pending", "sent": None}, 0),
        ({"status": "waiting", "sent": None}, 0),
        ({"status": "submitting"}, "1.0"),
        ({"status": "submitted"}, "1.0"),
        ({"status": "unknown"}, "1.0"),
        ({"status": "succeeded", "units": 1}, "0.5"),
        ({"status": "failed"}, 0),
        ({"status": "failed", "units": 1}, "0.5"),
        ({"status": "partial", "units": 1, "before": 3}, "2.0"),
        ({"status": "submitted", "before": 1}, "1.5"),
        ({"status": "submitted", "repeats": 2}, "3.0"),
        ({"status": "succeeded", "cached": 1}, 0),
        ({"status": "succeeded", "cached": 1, "before": 1}, "0.5"),
        ({"status": "pending", "before": 1}, "0.5"),
    ],
)
async def test_what_is_paid_or_may_be_counts_and_nothing_else(read, job, amount):
    cost = Money(amount=Decimal(amount), currency="CNY")
    assert read(**job) == ([("2026-11-27T17:4", cost)] if cost.amount else [])


async def test_it_counts_from_the_time_of_the_create_on(read):
    [one] = read("succeeded", units=1, sent=AT, ended=LATER)
    assert one.at == "2026-11-27T17:4"


async def test_without_one_from_its_end(read):
    [one] = read("succeeded", units=1, sent=None, ended=LATER)
    assert one.at == "2026-11-27T17:5"


async def test_a_create_that_was_given_up_in_doubt_counts_from_its_own_time(ledger, read):
    sql = (
        "INSERT INTO attempt (run_id, job_id, phase, at, outcome) "
        "VALUES (1, 'j', 'create', ?, 'abandoned')"
    )
    read("succeeded", units=1, sent=LATER)
    ledger._transactions.db.execute(sql, (AT,))
    assert {one.at: str(one.cost) for one in commitments(ledger.view)} == {
        "2026-11-27T17:4": "1 CNY",
        "2026-11-27T17:5": "0.5 CNY",
    }
