"""A process that has imported dsrun once; each dsrun that a test starts is a fork of it.

Starting Python and importing dsrun takes most of the time of a short run. A fork is a process like
any other: with a folder, an environment and files of its own, and `kill -9` ends it as it ends all.
What is about the start itself (a shell, another clock, a variable that Python reads) needs a Python
of its own.
"""

import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

import dsrun
from dsrun.service.catalog import load_catalog

# Its streams are encoded as at its start, whatever the test that needs it first has set.
_ENVIRONMENT = dict(os.environ)
MOST_BYTES = 1 << 20  # of one order, with its whole environment
APART = ("dsrun.__main__", "dsrun.emulator")  # what runs when imported, what a run does not need


class Fork:
    """A process of the template, with the words of `subprocess.Popen`."""

    def __init__(self, told: int) -> None:
        """`told` is a pipe that tells the process id, and at the end the exit code."""
        self._told = os.fdopen(told, "rb", buffering=0)
        self._is_reading = threading.Lock()  # a test's thread may wait while another one asks
        self.returncode: int | None = None
        self.pid = self._number()

    def poll(self) -> int | None:
        with self._is_reading:
            if self.returncode is None and select.select([self._told], [], [], 0)[0]:
                self.returncode = self._number()
                self._told.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises TimeoutExpired."""
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired("dsrun", timeout or 0.0)
            select.select([self._told], [], [], left)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _number(self) -> int:
        told = self._told.read(4)
        assert len(told) == 4, "the template has died"
        return int.from_bytes(told, "little", signed=True)


class Template:
    """Our end of the template, which ends when this process does."""

    def __init__(self) -> None:
        self.orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self.orders, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST_BYTES)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__)), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C at pytest is not for it
            )


the_template = cache(Template)


def fork(
    program: Sequence[str],
    *,
    folder: Path,
    stdout: IO[bytes] | int,
    stderr: IO[bytes],
    environment: Mapping[str, str] | None = None,
) -> Fork:
    """Run `-m MODULE ARGUMENTS...` or `SCRIPT ARGUMENTS...`, as Python's command line has it."""
    env = dict(os.environ if environment is None else environment)
    order = json.dumps({"program": list(program), "folder": str(folder), "environment": env})
    told, tells = os.pipe()
    with Path(os.devnull).open("wb") as nowhere:
        out = nowhere if stdout == subprocess.DEVNULL else stdout
        files = [one if isinstance(one, int) else one.fileno() for one in (out, stderr)]
        socket.send_fds(the_template().orders, [order.encode()], [tells, *files])
    os.close(tells)
    return Fork(told)


def serve(orders: socket.socket) -> list[str]:
    """Fork for every order until there are no more; returns in each fork, with its program."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while True:
        order, files, _, _ = socket.recv_fds(orders, MOST_BYTES, 3)
        if not order:
            os._exit(0)
        if os.fork() == 0:
            orders.close()
            return _fork_and_tell(json.loads(order), *files)
        for file in files:
            os.close(file)


def _fork_and_tell(order: dict, tells: int, stdout: int, stderr: int) -> list[str]:
    """Fork once more: the one waits for the other and tells how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid != 0:
        os.write(tells, pid.to_bytes(4, "little", signed=True))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.write(tells, code.to_bytes(4, "little", signed=True))
        os._exit(0)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    for file in (tells, stdout, stderr):
        os.close(file)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    return order["program"]


def load() -> None:
    """Import and read all that a run needs."""
    importlib.import_module("aiohttp")
    for module in pkgutil.walk_packages(dsrun.__path__, "dsrun."):
        if not module.name.startswith(APART):
            importlib.import_module(module.name)
    load_catalog()
    assert threading.active_count() == 1, "a fork would lack the other threads"
    gc.freeze()


if __name__ == "__main__":
    load()
    name, *arguments = serve(socket.socket(fileno=int(sys.argv[1])))
    if name == "-m":
        sys.argv = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [name, *arguments]
        runpy.run_path(name, run_name="__main__")
