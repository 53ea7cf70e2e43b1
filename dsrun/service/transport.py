"""The door to the network: requests over `routes`, and the one place that knows aiohttp's errors.

Whatever a server does, every call ends: an answer may have so many bytes and take so long.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from dsrun.common.errors import AnswerLost, NotSent, ProxyRefused, TooLong
from dsrun.common.proxies import Proxy
from dsrun.service.bodies import Body, Pace, Patience, room_for_large
from dsrun.service.client import LARGEST_ANSWER, Download, Readable
from dsrun.service.conduct import REDIRECTS, UNPACKED, host_of, short
from dsrun.service.replies import HttpReply
from dsrun.service.routes import Route, Routes, Unconnected
from dsrun.service.unpacking import Oversize

_log = logging.getLogger(__name__)

_OK = 200
_MOST_REDIRECTS = 10
_LOGIN_WANTED = 407  # said by a proxy, of a request that it has not passed on
_HOST_UNREACHED = (502, 503, 504)  # what a proxy says of a host behind it
_SERVER_ERROR = 500
_MAY_PASS_LATER = (408, 425, 429)
_PROBE_S = 30.0


class Transport:
    """Requests and downloads; never retries, never follows a redirect of an API call."""

    def __init__(self, *, fresh_creates: bool = True, patience: Patience | None = None) -> None:
        """`fresh_creates`: each create has a connection of its own.

        One that is kept may be closed by the server just as it is used, and the answer of the
        create is lost with it; at the published rates a new one costs nothing.
        """
        self._patience = patience or Patience()
        self._routes = Routes(connect_s=self._patience.connect_s, fresh_creates=fresh_creates)
        self._large = room_for_large()
        self._proven: set[tuple[str, str]] = set()  # hosts that a relaying proxy has reached

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._routes.close()

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
        route = self._routes.to(url, is_create=body is not None)
        if body is not None and route.is_relayed:
            await self._prove(url, route)
        with _translated(url, route.proxy):
            async with (
                asyncio.timeout(timeout_s),
                route.session.request(
                    method, url, data=body, allow_redirects=False, **route.options(headers)
                ) as response,
            ):
                _check_relay(response, route, is_create=body is not None)
                return await self._reply(response, most, route)

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
        route = self._routes.to(url)
        with _translated(url, route.proxy):
            # No least rate: bytes that were handed over may wait in the system's own buffers.
            async with (
                asyncio.timeout(self._patience.whole_s(size)),
                route.session.post(
                    url, data=form, allow_redirects=False, **route.options({})
                ) as response,
            ):
                _check_relay(response, route)
                return await self._reply(response, most, route)

    async def _prove(self, url: str, route: Route) -> None:
        """Let a create go to a relaying proxy only once it has reached the host. Raises NotSent.

        Its own 502 to a create would leave open whether the API has accepted it; to this question,
        which holds no key, it leaves nothing open.
        """
        host = (str(route.proxy), host_of(url))
        if host in self._proven:
            return
        try:
            with _translated(url, route.proxy):
                async with (
                    asyncio.timeout(_PROBE_S),
                    route.session.get(url, allow_redirects=False, **route.options({})) as response,
                ):
                    _check_relay(response, route)
        except AnswerLost as error:
            raise NotSent(str(error)) from error
        self._proven.add(host)

    async def download(self, url: str, take: Callable[[bytes], None], *, most: int) -> Download:
        """Read a file of `most` bytes, chunk by chunk; of any status but 200 nothing is taken.

        Sends no credential. Raises NotSent, AnswerLost or TooLong, while reading too.
        """
        with _translated(url) as failing:
            async with (
                Pace(self._patience, most=most) as pace,
                self._opened(url, failing) as response,
            ):
                if response.status != _OK:
                    return Download(response.status, None)
                codings = response.headers.getall("Content-Encoding", ())
                length = response.content_length
                body = Body(response.content.readany, codings, length=length, most=most)
                await body.pass_on(take, pace)
                return Download(response.status, None if body.is_packed else length)

    @asynccontextmanager
    async def _opened(
        self, url: str, failing: "_translated"
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer at an address or where it leads; each host is reached by its own route."""
        address = _as_given(url)
        for redirects_left in reversed(range(_MOST_REDIRECTS)):
            route = self._routes.to(str(address))
            failing.move(str(address), route.proxy)
            async with route.session.get(
                address, allow_redirects=False, **route.options(UNPACKED)
            ) as response:
                _check_relay(response, route)
                target = _redirect_of(response)
                if target is None:
                    yield response
                    return
                if not redirects_left:
                    raise aiohttp.TooManyRedirects(response.request_info, response.history)
            address = target

    async def _reply(
        self, response: aiohttp.ClientResponse, most: int | None, route: Route
    ) -> HttpReply:
        body = bytearray()
        if most is not None:
            codings = response.headers.getall("Content-Encoding", ())
            read, length = response.content.readany, response.content_length
            body = await Body(read, codings, length=length, most=most).whole(self._large)
        _log.debug("HTTP %d from %s, %d bytes", response.status, response.host, len(body))
        through = str(route.proxy) if route.is_relayed else ""
        return HttpReply(
            status=response.status, headers=response.headers, body=body, through=through
        )


def _check_relay(
    response: aiohttp.ClientResponse, route: Route, *, is_create: bool = False
) -> None:
    """Raises where a relaying proxy answers in place of the host: NotSent, or AnswerLost.

    What became of a create that is answered so, only the lists of the API can tell.
    """
    if not route.is_relayed:
        return
    words = f"HTTP {response.status} {short(response.reason or '')}"
    if response.status == _LOGIN_WANTED:
        raise _refused(route.proxy, response.host, words, status=response.status)
    if response.status in _HOST_UNREACHED and not is_create:
        raise AnswerLost(f"{response.host} is not reached through {route.proxy}: {words}")


def _redirect_of(response: aiohttp.ClientResponse) -> URL | None:
    """Where an answer leads. Raises InvalidURL."""
    location = response.headers.get("Location")
    if response.status not in REDIRECTS or location is None:
        return None
    try:
        return _as_given(str(response.url.join(URL(location, encoded=True))))
    except ValueError as error:
        raise aiohttp.InvalidURL("no address") from error


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

    __slots__ = ("_proxy", "_url")

    def __init__(self, url: str, proxy: Proxy | None = None) -> None:
        self.move(url, proxy)

    def move(self, url: str, proxy: Proxy | None) -> None:
        """What comes now is asked of this address."""
        self._url, self._proxy = url, proxy

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        host = host_of(self._url)
        if isinstance(error, Unconnected) and error.__cause__ is not None:
            raise _unconnected(host, error.__cause__, self._proxy) from error.__cause__
        if isinstance(error, _NEVER_SENT):
            raise _unconnected(host, error, self._proxy) from error
        if isinstance(error, Oversize):
            raise TooLong(f"the answer from {host} is refused: {error}") from error
        # A ValueError may come from an answer that cannot be read: who knows what was accepted.
        if isinstance(error, aiohttp.ClientError | TimeoutError | OSError | ValueError):
            through = f" through {self._proxy}" if self._proxy else ""
            raise AnswerLost(f"no answer from {host}{through}: {_reason(error)}") from error


def _unconnected(host: str, error: BaseException, proxy: Proxy | None) -> NotSent:
    if proxy is None:
        return NotSent(f"cannot connect to {host}: {_reason(error)}")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _refused(proxy, host, _reason(error), status=error.status)
    if _is_of_proxy(error, proxy):
        return NotSent(f"cannot connect to {proxy}: {_reason(error)}")
    if isinstance(error, aiohttp.ClientResponseError):
        return NotSent(f"{proxy} does not answer as a proxy of its kind: {_reason(error)}")
    return NotSent(f"cannot connect to {host} through {proxy}: {_reason(error)}")


def _is_of_proxy(error: BaseException, proxy: Proxy) -> bool:
    """Whether not even the proxy was reached."""
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return True
    reached = isinstance(error, aiohttp.ClientConnectorError) and (error.host, error.port)
    return reached == (proxy.host, proxy.port)


def _refused(proxy: Proxy | None, host: str, words: str, *, status: int) -> NotSent:
    """A proxy said that it does not pass a request on."""
    hint = ""
    if status == _LOGIN_WANTED:
        variable = proxy.variable if proxy else "the variable"
        hint = f"; {variable} takes user and password before the host, as USER:PASSWORD@HOST"
    is_final = status < _SERVER_ERROR and status not in _MAY_PASS_LATER
    kind = ProxyRefused if is_final else NotSent
    return kind(f"{proxy} does not let requests to {host} through: {words}{hint}")


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        words = getattr(error.certificate_error, "verify_message", "") or "it is not trusted"
        return f"its certificate: {words}; SSL_CERT_FILE can name a file of others to trust"
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or str(error.os_error)
    if isinstance(error, aiohttp.ClientOSError) and "://" in str(error):
        return short(str(error.__cause__ or type(error).__name__))  # its own text holds the address
    if isinstance(error, aiohttp.InvalidURL):
        return "this is no address"
    if isinstance(error, aiohttp.TooManyRedirects):
        return "it redirects without end"
    if isinstance(error, aiohttp.ClientResponseError):
        return short(f"HTTP {error.status} {error.message}")  # its own text holds the address
    return short(str(error)) or type(error).__name__
