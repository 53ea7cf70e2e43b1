"""Plain requests over pyreqwest, at a fraction of aiohttp's work; all else over `transport`.

Plain is what goes straight to a host that this system trusts, at an address that both libraries
send letter by letter. A proxy, certificates of one's own, a redirect, an upload: aiohttp has them.
So has a request that found no connection: nothing of it was sent, and aiohttp says why in words.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import ConnectError, DetailedPyreqwestError, PyreqwestError
from pyreqwest.http import HeaderMap, Url
from pyreqwest.request import RequestBuilder
from pyreqwest.response import Response

from dsrun.common.errors import AnswerLost, SetupError, TooLong
from dsrun.common.settings import read_proxies, read_trust
from dsrun.service.bodies import Body, Pace, Patience, room_for_large
from dsrun.service.client import LARGEST_ANSWER, Download, Readable
from dsrun.service.conduct import KEEPALIVE_S, REDIRECTS, UNPACKED, USER_AGENT, host_of, short
from dsrun.service.replies import HttpReply
from dsrun.service.unpacking import ASKED_FOR, Oversize

if TYPE_CHECKING:
    from dsrun.service.transport import Transport

_log = logging.getLogger(__name__)

_OK = 200
# pyreqwest's ConnectError is no proof that nothing was sent: it also names lost answers so. The
# HTTP library below it tells them apart, in the second of the causes.
_NOT_CONNECTED: Final = "client error (Connect)"
_NOT_ANSWERED: Final = "client error (SendRequest)"
_ANSWER_AT_ONCE = 1 << 12
_FILE_AT_ONCE = 1 << 12  # of a file, which shall not seem to crawl because bytes are held back


class _Again(Exception):
    """Another transport may send the request: this one had no connection, or it only asks."""


class FastTransport:
    """Is an `HttpTransport`, as `transport.Transport`, whose rules and words it keeps."""

    def __init__(self, *, fresh_creates: bool = True, patience: Patience | None = None) -> None:
        """As of `Transport`."""
        self._patience = patience or Patience()
        self._fresh_creates = fresh_creates
        self._kept = _open_client(self._patience.connect_s)
        self._creating = (
            _open_client(self._patience.connect_s, most_kept=0) if fresh_creates else self._kept
        )
        self._proxies = read_proxies()
        self._plain: dict[str, bool] = {}  # by scheme and host
        self._large = room_for_large()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        for client in {self._kept, self._creating}:
            await client.close()
        if "_other" in self.__dict__:
            await self._other.__aexit__(kind, error, tb)

    @cached_property
    def _other(self) -> "Transport":
        from dsrun.service.transport import Transport  # noqa: PLC0415  # half of a short run

        return Transport(fresh_creates=self._fresh_creates, patience=self._patience)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
        most: int | None = LARGEST_ANSWER,
    ) -> HttpReply:
        """Send and read the whole answer. Raises as `Transport.request`."""
        _log.debug("%s %s", method, url)
        address = self._plain_address(url)
        if address is not None and most is not None:
            client = self._kept if body is None else self._creating
            asking = client.request(method, address).headers(dict(headers))
            if body is not None:
                asking = asking.body_bytes(body)
            try:
                return await self._ask(
                    asking, url, only_asks=body is None, timeout_s=timeout_s, most=most
                )
            except _Again as error:
                _log.debug("asking once more: %s", error)
        return await self._other.request(
            method, url, headers=headers, body=body, timeout_s=timeout_s, most=most
        )

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
    ) -> HttpReply:
        """As `Transport.post_form`, which does it."""
        return await self._other.post_form(
            url, fields=fields, file=file, size=size, name=name, media_type=media_type, most=most
        )

    async def download(self, url: str, take: Callable[[bytes], None], *, most: int) -> Download:
        """Read a file chunk by chunk. Raises as `Transport.download`."""
        address = self._plain_address(url)
        if address is not None:
            asking = self._kept.get(address).headers(UNPACKED)
            try:
                done = await self._fetch(asking, url, take, most=most)
            except _Again as error:
                _log.debug("asking once more: %s", error)
            else:
                if done is not None:
                    return done
        return await self._other.download(url, take, most=most)

    async def _ask(
        self, asking: RequestBuilder, url: str, *, only_asks: bool, timeout_s: float, most: int
    ) -> HttpReply:
        sending = asking.streamed_read_buffer_limit(_ANSWER_AT_ONCE).build_streamed()
        with _Translated(url, only_asks=only_asks):
            async with asyncio.timeout(timeout_s), sending as response:
                body = await _body_of(response, most).whole(self._large)
        _log.debug("HTTP %d from %s, %d bytes", response.status, host_of(url), len(body))
        return HttpReply(status=response.status, headers=_Headers(response.headers), body=body)

    async def _fetch(
        self, asking: RequestBuilder, url: str, take: Callable[[bytes], None], *, most: int
    ) -> Download | None:
        """The file; None where the answer leads to another address, and nothing was taken."""
        sending = asking.streamed_read_buffer_limit(_FILE_AT_ONCE).build_streamed()
        with _Translated(url, only_asks=True):
            async with Pace(self._patience, most=most) as pace, sending as response:
                status = response.status
                if status in REDIRECTS:
                    return None
                if status != _OK:
                    return Download(status, None)
                body = _body_of(response, most)
                await body.pass_on(take, pace)
                return Download(status, None if body.is_packed else body.length)

    def _plain_address(self, url: str) -> Url | None:
        scheme, _, rest = url.partition("://")
        host = rest.partition("/")[0]
        place = f"{scheme}://{host}"
        if place not in self._plain:
            self._plain[place] = "@" not in host and self._is_straight(url, scheme)
        if not self._plain[place]:
            return None
        try:
            address = Url(url)
        except (PyreqwestError, ValueError):  # aiohttp says that it is none
            return None
        return address if str(address) == url else None

    def _is_straight(self, url: str, scheme: str) -> bool:
        try:
            if scheme not in ("http", "https") or self._proxies.of(url) is not None:
                return False
            return scheme == "http" or read_trust() is None
        except SetupError:  # aiohttp says what cannot be used
            return False


def _open_client(connect_s: float, *, most_kept: int | None = None) -> Client:
    """One that sends each request once, as it is given, and nothing of itself."""
    builder = (
        ClientBuilder()
        .no_proxy()
        .http1_only()
        .follow_redirects(False)
        .referer(False)
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .user_agent(USER_AGENT)
        .default_headers({"Accept-Encoding": ASKED_FOR})
        .connect_timeout(timedelta(seconds=connect_s))
        .pool_idle_timeout(timedelta(seconds=KEEPALIVE_S))
    )
    if most_kept is not None:
        builder = builder.pool_max_idle_per_host(most_kept)
    return builder.build()


class _Headers(Mapping[str, str]):
    """What is no text is not there: pyreqwest raises where it is asked for."""

    def __init__(self, headers: HeaderMap) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        try:
            return self._headers[name]
        except ValueError as error:
            raise KeyError(name) from error

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._headers if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _body_of(response: Response, most: int) -> Body:
    """Raises Oversize, and ValueError for a length that cannot be read."""
    length = response.get_header("Content-Length")
    return Body(
        _chunks_of(response),
        response.get_header_all("Content-Encoding"),
        length=None if length is None else int(length),
        most=most,
    )


def _chunks_of(response: Response) -> Callable[[], Awaitable[bytes]]:
    read = response.body_reader.read_chunk

    async def next_chunk() -> bytes:
        chunk = await read()
        return b"" if chunk is None else bytes(chunk)

    return next_chunk


class _Translated:
    """Errors of pyreqwest become ours.

    What found no connection is `_Again`, and so is what only asks and met a connection that the
    server was closing; aiohttp too asks such a question twice, and sends a create once.
    """

    __slots__ = ("_only_asks", "_url")

    def __init__(self, url: str, *, only_asks: bool) -> None:
        self._url, self._only_asks = url, only_asks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        host = host_of(self._url)
        if _is_unsent(error) or (self._only_asks and _is_unanswered(error)):
            raise _Again(_reason(error)) from error
        if isinstance(error, Oversize):
            raise TooLong(f"the answer from {host} is refused: {error}") from error
        if isinstance(error, PyreqwestError | TimeoutError | OSError | ValueError):
            raise AnswerLost(f"no answer from {host}: {_reason(error)}") from error


def _is_unsent(error: BaseException) -> bool:
    return _causes(error)[1:2] == [_NOT_CONNECTED]


def _is_unanswered(error: BaseException) -> bool:
    return isinstance(error, ConnectError) and _causes(error)[1:2] == [_NOT_ANSWERED]


def _reason(error: BaseException) -> str:
    """The first cause quotes the address, which may be signed; the last says what happened."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    return short([type(error).__name__, str(error), *_causes(error)[1:]][-1])


def _causes(error: BaseException) -> list[Any]:
    if not isinstance(error, DetailedPyreqwestError):
        return []
    return [cause["message"] for cause in error.details.get("causes") or []]
