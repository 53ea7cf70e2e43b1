"""The API in its own words: create, query, fetch. One request a call, no retry."""

from collections.abc import Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import BinaryIO, Protocol
from urllib.parse import quote, urlencode

from dsrun.common.errors import AnswerLost, Expired, TooLong
from dsrun.common.media import ArtifactInvalid
from dsrun.service.answer_json import cut, parse_answer
from dsrun.service.classify import judge
from dsrun.service.operation import Operation
from dsrun.service.replies import Answer, HostRefusal, UploadPolicy, host_refusal, request_id_of
from dsrun.service.transport import Reply, Transport

_QUERY_TIMEOUT_S = 30.0

# The most bytes of an answer that can hold neither a file nor a list.
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


class Incoming(Protocol):
    """What takes the bytes of a file."""

    def add(self, chunk: bytes) -> None: ...
    def is_cut_off(self) -> bool: ...
    @property
    def size(self) -> int: ...


class FetchRefused(AnswerLost):
    """The file host answered, but not with the file."""


class ApiClient:
    """Speaks to one endpoint with one key; the key goes to that endpoint alone."""

    def __init__(self, transport: Transport, credentials: Credentials) -> None:
        self._transport = transport
        self._base_url = credentials.base_url.rstrip("/")
        self._headers = {"Authorization": credentials.bearer()}
        if credentials.workspace:
            self._headers["X-DashScope-WorkSpace"] = credentials.workspace

    async def create(self, operation: Operation, body: bytes) -> Answer:
        """Send a request that may cost money. Raises NotSent or AnswerLost."""
        headers = {**self._headers, **operation.headers, "Content-Type": "application/json"}
        if b'"oss://' in body:
            headers["X-DashScope-OssResourceResolve"] = "enable"
        reply = await self._transport.request(
            operation.method,
            self._base_url + operation.path,
            headers=headers,
            body=body,
            timeout_s=operation.timeout_s,
        )
        return _read(reply)

    async def query(self, task_id: str) -> Answer:
        """Ask for a task. Raises NotSent or AnswerLost."""
        reply = await self._transport.request(
            "GET",
            f"{self._base_url}/tasks/{quote(task_id, safe='')}",
            headers=self._headers,
            body=None,
            timeout_s=_QUERY_TIMEOUT_S,
            most=_TASK,
        )
        return _read(reply)

    async def ask_upload(self, model: str) -> Answer:
        """Ask for the right to upload one file for a model. Raises NotSent or AnswerLost."""
        reply = await self._transport.request(
            "GET",
            f"{self._base_url}/uploads?action=getPolicy&model={quote(model, safe='')}",
            headers=self._headers,
            body=None,
            timeout_s=_QUERY_TIMEOUT_S,
            most=_TASK,
        )
        return _read(reply)

    async def upload(
        self, policy: UploadPolicy, data: BinaryIO, *, size: int, key: str, media_type: str
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
        return None if reply.status == _OK else host_refusal(reply.status, bytes(reply.body))

    async def list_tasks(self, query: Mapping[str, str]) -> Answer:
        """A page of the account's tasks. Raises NotSent or AnswerLost."""
        reply = await self._transport.request(
            "GET",
            f"{self._base_url}/tasks/?{urlencode(query)}",
            headers=self._headers,
            body=None,
            timeout_s=_QUERY_TIMEOUT_S,
        )
        return replace(_read(reply), served_at=_served_at(reply.headers))

    async def call(self, operation: Operation, body: bytes) -> Answer:
        """Another action of the operation's address, which costs nothing: a list, a query.

        Raises NotSent or AnswerLost.
        """
        reply = await self._transport.request(
            operation.method,
            self._base_url + operation.path,
            headers={**self._headers, "Content-Type": "application/json"},
            body=body,
            timeout_s=_QUERY_TIMEOUT_S,
        )
        return _read(reply)

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


def _read(reply: Reply) -> Answer:
    payload = parse_answer(reply.body)
    return Answer(
        verdict=judge(reply.status, payload, headers=reply.headers, through=reply.through),
        payload=payload,
        request_id=cut(request_id_of(payload, reply.headers)),
    )


def _served_at(headers: Mapping[str, str]) -> float | None:
    """The service's own clock, from the Date header."""
    try:
        return parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (ValueError, OverflowError):
        return None
