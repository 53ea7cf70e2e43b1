"""From results to files: downloads, and what came in the answer itself, checked and kept."""

from collections.abc import Collection, Sequence
from random import Random
from typing import Any, NamedTuple, Protocol

from dsrun.common.clock import Clock, stamp
from dsrun.common.errors import AnswerLost, Expired, NotSent, ProxyRefused
from dsrun.common.media import MEDIA, ArtifactInvalid, picture_size
from dsrun.common.models import Artifact, Json, OpenJob, Saved
from dsrun.common.pointer import resolve, value_at
from dsrun.engine.backoff import retry_delay
from dsrun.engine.control import RunControl
from dsrun.engine.ports import ArtifactSink, GenerationApi, Incoming, Recorder, Tagging
from dsrun.service.derived import derive
from dsrun.service.operation import ArtifactSpec, Operation
from dsrun.service.operation_file import asked_value
from dsrun.service.results import Address, Content, Missing, Result, Unkept

PictureSize = tuple[int, int]  # width and height

NOT_WRITTEN = "NotWritten"  # code of a result that an answer held and no file has
_STOPPED = "dsrun was stopped between reading the answer and writing its file"


class _OtherSize(Exception):
    """A picture does not have the size that its request asks for."""


class Fetched(NamedTuple):
    """Artifacts that are on disk, and the first reason why an address has not given its file.

    `lacking`: results of the main kind whose files nobody can bring. `warnings` are about further
    kinds, which decide nothing. `is_main_here`: what is `missing` is of further kinds alone.
    """

    artifacts: tuple[Artifact, ...]
    missing: str = ""
    is_expired: bool = False  # an address is no longer served; the task may name another
    is_all_expired: bool = False  # of what is missing, none is served
    is_main_here: bool = True
    is_anothers: bool = False  # a picture does not have the size that was asked for
    lacking: tuple[Missing, ...] = ()
    warnings: tuple[str, ...] = ()


class Finder(Protocol):
    """Finds a file that was written before its run was killed."""

    def __call__(self, stems: Sequence[str], *, media: str) -> Saved | None: ...


class Fetcher:
    """Brings the artifacts of ended jobs to disk, each under all of its names."""

    def __init__(
        self,
        *,
        api: GenerationApi,
        sink: ArtifactSink[Any, Any],
        find: Finder,
        recorder: Recorder,
        control: RunControl,
        clock: Clock,
        rng: Random,
        max_attempts: int,
        tagging: Tagging | None,
    ) -> None:
        """`tagging`: pictures carry their request in their metadata."""
        self._api = api
        self._sink = sink
        self._find = find
        self._recorder = recorder
        self._control = control
        self._clock = clock
        self._rng = rng
        self._max_attempts = max_attempts
        self._tagging = tagging
        self._keeps_sizes = False  # a picture has had the size that was asked for

    async def bring(
        self,
        job: OpenJob,
        operation: Operation,
        results: Sequence[Result],
        *,
        have: Collection[tuple[str, int]] = (),
        size: PictureSize | None = None,
    ) -> Fetched:
        """Bring every result to disk, but those that we `have`, by kind and index.

        `size` was asked for: of a task that was only found, a picture of another size is refused.
        """
        fetch = _Fetch(job, operation, job.request, size)
        for result in results:
            if isinstance(result, Missing):
                fetch.note_missing(result)
            elif (fetch.spec_of(result).name, fetch.index_of(result)) not in have:
                await self._bring_one(fetch, result)
                if fetch.is_anothers:
                    break
        if not fetch.is_anothers:
            for spec in operation.artifacts:
                if spec.of is not None:
                    await self._derive(fetch, spec)
        return fetch.fetched()

    def texts(self, operation: Operation, artifacts: Sequence[Artifact]) -> dict[str, Json]:
        """The outputs that are the texts of files, of the first of their kind."""
        paths = {item.name: item.path for item in reversed(artifacts)}
        return {
            output: self._sink.read(paths[kind]).decode("utf-8-sig", "replace")
            for output, kind in operation.file_outputs.items()
            if kind in paths
        }

    async def _bring_one(self, fetch: "_Fetch", result: Address | Content | Unkept) -> None:
        kept: Saved | Exception | None
        if isinstance(result, Address):
            kept = await self._download(fetch, result)
        elif isinstance(result, Content):
            kept = await self._write(fetch, result)
        else:
            stems = fetch.names_of(result)
            kept = self._find(stems, media=fetch.spec_of(result).media)
        fetch.add(result, kept)

    async def _write(self, fetch: "_Fetch", content: Content) -> Saved | ArtifactInvalid:
        """Write a result that came in the answer itself."""
        spec = fetch.spec_of(content)
        declared = content.format or resolve(fetch.request, spec.asked_format)
        incoming = self._sink.incoming()
        incoming.add(content.data)
        try:
            return await self._sink.keep(
                incoming,
                stems=fetch.names_of(content),
                media=spec.media,
                declared=declared if isinstance(declared, str) else None,
                in_answer=True,
                change=self._change(fetch, content),
            )
        except ArtifactInvalid as error:
            return error

    def _change(self, fetch: "_Fetch", result: Address | Content) -> Any:
        spec = fetch.spec_of(result)
        if self._tagging is None or not MEDIA[spec.media].is_tagged or spec.name:
            return None
        return self._tagging(fetch.job, fetch.index_of(result), seed=fetch.seed_of(result))

    def _check_size(self, job: OpenJob, incoming: Incoming, size: PictureSize) -> None:
        """Raises _OtherSize where a service that has kept to sizes before does not do so here."""
        if self._keeps_sizes and not job.is_found:
            return
        made = picture_size(incoming.head)
        if made == size:
            self._keeps_sizes = True
        elif made is not None and self._keeps_sizes:
            raise _OtherSize(f"{made[0]}*{made[1]} where {size[0]}*{size[1]} was asked for")

    async def _download(self, fetch: "_Fetch", result: Address) -> Saved | Exception:
        """The file on disk, or why there is none after all tries."""
        spec, job, attempt = fetch.spec_of(result), fetch.job, 0
        while True:
            attempt += 1
            incoming = self._sink.incoming()
            try:
                with self._control.interruptible(paid=True):
                    most = MEDIA[spec.media].largest
                    await self._api.fetch(result.url, incoming, most=most)
                if attempt < self._max_attempts:
                    # On the last try a file without its end is kept: the service has no better one.
                    _check_end(incoming)
                if fetch.size is not None and not spec.name:
                    self._check_size(job, incoming, fetch.size)
                saved = await self._sink.keep(
                    incoming,
                    stems=fetch.names_of(result),
                    media=spec.media,
                    change=self._change(fetch, result),
                )
            except _OtherSize as error:
                incoming.discard()
                return error
            except (NotSent, AnswerLost, ArtifactInvalid) as error:
                incoming.discard()
                await self._recorder.record_trouble(
                    job, at=stamp(self._clock.now()), phase="download", message=str(error)
                )
                if attempt >= self._max_attempts or isinstance(error, Expired | ProxyRefused):
                    return error
                with self._control.interruptible(paid=True):
                    await self._clock.sleep(retry_delay(attempt, rng=self._rng))
            else:
                return saved

    async def _derive(self, fetch: "_Fetch", spec: ArtifactSpec) -> None:
        """Make the files that are made of others; one that cannot be made is told, no more."""
        sources = {item.index: item for item in reversed(fetch.artifacts) if item.name == spec.of}
        for index, source in sorted(sources.items()):
            incoming = self._sink.incoming()
            stems = file_names(fetch.job, index, spec.name)
            try:
                incoming.add(derive(spec, self._sink.read(source.path)))
                saved = await self._sink.keep(incoming, stems=stems, media=spec.media)
            except (ArtifactInvalid, ValueError) as error:
                incoming.discard()
                fetch.warnings.append(f"no {spec.name} was made of {source.path}: {error}")
            else:
                fetch.artifacts += artifacts_of(saved, index, name=spec.name)


class _Fetch:
    """What has come of one job so far."""

    def __init__(
        self, job: OpenJob, operation: Operation, request: Json, size: PictureSize | None
    ) -> None:
        self.job = job
        self.request = request
        self.size = size
        self.artifacts: list[Artifact] = []
        self.warnings: list[str] = []
        self.is_anothers = False
        self._operation = operation
        self._first = job.part.first if job.part else 0
        self._missing = ""
        self._unserved: list[bool] = []  # of what is missing, whether it is not served any more
        self._is_main_here = True
        self._lacking: list[Missing] = []

    def spec_of(self, result: Result) -> ArtifactSpec:
        return self._operation.artifacts[result.kind]

    def index_of(self, result: Result) -> int:
        """Its index among all of its kind that the job makes."""
        return self._first + result.place

    def names_of(self, result: Result) -> list[str]:
        return file_names(self.job, self.index_of(result), self.spec_of(result).name)

    def seed_of(self, result: Result) -> int | None:
        """The request has the seed of the first one."""
        seed = value_at(self.request, self.spec_of(result).seed)
        return seed + result.place if isinstance(seed, int) else None

    def add(self, result: Address | Content | Unkept, kept: Saved | Exception | None) -> None:
        """Take what has become of a result."""
        spec = self.spec_of(result)
        if isinstance(kept, Saved):
            self.artifacts += artifacts_of(
                kept, self.index_of(result), seed=self.seed_of(result),
                sample_rate=self._rate_of(result), name=spec.name,
            )  # fmt: skip
        elif isinstance(kept, _OtherSize):
            self.is_anothers, self._missing = True, str(kept)
        elif isinstance(result, Address) and not (spec.name and isinstance(kept, ArtifactInvalid)):
            self._missing = self._missing or str(kept)
            self._unserved.append(isinstance(kept, Expired))
            self._is_main_here = self._is_main_here and bool(spec.name)
            if spec.name:
                self.warnings.append(f"{self.names_of(result)[0]}: {kept}")
        else:
            code = NOT_WRITTEN if kept is None else f"No{spec.media.capitalize()}"
            words = _STOPPED if kept is None else str(kept)
            self.note_missing(Missing(code, words, result.kind, result.place))

    def note_missing(self, missing: Missing) -> None:
        """Take a result that does not come."""
        if missing.kind == 0:
            self._lacking.append(missing)
        else:
            name = self.names_of(missing)[0]
            self.warnings.append(f"{name}: {missing.code}: {missing.message}")

    def fetched(self) -> Fetched:
        return Fetched(
            artifacts=tuple(self.artifacts),
            missing=self._missing,
            is_expired=any(self._unserved),
            is_all_expired=all(self._unserved),
            is_main_here=self._is_main_here,
            is_anothers=self.is_anothers,
            lacking=tuple(self._lacking),
            warnings=tuple(self.warnings),
        )

    def _rate_of(self, result: Result) -> int | None:
        """What the answer says; a killed run has not read it to the end."""
        if isinstance(result, Content):
            return result.sample_rate
        if not isinstance(result, Unkept):
            return None
        at = self.spec_of(result).asked_rate
        asked = asked_value(self.request, self._operation, at) if at else None
        return result.sample_rate or (asked if isinstance(asked, int) else None)


def _check_end(incoming: Incoming) -> None:
    if incoming.is_cut_off():
        raise ArtifactInvalid("the picture has no end")


def file_names(job: OpenJob, index: int, name: str = "") -> list[str]:
    """The artifact's name in every row that makes this job; `name` is that of its kind.

    Where a service gives more artifacts than were asked for, the rest get names of their own.
    """
    ending = f"-{name}" if name else ""
    return [
        (stems[index] if index < len(stems) else f"{stems[-1]}-extra-{index}") + ending
        for stems in job.stems
    ]


def artifacts_of(
    saved: Saved,
    index: int,
    *,
    seed: int | None = None,
    sample_rate: int | None = None,
    name: str = "",
) -> list[Artifact]:
    """The saved file as an artifact under each of its names."""
    return [
        Artifact(
            path=path,
            sha256=saved.sha256,
            source_sha256=saved.source_sha256,
            size=saved.size,
            media_type=saved.media_type,
            index=index,
            seed=seed,
            sample_rate=sample_rate,
            name=name,
            **saved.facts._asdict(),
        )
        for path in saved.paths
    ]
