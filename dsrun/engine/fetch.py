"""From an answer to files: downloads and base64 bodies, checked and kept."""

import base64
import binascii
from collections.abc import Collection, Sequence
from random import Random
from typing import Any, NamedTuple

import orjson

from dsrun.common.clock import stamp
from dsrun.common.errors import AnswerLost, Expired, NotSent, ProxyRefused
from dsrun.common.media import LARGEST, ArtifactInvalid, picture_size
from dsrun.common.models import Artifact, Json, OpenJob, Saved
from dsrun.common.pointer import resolve
from dsrun.engine.backoff import retry_delay
from dsrun.engine.control import RunControl
from dsrun.engine.ports import ArtifactSink, Clock, GenerationApi, Incoming, Recorder, Tagging
from dsrun.service.operation import Operation
from dsrun.service.replies import Entry

_FASTEST_HZ = 1_000_000
PictureSize = tuple[int, int]  # width and height


class _OtherSize(Exception):
    """A picture is not of the size that its request asks for."""


_WHITE = b" \t\r\n\v\f"


class Fetched(NamedTuple):
    """Artifacts that are on disk, and the first reason why others are not."""

    artifacts: tuple[Artifact, ...]
    missing: str
    is_expired: bool = False  # an address is not served; the task may name another
    is_anothers: bool = False  # a picture has not the size that was asked for


class Fetcher:
    """Brings the artifacts of ended jobs to disk; each under every name that wants it."""

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
        self._keeps_sizes = False  # pictures have had the size that was asked for

    async def download(
        self,
        job: OpenJob,
        operation: Operation,
        found: Sequence[Entry],
        *,
        seed: int | None,
        first: int = 0,
        have: Collection[int] = (),
        size: PictureSize | None = None,
    ) -> Fetched:
        """Fetch every address among the entries, the artifacts of the job from index `first`.

        `seed` is that of the first entry; indexes that we `have` are not fetched again. `size`
        was asked for: of a task that was only found, a picture of another size is refused.
        """
        artifacts: list[Artifact] = []
        missing, is_expired = "", False
        for number, entry in enumerate(found):
            index = first + number
            if entry.url is None or index in have:
                continue
            own_seed = None if seed is None else seed + number
            change = self._change(job, operation, index, own_seed)
            kept = await self._download_one(job, operation, entry.url, index, change, size=size)
            if isinstance(kept, _OtherSize):
                return Fetched(tuple(artifacts), str(kept), is_anothers=True)
            if not isinstance(kept, Saved):
                missing = missing or str(kept)
                is_expired = is_expired or isinstance(kept, Expired)
                continue
            artifacts += artifacts_of(kept, index, seed=own_seed)
        return Fetched(tuple(artifacts), missing, is_expired)

    async def decode(self, job: OpenJob, operation: Operation, payload: Json) -> Fetched:
        """Write the base64 body of an answer."""
        spec = operation.artifacts
        declared = resolve(payload, spec.format) or resolve(orjson.loads(job.body), spec.asked)
        rate = resolve(payload, spec.sample_rate)
        try:
            incoming = self._sink.incoming()
            incoming.add(_decoded(resolve(payload, spec.base64)))
            saved = await self._sink.keep(
                incoming,
                stems=file_names(job, 0),
                media=spec.media,
                declared=declared if isinstance(declared, str) else None,
                change=self._change(job, operation, 0, None),
            )
        except (binascii.Error, ValueError) as error:
            return Fetched((), f"the answer holds no base64 text: {error}")
        except ArtifactInvalid as error:
            return Fetched((), str(error))
        made = artifacts_of(saved, 0, sample_rate=rate if _is_sample_rate(rate) else None)
        return Fetched(tuple(made), "")

    def _change(self, job: OpenJob, operation: Operation, index: int, seed: int | None) -> Any:
        if self._tagging is None or operation.artifacts.media != "image":
            return None
        return self._tagging(job, index, seed=seed)

    def _check_size(self, job: OpenJob, incoming: Incoming, size: PictureSize) -> None:
        """Raises _OtherSize where a service that keeps to the size has not kept to it here."""
        if self._keeps_sizes and not job.is_found:
            return
        found = picture_size(incoming.head)
        if found == size:
            self._keeps_sizes = True
        elif found is not None and self._keeps_sizes:
            raise _OtherSize(f"{found[0]}*{found[1]} where {size[0]}*{size[1]} was asked for")

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
                    await self._api.fetch(url, incoming, most=LARGEST[operation.artifacts.media])
                if attempt < self._max_attempts:
                    # What comes without its end each time is what the service has, and is kept.
                    _check_end(incoming)
                if size is not None:
                    self._check_size(job, incoming, size)
                saved = await self._sink.keep(
                    incoming,
                    stems=file_names(job, index),
                    media=operation.artifacts.media,
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


def _is_sample_rate(number: Json) -> bool:
    is_whole = isinstance(number, int) and not isinstance(number, bool)
    return is_whole and 0 < number <= _FASTEST_HZ


def _decoded(text: Json) -> bytes:
    """Base64, which may be wrapped, and may be a data URL. Raises ValueError.

    White space goes without a split: megabytes of it would make millions of words.
    """
    if not isinstance(text, str) or not text.isascii():
        raise ValueError("there is none")
    plain = text[text.rfind(",") + 1 :].encode().translate(None, _WHITE)
    return base64.b64decode(plain, validate=True)


def _check_end(incoming: Incoming) -> None:
    if incoming.is_cut_off():
        raise ArtifactInvalid("the picture has no end")


def file_names(job: OpenJob, index: int) -> list[str]:
    """The artifact's name in every row that makes this job.

    A service that gives more artifacts than were asked for gets names of its own for the rest.
    """
    return [
        stems[index] if index < len(stems) else f"{stems[-1]}-extra-{index}" for stems in job.stems
    ]


def artifacts_of(
    saved: Saved, index: int, *, seed: int | None = None, sample_rate: int | None = None
) -> list[Artifact]:
    """The artifact under each of its names."""
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
        )
        for path in saved.paths
    ]
