"""Uploads the local files of a request once; the request is sent with their addresses.

Nothing is paid here, so every step may be repeated. A create is not begun before all files of
its request are there.
"""

import asyncio
import base64
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from random import Random

import orjson

from dsrun.common.clock import Clock, stamp
from dsrun.common.digest import canonical_json
from dsrun.common.errors import AnswerLost, ExitCode, FileChanged, NotSent, ProxyRefused
from dsrun.common.models import JobError, JobResult, JobStatus, Json, OpenJob, UploadFile
from dsrun.common.pointer import put_at
from dsrun.engine.backoff import retry_delay
from dsrun.engine.control import Left, RunControl
from dsrun.engine.limits import RateLimiter
from dsrun.engine.ports import CheckedFile, UploadApi, UploadRecorder
from dsrun.service.classify import Decision
from dsrun.service.operation import Operation, Uploads
from dsrun.service.replies import Unreadable, UploadPolicy
from dsrun.service.request import UPLOAD, data_url_head, iter_uploads

_MARK = f'"{UPLOAD}"'.encode()


class _Refused(Exception):
    """The service says no to the job or to its file."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Trouble(Exception):
    """This try has failed; another one may not."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Uploader:
    """Uploads each content once for each model, and again when its address grows old."""

    def __init__(
        self,
        *,
        api: UploadApi,
        files: Mapping[str, UploadFile],
        open_file: Callable[[UploadFile], CheckedFile],
        recorder: UploadRecorder,
        control: RunControl,
        clock: Clock,
        rng: Random,
        max_attempts: int,
        limiters: Mapping[str, RateLimiter],
    ) -> None:
        """`files` by their SHA-256; `limiters` of upload policies, by operation."""
        self._api = api
        self._files = files
        self._open_file = open_file
        self._recorder = recorder
        self._control = control
        self._clock = clock
        self._rng = rng
        self._max_attempts = max_attempts
        self._limiters = limiters
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}  # of jobs that want the same file
        self._fresh: set[tuple[str, str]] = set()  # uploaded by this run

    async def prepare(self, job: OpenJob, operation: Operation) -> OpenJob | JobResult:
        """The job with the request as it is sent, or how the job ended. Raises Left."""
        if operation.uploads is None or _MARK not in job.body:
            return job
        uploads, request = operation.uploads, orjson.loads(job.body)
        try:
            for at, sha256, field in list(iter_uploads(request, uploads)):
                if not field.is_data:
                    model = _model(request, operation)
                    url = await self._address(job, operation, uploads, sha256, model)
                    put_at(request, at, url)
        except FileChanged as error:
            return self._failed("FileChanged", str(error))
        except _Refused as error:
            return self._failed(error.code, str(error))
        return replace(job, body=canonical_json(request))

    def body(self, job: OpenJob, operation: Operation) -> bytes:
        """The request of a prepared job as it is sent, with its files as data URLs.

        It may be large, so it is made as late as possible. Raises FileChanged.
        """
        if operation.uploads is None or _MARK not in job.body:
            return job.body
        request = orjson.loads(job.body)
        for at, sha256, _ in list(iter_uploads(request, operation.uploads)):
            put_at(request, at, self._data_url(sha256))
        return canonical_json(request)

    def _data_url(self, sha256: str) -> str:
        file = self._file(sha256)
        with closing(self._open_file(file)) as data:
            content = data.read()
            data.check()
        return data_url_head(file) + base64.b64encode(content).decode()

    def _file(self, sha256: str) -> UploadFile:
        file = self._files.get(sha256)
        if file is None:
            raise FileChanged(f"no file of the plan has the content sha256:{sha256}")
        return file

    async def forget_lost(self, job: OpenJob, operation: Operation, code: str) -> None:
        """Forget the addresses of a job that failed because the service could not get its file.

        What this run has uploaded cannot be too old, so there the fault lies elsewhere.
        """
        if operation.uploads is None or code not in operation.uploads.lost:
            return
        request = orjson.loads(job.body)
        model = _model(request, operation)
        for _, sha256, _ in iter_uploads(request, operation.uploads):
            if (sha256, model) not in self._fresh:
                await self._recorder.forget_upload(sha256, model=model)

    async def _address(
        self, job: OpenJob, operation: Operation, uploads: Uploads, sha256: str, model: str
    ) -> str:
        turn = self._turns.setdefault((sha256, model), asyncio.Lock())
        with self._control.interruptible():
            await turn.acquire()
        try:
            self._control.check(operation.name)
            known = self._known(sha256, model, hours=uploads.hours)
            if known is not None:
                return known
            begun = stamp(self._clock.now())
            url = await self._upload(job, operation, sha256, model)
            await self._recorder.record_upload(sha256, model=model, url=url, at=begun)
            self._fresh.add((sha256, model))
            return url
        finally:
            turn.release()

    def _known(self, sha256: str, model: str, *, hours: float) -> str | None:
        """The address of a file that was certainly uploaded in the last `hours`, if any.

        Where the ledger dates it later than now, the clock was wrong then, and nobody knows its
        age.
        """
        now = self._clock.now()
        if self._recorder.find_upload(sha256, model=model, since=stamp(now)) is not None:
            return None
        oldest = now - timedelta(hours=hours)
        return self._recorder.find_upload(sha256, model=model, since=stamp(oldest))

    async def _upload(self, job: OpenJob, operation: Operation, sha256: str, model: str) -> str:
        """The address of the file, after as many tries as it takes."""
        file = self._file(sha256)
        attempt = 0
        while True:
            try:
                with self._control.interruptible():
                    return await self._try_once(file, operation, model)
            except (_Trouble, NotSent, AnswerLost) as error:
                trouble = error
            attempt += 1
            words = f"{file.name} cannot be uploaded: {trouble}"
            await self._recorder.record_trouble(
                job, at=stamp(self._clock.now()), phase="upload", message=words
            )
            if attempt >= self._max_attempts or isinstance(trouble, ProxyRefused):
                # Something around the job is broken, not the job itself.
                self._control.stop(words, ExitCode.INCOMPLETE)
                raise Left
            asked = trouble.retry_after_s if isinstance(trouble, _Trouble) else None
            with self._control.interruptible():
                await self._clock.sleep(retry_delay(attempt, rng=self._rng, retry_after_s=asked))

    async def _try_once(self, file: UploadFile, operation: Operation, model: str) -> str:
        """Upload the file under a new name, since the host overwrites nothing."""
        policy = await self._ask(operation, model)
        if file.size > policy.largest_bytes:
            words = f"{file.name} has {file.size} bytes; allowed: {policy.largest_bytes}"
            raise _Refused("UploadTooLarge", words)
        name = f"{file.sha256[:16]}-{self._rng.getrandbits(64):016x}.{file.extension}"
        key = f"{policy.folder}/{name}"
        with closing(self._open_file(file)) as data:
            refusal = await self._api.upload(
                policy, data, size=file.size, key=key, media_type=file.media_type
            )
            if refusal is not None:
                raise _Trouble(f"{refusal.code}: {refusal.message}")
            data.check()
        return f"oss://{key}"

    async def _ask(self, operation: Operation, model: str) -> UploadPolicy:
        limiter = self._limiters[operation.name]
        async with limiter.slot():
            answer = await self._api.ask_upload(model)
        if isinstance(answer, UploadPolicy):
            return answer
        if isinstance(answer, Unreadable):
            raise _Trouble(answer.reason)
        verdict = answer.verdict
        if verdict.decision is Decision.STOP:
            self._control.stop(verdict.words, ExitCode.INCOMPLETE)
            raise Left
        if verdict.decision is Decision.MODEL:
            self._control.close_operation(operation.name, verdict.words)
            raise Left
        if verdict.decision is Decision.JOB:
            raise _Refused(verdict.code, verdict.message)
        if verdict.decision is Decision.THROTTLE:
            limiter.slow_down(verdict.retry_after_s)
        raise _Trouble(verdict.words, retry_after_s=verdict.retry_after_s)

    def _failed(self, code: str, message: str) -> JobResult:
        self._control.note_failure()
        error = JobError(code=code, message=message, kind="job")
        return JobResult(status=JobStatus.FAILED, error=error)


def _model(request: Json, operation: Operation) -> str:
    """The model that an address is made for; no other can use it."""
    return str(request.get("model") or operation.name)
