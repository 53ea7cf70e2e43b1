"""Where the jobs of a run come from: in which order, and each to one worker alone."""

import asyncio
from dataclasses import replace

from dsrun.common.models import Job, JobResult, JobStatus, Parent
from dsrun.engine.control import RunControl
from dsrun.ledger.waiting import Lives
from dsrun.service.catalog import load_catalog
from dsrun.session.sources import Sources
from tests.fakes import AT


def job(name, *parents, operation="shots", depth=0, index=0):
    edges = tuple(
        Parent(axis="a", step="above", index=0, job_id=parent, takes="output:voice")
        for parent in parents
    )
    return Job(
        job_id=name, step="step", index=index, replica=0, operation=operation, matrix={},
        request={}, body=b"{}", stems=(name,), units=1, late=(("input",),) if parents else (),
        parents=edges, depth=depth,
    )  # fmt: skip


async def sources_of(ledger, *jobs):
    price = load_catalog()["wanx-v1"].price
    operations = sorted({one.operation for one in jobs})
    await ledger.load_plan(iter(jobs), prices=dict.fromkeys(operations, price), version="1")
    await ledger.wake(AT)
    return Sources(
        ledger, RunControl(), operations=operations, lives=Lives("http://a", {}), now=lambda: AT
    )


async def succeed(ledger, sources, job):
    result = JobResult(status=JobStatus.SUCCEEDED, output={"voice": "v"})
    await ledger.record_result(job, result, at=AT)
    await sources.end(job, result)


async def waits(source):
    """Whether the source has no job for now, and has not ended either."""
    drawing = asyncio.ensure_future(anext(source, None))
    done, _ = await asyncio.wait([drawing], timeout=0.05)
    drawing.cancel()
    return not done


async def test_a_source_waits_while_a_job_may_wake_its_own_and_then_gives_them(ledger):
    sources = await sources_of(ledger, job("p"), job("c", "p", operation="edits", depth=1))
    edits, shots = sources.all
    parent = await anext(shots)
    sources.begin()
    assert await waits(edits)
    await succeed(ledger, sources, parent)
    assert (await anext(edits)).job_id == "c"


async def test_all_sources_end_where_nothing_can_wake_any_more(ledger):
    sources = await sources_of(ledger, job("p"), job("c", "p", operation="edits", depth=1))
    edits, shots = sources.all
    parent = await anext(shots)
    sources.begin()
    waiting = asyncio.ensure_future(anext(edits, None))
    await sources.end(parent, None)
    assert await anext(shots, None) is None
    assert await asyncio.wait_for(waiting, 5) is None


async def test_the_deepest_goes_first_though_it_was_woken_last(ledger):
    sources = await sources_of(
        ledger, job("p"), job("q", index=1), job("b", "p", depth=1), job("a", "p", depth=1),
        job("c", "q", depth=2),
    )  # fmt: skip
    [source] = sources.all
    first, second = await anext(source), await anext(source)
    for one in (first, second):
        sources.begin()
        await succeed(ledger, sources, one)
    assert [(await anext(source)).job_id for _ in range(3)] == ["c", "b", "a"]


async def test_a_job_that_a_worker_has_is_given_to_no_other_while_it_is_tried_again(ledger):
    """A create was sent before this run; it is refused now, and the job is pending again."""
    sources = await sources_of(ledger, job("p"), job("c", "p", depth=1))
    [source] = sources.all
    parent = await anext(source)
    sources.begin()
    await succeed(ledger, sources, parent)
    await ledger.record_intent(ledger.view.job("c"), at=AT)
    again = Sources(
        ledger, RunControl(), operations=["shots"], lives=Lives("http://a", {}), now=lambda: AT
    )
    [source] = again.all
    child = await anext(source)
    assert child.status is JobStatus.SUBMITTING
    again.begin()
    await ledger.record_refusal(child, at=AT, code="Throttling", message="slow", counts=False)
    assert await waits(source)


async def test_what_was_sent_goes_before_what_has_waited(ledger):
    sources = await sources_of(ledger, job("p"), job("c", "p", depth=1), job("s", index=1))
    [source] = sources.all
    parent = await anext(source)
    sources.begin()
    await succeed(ledger, sources, parent)
    await ledger.record_intent(ledger.view.job("s"), at=AT)
    again = Sources(
        ledger, RunControl(), operations=["shots"], lives=Lives("http://a", {}), now=lambda: AT
    )
    assert [(await anext(again.all[0])).job_id for _ in range(2)] == ["s", "c"]


async def test_what_was_skipped_while_a_parent_looked_failed_is_woken_after_all(ledger):
    sources = await sources_of(ledger, job("p"), job("q", index=1), job("c", "p", "q", depth=1))
    [source] = sources.all
    p, q = await anext(source), await anext(source)
    for one in (p, q):
        sources.begin()
        assert one.status is JobStatus.PENDING
    await ledger.record_result(p, JobResult(status=JobStatus.PARTIAL), at=AT)  # and goes on
    await succeed(ledger, sources, q)
    assert ledger.view.job("c").status is JobStatus.SKIPPED
    await succeed(ledger, sources, replace(p, is_retry=True))
    assert (await anext(source)).job_id == "c"


async def test_what_a_failed_job_leaves_nothing_for_is_told_down_to_the_last(ledger):
    sources = await sources_of(ledger, job("p"), job("c", "p", depth=1), job("d", "c", depth=2))
    [source] = sources.all
    parent = await anext(source)
    sources.begin()
    failed = JobResult(status=JobStatus.FAILED)
    await ledger.record_result(parent, failed, at=AT)
    assert sorted(await sources.end(parent, failed)) == ["c", "d"]
    assert await anext(source, None) is None
