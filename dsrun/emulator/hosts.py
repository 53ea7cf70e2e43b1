"""Which requests the emulator answers: those that name this machine by no foreign name.

A web page can make its own name resolve to 127.0.0.1 (DNS rebinding), and could then read answers
and send creates like a program on this machine. It cannot choose the Host header.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from dsrun.emulator.wire import Refusal

_HOST = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::\d{0,5})?", re.ASCII).fullmatch
_FORBIDDEN = 403


def check_host(hosts: Sequence[str], *, bound_to: str) -> None:
    """`hosts`: the values of the Host header; `bound_to`: the address that we listen on.

    Raises Refusal. An emulator that listens beyond loopback is meant to be reached from other
    machines, so it also answers to IP addresses and to the very name that it listens on.
    """
    if hosts and all(_is_answered(host, bound_to=bound_to) for host in hosts):
        return
    host = hosts[0][:100] if hosts else ""
    raise Refusal(
        _FORBIDDEN,
        "AccessDenied",
        f"The emulator does not answer requests to the host {host!r}, only to localhost, "
        "127.0.0.1 and [::1]. Use one of these, or start it with --host and the name that clients "
        "use.",
    )


def _is_answered(host: str, *, bound_to: str) -> bool:
    parts = _HOST(host.strip())
    if parts is None:
        return False
    name = parts[1].strip("[]").lower().removesuffix(".")
    if name and name in ("localhost", bound_to.lower()):
        return True
    address = _address(name)
    if address is None:
        return False
    return _is_loopback(address) or not _is_local(bound_to)


def _is_local(bound_to: str) -> bool:
    """Whether only this machine can reach this address."""
    address = _address(bound_to)
    return bound_to.lower() == "localhost" or (address is not None and _is_loopback(address))


def _is_loopback(address: IPv4Address | IPv6Address) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None
