"""Brings the ledger to where an invocation starts: the plan, lost files, what is sent again."""

from pathlib import Path

import orjson

from dsrun import __version__
from dsrun.common.console import say
from dsrun.common.models import JobError, JobResult, JobStatus
from dsrun.engine.fetch import artifacts_of, file_names
from dsrun.ledger.writer import Ledger
from dsrun.planning.job_index import ChosenJobs
from dsrun.planning.plan import Plan
from dsrun.service.catalog import asked_value
from dsrun.service.request import ranges_of
from dsrun.session.caching import Reuse
from dsrun.session.options import RunOptions
from dsrun.storage.artifacts import ArtifactStore
from dsrun.storage.metadata.pictures import untagged


async def prepare(
    ledger: Ledger,
    store: ArtifactStore,
    reuse: Reuse,
    *,
    plan: Plan,
    options: RunOptions,
    run_dir: Path,
    chosen: ChosenJobs | None,
    at: str,
    live_since: str,
) -> None:
    """`live_since`: what was sent later can still be fetched. Raises SetupError."""
    prices = {name: plan.catalog[name].price for name in plan.catalog.names}
    await ledger.load_plan(plan.jobs(), prices=prices, version=__version__)
    if chosen is not None:
        ledger.view.choose(chosen.ids())
    await _settle_answered(ledger, store, plan, at=at)
    await _find_lost_files(ledger, reuse, run_dir=run_dir, live_since=live_since)
    reuse.catch_up(ledger.view)
    if options.emulate:
        # The emulator of an earlier run is gone with its tasks; nothing was paid there.
        await ledger.reopen([JobStatus.SUBMITTING, JobStatus.SUBMITTED, JobStatus.UNKNOWN])
        await ledger.forget_uploads()
    # The emulator of an earlier run cannot be asked.
    asking_since = None if options.emulate else live_since
    if options.retry_failed:
        failed = [JobStatus.FAILED, JobStatus.CANCELLED]
        among = chosen.ids() if chosen else None
        await ledger.reopen(failed, among=among, asking_since=asking_since)
        await _reopen_partial(ledger, plan, asking_since=asking_since)
    if options.resubmit_unknown:
        await ledger.reopen([JobStatus.UNKNOWN], among=chosen.ids() if chosen else None)
    await reuse.bring_in(ledger)


async def _settle_answered(ledger: Ledger, store: ArtifactStore, plan: Plan, *, at: str) -> None:
    """A run was cut off while it wrote the file of an answer: the file is there, or it is lost."""
    for job, output, units in ledger.view.answered_jobs():
        operation = plan.catalog[job.operation]
        media = operation.artifacts.media
        saved = store.find(file_names(job, 0), media=media, undo=untagged)
        if saved is None:
            words = "dsrun was stopped between reading the answer and writing its file"
            result = JobResult(
                status=JobStatus.PARTIAL,
                output=output,
                error=JobError(code="NotWritten", message=words, kind="partial"),
                units=units,
            )
        else:
            asked = operation.artifacts.asked_rate
            rate = asked_value(orjson.loads(job.body), operation, asked) if asked else None
            made = tuple(artifacts_of(saved, 0, sample_rate=rate))
            result = JobResult(
                status=JobStatus.SUCCEEDED, artifacts=made, output=output, units=units
            )
        await ledger.record_result(job, result, at=at)


async def _find_lost_files(ledger: Ledger, reuse: Reuse, *, run_dir: Path, live_since: str) -> None:
    """Files of finished jobs that are gone come back from the cache or from the service."""
    for job_id, index, path, sha256 in ledger.view.artifacts():
        if (run_dir / path).exists():
            continue
        if reuse.restore(ledger.view.job(job_id), index, path, sha256):
            say(f"{path} is missing; brought back from the cache")
        elif ledger.view.can_be_fetched(job_id, since=live_since):
            say(f"{path} is missing; asking the service for it again")
            await ledger.reopen_lost(job_id)
        else:
            say(f"warning: {path} is missing, and the service has not kept it")


async def _reopen_partial(ledger: Ledger, plan: Plan, *, asking_since: str | None) -> None:
    """Ask again for what is missing, where an operation can make it alone."""
    for job_id, operation, missing in ledger.view.partial_jobs():
        if not (plan.catalog[operation].artifacts.count and missing):
            continue
        if asking_since and ledger.view.can_be_fetched(job_id, since=asking_since):
            await ledger.reopen_task(job_id)
        else:
            first, count = ranges_of(missing)[0]
            await ledger.reopen_part(job_id, first=first, count=count)
