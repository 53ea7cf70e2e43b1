"""The values that travel between rooms, frozen but for Job. No behaviour beyond their fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from dsrun.common.media import Facts

Json = Any  # a JSON value: None, bool, int, float, str, list or dict of the same


class JobStatus(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    PENDING = "pending"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


OPEN = (  # a run goes on with these
    JobStatus.WAITING, JobStatus.PENDING, JobStatus.SUBMITTING, JobStatus.SUBMITTED,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadFile:
    """A user's file as it was when the plan was made; `name` is how the manifest calls it."""

    name: str
    path: Path
    sha256: str
    size: int
    extension: str
    media_type: str
    seconds: Decimal | None = None  # how long it plays, where its header tells


@dataclass(slots=True, kw_only=True)  # not frozen: a plan makes millions, three times as fast
class Job:
    """One request and where its results go. `index` counts within the step, from 0.

    Nobody changes one.
    """

    job_id: str
    step: str
    index: int
    replica: int
    operation: str
    matrix: Mapping[str, Json]
    request: Mapping[str, Json]
    body: bytes  # the canonical JSON of `request`: what is hashed is what is sent
    stems: tuple[
        str, ...
    ]  # file names without extension below artifacts/STEP/, one for each artifact
    units: int | None  # what it will cost, in grains of its price; None: nobody can tell
    is_bound: bool = False  # it may cost less: a text that its price counts is not known yet
    late: tuple[
        tuple[str | int, ...], ...
    ] = ()  # where the request has values of other jobs, not known yet
    parents: tuple["Parent", ...] = ()
    depth: int = 0  # 1 more than the deepest job that it waits for
    take: int = 1  # which time the same request is made

    @property
    def is_waiting(self) -> bool:
        """Whether jobs of other steps have to end first."""
        return bool(self.late)

    @property
    def needs(self) -> tuple[str, ...]:
        """The ids of the jobs that have to end first."""
        if not self.parents:
            return ()
        return tuple(dict.fromkeys(one.job_id for one in self.parents if one.takes is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """A row of a step above that a job is made of.

    `takes` is what the job waits for, `output:NAME` or `file:NUMBER`; None where all that it takes
    was known before.
    """

    axis: str
    step: str
    index: int
    job_id: str
    takes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some artifacts of a job whose others have already come. Indexes count from 0."""

    first: int
    count: int
    missing: tuple[int, ...]  # every artifact that has not come, these included


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenJob:
    """A job of the ledger that has not ended; `stems` has a tuple for each row that makes it."""

    job_id: str
    operation: str
    body: bytes
    status: JobStatus
    task_id: str | None
    answer: str | None = None  # the text of the answer to a create that made no task
    submitted_at: str | None
    request_id: str | None = None
    lost_at: str | None = None  # when the create's answer was given up
    attempts: int
    repeats: int = 0  # creates whose answers were lost, and which were sent again
    stems: tuple[tuple[str, ...], ...]  # STEP/NAME without extension, below artifacts/
    part: "Part | None" = None  # the part of a partial job that is asked for again
    whole: bytes | None = None  # the job's own request, where `body` asks for a part
    run_id: int | None = None  # of the last intent; None where another run directory sent it
    is_found: bool = False  # the task was found in the service's list; no answer named it
    is_retry: bool = False  # sent again where its task has no more to give
    have: tuple[int, ...] = ()  # of a retry: the indexes that are on disk
    late: tuple[tuple[str | int, ...], ...] = ()  # where `body` has values of other jobs
    sent: bytes | None = None  # `body` with these values, as it was sent last
    has_addresses: bool = False  # `body` has addresses of files that could be uploaded as well
    planned: int = 0  # what it was planned to cost, in grains of its price
    _request: Json = field(default=None, init=False, repr=False, compare=False)

    @property
    def request(self) -> Json:
        """`body` as JSON, parsed once; it is not to be changed."""
        if self._request is None:
            object.__setattr__(self, "_request", orjson.loads(self.body))
        return self._request


class SentElsewhere(NamedTuple):
    """A create that another run directory sent; answered, it has a `task_id` or an `answer`."""

    job_id: str
    task_id: str | None
    request_id: str | None
    submitted_at: str
    lost_at: str | None
    repeats: int = 0
    answer: str | None = None
    sent: str | None = None  # the request with what other jobs gave, where it takes anything

    @property
    def is_answered(self) -> bool:
        return self.task_id is not None or self.answer is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobError:
    """Why a job did not succeed. `kind` is the error class: job, partial, lost or unknown."""

    code: str
    message: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One file of a job; `path` is relative to the run directory, `size` in bytes.

    `name` is that of its kind, empty for the main one, and `index` its place in that kind.

    `source_sha256` is that of the bytes as the service sent them, before metadata was added.
    """

    path: str
    sha256: str
    source_sha256: str
    size: int
    media_type: str
    index: int
    seed: int | None = None
    sample_rate: int | None = None
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    name: str = ""


LOST_ROW = "LedgerDamaged"  # error code of a job whose row of a damaged ledger is unreadable


class Saved(NamedTuple):
    """A file that is on disk. `paths` are relative to the run directory."""

    paths: tuple[str, ...]
    sha256: str
    size: int
    media_type: str
    source_sha256: str  # of the bytes as they came
    facts: Facts = Facts()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """How a job ended. `units` are billed, in grains of its price. `warning` is for the user."""

    status: JobStatus
    artifacts: tuple[Artifact, ...] = ()
    output: Mapping[str, Json] | None = None
    error: JobError | None = None
    units: int = 0
    request_id: str | None = None  # of an answer that is not in the ledger yet
    warning: str = ""
    addresses: Mapping[int, str] = field(default_factory=dict)  # of its files at the service
