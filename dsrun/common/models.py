"""The values that travel between floors. Frozen; no behaviour beyond their own fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

Json = Any  # a JSON value: None, bool, int, float, str, list or dict of the same


class JobStatus(StrEnum):
    """Design 1.6."""

    PENDING = "pending"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


OPEN = (JobStatus.PENDING, JobStatus.SUBMITTING, JobStatus.SUBMITTED)  # a run goes on with these


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A value that dsrun adds to a request where the manifest gives none."""

    at: tuple[str, ...]
    value: Json = None
    derive: str | None = None  # "seed" or "name"
    span: tuple[str, ...] | None = None  # count of images that use seed, seed+1, ...
    length: int = 0  # of a derived name
    maximum: int = 0  # of a derived seed, from the schema


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactSpec:
    """Where the artifacts of an operation stand in its answer, as JSON pointers."""

    media: str  # "image" or "audio"
    list: str | None = None
    url: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    base64: str | None = None
    format: str | None = None
    sample_rate: str | None = None
    asked: str | None = None  # the format, in the request
    asked_rate: str | None = None  # the sample rate, in the request
    count: tuple[str, ...] | None = None  # in the request
    seed: tuple[str, ...] | None = None  # in the request
    url_hours: float = 24.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Cost of one unit; only what succeeds is billed."""

    amount: Decimal
    currency: str
    unit: str
    billed: str | None
    count: tuple[str, ...] | None
    as_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most `requests` in any window of `per_s` seconds."""

    requests: int
    per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """When to ask for a task, in seconds: after `first_s`, then `factor` longer up to `max_s`."""

    first_s: float
    factor: float
    max_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageRule:
    """The languages of a text of the request: `languages`, else the one that the request names."""

    at: tuple[str, ...]
    languages: tuple[str, ...] = ()
    named_by: tuple[str, ...] | None = None
    default: str = ""  # where the request names none


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadField:
    """A place of the request that takes a local file, and what that file may be.

    Formats are extensions, told by content; sides are in pixels, 0 where nothing is published.
    """

    at: tuple[str, ...]
    media: str  # "image" or "audio"
    formats: tuple[str, ...]
    max_bytes: int
    min_side: int
    max_side: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    """How an operation takes local files: which, and how long their temporary address is used."""

    fields: tuple[UploadField, ...]
    hours: float
    rate: Rate  # of upload policies
    lost: frozenset[str]  # error codes of a job whose file the service could not get


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadFile:
    """A file of the user's as it was when the plan was made. `name` is the manifest's word."""

    name: str
    path: Path
    sha256: str
    size: int
    extension: str
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskList:
    """A create whose answer was lost is looked for in the list of tasks, under this model.

    A task that is found must agree with the request: the rest are JSON pointers.
    """

    model_name: str
    confirm: Mapping[str, str]  # in the request, in the task's answer
    size: str | None  # in the request: WIDTH*HEIGHT of the pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeList:
    """A create whose answer was lost is looked for among what the service has made.

    `body` asks for the list, page by page; the rest are JSON pointers.
    """

    body: Mapping[str, Json]
    page: tuple[str, ...]  # in the body, from 0
    page_size: tuple[str, ...]  # in the body
    items: str  # in the answer
    total: str  # in the answer
    match: Mapping[str, str]  # what must be equal: in the request, in an item
    holds: Mapping[str, str]  # what an item's text must contain: in the request, in an item
    made_at: str  # in an item
    outputs: Mapping[str, str]  # in an item
    lost: str  # what of the answer cannot be had again


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One API of the catalog, as its operation file describes it."""

    name: str
    description: str
    schema: Mapping[str, Json]
    protocol: str  # "task" or "sync"
    method: str
    path: str
    headers: Mapping[str, str]
    timeout_s: float
    fills: tuple[Fill, ...]
    artifacts: ArtifactSpec
    outputs: Mapping[str, str]
    price: Price
    rate: Rate
    running_tasks: int | None
    polling: Polling | None
    languages: tuple[LanguageRule, ...] = ()
    uploads: Uploads | None = None
    recovery: TaskList | MadeList | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request and where its results go. `index` counts within the step, from 0."""

    job_id: str
    step: str
    index: int
    replica: int
    operation: str
    matrix: Mapping[str, Json]
    request: Mapping[str, Json]
    body: bytes  # the canonical JSON of `request`: what is hashed is what is sent
    stems: tuple[str, ...]  # file names without extension, one an artifact, below artifacts/STEP/
    units: int  # images or voices that it asks for, each billed


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some artifacts of a job, when others have come already. Indexes count from 0."""

    first: int
    count: int
    missing: tuple[int, ...]  # all that have not come, these included


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenJob:
    """A job of the ledger that has not ended. `stems` hold one tuple a row that makes the job."""

    job_id: str
    operation: str
    body: bytes
    status: JobStatus
    task_id: str | None
    submitted_at: str | None
    request_id: str | None = None
    lost_at: str | None = None  # when the create's answer was given up
    attempts: int
    stems: tuple[tuple[str, ...], ...]  # STEP/NAME without extension, below artifacts/
    part: "Part | None" = None  # what of a partial job is asked for again
    whole: bytes | None = None  # the job's own request, where `body` asks for a part
    run_id: int | None = None  # of the last intent; None where another run directory has sent it
    is_found: bool = False  # the task, in the service's list: no answer has named it
    is_retry: bool = False  # where its task has no more to give, it is sent again
    have: tuple[int, ...] = ()  # of a retry: the indexes that are on disk


class SentElsewhere(NamedTuple):
    """A create that another run directory has sent; `task_id` where it was answered."""

    job_id: str
    task_id: str | None
    request_id: str | None
    submitted_at: str
    lost_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobError:
    """Why a job did not succeed. `kind` is the error class: job, partial, lost or unknown."""

    code: str
    message: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One file of a job; `path` is relative to the run directory, `size` in bytes.

    `source_sha256` is of the bytes as the service gave them, before metadata was put in.
    """

    path: str
    sha256: str
    source_sha256: str
    size: int
    media_type: str
    index: int
    seed: int | None = None
    sample_rate: int | None = None


LOST_ROW = "LedgerDamaged"  # error code of a job whose row in a damaged ledger could not be read


class Saved(NamedTuple):
    """A file that is on disk. `paths` are relative to the run directory."""

    paths: tuple[str, ...]
    sha256: str
    size: int
    media_type: str
    source_sha256: str  # of the bytes as they came


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """How a job ended. `units` are billed: images, voices. `warning` is for the user."""

    status: JobStatus
    artifacts: tuple[Artifact, ...] = ()
    output: Mapping[str, Json] | None = None
    error: JobError | None = None
    units: int = 0
    request_id: str | None = None  # of an answer that the ledger has not seen yet
    warning: str = ""
