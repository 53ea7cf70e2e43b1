"""What a run takes from the result cache before it sends, and gives to it as its jobs end."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import orjson

from dsrun.common.batch_worker import GroupWorker
from dsrun.common.clock import SystemClock, stamp
from dsrun.common.console import count_of, say
from dsrun.common.digest import sha256_hex
from dsrun.common.errors import SetupError
from dsrun.common.media import MEDIA, media_of
from dsrun.common.models import Artifact, JobError, JobResult, JobStatus, Json, OpenJob
from dsrun.engine.fetch import file_names
from dsrun.ledger import lookup, totals
from dsrun.ledger.reader import LedgerReader
from dsrun.ledger.rows import Row, artifact_of, is_reusable, says_all
from dsrun.ledger.waiting import has_edges, unsent_late
from dsrun.ledger.writer import Ledger
from dsrun.service.catalog import Catalog
from dsrun.session.materials import NotThere, as_told
from dsrun.session.remade import Remade
from dsrun.storage.cache import Finished, ResultCache
from dsrun.storage.cache_index import CachedFile, CachedResult, CacheFault
from dsrun.storage.layout import ARTIFACTS, RunLayout
from dsrun.storage.metadata.pictures import tagging, untagged
from dsrun.storage.metadata.splice import Change, rewrite

_WITHOUT_TASK = (JobStatus.PENDING, JobStatus.SUBMITTING)
_REUSABLE = {JobStatus.SUCCEEDED, JobStatus.PARTIAL}  # what may have results for the cache
_PAGE = 250  # results at once: their links take some milliseconds
_KEPT_AT_ONCE = 2000  # results of this run: on a thread of their own, where nobody waits for them
_KEEP_S = 10.0  # how long a result may wait for as many

_NOT_ADDED = "finished jobs are not added"
_WITHOUT_FILE = (
    "an earlier run made it, and its file was lost with the answer; a higher `take` of the step "
    "makes it anew, and all that was made of it"
)

Item = TypeVar("Item")


class Ended(NamedTuple):
    """A job that gave what it can; a file with several names is listed once for each."""

    job_id: str
    output: Json
    artifacts: Sequence[Artifact]
    sent: str | None = None  # SHA-256 of the request as it was sent, with what others gave
    parents: tuple[str, ...] = ()  # who gave it
    job: OpenJob | None = None  # where it has just ended


def finished(ended: Ended, run_dir: str) -> Finished:
    """What the cache takes of a job: each of its files once, under the first of its names."""
    first: dict[tuple[str, int], Artifact] = {}
    for item in ended.artifacts:
        first.setdefault((item.name, item.index), item)
    files = tuple(
        CachedFile(
            index=item.index,
            sha256=item.sha256,
            source_sha256=item.source_sha256,
            size=item.size,
            media_type=item.media_type,
            extension=item.path.rpartition(".")[2],
            seed=item.seed,
            sample_rate=item.sample_rate,
            duration_s=item.duration_s,
            width=item.width,
            height=item.height,
            name=item.name,
        )
        for item in first.values()
    )
    result = CachedResult(
        job_id=ended.job_id, output=ended.output, files=files, sent=ended.sent,
        parents=ended.parents,
    )  # fmt: skip
    return Finished(result, [f"{run_dir}/{item.path}" for item in first.values()])


def reusable(view: LedgerReader) -> Iterator[Ended]:
    """The jobs of a ledger whose results other runs may use, read page by page."""
    for job, artifacts, *_ in view.result_rows():
        if is_reusable(job, artifacts):
            with view.reading():
                ended = _ended(view, job, artifacts)
            yield ended


def reusable_there(ledger: Path, pages: Iterable[Sequence[str]]) -> Iterator[list[Ended]]:
    """The jobs of `pages` whose results another run has; none where it cannot be read."""
    try:
        view = LedgerReader(ledger)
    except SetupError:
        return
    with closing(view):
        for page in pages:
            try:
                with view.reading():
                    ended = [_ended(view, *rows) for rows in lookup.reusable(view, page)]
            except SetupError:
                return
            yield ended


def _ended(view: LedgerReader, job: Row, artifacts: Iterable[Row]) -> Ended:
    made = list(map(artifact_of, artifacts))
    output = None if job["output"] is None else orjson.loads(job["output"])
    sent = job["sent"] if "sent" in job.keys() else None  # noqa: SIM118  # a Row
    return _made_of(view, Ended(job["job_id"], output, made), sent)


def _made_of(view: LedgerReader, ended: Ended, sent: str | None) -> Ended:
    """With what it was made of: the request as it was sent, and the jobs that gave it."""
    if sent is None:
        return ended
    parents = lookup.needed_by(view, ended.job_id)
    return ended._replace(sent=sha256_hex(sent.encode()), parents=parents)


def retag(path: Path, file: CachedFile, *, tag: Change | None) -> CachedFile:
    """Rewrite a file with this tag, or without one, and say what it is now.

    It stays as it is where it has what is wanted, or cannot take a tag. Without a tag it is, to
    the byte, what the service gave. Raises OSError.
    """
    is_tagged = file.sha256 != file.source_sha256
    if is_tagged is (tag is not None):
        return file
    if tag is None:
        written = rewrite(path, untagged, sha256=file.source_sha256)
    else:
        written = rewrite(path, tag)
    return file if written is None else replace(file, sha256=written.sha256, size=written.size)


def retag_to(path: Path, file: CachedFile, *, tag: Change, sha256: str) -> CachedFile | None:
    """The file once it is the one of this SHA-256; None where it cannot be. Raises OSError."""
    if file.sha256 != sha256:
        is_tagged = file.sha256 != file.source_sha256
        file = retag(path, file, tag=None if is_tagged else tag)
    return file if file.sha256 == sha256 else None


class Reuse:
    """The cache as one run uses it. Whatever is wrong with the cache is a warning.

    It is read while no job runs, on the event loop's thread, and filled page by page on a thread of
    its own. What a killed run could not add is added by the next run of its directory.
    """

    def __init__(
        self, layout: RunLayout, *, catalog: Catalog, clock: SystemClock,
        enabled: bool, metadata: bool,
    ) -> None:  # fmt: skip
        """`metadata`: pictures carry their request, whichever run made them."""
        self._catalog = catalog
        self._out = layout.out
        self._run_dir = str(layout.run_dir)
        self._ledger_name = layout.ledger.name
        self._temporary = str(layout.temp / "cached")
        self._directory = layout.run_dir.relative_to(layout.out).as_posix()
        self._clock = clock
        self._metadata = metadata
        self._fault: CacheFault | None = None  # after the first one the cache is left alone
        self._is_complete = True
        self._may_come: set[str] = set()  # jobs that wait for others, and may be in the cache
        self._waiting: list[Ended] = []
        self._handed_over_at = clock.monotonic()
        self._handed_over: asyncio.Future[None] | None = None  # the last page
        self._cache: ResultCache | None = None
        self._worker: GroupWorker[list[Ended], None] | None = None
        if enabled:
            with self._forgiving():
                self._cache = ResultCache(layout.cache)
                if self._cache.is_read_only:
                    say(f"warning: the cache {layout.cache} cannot be written; {_NOT_ADDED}")
                else:
                    self._worker = GroupWorker(self._keep_pages, name="cache")

    def close(self) -> None:
        """Give the cache what is still waiting. Blocks until that is done."""
        if self._worker is not None:
            self._hand_over()
            self._worker.close()
            self._note_complete(is_complete=self._is_complete)
        if self._cache is not None:
            self._cache.close()

    def fill_in(self, run_dirs: Iterable[Path], view: LedgerReader) -> None:
        """Give the cache what other runs made and have not given yet, where this run wants it."""
        if self._cache is None or self._worker is None or self._fault is not None:
            return
        with self._forgiving():
            for run_dir in run_dirs:
                if not self._cache.index.is_complete(run_dir.relative_to(self._out).as_posix()):
                    for page in reusable_there(
                        run_dir / self._ledger_name, view.ids(JobStatus.WAITING, *_WITHOUT_TASK)
                    ):
                        self._keep_fitting(page, str(run_dir), view, here=view)

    def _keep_fitting(
        self,
        page: Sequence[Ended],
        run_dir: str,
        view: LedgerReader | None,
        *,
        here: LedgerReader | None = None,
    ) -> None:
        """Keep results. Of two that were made of others, the one stays that fits to these.

        `view` has jobs that do not come along, and `here` says what the others gave, before the
        cache does.
        """
        if self._cache is None:
            return
        self._keep([ended for ended in page if ended.sent is None], run_dir)
        late = [ended for ended in page if ended.sent is not None]
        known = self._cache.index.sent([ended.job_id for ended in late])
        remade = Remade(self._cache, here)
        fitting: list[Ended] = []
        for ended in late:
            if ended.job_id in known:
                self._keep(fitting, run_dir)  # it may be made of these
                fitting.clear()
                job = ended.job or (view and view.job(ended.job_id))
                is_same = job and remade.is_same(job, finished(ended, run_dir).result)
                if known[ended.job_id] == ended.sent or not is_same:
                    continue
            fitting.append(ended)
        self._keep(fitting, run_dir)

    def catch_up(self, view: LedgerReader) -> None:
        """Give the cache what an earlier run of this directory made and did not give."""
        if self._cache is None or self._worker is None or self._fault is not None:
            return
        with self._forgiving():
            is_complete = self._cache.index.is_complete(self._directory)
            if not is_complete and _REUSABLE.intersection(totals.counts(view)):
                for page in _pages(reusable(view)):
                    self._keep_fitting(page, self._run_dir, view)
        self._note_complete(is_complete=False)

    async def bring_in(self, ledger: Ledger) -> None:
        """Every job without a task whose result is in the cache becomes succeeded, at no cost.

        What waits for these is woken, and asked for in its turn. Raises SetupError where the run
        directory does not take the files.
        """
        view = ledger.view
        await self._until_given()
        await self._bring(ledger, (view.open_jobs(operation=name) for name in view.operations()))
        await ledger.let_wait()
        await ledger.wake(self._now())
        if not has_edges(view):
            return
        ready = partial(unsent_late, view, JobStatus.PENDING)
        while await self._bring(ledger, (ready(operation=name) for name in view.operations())):
            await ledger.wake(self._now())
        self._note_waiting(view)

    async def bring_late(self, ledger: Ledger, job: OpenJob) -> JobResult | None:
        """The result of a job that has waited, while the run goes on; None: it must be sent."""
        if job.job_id not in self._may_come or job.status not in _WITHOUT_TASK:
            return None
        self._may_come.discard(job.job_id)
        await self._until_given()
        brought = await self._bring(ledger, [[job]])
        return brought[0] if brought else None

    async def _bring(self, ledger: Ledger, sources: Iterable[Iterable[OpenJob]]) -> list[JobResult]:
        """How the jobs ended that the cache has, of those that have no task."""
        results: list[JobResult] = []
        if self._cache is None or self._fault is not None:
            return results
        with self._forgiving():
            if self._cache.index.is_empty():
                return results
            for jobs in sources:
                for page in _pages(job for job in jobs if job.status in _WITHOUT_TASK):
                    if brought := list(self._take(self._cache, page, ledger.view)):
                        self._cache.sync()
                        await ledger.record_cached(brought, at=self._now())
                        results += [result for _, result in brought]
            if number := self._cache.damaged:
                self._cache.damaged = 0
                damaged = count_of(number, "damaged result")
                say(f"warning: {damaged} of the cache passed over; their jobs are sent again")
        return results

    def _note_waiting(self, view: LedgerReader) -> None:
        """Which of the jobs that wait for others the cache may have, once those have ended."""
        self._may_come.clear()
        if self._cache is None or self._fault is not None:
            return
        with self._forgiving():
            for page in view.ids(JobStatus.WAITING):
                self._may_come.update(self._cache.index.known(page))

    def restore(self, job: OpenJob, place: tuple[str, int], path: str, sha256: str) -> bool:
        """Bring back a file that the run directory has lost. Returns whether the cache had it.

        `place` is the name of its kind, and its index.
        """
        if self._cache is None or self._fault is not None:
            return False
        with self._forgiving():
            for result in self._cache.take([job.job_id], at=self._now()).values():
                for file in result.files:
                    if (file.name, file.index) == place:
                        tag = tagging(job, file.index, seed=file.seed)
                        is_here = self._cache.bring(
                            job.job_id, file, [f"{self._run_dir}/{path}"],
                            temporary=self._temporary,
                            remake=partial(retag_to, tag=tag, sha256=sha256),
                        )  # fmt: skip
                        self._cache.sync()
                        return is_here is not None
        return False

    def note_end(self, view: LedgerReader, job: OpenJob, result: JobResult | None) -> None:
        """Keep the result of a job of this run for the cache, if other runs may use it."""
        if self._worker is None or result is None or not _is_reusable(result):
            return
        if job.part is not None or job.have:
            # These are the files that were missing; the ledger alone has all of them.
            self._is_complete = False
            return
        ended = Ended(job.job_id, result.output, result.artifacts, job=job)
        sent = view.job(job.job_id).sent if job.late else None
        self._waiting.append(_made_of(view, ended, sent.decode() if sent else None))
        waited_s = self._clock.monotonic() - self._handed_over_at
        if len(self._waiting) >= _KEPT_AT_ONCE or waited_s > _KEEP_S:
            self._hand_over()

    def _note_complete(self, *, is_complete: bool) -> None:
        if self._cache is not None and self._fault is None:
            with self._forgiving():
                self._cache.index.note_complete(self._directory, is_complete=is_complete)

    async def _until_given(self) -> None:
        """Wait until all that has ended is in the cache and the worker is idle."""
        self._hand_over()
        while self._handed_over is not None and not self._handed_over.done():
            await self._handed_over

    def _hand_over(self) -> None:
        if self._worker is not None and self._waiting:
            self._handed_over = self._worker.put(self._waiting)
        self._waiting = []
        self._handed_over_at = self._clock.monotonic()

    def _keep_pages(self, pages: Sequence[list[Ended]]) -> list[None]:
        """On the worker's thread. After a fault nothing more is tried."""
        for page in pages:
            if self._fault is None:
                with self._forgiving():
                    self._keep_fitting(page, self._run_dir, None)
        return [None] * len(pages)

    def _keep(self, page: Sequence[Ended], run_dir: str) -> None:
        if self._cache is not None and page:
            self._cache.keep([finished(ended, run_dir) for ended in page], at=self._now())

    def _take(
        self, cache: ResultCache, page: Sequence[OpenJob], view: LedgerReader
    ) -> Iterator[tuple[OpenJob, JobResult]]:
        cached = cache.take([job.job_id for job in page], at=self._now())
        for job in page:
            result = cached.get(job.job_id)
            if job.late and result is not None:
                job = _as_sent(job, view)  # noqa: PLW2901
                is_same = job.sent is not None and sha256_hex(job.sent) == result.sent
                result = result if is_same else None
            if result is None:
                continue
            artifacts = self._bring_files(cache, job, result)
            if artifacts is None:
                self._pass_over(cache, result)
                continue
            yield job, self._as_here(job, artifacts, result)

    def _as_here(
        self, job: OpenJob, artifacts: tuple[Artifact, ...], result: CachedResult
    ) -> JobResult:
        """How a job ends that the cache has: as it did where it was made."""
        status, error = JobStatus.SUCCEEDED, None
        if not artifacts and self._fewest_files(job):
            status = JobStatus.PARTIAL
            error = JobError(code="AnswerLost", message=_WITHOUT_FILE, kind="partial")
        return JobResult(status=status, artifacts=artifacts, output=result.output, error=error)

    def _fewest_files(self, job: OpenJob) -> int:
        return self._catalog[job.operation].fewest_files(len(job.stems[0]))

    def _bring_files(
        self, cache: ResultCache, job: OpenJob, result: CachedResult
    ) -> tuple[Artifact, ...] | None:
        """The job's files in the run directory; None where the cache has not all of them."""
        is_told = not result.files and says_all(result.output)
        if not is_told and sum(not file.name for file in result.files) < self._fewest_files(job):
            return None
        artifacts: list[Artifact] = []
        for file in result.files:
            names = file_names(job, file.index, file.name)
            paths = [f"{ARTIFACTS}/{name}.{file.extension}" for name in names]
            made = cache.bring(
                job.job_id, file, [f"{self._run_dir}/{path}" for path in paths],
                temporary=self._temporary, remake=partial(retag, tag=self._tag(job, file)),
            )  # fmt: skip
            if made is None:
                return None
            artifacts += [_artifact(made, path) for path in paths]
        return tuple(artifacts)

    def _pass_over(self, cache: ResultCache, result: CachedResult) -> None:
        cache.damaged += 1
        with self._forgiving():
            cache.discard(result)

    def _tag(self, job: OpenJob, file: CachedFile) -> Change | None:
        media = MEDIA.get(media_of(file.media_type))
        if not self._metadata or file.name or media is None or not media.is_tagged:
            return None
        return tagging(job, file.index, seed=file.seed)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except CacheFault as fault:
            if self._fault is None:
                say(f"warning: {fault}; what it holds may be sent again, and {_NOT_ADDED}")
            self._fault = self._fault or fault

    def _now(self) -> str:
        return stamp(self._clock.now())


def _is_reusable(result: JobResult) -> bool:
    """As `is_reusable` says it of a row."""
    is_told = result.status is JobStatus.PARTIAL and not result.artifacts
    return result.status is JobStatus.SUCCEEDED or (is_told and says_all(result.output))


def _as_sent(job: OpenJob, view: LedgerReader) -> OpenJob:
    """The job with the request that it would send, if it can send one."""
    try:
        return replace(job, sent=as_told(job, view))
    except NotThere:
        return replace(job, sent=None)


def _artifact(file: CachedFile, path: str) -> Artifact:
    return Artifact(
        path=path,
        sha256=file.sha256,
        source_sha256=file.source_sha256,
        size=file.size,
        media_type=file.media_type,
        index=file.index,
        seed=file.seed,
        sample_rate=file.sample_rate,
        duration_s=file.duration_s,
        width=file.width,
        height=file.height,
        name=file.name,
    )


def _pages(items: Iterable[Item]) -> Iterator[list[Item]]:
    rest = iter(items)
    while page := list(islice(rest, _PAGE)):
        yield page
