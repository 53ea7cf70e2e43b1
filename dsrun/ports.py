"""What the core needs of the doors, as Protocols; commands/run.py passes the real ones."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from dsrun.answers import Answer
from dsrun.records import JobResult, Json, OpenJob, Operation, Saved
from dsrun.recovery import Doubt


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
    async def list_tasks(self, query: Mapping[str, str]) -> Answer: ...
    async def call(self, operation: Operation, body: bytes) -> Answer: ...
    async def fetch(self, url: str, incoming: Incoming) -> None: ...


class Claims(Protocol):
    """What the ledgers of one output root know of tasks and of things made."""

    def accepted_at(self, task_ids: Sequence[str]) -> dict[str, float]: ...
    def claimed(self, operation: str, names: Sequence[str]) -> set[str]: ...
    def rivals(self, operation: str, *, job_id: str) -> list[Doubt]: ...


class Recorder(Protocol):
    """Each call ends when the fact is on disk."""

    async def record_intent(self, job: OpenJob, *, at: str) -> None: ...
    async def record_lost(
        self, job: OpenJob, *, at: str, message: str, request_id: str | None
    ) -> None: ...
    async def record_task(
        self, job: OpenJob, *, task_id: str, request_id: str | None, at: str, found: bool = False
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
