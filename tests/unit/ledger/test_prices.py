"""What jobs cost stays exact when a price changes between two runs."""

from decimal import Decimal

import pytest

from dsrun.common.models import Job, JobResult, JobStatus
from dsrun.common.units import Money
from dsrun.ledger import totals
from dsrun.ledger.writer import Ledger
from dsrun.service.operation_file import parse_price

AT = "2026-11-27T08:00:00.000Z"
DONE = JobStatus.SUCCEEDED


def price(amount, *, currency="CNY", units=None):
    item = {"unit": "image", "amount": amount, "units": units or {"count": True}}
    return parse_price({"currency": currency, "as_of": "", "items": [item]})


def jobs(units=1, *, number=2):
    return [
        Job(
            job_id=f"{n:064x}", step="s", index=n, replica=0, operation="o", matrix={}, request={},
            body=b"{}", stems=(str(n),), units=units,
        )
        for n in range(number)
    ]  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """A run at a price: it loads the plan, reprices it, and ends the first open job with a cost."""

    async def runner(at, *, units=1, status=DONE, ends=1):
        ledger = Ledger(tmp_path / "ledger.sqlite3")
        await ledger.start_run(at=AT, version="1", endpoint="e", host="h", pid=1, live_since=AT)
        await ledger.load_plan(iter(jobs(units)), prices={"o": at}, version="1")
        await ledger.reprice(iter(jobs(units)))
        for job in list(ledger.view.open_jobs(operation="o"))[:ends]:
            await ledger.record_intent(job, at=AT)
            await ledger.record_result(job, JobResult(status=status, units=units), at=AT)
        found = totals.spent(ledger.view), totals.cost_to_send(ledger.view)
        ledger.close()
        return found

    return runner


def cny(amount):
    return Money(amount=Decimal(amount), currency="CNY")


async def test_what_is_paid_keeps_its_price_and_the_rest_has_that_of_now(run):
    assert await run(price("0.16")) == ([cny("0.16")], [cny("0.16")])
    assert await run(price("0.07"), ends=0) == ([cny("0.16")], [cny("0.07")])
    assert await run(price("0.07")) == ([cny("0.23")], [])


async def test_a_price_in_another_currency_is_a_sum_of_its_own(run):
    await run(price("0.16"))
    spent, to_send = await run(price("0.025", currency="USD"), units=3)
    usd = Money(amount=Decimal("0.075"), currency="USD")
    assert sorted(spent, key=str) == sorted([cny("0.16"), usd], key=str)
    assert to_send == []


async def test_a_job_that_is_paid_again_at_another_price_gets_a_grain_for_both(tmp_path, run):
    await run(price("0.16"), units=2)
    await run(price("0.16"), units=2)
    now = price("0.06")
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    await ledger.start_run(at=AT, version="1", endpoint="e", host="h", pid=1, live_since=AT)
    await ledger.load_plan(iter(jobs()), prices={"o": now}, version="1")
    await ledger.reprice(iter(jobs()))
    await ledger.reopen([DONE], among=[[jobs()[0].job_id]])
    (job,) = ledger.view.open_jobs(operation="o")
    await ledger.record_result(job, JobResult(status=DONE, units=3), at=AT)
    assert totals.spent(ledger.view) == [cny("0.82")]  # 2 x 0.16 + 3 x 0.06, and 2 x 0.16
    row = ledger.view.row("SELECT unit_price, units, units_before, planned FROM job LIMIT 1")
    assert tuple(row) == ("0.02", 9, 16, 16)
    ledger.close()


async def test_a_row_of_an_older_version_was_planned_to_cost_its_artifacts(tmp_path, run):
    await run(price("0.16"), ends=0)
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    ledger.view.connection().execute("UPDATE job SET planned = NULL, wanted = 3")
    assert totals.cost_to_send(ledger.view) == [cny("0.96")]
    assert {job.planned for job in ledger.view.open_jobs(operation="o")} == {3}
    ledger.close()
