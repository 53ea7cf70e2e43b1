"""Which proxy a request goes through: read from variables that `settings` hands in.

Loopback is never proxied: prompts for the emulator must not leave this machine.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import inet_aton
from urllib.parse import quote, unquote, urlsplit

from dsrun.common.errors import SetupError

_PORTS = {
    "http": 80, "https": 443, "socks": 1080, "socks4": 1080, "socks4a": 1080, "socks5": 1080,
    "socks5h": 1080,
}  # fmt: skip
_API_PORTS = {"http": 80, "https": 443}
_NO_HOST = re.compile(r"[\s\x00-\x20\x7f\\\"'<>]")
_SHORT_IPV4 = re.compile(r"[0-9a-fx.]*[0-9][0-9a-fx.]*").fullmatch
_LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_ESCAPES = "in its password write %40, %2F, %23 and %3F for @, /, # and ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """One that can be used; its words never hold the user's name or password."""

    scheme: str
    host: str
    port: int
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    variable: str = ""

    @property
    def is_socks(self) -> bool:
        return self.scheme.startswith("socks")

    @property
    def address(self) -> str:
        """Without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def __str__(self) -> str:
        address = self.address
        if self.user is not None:
            address = address.replace("://", "://***@", 1)
        return f"the proxy {address} of {self.variable}"


class Proxies:
    """The proxies of an environment, as curl, requests and Python read them.

    A lower-case variable wins over the upper-case one, and `all_proxy` counts where the scheme has
    none. `of_system` and `is_spared_by_system` are asked where no variable is set (macOS, Windows).
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        of_system: Callable[[], Mapping[str, str]] = dict,
        is_spared_by_system: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._given = {
            scheme: given for scheme in _API_PORTS if (given := _variable_for(scheme, environ))
        }
        self._spared = NoProxy(_either_case("no_proxy", environ)[1])
        self._is_spared_by_system: Callable[[str], bool] | None = None
        has_variables = any(environ[name] for name in environ if name.lower().endswith("_proxy"))
        if not has_variables and (system := of_system()):
            self._is_spared_by_system = is_spared_by_system
            self._given = {
                scheme: ("the system's settings", system[scheme])
                for scheme in _API_PORTS
                if system.get(scheme)
            }

    def of(self, url: str) -> Proxy | None:
        """The proxy that a request to this address goes through. Raises SetupError."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or _API_PORTS.get(parts.scheme, 0)
        except ValueError:  # whoever sends it says that it is no address
            return None
        given = self._given.get(parts.scheme)
        if given is None or self.is_direct(host, port):
            return None
        return parse_proxy(given[1], variable=given[0])

    def is_direct(self, host: str, port: int) -> bool:
        """Whether requests to the host never go through a proxy."""
        if is_loopback(host) or self._spared.has(host, port):
            return True
        return self._is_spared_by_system is not None and self._is_spared_by_system(host)

    def has_any_for(self, scheme: str) -> bool:
        """Whether some requests of the scheme go through a proxy."""
        return scheme in self._given and not self._spared.is_all

    def check(self, base_url: str) -> tuple[str, ...]:
        """Warnings; raises SetupError where the API, or files that it makes, cannot be reached.

        A file may lie at an http or an https address, on any host.
        """
        parts = urlsplit(base_url)
        host = parts.hostname or ""
        if is_loopback(host) or self._spared.is_all:
            return ()
        is_direct = self.is_direct(host, parts.port or _API_PORTS.get(parts.scheme, 0))
        warnings = []
        for variable, text in dict.fromkeys(self._given.values()):
            try:
                parse_proxy(text, variable=variable)
            except SetupError as error:
                if not is_direct:
                    raise
                warnings.append(f"{error}; files on hosts that no_proxy does not list cannot come")
        return tuple(warnings)

    def secrets(self) -> set[str]:
        """Passwords in the variables, as they stand there and as they are sent."""
        found = set()
        for _, text in self._given.values():
            user, _, _ = text.rpartition("@")
            password = user.rpartition("://")[2].partition(":")[2]
            found |= {password, unquote(password)}
        return found - {""}


class NoProxy:
    """The list of `no_proxy`: names with all below them, addresses, networks, ports, and `*`."""

    def __init__(self, text: str) -> None:
        self._entries = [entry for entry in re.split(r"[,\s]+", text.lower()) if entry]
        self.is_all = "*" in self._entries

    def has(self, host: str, port: int) -> bool:
        name, address = _plain(host), _address(host)
        return any(_fits(entry, name, address, port) for entry in self._entries)


def is_loopback(host: str) -> bool:
    """Whether it is this machine, whatever the network is."""
    address = _address(host)
    if address is not None:
        return address.is_loopback or address.is_unspecified
    name = _plain(host)
    return name in _LOCAL_NAMES or name.endswith(".localhost")


def parse_proxy(text: str, *, variable: str) -> Proxy:
    """A proxy of a variable; one without a scheme is an http proxy. Raises SetupError."""
    shown = _shown(text)
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname or "", parts.port
        _plain(host).encode("idna")
    except ValueError as error:
        raise _no_proxy(variable, shown) from error
    if parts.scheme not in _PORTS:
        allowed = "http, https, socks5, socks5h, socks4 and socks4a"
        raise SetupError(f"{variable} names the proxy {shown}, of no kind that is known: {allowed}")
    has_more = parts.path not in ("", "/") or parts.query or parts.fragment
    if not host or port == 0 or has_more or _NO_HOST.search(parts.netloc):
        raise _no_proxy(variable, shown)
    if parts.scheme.startswith("socks") and find_spec("aiohttp_socks") is None:
        raise SetupError(
            f"{variable} names the SOCKS proxy {shown}, which needs `pip install 'dsrun[socks]'`; "
            "else set it to an http proxy, or list the hosts to reach without it in no_proxy"
        )
    return Proxy(
        scheme=parts.scheme,
        host=host,
        port=port or _PORTS[parts.scheme],
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        variable=variable,
    )


def socks_address(proxy: Proxy) -> str:
    """The address that aiohttp-socks takes; which side looks up names is said elsewhere."""
    kind = "socks4" if proxy.scheme.startswith("socks4") else "socks5"  # "socks" is GNOME's word
    user = quote(proxy.user or "", safe="")
    login = f"{user}:{quote(proxy.password or '', safe='')}@" if proxy.user is not None else ""
    return proxy.address.replace(f"{proxy.scheme}://", f"{kind}://{login}", 1)


def _no_proxy(variable: str, shown: str) -> SetupError:
    return SetupError(
        f"{variable} names the proxy {shown}, which is no address of a proxy; it should look like "
        f"http://proxy.example:3128 ({_ESCAPES})"
    )


def _shown(text: str) -> str:
    """The text of a variable without what stands before its last @."""
    login, is_masked, rest = text.rpartition("@")
    scheme, has_scheme, _ = login.partition("://")
    return repr((f"{scheme}://" if has_scheme else "") + "***@" + rest if is_masked else text)


def _variable_for(scheme: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Name and text of the variable that counts for a scheme."""
    for name in (f"{scheme}_proxy", "all_proxy"):
        found = _either_case(name, environ)
        # A web server gives a CGI program the header `Proxy` as HTTP_PROXY.
        is_header = found[0] == "HTTP_PROXY" and "REQUEST_METHOD" in environ
        if found[1] and not is_header:
            return found
    return None


def _either_case(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The lower-case variable where it is set, also to nothing, which turns off the other."""
    found = name if name in environ else name.upper()
    return found, environ.get(found, "").strip()


def _plain(host: str) -> str:
    """A name as it is compared."""
    name = host.lower().removesuffix(".")
    try:
        return name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        return name


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """An IP address in any of the forms that a system connects to, such as 127.1."""
    text = host.strip("[]").partition("%")[0].removesuffix(".").lower()
    try:
        address = ip_address(text)
    except ValueError:
        return _short_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _short_address(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(inet_aton(text)) if _SHORT_IPV4(text) else None
    except OSError:
        return None


def _fits(entry: str, name: str, address: IPv4Address | IPv6Address | None, port: int) -> bool:
    if entry == "*":
        return True
    network = _network(entry)
    if network is None:
        entry, _, number = entry.rpartition(":") if re.search(r":\d+$", entry) else (entry, "", "")
        if number and int(number) != port:
            return False
        network = _network(entry)
    if network is not None:
        return address is not None and address in network
    if "*" in entry:
        return fnmatchcase(name, entry)
    entry = _plain(entry.removeprefix("."))
    return bool(entry) and (name == entry or name.endswith(f".{entry}"))


def _network(entry: str) -> IPv4Network | IPv6Network | None:
    """An address or a network, `10.0.0.0/8`, `::1` or `[::1]`."""
    is_bracketed = entry.startswith("[") and entry.endswith("]")
    try:
        return ip_network(entry[1:-1] if is_bracketed else entry, strict=False)
    except ValueError:
        return None
