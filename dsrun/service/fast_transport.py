"""Plain requests over connections of dsrun's own, at a part of aiohttp's work; all else over it.

Plain is what goes straight to a host that this system trusts, at an address of plain letters. A
proxy, certificates of one's own, a redirect, an upload: aiohttp has them. So has a request that
found no connection: nothing of it was sent, and aiohttp says why in words.
"""

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from aiohappyeyeballs import start_connection

from dsrun.common.errors import AnswerLost, SetupError, TooLong
from dsrun.common.settings import read_proxies, read_trust
from dsrun.service.bodies import Body, Pace, Patience, room_for_large
from dsrun.service.client import LARGEST_ANSWER, Download, Readable
from dsrun.service.conduct import KEEPALIVE_S, REDIRECTS, UNPACKED, USER_AGENT, host_of, short
from dsrun.service.connection import Connection, Head, Unanswered
from dsrun.service.replies import HttpReply
from dsrun.service.unpacking import ASKED_FOR, Oversize

if TYPE_CHECKING:
    from dsrun.service.transport import Transport

_log = logging.getLogger(__name__)

_OK = 200
_NEXT_ADDRESS_S = 0.25  # after which a host's next address is tried as well (RFC 8305)
_USUAL_PORT = {"http": 80, "https": 443}
_LAST_PORT = 65535
# No letter that another client would quote, no dots that it would resolve (RFC 3986).
_PLAIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<target>/[!$-;=?-\[\]-~]*)"
)
_UNQUOTED = re.compile(r"[A-Za-z0-9/._~?=&-]*")  # letters that aiohttp sends as they are
_DOTS = re.compile(r"/(\.|%2e){1,2}([/?]|$)", re.IGNORECASE)
_NUMERIC = re.compile(r"(.*\.)?[0-9]+")
_IPV4 = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t -~]*")


class _Again(Exception):
    """Another transport may send the request: this one had no connection, or it only asks."""


class Origin(NamedTuple):
    """Where a connection leads."""

    scheme: str
    host: str
    port: int

    @property
    def name(self) -> str:
        """As the Host header has it."""
        return self.host if self.port == _USUAL_PORT[self.scheme] else f"{self.host}:{self.port}"


class Address(NamedTuple):
    origin: Origin
    target: str  # path and query


class FastTransport:
    """Is an `HttpTransport`, as `transport.Transport`, whose rules and words it keeps."""

    def __init__(self, *, fresh_creates: bool = True, patience: Patience | None = None) -> None:
        """As of `Transport`."""
        self._patience = patience or Patience()
        self._fresh_creates = fresh_creates
        self._pool = _Pool(self._patience.connect_s)
        self._proxies = read_proxies()
        self._straight: dict[Origin, bool] = {}
        self._large = room_for_large()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._pool.close()
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
        if address is not None and _UNQUOTED.fullmatch(address.target) and most is not None:
            request = _request(method, address, headers, body)
            if request is not None:
                try:
                    return await self._ask(
                        request, url, address.origin, only_asks=method == "GET",
                        timeout_s=timeout_s, most=most,
                    )  # fmt: skip
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
        if address is not None and (request := _request("GET", address, UNPACKED, None)):
            try:
                done = await self._fetch(request, url, address.origin, take, most=most)
            except _Again as error:
                _log.debug("asking once more: %s", error)
            else:
                if done is not None:
                    return done
        return await self._other.download(url, take, most=most)

    async def _ask(
        self, request: bytes, url: str, origin: Origin, *, only_asks: bool, timeout_s: float,
        most: int,
    ) -> HttpReply:  # fmt: skip
        is_fresh = not only_asks and self._fresh_creates
        connection = await self._pool.take(origin, is_fresh=is_fresh)
        try:
            with _Translated(url, only_asks=only_asks):
                async with asyncio.timeout(timeout_s):
                    connection.send(request)
                    head = await connection.head()
                    body = await _body_of(head, connection, most).whole(self._large)
        finally:
            self._pool.give_back(origin, connection, is_fresh=is_fresh)
        _log.debug("HTTP %d from %s, %d bytes", head.status, origin.name, len(body))
        return HttpReply(status=head.status, headers=_Headers(head), body=body)

    async def _fetch(
        self, request: bytes, url: str, origin: Origin, take: Callable[[bytes], None], *, most: int
    ) -> Download | None:
        """The file; None where the answer leads to another address, and nothing was taken."""
        connection = await self._pool.take(origin)
        try:
            with _Translated(url, only_asks=True):
                async with Pace(self._patience, most=most) as pace:
                    connection.send(request)
                    head = await connection.head()
                    if head.status in REDIRECTS:
                        return None
                    if head.status != _OK:
                        return Download(head.status, None)
                    body = _body_of(head, connection, most)
                    await body.pass_on(take, pace)
                    return Download(head.status, None if body.is_packed else body.length)
        finally:
            self._pool.give_back(origin, connection)

    def _plain_address(self, url: str) -> Address | None:
        found = _PLAIN.fullmatch(url)
        if found is None or _DOTS.search(found["target"]):
            return None
        scheme, host = found["scheme"], found["host"]
        usual = _USUAL_PORT[scheme]
        origin = Origin(scheme, host, int(found["port"] or usual))
        if origin not in self._straight:
            has_port = found["port"] is not None
            is_odd = origin.port > _LAST_PORT or (has_port and origin.port == usual)
            is_name = not _NUMERIC.fullmatch(host) or bool(_IPV4.fullmatch(host))
            self._straight[origin] = not is_odd and is_name and self._is_straight(url, scheme)
        return Address(origin, found["target"]) if self._straight[origin] else None

    def _is_straight(self, url: str, scheme: str) -> bool:
        try:
            if self._proxies.of(url) is not None:
                return False
            return scheme == "http" or read_trust() is None
        except SetupError:  # aiohttp says what cannot be used
            return False


class _Pool:
    """Connections that wait for another request, the latest first."""

    def __init__(self, connect_s: float) -> None:
        self._connect_s = connect_s
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Origin, list[tuple[float, Connection]]] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    async def take(self, origin: Origin, *, is_fresh: bool = False) -> Connection:
        """A connection of one's own until it is given back. Raises _Again where there is none."""
        idle = self._idle.get(origin, ())
        while idle and not is_fresh:
            since, connection = idle.pop()
            is_young = self._loop.time() - since < KEEPALIVE_S
            if is_young and connection.is_reusable and connection.is_silent():
                return connection
            connection.close()
        try:
            async with asyncio.timeout(self._connect_s):
                return await self._connect(origin)
        except (OSError, ValueError) as error:  # UnicodeError: a label of the name is too long
            raise _Again(f"no connection to {origin.name}: {error}") from error

    def give_back(self, origin: Origin, connection: Connection, *, is_fresh: bool = False) -> None:
        connection.end()
        if is_fresh or not connection.is_reusable:
            connection.close()
            return
        self._idle.setdefault(origin, []).append((self._loop.time(), connection))
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(KEEPALIVE_S, self._sweep)

    def _sweep(self) -> None:
        """Close what has waited too long; a burst leaves no handles behind."""
        until, self._sweeper = self._loop.time() - KEEPALIVE_S, None
        waiting: dict[Origin, list[tuple[float, Connection]]] = {}
        for origin, idle in self._idle.items():
            for since, connection in idle:
                if since > until and connection.is_reusable:
                    waiting.setdefault(origin, []).append((since, connection))
                else:
                    connection.close()
        self._idle = waiting
        if waiting:
            self._sweeper = self._loop.call_later(KEEPALIVE_S, self._sweep)

    def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        for _, connection in (each for idle in self._idle.values() for each in idle):
            connection.close()
        self._idle.clear()

    async def _connect(self, origin: Origin) -> Connection:
        loop, trust = self._loop, self._trust if origin.scheme == "https" else None
        found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        opened = await start_connection(
            found, happy_eyeballs_delay=_NEXT_ADDRESS_S, interleave=1, loop=loop
        )
        connection = Connection()
        try:
            await loop.create_connection(
                lambda: connection, sock=opened, ssl=trust,
                server_hostname=origin.host if trust else None,
            )  # fmt: skip
        except BaseException:
            connection.close()  # the socket is the loop's by now, which may be about to use it
            raise
        if not connection.is_reusable:
            connection.close()
            raise OSError("it speaks before it is asked, or has ended")
        return connection

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """What the system trusts, as aiohttp has it."""
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context


def _request(
    method: str, address: Address, headers: Mapping[str, str], body: bytes | None
) -> bytes | None:
    """A request in the bytes of HTTP; None where a header has letters that are not plain."""
    given = _encoded(address.origin, tuple(headers.items()))
    if given is None:
        return None
    first = f"{method} {address.target} HTTP/1.1\r\n".encode()
    if body is None:
        return b"%b%b\r\n" % (first, given)
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (first, given, len(body), body)


@lru_cache
def _encoded(origin: Origin, given: tuple[tuple[str, str], ...]) -> bytes | None:
    names = {name.lower() for name, _ in given}
    own = (("Accept", "*/*"), ("Accept-Encoding", ASKED_FOR), ("User-Agent", USER_AGENT))
    added = [(name, value) for name, value in own if name.lower() not in names]
    lines = [f"{name}: {value}" for name, value in (("Host", origin.name), *given, *added)]
    if not all(map(_HEADER.fullmatch, lines)):
        return None
    return "".join(f"{line}\r\n" for line in lines).encode()


def _body_of(head: Head, connection: Connection, most: int) -> Body:
    """Raises Oversize."""
    length = head.headers.get(b"content-length")
    codings = [value.decode("latin-1") for value in head.headers.get(b"content-encoding", ())]
    return Body(
        connection.next_chunk, codings, length=int(length[0]) if length else None, most=most
    )


class _Headers(Mapping[str, str]):
    """The first value of each name. What is no text is not there."""

    def __init__(self, head: Head) -> None:
        self._head = head

    def __getitem__(self, name: str) -> str:
        try:
            return self._head.headers[name.lower().encode()][0].decode()
        except UnicodeError as error:
            raise KeyError(name) from error

    def __iter__(self) -> Iterator[str]:
        names = (name.decode("latin-1") for name in self._head.headers)
        return (name for name in names if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Translated:
    """Errors become ours. The request was handed over, so nobody knows what became of it.

    What only asks is asked once more where a connection ended without an answer: the server was
    closing it. aiohttp too asks such a question twice, and sends a create once.
    """

    __slots__ = ("_only_asks", "_url")

    def __init__(self, url: str, *, only_asks: bool) -> None:
        self._url, self._only_asks = url, only_asks

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        if isinstance(error, Unanswered) and self._only_asks:
            raise _Again(str(error)) from error
        host = host_of(self._url)
        if isinstance(error, Oversize):
            raise TooLong(f"the answer from {host} is refused: {error}") from error
        if isinstance(error, TimeoutError | OSError | ValueError):
            slow = isinstance(error, TimeoutError)
            words = "it took too long" if slow else short(str(error) or type(error).__name__)
            raise AnswerLost(f"no answer from {host}: {words}") from error
