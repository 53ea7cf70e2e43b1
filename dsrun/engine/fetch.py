"""From results to files: downloads, and what came in the answer itself, checked and kept."""

from collections.abc import Collection, Sequence
from random import Random
from typing import Any, NamedTuple

import orjson

from dsrun.common.clock import Clock, stamp
from dsrun.common.errors import AnswerLost, Expired, NotSent, ProxyRefused
from dsrun.common.media import MEDIA, ArtifactInvalid, picture_size
from dsrun.common.models import Artifact, OpenJob, Saved
from dsrun.common.pointer import resolve
from dsrun.engine.backoff import retry_delay
from dsrun.engine.control import RunControl
from dsrun.engine.ports import ArtifactSink, GenerationApi, Incoming, Recorder, Tagging
from dsrun.service.operation import Operation
from dsrun.service.replies import Address, Content, Result

PictureSize = tuple[int, int]  # width and height


class _OtherSize(Exception):
    """A picture does not have the size that its request asks for."""


class Fetched(NamedTuple):
    """Artifacts that are on disk, and the first reason why others are missing."""

    artifacts: tuple[Artifact, ...]
    missing: str
    is_expired: bool = False  # an address is no longer served; the task may name another
    is_anothers: bool = False  # a picture does not have the size that was asked for


class Fetcher:
    """Brings the artifacts of ended jobs to disk, each under all of its names."""

    def __init__(
        self,
        *,
        api: GenerationApi,
        sink: ArtifactSink[Any, Any],
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
        self._recorder = recorder
        self._control = control
        self._clock = clock
        self._rng = rng
        self._max_attempts = max_attempts
        self._tagging = tagging
        self._keeps_sizes = False  # a picture has had the size that was asked for

    async def download(
        self,
        job: OpenJob,
        operation: Operation,
        results: Sequence[Result],
        *,
        seed: int | None,
        first: int = 0,
        have: Collection[int] = (),
        size: PictureSize | None = None,
    ) -> Fetched:
        """Fetch every address among the results, which are the job's from index `first` on.

        `seed` is that of the first result; indexes that we `have` are not fetched again. `size`
        was asked for: of a task that was only found, a picture of another size is refused.
        """
        artifacts: list[Artifact] = []
        missing, is_expired = "", False
        for number, result in enumerate(results):
            index = first + number
            if not isinstance(result, Address) or index in have:
                continue
            own_seed = None if seed is None else seed + number
            change = self._change(job, operation, index, own_seed)
            kept = await self._download_one(job, operation, result.url, index, change, size=size)
            if isinstance(kept, _OtherSize):
                return Fetched(tuple(artifacts), str(kept), is_anothers=True)
            if not isinstance(kept, Saved):
                missing = missing or str(kept)
                is_expired = is_expired or isinstance(kept, Expired)
                continue
            artifacts += artifacts_of(kept, index, seed=own_seed)
        return Fetched(tuple(artifacts), missing, is_expired)

    async def write(self, job: OpenJob, operation: Operation, content: Content) -> Fetched:
        """Write a result that came in the answer itself."""
        spec = operation.main
        declared = content.format or resolve(orjson.loads(job.body), spec.asked)
        incoming = self._sink.incoming()
        incoming.add(content.data)
        try:
            saved = await self._sink.keep(
                incoming,
                stems=file_names(job, 0),
                media=spec.media,
                declared=declared if isinstance(declared, str) else None,
                in_answer=True,
                change=self._change(job, operation, 0, None),
            )
        except ArtifactInvalid as error:
            return Fetched((), str(error))
        return Fetched(tuple(artifacts_of(saved, 0, sample_rate=content.sample_rate)), "")

    def _change(self, job: OpenJob, operation: Operation, index: int, seed: int | None) -> Any:
        if self._tagging is None or not MEDIA[operation.main.media].is_tagged:
            return None
        return self._tagging(job, index, seed=seed)

    def _check_size(self, job: OpenJob, incoming: Incoming, size: PictureSize) -> None:
        """Raises _OtherSize where a service that has kept to sizes before does not do so here."""
        if self._keeps_sizes and not job.is_found:
            return
        made = picture_size(incoming.head)
        if made == size:
            self._keeps_sizes = True
        elif made is not None and self._keeps_sizes:
            raise _OtherSize(f"{made[0]}*{made[1]} where {size[0]}*{size[1]} was asked for")

    async def _download_one(
        self,
        job: OpenJob,
        operation: Operation,
        url: str,
        index: int,
        change: Any,
        *,
        size: PictureSize | None,
    ) -> Saved | Exception:
        """The file on disk, or why there is none after all tries."""
        attempt = 0
        while True:
            attempt += 1
            incoming = self._sink.incoming()
            try:
                async with self._control.interruptible(paid=True):
                    most = MEDIA[operation.main.media].largest
                    await self._api.fetch(url, incoming, most=most)
                if attempt < self._max_attempts:
                    # On the last try a file without its end is kept: the service has no better one.
                    _check_end(incoming)
                if size is not None:
                    self._check_size(job, incoming, size)
                saved = await self._sink.keep(
                    incoming,
                    stems=file_names(job, index),
                    media=operation.main.media,
                    change=change,
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
                async with self._control.interruptible(paid=True):
                    await self._clock.sleep(retry_delay(attempt, rng=self._rng))
            else:
                return saved


def _check_end(incoming: Incoming) -> None:
    if incoming.is_cut_off():
        raise ArtifactInvalid("the picture has no end")


def file_names(job: OpenJob, index: int) -> list[str]:
    """The artifact's name in every row that makes this job.

    Where a service gives more artifacts than were asked for, the rest get names of their own.
    """
    return [
        stems[index] if index < len(stems) else f"{stems[-1]}-extra-{index}" for stems in job.stems
    ]


def artifacts_of(
    saved: Saved, index: int, *, seed: int | None = None, sample_rate: int | None = None
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
            **saved.facts._asdict(),
        )
        for path in saved.paths
    ]
