"""The door to the network: one aiohttp session, and the one place that knows its errors."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from dsrun import __version__
from dsrun.errors import AnswerLost, NotSent

_log = logging.getLogger(__name__)

_CONNECT_S = 15.0
_IDLE_S = 60.0  # without a byte during a download
_KEEPALIVE_S = 4.0  # less than common servers keep: a create must not meet a closing connection
_USER_AGENT = f"dsrun/{__version__}"
_OK = 200
_UNPACKED = {"Accept-Encoding": "identity"}
_DOWNLOAD = aiohttp.ClientTimeout(total=None, connect=_CONNECT_S, sock_read=_IDLE_S)


@cache
def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, connect=_CONNECT_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer, read to its end. Header names are looked up in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Download(NamedTuple):
    """A file that was read. `length` is what the server announced, in bytes."""

    status: int
    length: int | None


class Transport:
    """Requests and downloads; never retries, never follows a redirect of an API call."""

    def __init__(self, *, fresh_creates: bool = True) -> None:
        """`fresh_creates`: each create has a connection of its own.

        One that is kept may be closed by the server just as it is used, and the answer of the
        create is lost with it; at the published rates a new one costs nothing.
        """
        kept = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S)
        self._session = _open_session(kept)
        self._creates = self._session
        if fresh_creates:
            self._creates = _open_session(aiohttp.TCPConnector(limit=0, force_close=True))
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
    ) -> Reply:
        """Send and read the whole answer. Raises NotSent or AnswerLost."""
        timeout = _timeout(timeout_s)
        _log.debug("%s %s", method, url)
        with _translated(url):
            session = self._session if body is None else self._creates
            async with session.request(
                method,
                url,
                headers=headers,
                data=body,
                timeout=timeout,
                allow_redirects=False,
                proxy=self._proxy(url),
            ) as response:
                body = await response.read()
                _log.debug("%s %s: HTTP %d, %d bytes", method, url, response.status, len(body))
                return Reply(
                    status=response.status,
                    headers=response.headers,
                    body=body,
                )

    async def post_form(
        self,
        url: str,
        *,
        fields: Mapping[str, str],
        file: BinaryIO,
        name: str,
        media_type: str,
        timeout_s: float,
    ) -> Reply:
        """Post a form whose last part is a file, read as it is sent. Raises NotSent or AnswerLost.

        Sends no credential but what stands in the fields.
        """
        form = aiohttp.FormData(dict(fields))
        form.add_field("file", file, filename=name, content_type=media_type)
        with _translated(url):
            async with self._session.post(
                url,
                data=form,
                timeout=_timeout(timeout_s),
                allow_redirects=False,
                proxy=self._proxy(url),
            ) as response:
                body = await response.read()
                return Reply(status=response.status, headers=response.headers, body=body)

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

    async def download(self, url: str, take: Callable[[bytes], None]) -> Download:
        """Read a file, chunk by chunk; of any status but 200 nothing is taken.

        Sends no credential. Raises NotSent or AnswerLost, while reading too.
        """
        with _translated(url):
            async with self._session.get(
                _as_given(url),
                headers=_UNPACKED,
                timeout=_DOWNLOAD,
                proxy=self._proxy(url),
            ) as response:
                is_packed = response.headers.get("Content-Encoding", "identity") != "identity"
                if response.status == _OK:
                    while chunk := await response.content.readany():
                        take(chunk)
                return Download(response.status, None if is_packed else response.content_length)


def _open_session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": _USER_AGENT},
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
        return f"HTTP {error.status} {error.message}"  # its own text holds the signed address
    return str(error) or type(error).__name__
