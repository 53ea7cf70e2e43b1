"""Builds the parts of the engine and joins them; the only place that knows them all."""

from collections import ChainMap
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from random import Random

from dsrun.common.clock import SystemClock, stamp
from dsrun.common.models import Json, UploadFile
from dsrun.common.pointer import dotted
from dsrun.common.redaction import mask
from dsrun.common.settings import Settings
from dsrun.common.units import Rate
from dsrun.common.user_files import CheckedReader
from dsrun.engine.control import RunControl
from dsrun.engine.failed_tasks import FailedTasks
from dsrun.engine.fetch import Fetcher
from dsrun.engine.job_runner import Runner
from dsrun.engine.limits import RateLimiter
from dsrun.engine.listing import Lister
from dsrun.engine.poll import Poller
from dsrun.engine.reconcile import Reconciler
from dsrun.engine.submit import Submitter
from dsrun.engine.upload import Uploader
from dsrun.ledger import lookup
from dsrun.ledger.peers import LedgerClaims
from dsrun.manifest.execution import Execution
from dsrun.service.catalog import Catalog
from dsrun.service.client import ApiClient, HttpTransport
from dsrun.service.operation import TaskList
from dsrun.session.lanes import build_lanes
from dsrun.session.materials import Materials
from dsrun.session.open_run import OpenRun
from dsrun.storage.metadata.pictures import tagging, untagged


def build_runner(
    transport: HttpTransport, run: OpenRun, control: RunControl, *, operations: list[str]
) -> Runner:
    """A runner for jobs of these operations."""
    catalog, execution, clock, claims = run.plan.catalog, run.execution, run.clock, run.claims
    wiring = _Wiring(
        run, control, api=ApiClient(transport, run.settings),
        questions=_poll_limiter(execution.poll_rate, clock, claims),
    )  # fmt: skip
    materials = Materials(
        run.ledger.view, run.layout.run_dir, lives=run.lives, clock=clock,
        files=run.plan.files.by_content,
    )  # fmt: skip
    uploader = wiring.uploader(_upload_limiters(catalog, operations, clock), materials.files)
    return Runner(
        materials=materials,
        uploads=uploader,
        submitter=wiring.submitter(uploader),
        poller=wiring.poller(),
        fetcher=wiring.fetcher(),
        failed_tasks=wiring.failed_tasks(),
        recorder=run.ledger,
        lanes=build_lanes(catalog, operations, execution, clock, claims),
        control=control,
        clock=clock,
    )


def build_lister(transport: HttpTransport, run: OpenRun, control: RunControl) -> Lister:
    """Reads the service's lists, for whoever asks before the runner does."""
    questions = RateLimiter(run.execution.poll_rate, clock=run.clock)
    api = ApiClient(transport, run.settings)
    return _Wiring(run, control, api=api, questions=questions).lister()


def lone_lister(
    transport: HttpTransport, settings: Settings, clock: SystemClock, *, max_attempts: int
) -> Lister:
    """Reads the service's lists where there is no run."""
    return Lister(
        api=ApiClient(transport, settings), control=RunControl(), clock=clock,
        rng=Random(),  # noqa: S311  # jitter, no secret
        limiter=RateLimiter(Execution().poll_rate, clock=clock), max_attempts=max_attempts,
    )  # fmt: skip


class _Wiring:
    """Makes the engine's parts, each with the doors that it takes."""

    def __init__(
        self, run: OpenRun, control: RunControl, *, api: ApiClient, questions: RateLimiter
    ) -> None:
        """`questions` keeps the one rate of all questions about tasks."""
        self._run = run
        self._control = control
        self._api = api
        self._questions = questions
        self._rng = Random()  # noqa: S311  # jitter, no secret

    def uploader(
        self, limiters: Mapping[str, RateLimiter], made: dict[str, UploadFile]
    ) -> Uploader:
        """`made`: files of jobs that others take."""
        run = self._run
        return Uploader(
            api=self._api, files=ChainMap({**run.plan.files.by_content}, made),
            open_file=CheckedReader, recorder=run.ledger, control=self._control,
            clock=run.clock, rng=self._rng,
            max_attempts=run.execution.max_attempts, limiters=limiters,
        )  # fmt: skip

    def lister(self) -> Lister:
        run = self._run
        return Lister(
            api=self._api, control=self._control, clock=run.clock, rng=self._rng,
            limiter=self._questions, max_attempts=run.execution.max_attempts,
        )  # fmt: skip

    def submitter(self, uploader: Uploader) -> Submitter:
        run, catalog = self._run, self._run.plan.catalog
        reconciler = Reconciler(
            api=self._api, claims=run.claims, control=self._control, clock=run.clock,
            lister=self.lister(), limiter=self._questions, grace_s=run.execution.grace_s,
            sharing=_sharing(catalog),
        )  # fmt: skip
        return Submitter(
            api=self._api, recorder=run.ledger, reconciler=reconciler, uploads=uploader,
            control=self._control, clock=run.clock, rng=self._rng,
            max_attempts=run.execution.max_attempts, broken_rules=partial(_broken_rules, catalog),
            ledger=run.ledger.view, run_id=run.ledger.run_id,
            repeat_below=run.execution.repeat_below,
            resubmit_unknown=run.options.resubmit_unknown,
        )  # fmt: skip

    def poller(self) -> Poller:
        run = self._run
        return Poller(
            api=self._api, recorder=run.ledger, control=self._control, clock=run.clock,
            rng=self._rng, limiter=self._questions, timeout_s=run.execution.timeout_s,
        )  # fmt: skip

    def fetcher(self) -> Fetcher:
        run = self._run
        return Fetcher(
            api=self._api, sink=run.store, find=partial(run.store.find, undo=untagged),
            recorder=run.ledger, control=self._control, clock=run.clock, rng=self._rng,
            max_attempts=run.execution.max_attempts,
            tagging=tagging if run.plan.manifest.metadata else None,
        )  # fmt: skip

    def failed_tasks(self) -> FailedTasks:
        run, retry = self._run, self._run.execution.retry
        return FailedTasks(
            most=retry.failed_tasks, codes=retry.codes,
            tried=lookup.tries_begun(run.ledger.view) if retry.failed_tasks else {},
            recorder=run.ledger, control=self._control, clock=run.clock, rng=self._rng,
        )  # fmt: skip


def _sharing(catalog: Catalog) -> dict[str, list[str]]:
    """The operations of one model, whose tasks stand in one list, by each of them."""
    models = {
        name: recovery.model_name
        for name in catalog.names
        if isinstance(recovery := catalog[name].recovery, TaskList)
    }
    return {name: [other for other in models if models[other] == models[name]] for name in models}


def _broken_rules(catalog: Catalog, operation: str, request: Json) -> str:
    """In words, with each place; empty where a request may be sent."""
    validator = catalog.validator(operation)
    if validator.is_valid(request):
        return ""
    problems = validator.problems(request)
    words = (f"{dotted(broken.path) or 'the request'}: {broken.message}" for broken in problems)
    return mask("; ".join(words)) or "the request does not meet the operation's schema"


def _upload_limiters(
    catalog: Catalog, operations: list[str], clock: SystemClock
) -> dict[str, RateLimiter]:
    return {
        name: RateLimiter(uploads.rate, clock=clock)
        for name in operations
        if (uploads := catalog[name].uploads)
    }


def _poll_limiter(rate: Rate, clock: SystemClock, claims: LedgerClaims) -> RateLimiter:
    """No ledger records task queries, so a run that was active just now counts as a full rate."""
    since = stamp(clock.now() - timedelta(seconds=rate.per_s))
    used = rate.requests if claims.was_active(since=since) else 0
    return RateLimiter(rate, clock=clock, used=used)
