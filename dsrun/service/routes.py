"""The way that each request takes: straight to its host, or through a proxy; aiohttp's sessions.

Whatever fails before there is a connection is `Unconnected`: nothing of the request has left.
"""

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiohttp

from dsrun.common.errors import NotSent, SetupError
from dsrun.common.proxies import Proxy, socks_address
from dsrun.common.settings import read_proxies, read_trust
from dsrun.service.conduct import KEEPALIVE_S, USER_AGENT
from dsrun.service.unpacking import ASKED_FOR

_BUFFER = 1 << 16  # bytes that a connection takes in before somebody reads them
_AUTHORIZATION = "Proxy-Authorization"


class Unconnected(Exception):
    """There was no connection to send a request on; the cause says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The session for a request, and the proxy that it goes through."""

    session: aiohttp.ClientSession
    proxy: Proxy | None
    is_tls: bool

    @property
    def is_relayed(self) -> bool:
        """Whether the proxy reads the request, and may answer it in words of its own."""
        return self.proxy is not None and not self.proxy.is_socks and not self.is_tls

    def options(self, headers: Mapping[str, str]) -> dict[str, Any]:
        """Arguments of a request that has these headers.

        aiohttp shows `proxy_headers` to the proxy of a tunnel alone; who relays reads the request.
        """
        if self.proxy is None or self.proxy.is_socks:
            return {"headers": headers}
        login = _login_of(self.proxy)
        if self.is_tls:
            return {"headers": headers, "proxy": self.proxy.address, "proxy_headers": login}
        return {"headers": {**headers, **login}, "proxy": self.proxy.address}


class _SessionKind(NamedTuple):
    socks: Proxy | None
    is_fresh: bool
    is_tls: bool


class Routes:
    """Finds the route of an address, once a host, and keeps the sessions.

    aiohttp's `trust_env` asks the environment for each request, and a .netrc for passwords.
    """

    def __init__(self, *, connect_s: float, fresh_creates: bool) -> None:
        self._connect_s = connect_s
        self._fresh_creates = fresh_creates
        self._proxies = read_proxies()
        self._sessions: dict[_SessionKind, aiohttp.ClientSession] = {}
        self._known: dict[tuple[str, str, bool], Route] = {}

    def to(self, url: str, *, is_create: bool = False) -> Route:
        """The route to an address. Raises NotSent where its proxy or its trust cannot be used."""
        scheme, _, rest = url.partition("://")
        key = (scheme, rest.partition("/")[0], is_create)
        if key not in self._known:
            try:
                self._known[key] = self._find(url, is_create=is_create)
            except SetupError as error:
                raise NotSent(str(error)) from error
        return self._known[key]

    def _find(self, url: str, *, is_create: bool) -> Route:
        proxy, is_tls = self._proxies.of(url), url.lower().startswith("https:")
        kind = _SessionKind(
            socks=proxy if proxy is not None and proxy.is_socks else None,
            is_fresh=is_create and self._fresh_creates,
            is_tls=is_tls or (proxy is not None and proxy.scheme == "https"),
        )
        if kind not in self._sessions:
            self._sessions[kind] = _open_session(kind, self._connect_s)
        return Route(session=self._sessions[kind], proxy=proxy, is_tls=is_tls)

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()


class _Connector(aiohttp.TCPConnector):
    async def connect(self, *arguments: Any, **options: Any) -> aiohttp.connector.Connection:
        try:
            return await super().connect(*arguments, **options)
        except Exception as error:  # of aiohttp, of a SOCKS library: each is before the request
            raise Unconnected from error


def _open_session(kind: _SessionKind, connect_s: float) -> aiohttp.ClientSession:
    """Raises SetupError where the environment's certificates cannot be read."""
    trust: ssl.SSLContext | bool = (read_trust() if kind.is_tls else None) or True
    # Of a fresh one each request has a connection of its own.
    kept = {"force_close": True} if kind.is_fresh else {"keepalive_timeout": KEEPALIVE_S}
    options: dict[str, Any] = {"limit": 0, "ssl": trust, **kept}
    return aiohttp.ClientSession(
        connector=_socks_connector(kind.socks, options) if kind.socks else _Connector(**options),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": ASKED_FOR},
        timeout=aiohttp.ClientTimeout(total=None, connect=connect_s),
        auto_decompress=False,
        read_bufsize=_BUFFER,
        cookie_jar=aiohttp.DummyCookieJar(),
        requote_redirect_url=False,
    )


def _socks_connector(proxy: Proxy, options: Mapping[str, Any]) -> aiohttp.TCPConnector:
    """The proxy looks up names, as behind many a firewall only it can; SOCKS4 cannot."""
    from aiohttp_socks import ProxyConnector  # noqa: PLC0415  # an extra

    kind: Any = type("_SocksConnector", (_Connector, ProxyConnector), {})
    connector: aiohttp.TCPConnector = kind.from_url(
        socks_address(proxy), rdns=proxy.scheme != "socks4", **options
    )
    return connector


def _login_of(proxy: Proxy) -> dict[str, str]:
    if proxy.user is None:
        return {}
    login = f"{proxy.user}:{proxy.password or ''}".encode()
    return {_AUTHORIZATION: f"Basic {base64.b64encode(login).decode()}"}
