"""What a job takes of others, once they have ended: the request as it is sent.

A text or a number stands in the ledger. A file is named by the service's own address while that
lives, else it is uploaded from where it lies.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import orjson

from dsrun.common.clock import Clock
from dsrun.common.digest import canonical_json
from dsrun.common.late import Late, late_of, resolved
from dsrun.common.models import JobError, JobResult, JobStatus, Json, OpenJob, UploadFile
from dsrun.common.pointer import dotted, put_at, resolve, value_at
from dsrun.ledger.lookup import KeptFile, kept_file, output_of
from dsrun.ledger.reader import LedgerReader
from dsrun.service.operation import Operation
from dsrun.service.request import BY_CONTENT, UPLOAD, upload_field_at

_SENT = (JobStatus.SUBMITTING, JobStatus.SUBMITTED)


class _NotThere(Exception):
    """What a job takes is not there, or cannot be sent."""


class Materials:
    """Puts what other jobs have made into requests."""

    def __init__(
        self,
        view: LedgerReader,
        run_dir: Path,
        *,
        endpoint: str,
        clock: Clock,
        url_hours: Mapping[str, float],
    ) -> None:
        """`url_hours`: how long an operation's addresses live, by its name."""
        self.files: dict[str, UploadFile] = {}  # those that have to be uploaded, by SHA-256
        self._view = view
        self._run_dir = run_dir
        self._endpoint = endpoint
        self._clock = clock
        self._url_hours = url_hours

    def prepare(self, job: OpenJob, operation: Operation) -> OpenJob | JobResult:
        """The job with the request that it sends, or how it ended where it can send none.

        What was sent before goes on as it was, whatever the same parents would give now.
        """
        if not job.late:
            return job
        try:
            return self._ready(job, operation)
        except (_NotThere, TypeError) as error:
            if job.sent is not None and job.status in _SENT:
                return replace(job, body=job.sent)
            words = JobError(code="InvalidRequest", message=str(error), kind="job")
            return JobResult(status=JobStatus.FAILED, error=words)

    def _ready(self, job: OpenJob, operation: Operation) -> OpenJob:
        """Raises _NotThere, TypeError."""
        request, told = orjson.loads(job.body), orjson.loads(job.body)
        for at in job.late:
            late = late_of(value_at(request, at))
            put_at(told, at, resolved(late, self._known))
            takes_file = upload_field_at(operation, request, at) is not None
            sendable = partial(self._sendable, dotted(at), takes_file)
            put_at(request, at, resolved(late, sendable))
        return replace(job, body=canonical_json(request), sent=canonical_json(told))

    def _known(self, late: Late) -> Json:
        """A value as it is recorded: a file by its content, since addresses are secrets."""
        if late.at is None:
            return {UPLOAD: f"{BY_CONTENT}{self._file(late).sha256}"}
        value = resolve({"output": output_of(self._view, late.job_id)}, late.at)
        if value is None:
            raise _NotThere(f"job {late.job_id[:12]} gave no {late.at.rpartition('/')[2]}")
        return value

    def _sendable(self, at: str, takes_file: bool, late: Late) -> Json:  # bound
        """A value as it is sent from a place of the request, which may take a file."""
        if late.at is not None:
            return self._known(late)
        file = self._file(late)
        if file.address is not None and self._is_fresh(file):
            return file.address
        if not takes_file:
            words = f"{at} takes an address, and that of {file.path} is too old"
            raise _NotThere(f"{words}; make that file again, with `take`")
        self._upload(file)
        return self._known(late)

    def _file(self, late: Late) -> KeptFile:
        file = kept_file(self._view, late.job_id, late.file or 0)
        if file is None:
            raise _NotThere(f"job {late.job_id[:12]} gave no file {late.file}")
        return file

    def _is_fresh(self, file: KeptFile) -> bool:
        """Whether the address was given here, and more than half of its life is left."""
        if file.endpoint != self._endpoint or file.answered_at is None:
            return False
        age = self._clock.now() - datetime.fromisoformat(file.answered_at)
        return timedelta(0) <= age < timedelta(hours=self._url_hours.get(file.operation, 0.0)) / 2

    def _upload(self, file: KeptFile) -> None:
        path = self._run_dir / file.path
        self.files[file.sha256] = UploadFile(
            name=file.path, path=path, sha256=file.sha256, size=file.size,
            extension=path.suffix.removeprefix("."), media_type=file.media_type,
        )  # fmt: skip
