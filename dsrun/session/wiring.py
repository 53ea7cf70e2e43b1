"""Builds the parts of a run and joins them; the only place that knows them all."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from random import Random

from dsrun.common.checked_reader import CheckedReader
from dsrun.common.clock import SystemClock, stamp
from dsrun.common.models import Json, OpenJob
from dsrun.common.settings import Settings
from dsrun.common.units import Rate
from dsrun.engine.backoff import PollEstimate
from dsrun.engine.control import RunControl
from dsrun.engine.fetch import Fetcher
from dsrun.engine.job_runner import Runner
from dsrun.engine.limits import Lane, RateLimiter
from dsrun.engine.listing import Lister
from dsrun.engine.poll import Poller
from dsrun.engine.reconcile import Reconciler
from dsrun.engine.submit import Submitter
from dsrun.engine.upload import Uploader
from dsrun.ledger.peers import LedgerClaims
from dsrun.ledger.view import LedgerView
from dsrun.ledger.writer import Ledger
from dsrun.manifest.execution import Execution
from dsrun.planning.uploads import UploadFiles
from dsrun.service.catalog import Catalog
from dsrun.service.client import ApiClient
from dsrun.service.operation import Operation
from dsrun.service.transport import Transport
from dsrun.storage.artifacts import ArtifactStore
from dsrun.storage.metadata.pictures import tagging


def build_runner(
    *,
    transport: Transport,
    settings: Settings,
    ledger: Ledger,
    store: ArtifactStore,
    catalog: Catalog,
    operations: list[str],
    control: RunControl,
    execution: Execution,
    claims: LedgerClaims,
    files: UploadFiles,
    metadata: bool,
    resubmit_unknown: bool,
) -> Runner:
    """A runner for jobs of these operations."""
    clock, rng = SystemClock(), Random()  # noqa: S311  # jitter, no secret
    api = ApiClient(transport, settings)

    questions = _poll_limiter(execution.poll_rate, clock, claims)
    uploader = Uploader(
        api=api, files=files.by_content, open_file=CheckedReader, recorder=ledger, control=control,
        clock=clock, rng=rng, max_attempts=execution.max_attempts,
        limiters=_upload_limiters(catalog, operations, clock),
    )  # fmt: skip
    lister = Lister(
        api=api, control=control, clock=clock, rng=rng, limiter=questions,
        max_attempts=execution.max_attempts,
    )  # fmt: skip
    reconciler = Reconciler(
        api=api, claims=claims, control=control, clock=clock, lister=lister, limiter=questions,
        grace_s=execution.grace_s,
    )  # fmt: skip
    return Runner(
        uploads=uploader,
        submitter=Submitter(
            api=api, recorder=ledger, reconciler=reconciler, uploads=uploader, control=control,
            clock=clock, rng=rng, max_attempts=execution.max_attempts, is_valid=_validity(catalog),
            ledger=ledger.view, run_id=ledger.run_id, resubmit_unknown=resubmit_unknown,
        ),
        poller=Poller(
            api=api, recorder=ledger, control=control, clock=clock, rng=rng, limiter=questions,
            timeout_s=execution.timeout_s,
        ),
        fetcher=Fetcher(
            api=api, sink=store, recorder=ledger, control=control, clock=clock, rng=rng,
            max_attempts=execution.max_attempts, tagging=tagging if metadata else None,
        ),
        recorder=ledger,
        lanes={name: _lane(catalog[name], execution, clock, claims) for name in operations},
        control=control,
        clock=clock,
    )  # fmt: skip


def build_lister(
    transport: Transport, settings: Settings, *, execution: Execution, control: RunControl
) -> Lister:
    """Reads the service's lists, for whoever asks before the runner does."""
    clock = SystemClock()
    return Lister(
        api=ApiClient(transport, settings), control=control, clock=clock,
        rng=Random(),  # noqa: S311  # jitter, no secret
        limiter=RateLimiter(execution.poll_rate, clock=clock), max_attempts=execution.max_attempts,
    )  # fmt: skip


def _validity(catalog: Catalog) -> Callable[[str, Json], bool]:
    return lambda operation, request: catalog.validator(operation).is_valid(request)


def _upload_limiters(
    catalog: Catalog, operations: list[str], clock: SystemClock
) -> dict[str, RateLimiter]:
    return {
        name: RateLimiter(uploads.rate, clock=clock)
        for name in operations
        if (uploads := catalog[name].uploads)
    }


async def ledger_source(view: LedgerView, operation: str) -> AsyncIterator[OpenJob]:
    """The open jobs of one operation, read from the ledger page by page."""
    for job in view.open_jobs(operation=operation):
        yield job


def _poll_limiter(rate: Rate, clock: SystemClock, claims: LedgerClaims) -> RateLimiter:
    """Questions are in no ledger: a run that was there just now is taken to have asked its fill."""
    since = stamp(clock.now() - timedelta(seconds=rate.per_s))
    used = rate.requests if claims.was_active(since=since) else 0
    return RateLimiter(rate, clock=clock, used=used)


def _create_limiter(
    operation: Operation, rate: Rate, clock: SystemClock, claims: LedgerClaims
) -> RateLimiter:
    """A run that was killed may have sent its creates up to this moment, and others go on."""
    since = stamp(clock.now() - timedelta(seconds=rate.per_s + operation.timeout_s))
    used = claims.recent_creates(operation.name, since=since)
    return RateLimiter(rate, clock=clock, used=used)


def _lane(
    operation: Operation, execution: Execution, clock: SystemClock, claims: LedgerClaims
) -> Lane:
    polling = operation.polling
    advised_first, advised_max = (polling.first_s, polling.max_s) if polling else (1.0, 10.0)
    first, longest = execution.poll_first_s, execution.poll_max_s
    max_s = advised_max if longest is None else longest
    return Lane(
        operation,
        limiter=_create_limiter(operation, execution.rate or operation.rate, clock, claims),
        submit_window=execution.submit_window,
        estimate=PollEstimate(
            first_s=advised_first if first is None else first, max_s=max_s, learns=first is None
        ),
        max_poll_s=max_s,
    )
