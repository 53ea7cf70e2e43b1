"""Jobs that wait for others: when they are woken, and when they are skipped."""

import pytest

from dsrun.common.models import Artifact, Job, JobError, JobResult, JobStatus, Parent
from dsrun.service.catalog import load_catalog
from tests.fakes import AT


def job(name, *parents, index=0, units=1):
    """A job; each parent is the name of a job and what is taken of it."""
    edges = tuple(
        Parent(axis="a", step="above", index=0, job_id=parent, takes=takes)
        for parent, takes in parents
    )
    return Job(
        job_id=name, step="step", index=index, replica=0, operation="op", matrix={}, request={},
        body=b"{}", stems=tuple(f"{name}-{n}" for n in range(units)), units=units,
        late=((("input"),),) if any(takes for _, takes in parents) else (), parents=edges,
        depth=int(bool(parents)),
    )  # fmt: skip


async def load(ledger, *jobs):
    await ledger.load_plan(iter(jobs), prices={"op": load_catalog()["wanx-v1"].price}, version="1")


async def end(ledger, name, *, status=JobStatus.SUCCEEDED, output=None, files=(), error=None):
    artifacts = tuple(
        Artifact(path=f"artifacts/{name}-{n}.png", sha256="0", source_sha256="0", size=1,
                 media_type="image/png", index=n)
        for n in files
    )  # fmt: skip
    result = JobResult(status=status, artifacts=artifacts, output=output, error=error)
    await ledger.record_result(ledger.view.job(name), result, at=AT)


async def wake(ledger, *parents):
    return await ledger.wake(AT, parents=parents or None)


def status(ledger, name):
    return ledger.view.job(name).status


async def test_a_job_that_takes_something_waits_until_it_is_there(ledger):
    await load(ledger, job("p"), job("c", ("p", "file:0")))
    assert status(ledger, "c") is JobStatus.WAITING
    await wake(ledger, "p")
    assert status(ledger, "c") is JobStatus.WAITING
    await end(ledger, "p", files=[0])
    assert await wake(ledger, "p") == []
    assert status(ledger, "c") is JobStatus.PENDING


async def test_a_job_of_which_nothing_late_is_taken_delays_nothing(ledger):
    await load(ledger, job("p"), job("c", ("p", None)))
    assert status(ledger, "c") is JobStatus.PENDING


async def test_a_job_waits_for_all_that_it_takes(ledger):
    await load(ledger, job("p"), job("q"), job("c", ("p", "file:0"), ("q", "output:voice")))
    await end(ledger, "p", files=[0])
    await wake(ledger, "p")
    assert status(ledger, "c") is JobStatus.WAITING
    await end(ledger, "q", output={"voice": "v1"})
    await wake(ledger, "q")
    assert status(ledger, "c") is JobStatus.PENDING


@pytest.mark.parametrize(
    ("ended", "takes", "words"),
    [
        ({"status": JobStatus.FAILED, "error": JobError(code="Bad", message="m", kind="job")},
         "file:0", "above 0 (job p) has no file 0: it is failed, Bad"),
        ({"status": JobStatus.CANCELLED}, "file:0", "it is cancelled"),
        ({"status": JobStatus.PARTIAL, "files": [0]}, "file:1", "has no file 1: it is partial"),
        ({"output": {"voice": None}}, "output:voice", "has no output voice: it is succeeded"),
        ({"output": None}, "output:voice", "has no output voice"),
    ],
)  # fmt: skip
async def test_a_job_is_skipped_where_one_did_not_give_what_it_takes(ledger, ended, takes, words):
    await load(ledger, job("p", units=2), job("c", ("p", takes)))
    await end(ledger, "p", **ended)
    assert await wake(ledger, "p") == ["c"]
    row = ledger.view.row("SELECT * FROM job WHERE job_id = 'c'")
    assert row["status"] == "skipped"
    assert words in row["error_message"]
    assert (row["error_code"], row["error_class"]) == ("ParentMissing", "parent")


async def test_a_partial_job_gives_the_files_that_are_there(ledger):
    await load(ledger, job("p", units=2), job("c", ("p", "file:0")), job("d", ("p", "file:1")))
    await end(ledger, "p", status=JobStatus.PARTIAL, files=[0])
    assert await wake(ledger, "p") == ["d"]
    assert status(ledger, "c") is JobStatus.PENDING


async def test_what_was_skipped_while_a_part_was_missing_goes_on_with_all_below_it(ledger):
    await load(
        ledger, job("p", units=2), job("q"), job("c", ("p", "file:1")), job("g", ("c", "file:0")),
        job("h", ("g", "file:0")), job("o", ("c", "file:0"), ("q", "file:0")),
    )  # fmt: skip
    await end(ledger, "q", status=JobStatus.FAILED)
    await end(ledger, "p", status=JobStatus.PARTIAL, files=[0])
    await wake(ledger)
    assert {status(ledger, name) for name in "cgho"} == {JobStatus.SKIPPED}
    await end(ledger, "p", files=[0, 1])
    await ledger.reconsider("p")
    assert await wake(ledger, "p") == []
    assert status(ledger, "c") is JobStatus.PENDING
    assert {status(ledger, name) for name in "gho"} == {JobStatus.WAITING}
    await end(ledger, "c", files=[0])
    assert await wake(ledger, "c") == ["o"]
    assert status(ledger, "g") is JobStatus.PENDING


async def test_what_is_skipped_for_a_part_that_never_comes_is_skipped_again_with_all_below(ledger):
    await load(
        ledger, job("p", units=2), job("c", ("p", "file:1")), job("g", ("c", "file:0")),
    )  # fmt: skip
    await end(ledger, "p", status=JobStatus.PARTIAL, files=[0])
    await wake(ledger)
    await ledger.reconsider("p")
    assert set(await wake(ledger, "p")) == {"c", "g"}
    assert status(ledger, "g") is JobStatus.SKIPPED


async def test_a_job_in_doubt_keeps_those_that_wait_for_it_waiting(ledger):
    await load(ledger, job("p"), job("c", ("p", "file:0")))
    await end(ledger, "p", status=JobStatus.UNKNOWN)
    await wake(ledger)
    assert status(ledger, "c") is JobStatus.WAITING


async def test_what_is_skipped_skips_what_builds_on_it(ledger):
    await load(ledger, job("p"), job("c", ("p", "file:0")), job("g", ("c", "file:0")))
    await end(ledger, "p", status=JobStatus.FAILED)
    assert set(await wake(ledger, "p")) == {"c", "g"}


async def test_a_job_that_is_open_again_lets_the_skipped_wait_again(ledger):
    await load(ledger, job("p"), job("c", ("p", "file:0")), job("g", ("c", "file:0")))
    await end(ledger, "p", status=JobStatus.FAILED)
    await wake(ledger, "p")
    await ledger.reopen([JobStatus.FAILED])
    await ledger.let_wait()
    assert status(ledger, "p") is JobStatus.PENDING
    assert status(ledger, "c") is JobStatus.WAITING
    assert status(ledger, "g") is JobStatus.WAITING


async def test_very_many_are_woken_page_by_page(ledger):
    children = [job(f"c{n}", ("p", "file:0"), index=n) for n in range(2500)]
    await load(ledger, job("p"), *children)
    await end(ledger, "p", files=[0])
    await wake(ledger)
    assert ledger.view.row("SELECT count(*) FROM job WHERE status = 'waiting'")[0] == 0
