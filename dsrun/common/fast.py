"""What `dsrun[fast]` adds where it is installed: uvloop, and connections on httptools."""

import asyncio
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, TypeVar

from dsrun.common.settings import Transports, read_transport

_T = TypeVar("_T")
_INSTALL = "`pip install 'dsrun[fast]'` brings"
_REST = "for proxies, certificates of your own, uploads and redirects"


def uses_httptools() -> bool:
    """Whether plain requests go over dsrun's own connections. Raises SetupError."""
    return read_transport() is Transports.FAST and find_spec("httptools") is not None


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run to the end on a loop of its own. Raises SetupError, and whatever `work` raises."""
    try:
        make_loop = _loop_factory()
    except BaseException:
        work.close()
        raise
    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(work)


def _uses_uvloop() -> bool:
    return read_transport() is Transports.FAST and find_spec("uvloop") is not None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if not _uses_uvloop():
        return None
    import uvloop  # noqa: PLC0415  # an extra

    return uvloop.new_event_loop


def in_use() -> tuple[str, str]:
    """The transport and the loop of a run, in words. Raises SetupError."""
    aiohttp, is_off = f"aiohttp {version('aiohttp')}", read_transport() is Transports.AIOHTTP
    why = "DSRUN_TRANSPORT says so" if is_off else ""
    transport = f"{aiohttp} ({why or f'{_INSTALL} a faster one'})"
    if uses_httptools():
        transport = f"httptools {version('httptools')} ({aiohttp} {_REST})"
    loop = f"asyncio ({why or f'{_INSTALL} uvloop'})"
    if _uses_uvloop():
        loop = f"uvloop {version('uvloop')}"
    return transport, loop
