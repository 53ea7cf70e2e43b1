"""What the engine needs of the doors, as Protocols; `session.wiring` passes the real ones."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from dsrun.common.doubt import Doubt, Span
from dsrun.common.models import JobResult, Json, OpenJob, Saved
from dsrun.service.client import Readable
from dsrun.service.operation import Operation
from dsrun.service.replies import (
    Created,
    Ended,
    HostRefusal,
    Refused,
    Running,
    Unreadable,
    UploadPolicy,
)


class Incoming(Protocol):
    """Bytes on their way to a file."""

    def add(self, chunk: bytes) -> None: ...
    def is_cut_off(self) -> bool: ...
    def discard(self) -> None: ...
    @property
    def size(self) -> int: ...
    @property
    def head(self) -> bytes: ...


class GenerationApi(Protocol):
    async def create(self, operation: Operation, body: bytes) -> Created: ...
    async def query(self, operation: Operation, task_id: str) -> Running | Ended | Refused: ...
    async def fetch(self, url: str, incoming: Incoming, *, most: int) -> None: ...


class UploadApi(Protocol):
    async def ask_upload(self, model: str) -> UploadPolicy | Refused | Unreadable: ...
    async def upload(
        self, policy: UploadPolicy, data: Readable, *, size: int, key: str, media_type: str
    ) -> HostRefusal | None: ...


class CheckedFile(Readable, Protocol):
    """A file of the user's; `check` raises FileChanged where it is not what the plan has seen."""

    def check(self) -> None: ...
    def close(self) -> None: ...


class UploadRecorder(Protocol):
    """Remembers the addresses of uploaded files; each call ends when the fact is on disk."""

    def find_upload(self, sha256: str, *, model: str, since: str) -> str | None: ...
    async def record_upload(self, sha256: str, *, model: str, url: str, at: str) -> None: ...
    async def forget_upload(self, sha256: str, *, model: str) -> None: ...
    async def record_trouble(self, job: OpenJob, *, at: str, phase: str, message: str) -> None: ...


class JobUploads(Protocol):
    """Brings the local files that a request names to where the service finds them."""

    async def prepare(self, job: OpenJob, operation: Operation) -> OpenJob | JobResult: ...
    def body(self, job: OpenJob, operation: Operation) -> bytes: ...
    async def forget_lost(self, job: OpenJob, operation: Operation, code: str) -> None: ...


class LateRequests(Protocol):
    """Puts what other jobs have made into the request of a job that waited for them."""

    def prepare(self, job: OpenJob, operation: Operation) -> OpenJob | JobResult: ...


class KnownTasks(Protocol):
    """What the ledger of this run knows; it is asked with each create."""

    def has_task(self, task_id: str) -> bool: ...
    def made_names(self, operation: str, output: str) -> set[str]: ...
    def has_accepted(self, operation: str) -> bool: ...


class Claims(Protocol):
    """What the ledgers of this machine know of tasks and of things made."""

    def accepted(self, task_ids: Collection[str]) -> dict[str, Span]: ...
    def made(self, operation: str, names: Collection[str]) -> dict[str, Span]: ...
    def newly_accepted(self, operation: str) -> dict[str, Span]: ...
    def claimed(self, operation: str, names: Collection[str], *, job_id: str) -> set[str]: ...
    def rivals(self, operations: Collection[str], *, job_id: str) -> list[Doubt]: ...
    def requests(self, job_ids: Collection[str]) -> dict[str, bytes]: ...
    def same_job(self, job_id: str, *, since: str) -> list[Doubt]: ...


class Recorder(Protocol):
    """Each call ends when the fact is on disk."""

    async def reopen_part(self, job_id: str, *, first: int, count: int) -> None: ...
    async def record_intent(self, job: OpenJob, *, at: str) -> None: ...
    async def record_lost(
        self, job: OpenJob, *, at: str, message: str, request_id: str | None
    ) -> None: ...
    async def record_task(
        self, job: OpenJob, *, task_id: str, request_id: str | None, at: str, found: bool = False
    ) -> None: ...
    async def record_foreign(
        self, job: OpenJob, *, task_id: str, at: str, message: str
    ) -> None: ...
    async def record_repeat(self, job: OpenJob, *, at: str) -> None: ...
    async def record_abandoned(self, job: OpenJob) -> None: ...
    async def forget_task(self, job: OpenJob) -> None: ...
    async def record_answer(
        self,
        job: OpenJob,
        *,
        answer: str,
        output: Mapping[str, Json] | None,
        request_id: str | None,
        at: str,
    ) -> None: ...
    async def record_refusal(
        self, job: OpenJob, *, at: str, code: str, message: str, counts: bool
    ) -> None: ...
    async def record_trouble(self, job: OpenJob, *, at: str, phase: str, message: str) -> None: ...
    async def record_result(
        self, job: OpenJob, result: JobResult, *, at: str, request_id: str | None = None
    ) -> None: ...


OwnIncoming = TypeVar("OwnIncoming", bound=Incoming)
OwnChange_contra = TypeVar("OwnChange_contra", contravariant=True)


class Tagging(Protocol):
    """Makes the change that puts its request into a picture; only the sink knows its type."""

    def __call__(self, job: OpenJob, index: int, *, seed: int | None) -> Any: ...


class ArtifactSink(Protocol[OwnIncoming, OwnChange_contra]):
    """Takes back what it gave out by `incoming()`."""

    def incoming(self) -> OwnIncoming: ...
    def read(self, path: str) -> bytes: ...
    async def keep(
        self,
        incoming: OwnIncoming,
        *,
        stems: Sequence[str],
        media: str,
        declared: str | None = None,
        in_answer: bool = False,
        change: OwnChange_contra | None = None,
    ) -> Saved: ...
