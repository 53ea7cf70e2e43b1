"""The door to the network: one aiohttp session, and the one place that knows its errors.

Whatever a server does, every call ends: an answer may have so many bytes and take so long.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from dsrun import __version__
from dsrun.common.errors import AnswerLost, NotSent, TooLong
from dsrun.service.client import LARGEST_ANSWER, Download, Readable
from dsrun.service.replies import HttpReply
from dsrun.service.unpacking import ASKED_FOR, Oversize, Unpacker

_log = logging.getLogger(__name__)

_SMALL = 1 << 18  # bytes of an answer that need not wait for room
_BUFFER = 1 << 16  # bytes that a connection buffers until they are read
_LARGE_AT_ONCE = 2  # larger answers: memory must not follow concurrency
_KEEPALIVE_S = 4.0  # less than common servers allow: a create must not meet a closing connection
_USER_AGENT = f"dsrun/{__version__}"
_OK = 200
_LONGEST_REASON = 300
_UNPACKED = {"Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How slow a transfer may be. Many share a link, and the rates are those of one.

    Within any `window_s` as much must come as `least_rate` gives, from the first request on, so
    that headers and redirects count too. The whole may take `base_s` and what `whole_rate` needs.
    """

    connect_s: float = 15.0
    window_s: float = 60.0
    least_rate: float = 1024.0  # bytes a second, as is whole_rate
    base_s: float = 3600.0
    whole_rate: float = 8192.0

    def whole_s(self, size: int) -> float:
        """Seconds that so many bytes may take."""
        return self.base_s + size / self.whole_rate


class Transport:
    """Requests and downloads; never retries, never follows a redirect of an API call."""

    def __init__(self, *, fresh_creates: bool = True, patience: Patience | None = None) -> None:
        """`fresh_creates`: each create has a connection of its own.

        One that is kept may be closed by the server just as it is used, and the answer of the
        create is lost with it; at the published rates a new one costs nothing.
        """
        self._patience = patience = patience or Patience()
        kept = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S)
        self._session = _open_session(kept, patience)
        self._creates = self._session
        if fresh_creates:
            fresh = aiohttp.TCPConnector(limit=0, force_close=True)
            self._creates = _open_session(fresh, patience)
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._proxies: dict[tuple[str, str], str | None] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._creates.close()
        await self._session.close()

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
        """Send and read the whole answer, of `most` bytes; with None its body is left unread.

        Raises NotSent, AnswerLost or TooLong.
        """
        _log.debug("%s %s", method, url)
        session = self._session if body is None else self._creates
        with _translated(url):
            async with (
                asyncio.timeout(timeout_s),
                session.request(
                    method,
                    url,
                    headers=headers,
                    data=body,
                    allow_redirects=False,
                    proxy=self._proxy(url),
                ) as response,
            ):
                return await self._reply(response, most)

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
        """Post a form whose last part is a file of `size`, read as it is sent. Raises as `request`.

        Sends no credential but what stands in the fields.
        """
        form = aiohttp.FormData(dict(fields))
        form.add_field("file", file, filename=name, content_type=media_type)
        with _translated(url):
            # No least rate: bytes that were handed over may wait in the system's own buffers.
            async with (
                asyncio.timeout(self._patience.whole_s(size)),
                self._session.post(
                    url, data=form, allow_redirects=False, proxy=self._proxy(url)
                ) as response,
            ):
                return await self._reply(response, most)

    def _proxy(self, url: str) -> str | None:
        """The proxy of HTTP_PROXY and the like, looked up once a host.

        aiohttp's `trust_env` asks the environment for each request, and a .netrc for passwords.
        """
        scheme, _, rest = url.partition("://")
        host = rest.partition("/")[0]
        if (scheme, host) not in self._proxies:
            proxy = None if proxy_bypass(host) else getproxies().get(scheme)
            self._proxies[scheme, host] = proxy
        return self._proxies[scheme, host]

    async def download(self, url: str, take: Callable[[bytes], None], *, most: int) -> Download:
        """Read a file of `most` bytes, chunk by chunk; of any status but 200 nothing is taken.

        Sends no credential. Raises NotSent, AnswerLost or TooLong, while reading too.
        """
        with _translated(url):
            async with (
                _Pace(self._patience, most=most) as pace,
                self._session.get(
                    _as_given(url), headers=_UNPACKED, proxy=self._proxy(url)
                ) as response,
            ):
                if response.status != _OK:
                    return Download(response.status, None)
                unpacker, length = _body_of(response, most)
                if length is not None:
                    pace.expect(length)
                while chunk := await response.content.readany():
                    pace.moved += len(chunk)
                    for piece in unpacker.unpack(chunk):
                        take(piece)
                unpacker.finish()
                return Download(response.status, None if unpacker.is_packed else length)

    async def _reply(self, response: aiohttp.ClientResponse, most: int | None) -> HttpReply:
        body = bytearray() if most is None else await self._read(response, most)
        _log.debug("HTTP %d from %s, %d bytes", response.status, response.host, len(body))
        return HttpReply(status=response.status, headers=response.headers, body=body)

    async def _read(self, response: aiohttp.ClientResponse, most: int) -> bytearray:
        """The whole body; only a few large ones are read at a time."""
        body, (unpacker, _) = bytearray(), _body_of(response, most)
        async with AsyncExitStack() as room:
            is_large = False
            while chunk := await response.content.readany():
                for piece in unpacker.unpack(chunk):
                    body += piece
                    if len(body) > _SMALL and not is_large:
                        is_large = True
                        await room.enter_async_context(self._large)
        unpacker.finish()
        return body


class _Pace:
    """Ends a transfer that crawls, or takes longer than its size allows, with TimeoutError.

    It looks once a window, so that a transfer as quick as most costs one timer.
    """

    def __init__(self, patience: Patience, *, most: int) -> None:
        self.moved = 0  # bytes so far, as they came
        self._seen = 0  # of them, when the window began
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        self._whole_s = patience.whole_s(most)
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._window = self._loop.call_later(self._patience.window_s, self._look)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._window.cancel()
        await self._timeout.__aexit__(kind, error, tb)

    def expect(self, size: int) -> None:
        """The server has said how long it is."""
        self._whole_s = self._patience.whole_s(size)

    def _look(self) -> None:
        patience, now = self._patience, self._loop.time()
        crawls = self.moved - self._seen < patience.least_rate * patience.window_s
        if crawls or now - self._began_at > self._whole_s:
            self._timeout.reschedule(now)
            return
        self._seen = self.moved
        self._window = self._loop.call_later(patience.window_s, self._look)


def _body_of(response: aiohttp.ClientResponse, most: int) -> tuple[Unpacker, int | None]:
    """What unpacks a body, and the length that is announced; refused unread where it is too long.

    aiohttp would unpack it too, but how much at once depends on its version.
    """
    length = response.content_length
    if length is not None and length > most:
        raise Oversize(most)
    return Unpacker(response.headers.getall("Content-Encoding", ()), most=most), length


def _open_session(connector: aiohttp.TCPConnector, patience: Patience) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": _USER_AGENT, "Accept-Encoding": ASKED_FOR},
        timeout=aiohttp.ClientTimeout(total=None, connect=patience.connect_s),
        auto_decompress=False,
        read_bufsize=_BUFFER,
        cookie_jar=aiohttp.DummyCookieJar(),
        requote_redirect_url=False,
    )


def _as_given(url: str) -> URL:
    """A signed address must reach the host letter by letter, so it is not quoted anew."""
    try:
        parsed = URL(url, encoded=url.isascii() and url.isprintable() and " " not in url)
        is_address = parsed.scheme in ("http", "https") and bool(parsed.host) and parsed.port
    except ValueError as error:
        raise aiohttp.InvalidURL("no address") from error
    if not is_address:
        raise aiohttp.InvalidURL("no address")
    return parsed


_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectionResetError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)


class _translated:  # noqa: N801  # read as a word after `with`
    """Foreign errors become ours. What failed before a byte was sent is safe to repeat."""

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        url = self._url
        host = url.split("/")[2] if url.count("/") > 1 else url  # without query: it may be signed
        if isinstance(error, _NEVER_SENT):
            raise NotSent(f"cannot connect to {host}: {_reason(error)}") from error
        if isinstance(error, Oversize):
            raise TooLong(f"the answer from {host} is refused: {error}") from error
        # A ValueError may come from an answer that cannot be read: who knows what was accepted.
        if isinstance(error, aiohttp.ClientError | TimeoutError | OSError | ValueError):
            raise AnswerLost(f"no answer from {host}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or str(error.os_error)
    if isinstance(error, aiohttp.InvalidURL):
        return "this is no address"
    if isinstance(error, aiohttp.TooManyRedirects):
        return "it redirects without end"
    if isinstance(error, aiohttp.ClientResponseError):
        return _short(f"HTTP {error.status} {error.message}")  # its own text holds the address
    return _short(str(error)) or type(error).__name__


def _short(words: str) -> str:
    """An error of aiohttp quotes what it could not read, which may be a quarter of a megabyte."""
    return words if len(words) <= _LONGEST_REASON else f"{words[:_LONGEST_REASON]} ..."
