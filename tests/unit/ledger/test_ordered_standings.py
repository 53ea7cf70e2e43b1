"""Where jobs stand, asked for page by page: as if each had been looked for by its id."""

import random

import pytest

from dsrun.common.models import Job, JobStatus
from dsrun.ledger import lookup
from dsrun.ledger.lookup import OrderedStandings
from dsrun.ledger.writer import Ledger
from dsrun.service.catalog import load_catalog

AT = "2026-11-27T08:00:00.000Z"
IDS = [f"{7919 * number % 1009:064x}" for number in range(60)]  # in no order of their own


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(IDS, id="the jobs of the ledger"),
        pytest.param(IDS[::-1], id="in the other order"),
        pytest.param(IDS[30:], id="from the middle on"),
        pytest.param(IDS[::3], id="every third"),
        pytest.param(IDS[:20] + IDS[40:], id="with a gap"),
        pytest.param([f"{n:064x}" for n in range(2000, 2060)], id="none that the ledger has"),
        pytest.param([*IDS[:7], "f" * 64, *IDS[7:]], id="with a new one"),
        pytest.param(random.Random(3).sample(IDS, 60), id="shuffled"),
    ],
)
@pytest.mark.parametrize("page", [1, 7, 500])
async def test_they_stand_where_a_search_by_id_finds_them(tmp_path, asked, page):
    ledger = await filled(tmp_path)
    ordered = OrderedStandings(ledger.view)
    found = {}
    for start in range(0, len(asked), page):
        found |= ordered.of(asked[start : start + page])
    assert found == lookup.standings(ledger.view, asked)
    ledger.close()


async def test_a_page_of_no_jobs_moves_nothing(tmp_path):
    ledger = await filled(tmp_path)
    ordered = OrderedStandings(ledger.view)
    assert ordered.of([]) == {}
    assert len(ordered.of(IDS)) == len(IDS)
    ledger.close()


async def filled(tmp_path):
    """A ledger with the jobs of IDS, of which every fourth was sent."""
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    await ledger.start_run(at=AT, version="1", endpoint="e", host="h", pid=1, live_since=AT)
    jobs = [
        Job(
            job_id=job_id, step="s", index=number, replica=0, operation="wanx-v1", matrix={},
            request={}, body=b"{}", stems=(str(number),), units=1,
        )
        for number, job_id in enumerate(IDS)
    ]  # fmt: skip
    await ledger.load_plan(iter(jobs), prices=load_catalog().prices, version="1")
    for job in list(ledger.view.open_jobs(operation="wanx-v1"))[::4]:
        await ledger.record_intent(job, at=AT)
    assert set(lookup.standings(ledger.view, IDS)[IDS[0]]) >= {JobStatus.SUBMITTING}
    return ledger
