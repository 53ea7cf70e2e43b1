"""The API in its own words: create, query, list, upload, fetch. One request a call, no retry.

It gives values of `replies` and `lists`, and takes whatever speaks HTTP as an `HttpTransport`.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlencode

import orjson

from dsrun.common.errors import AnswerLost, Expired, TooLong
from dsrun.common.media import ArtifactInvalid
from dsrun.common.models import Json
from dsrun.common.pointer import pointer, put_at, resolve
from dsrun.service.endpoint import address_of
from dsrun.service.lists import Entry, MadeRow, Page, TaskRow, read_made, read_row, read_tasks
from dsrun.service.operation import ByName, MadeList, Operation
from dsrun.service.replies import (
    Created,
    Ended,
    HostRefusal,
    HttpReply,
    Refused,
    Running,
    Unreadable,
    UploadPolicy,
    read_created,
    read_host_refusal,
    read_policy,
    read_task,
)

_QUERY_TIMEOUT_S = 30.0

# The most bytes of an answer, unpacked. One with a voice's preview in it is estimated at several
# MB, and nobody has published the largest page of a list (api/voice-design.md 2.2,
# api/tasks-and-platform.md 1.2).
LARGEST_ANSWER = 16 << 20
# The same where it can hold neither a file nor a list.
_TASK = 1 << 20  # a thousand signed addresses; many such answers are in memory at once
_HOST_WORDS = 64 << 10  # XML of the file host

_OK = 200
_GONE = (403, 404, 410)  # what a signed address that has expired is answered with


class Credentials(Protocol):
    @property
    def base_url(self) -> str: ...
    @property
    def workspace(self) -> str | None: ...
    def bearer(self) -> str: ...


class Readable(Protocol):
    """A file that is sent."""

    def read(self, size: int = ..., /) -> bytes: ...


class Incoming(Protocol):
    """What takes the bytes of a file."""

    def add(self, chunk: bytes) -> None: ...
    def is_cut_off(self) -> bool: ...
    @property
    def size(self) -> int: ...


class Download(NamedTuple):
    """A file that was read. `length` is what the server announced, in bytes."""

    status: int
    length: int | None


class HttpTransport(Protocol):
    """Sends and reads, and never retries. Every call raises NotSent, AnswerLost or TooLong."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
        most: int | None = ...,
    ) -> HttpReply: ...
    async def post_form(
        self,
        url: str,
        *,
        fields: Mapping[str, str],
        file: Readable,
        size: int,
        name: str,
        media_type: str,
        most: int,
    ) -> HttpReply: ...
    async def download(self, url: str, take: Callable[[bytes], None], *, most: int) -> Download: ...


class FetchRefused(AnswerLost):
    """The file host answered, but not with the file."""


class ApiClient:
    """Speaks to one endpoint with one key; the key goes to that endpoint alone."""

    def __init__(self, transport: HttpTransport, credentials: Credentials) -> None:
        self._transport = transport
        self._base_url = credentials.base_url.rstrip("/")
        self._headers = {"Authorization": credentials.bearer()}
        if credentials.workspace:
            self._headers["X-DashScope-WorkSpace"] = credentials.workspace

    async def create(self, operation: Operation, body: bytes) -> Created:
        """Send a request that may cost money. Raises NotSent or AnswerLost."""
        headers = {**self._headers, **operation.headers, "Content-Type": "application/json"}
        if b'"oss://' in body:
            headers["X-DashScope-OssResourceResolve"] = "enable"
        reply = await self._transport.request(
            operation.method,
            address_of(operation, self._base_url),
            headers=headers,
            body=body,
            timeout_s=operation.timeout_s,
        )
        return read_created(operation, reply)

    async def query(self, operation: Operation, task_id: str) -> Running | Ended | Refused:
        """Ask for a task of the operation. Raises NotSent or AnswerLost."""
        reply = await self._get(f"/tasks/{quote(task_id, safe='')}", most=_TASK)
        return read_task(operation, reply)

    async def ask_upload(self, model: str) -> UploadPolicy | Refused | Unreadable:
        """Ask for the right to upload one file for a model. Raises NotSent or AnswerLost."""
        where = f"/uploads?action=getPolicy&model={quote(model, safe='')}"
        return read_policy(await self._get(where, most=_TASK))

    async def upload(
        self, policy: UploadPolicy, data: Readable, *, size: int, key: str, media_type: str
    ) -> HostRefusal | None:
        """Send a file to where its policy says. Raises NotSent or AnswerLost.

        The host gets the policy's signature and never the key of the API.
        """
        fields = {
            **policy.fields,
            "key": key,
            "success_action_status": str(_OK),
            "x-oss-content-type": media_type,
        }
        reply = await self._transport.post_form(
            policy.host,
            fields=fields,
            file=data,
            size=size,
            name=key.rpartition("/")[2],
            media_type=media_type,
            most=_HOST_WORDS,
        )
        return None if reply.status == _OK else read_host_refusal(reply)

    async def list_tasks(self, query: Mapping[str, str]) -> Page[TaskRow] | Refused | Unreadable:
        """A page of the account's tasks. Raises NotSent or AnswerLost."""
        return read_tasks(await self._get(f"/tasks/?{urlencode(query)}"))

    async def list_made(
        self, operation: Operation, recovery: MadeList, request: Json, *, number: int, size: int
    ) -> Page[MadeRow] | Refused:
        """A page, counted from 0, of what a request may have made; it costs nothing.

        Raises NotSent or AnswerLost.
        """
        body = orjson.loads(orjson.dumps(recovery.body))
        for asked, at in recovery.filter.items():
            if (value := resolve(request, asked)) is not None:
                put_at(body, pointer(at) or (), value)
        put_at(body, recovery.page, number)
        put_at(body, recovery.page_size, size)
        return read_made(recovery, await self._ask(operation, body))

    async def ask_by_name(self, operation: Operation, asking: ByName, name: str) -> Entry | Refused:
        """Ask for one row of a list, or delete it. Raises NotSent or AnswerLost."""
        body = orjson.loads(orjson.dumps(asking.body))
        put_at(body, asking.name, name)
        return read_row(asking, await self._ask(operation, body))

    async def fetch(self, url: str, incoming: Incoming, *, most: int) -> None:
        """Read a result file of `most` bytes whole.

        Raises NotSent, AnswerLost, Expired, ArtifactInvalid or SetupError.
        """
        try:
            status, length = await self._transport.download(url, incoming.add, most=most)
        except TooLong as error:
            raise ArtifactInvalid(f"the file has more than {most >> 20} MB") from error
        if status != _OK:
            words = f"the file host answered with HTTP {status}"
            raise Expired(words) if status in _GONE else FetchRefused(words)
        if length is None and incoming.is_cut_off():
            raise AnswerLost("the file has no end")
        if length is not None and incoming.size < length:
            raise AnswerLost(f"the file ended at {incoming.size} of {length} bytes")

    async def _ask(self, operation: Operation, body: Json) -> HttpReply:
        """Send what costs nothing to where the operation's creates go."""
        return await self._transport.request(
            operation.method,
            address_of(operation, self._base_url),
            headers={**self._headers, "Content-Type": "application/json"},
            body=orjson.dumps(body),
            timeout_s=_QUERY_TIMEOUT_S,
        )

    async def _get(self, where: str, *, most: int = LARGEST_ANSWER) -> HttpReply:
        return await self._transport.request(
            "GET",
            self._base_url + where,
            headers=self._headers,
            body=None,
            timeout_s=_QUERY_TIMEOUT_S,
            most=most,
        )
