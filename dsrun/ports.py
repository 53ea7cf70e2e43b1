"""What the core needs of the doors, as Protocols; commands/run.py passes the real ones."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import BinaryIO, Protocol, TypeVar

from dsrun.answers import Answer, HostRefusal, UploadPolicy
from dsrun.records import JobResult, Json, OpenJob, Operation, Saved


class Clock(Protocol):
    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


class Incoming(Protocol):
    """Bytes on their way to a file."""

    def add(self, chunk: bytes) -> None: ...
    def discard(self) -> None: ...
    def is_cut_off(self) -> bool: ...
    @property
    def size(self) -> int: ...


class GenerationApi(Protocol):
    async def create(self, operation: Operation, body: bytes) -> Answer: ...
    async def query(self, task_id: str) -> Answer: ...
    async def fetch(self, url: str, incoming: Incoming) -> None: ...


class UploadApi(Protocol):
    async def ask_upload(self, model: str) -> Answer: ...
    async def upload(
        self, policy: UploadPolicy, data: BinaryIO, *, key: str, media_type: str
    ) -> HostRefusal | None: ...


class UploadRecorder(Protocol):
    """Remembers the addresses of uploaded files; each call ends when the fact is on disk."""

    def find_upload(self, sha256: str, *, model: str, since: str) -> str | None: ...
    async def record_upload(self, sha256: str, *, model: str, url: str, at: str) -> None: ...
    async def forget_upload(self, sha256: str, *, model: str) -> None: ...
    async def record_trouble(self, job: OpenJob, *, at: str, phase: str, message: str) -> None: ...


class JobUploads(Protocol):
    """Brings the local files that a request names to where the service finds them."""

    async def prepare(self, job: OpenJob, operation: Operation) -> OpenJob | JobResult: ...
    async def doubt(self, job: OpenJob, operation: Operation, code: str) -> None: ...


class Recorder(Protocol):
    """Each call ends when the fact is on disk."""

    async def record_intent(self, job: OpenJob, *, at: str) -> None: ...
    async def record_task(
        self, job: OpenJob, *, task_id: str, request_id: str, at: str
    ) -> None: ...
    async def record_answer(
        self, job: OpenJob, *, output: Mapping[str, Json] | None, units: int, request_id: str
    ) -> None: ...
    async def record_refusal(
        self, job: OpenJob, *, at: str, code: str, message: str, counts: bool
    ) -> None: ...
    async def record_trouble(self, job: OpenJob, *, at: str, phase: str, message: str) -> None: ...
    async def record_result(
        self, job: OpenJob, result: JobResult, *, at: str, request_id: str | None = None
    ) -> None: ...


OwnIncoming = TypeVar("OwnIncoming", bound=Incoming)


class ArtifactSink(Protocol[OwnIncoming]):
    """Takes back what it gave out by `incoming()`."""

    def incoming(self) -> OwnIncoming: ...
    async def keep(
        self,
        incoming: OwnIncoming,
        *,
        stems: Sequence[str],
        media: str,
        declared: str | None = None,
    ) -> Saved: ...
