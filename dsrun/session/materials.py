"""What a job takes of others, once they have ended: the request as it is sent.

A text or a number stands in the ledger. A file is named by the service's own address while that
lives, else it is uploaded from where it lies.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import orjson

from dsrun.common.clock import Clock
from dsrun.common.digest import NotCanonical, canonical_json
from dsrun.common.late import Late, late_of, resolved
from dsrun.common.models import JobError, JobResult, JobStatus, Json, OpenJob, UploadFile
from dsrun.common.pointer import KeyPath, dotted, put_at, resolve, value_at
from dsrun.ledger.lookup import KeptFile, kept_file, output_of
from dsrun.ledger.reader import LedgerReader
from dsrun.ledger.waiting import Lives
from dsrun.planning.uploads import UploadFault, examine_made
from dsrun.service.operation import Operation, UploadField
from dsrun.service.request import BY_CONTENT, UPLOAD, planned_units, upload_field_at

_SENT = (JobStatus.SUBMITTING, JobStatus.SUBMITTED)


class NotThere(Exception):
    """What a job takes is not there, or cannot be sent."""


def as_told(job: OpenJob, view: LedgerReader) -> bytes:
    """The request of a job with what the others gave, as it is recorded. Raises NotThere."""
    return with_values(job.body, job.late, partial(value_in, view))


def with_values(body: bytes, late: Sequence[KeyPath], known: Callable[[Late], Json]) -> bytes:
    """A planned request with the values of other jobs, which `known` gives. Raises NotThere."""
    request = orjson.loads(body)
    for at in late:
        put_at(request, at, _resolved(request, at, known))
    return _canonical(request)


def value_in(view: LedgerReader, late: Late) -> Json:
    """A value that a job of the ledger gives, as it is recorded. Raises NotThere.

    A file stands by the SHA-256 of what the service gave: an address is a secret, and lives for
    hours.
    """
    if late.at is None:
        return {UPLOAD: f"{BY_CONTENT}{_file(view, late).source_sha256}"}
    return value_of(output_of(view, late.job_id), late)


def value_of(output: Json, late: Late) -> Json:
    """A value of what a job gives by name. Raises NotThere."""
    value = resolve({"output": output}, late.at)
    if value is None:
        name = (late.at or "").rpartition("/")[2]
        raise NotThere(f"job {late.job_id[:12]} gave no {name}")
    return value


class Materials:
    """Puts what other jobs have made into requests."""

    def __init__(
        self, view: LedgerReader, run_dir: Path, *, lives: Lives, clock: Clock,
        files: Mapping[str, UploadFile],
    ) -> None:  # fmt: skip
        """`files`: those of the user, by their SHA-256."""
        self.files: dict[str, UploadFile] = {}  # those that have to be uploaded, by SHA-256
        self._view = view
        self._run_dir = run_dir
        self._lives = lives
        self._clock = clock
        self._of_user = files
        self._turn = asyncio.Lock()
        self._examined: dict[tuple[str, UploadField], UploadFile | UploadFault] = {}

    async def prepare(self, job: OpenJob, operation: Operation) -> OpenJob | JobResult:
        """The job with the request that it sends, or how it ended where it can send none.

        What was sent before goes on as it was, whatever the same parents would give now.
        """
        if not job.late:
            return job
        await self._examine_files(job, operation)
        try:
            return self._ready(job, operation)
        except NotThere as error:
            if job.sent is not None and job.status in _SENT:
                return replace(job, body=job.sent)
            fault = JobError(code="InvalidRequest", message=str(error), kind="job")
            return JobResult(status=JobStatus.FAILED, error=fault)

    async def _examine_files(self, job: OpenJob, operation: Operation) -> None:
        """Look at the files that may be uploaded; a large one must not hold up the other jobs."""
        request = orjson.loads(job.body)
        for at in job.late:
            field, late = upload_field_at(operation, request, at), late_of(value_at(request, at))
            if field is None or not isinstance(late, Late) or late.file is None:
                continue
            file = kept_file(self._view, late.job_id, late.file)
            async with self._turn:  # jobs that take the same file wait for one look at it
                if file is not None and (file.path, field) not in self._examined:
                    looked_at = await asyncio.to_thread(self._examine, file, field)
                    self._examined[file.path, field] = looked_at

    def _ready(self, job: OpenJob, operation: Operation) -> OpenJob:
        """Raises NotThere."""
        request, told = orjson.loads(job.body), as_told(job, self._view)
        is_by_address, may_go_by_upload = False, True
        for at in job.late:
            field = upload_field_at(operation, request, at)
            value = _resolved(request, at, partial(self._sendable, at, field))
            if _is_address(late_of(value_at(request, at)), value):
                is_by_address, may_go_by_upload = True, may_go_by_upload and field is not None
            put_at(request, at, value)
        planned = planned_units(orjson.loads(told), operation, seconds=self._seconds_of)
        return replace(
            job, body=_canonical(request), sent=told,
            has_addresses=is_by_address and may_go_by_upload,
            planned=job.planned if planned is None else planned,
        )  # fmt: skip

    def _sendable(self, at: KeyPath, field: UploadField | None, late: Late) -> Json:
        """A value as it is sent from a place of the request, which may take a file."""
        if late.at is not None:
            return value_in(self._view, late)
        file = _file(self._view, late)
        is_fresh = file.address is not None and self._is_fresh(file)
        if field is None and not is_fresh:
            words = f"{dotted(at)} takes an address, and that of {file.path} is too old"
            raise NotThere(f"{words}; make that file again, with `take`")
        upload = None if field is None else self._fit(at, field, file)
        if is_fresh or upload is None:
            return file.address
        self.files[upload.sha256] = upload
        return {UPLOAD: f"{BY_CONTENT}{upload.sha256}"}

    def _fit(self, at: KeyPath, field: UploadField, file: KeptFile) -> UploadFile:
        """The file, which meets the limits of the field, however it gets there."""
        found = self._examined.get((file.path, field)) or self._examine(file, field)
        if isinstance(found, UploadFault):
            raise NotThere(f"{dotted(at)}: {found}")
        if found.sha256 != file.sha256:
            raise NotThere(f"{dotted(at)}: {file.path} has changed since it was made")
        return found

    def _examine(self, file: KeptFile, field: UploadField) -> UploadFile | UploadFault:
        try:
            made = examine_made(self._run_dir, file.path, field)
        except UploadFault as fault:
            return fault
        return replace(made, seconds=_seconds(file))

    def _seconds_of(self, value: Json) -> Decimal | None:
        """How long a file of a request plays."""
        name = value.get(UPLOAD) if isinstance(value, dict) else None
        file = self._of_user.get(str(name).removeprefix(BY_CONTENT))
        return file.seconds if file else None

    def _is_fresh(self, file: KeptFile) -> bool:
        """Whether the address was given here, and more than half of its life is left."""
        if file.endpoint != self._lives.endpoint or file.answered_at is None:
            return False
        age = self._clock.now() - datetime.fromisoformat(file.answered_at)
        return timedelta(0) <= age < timedelta(hours=self._lives.hours.get(file.operation, 0.0)) / 2


def _resolved(request: Json, at: KeyPath, known: Callable[[Late], Json]) -> Json:
    """Raises NotThere, also where a text or a filter cannot take what was given."""
    try:
        return resolved(late_of(value_at(request, at)), known)
    except (TypeError, ValueError, OverflowError) as error:
        remedy = "a higher `take` in the step that gave it makes it anew"
        raise NotThere(f"{dotted(at)}: {error}; {remedy}") from error


def _canonical(request: Json) -> bytes:
    """Raises NotThere where a value that was given cannot be sent as JSON."""
    try:
        return canonical_json(request)
    except NotCanonical as error:
        raise NotThere(f"the request cannot be sent as JSON: {error}") from error


def _file(view: LedgerReader, late: Late) -> KeptFile:
    file = kept_file(view, late.job_id, late.file or 0)
    if file is None:
        raise NotThere(f"job {late.job_id[:12]} gave no file {late.file}")
    return file


def _is_address(late: object, value: Json) -> bool:
    return isinstance(late, Late) and late.file is not None and isinstance(value, str)


def _seconds(file: KeptFile) -> Decimal | None:
    return None if file.duration_s is None else Decimal(str(file.duration_s))
