"""Programs of C, and whole processes, measured from start to end."""

import contextlib
import io
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

ROOT = Path(__file__).parents[1]
PYTHON = (sys.executable,)
DSRUN = (sys.executable, "-m", "dsrun")
PICTURE_SIZE = (130, 128)  # of random pixels: 50 KB as PNG
DOT_SIZE = (1, 1)

Command = Sequence[str | Path]


class Done(NamedTuple):
    seconds: float
    cpu_s: float  # of all its threads
    peak_mb: float  # at least what this process has: a child starts with its parent's peak


class Server(NamedTuple):
    url: str  # of the API
    words: IO[str]

    def has_create(self, *, within_s: float) -> bool:
        """Whether the first create comes in that time."""
        if not select.select([self.words], [], [], within_s)[0]:
            return False
        if not self.words.readline():
            raise SystemExit("the server ended")
        return True


def cores() -> list[int]:
    """Those that this process may use; none where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def client_core() -> int | None:
    return cores()[0] if len(cores()) > 1 else None


def server_core() -> int | None:
    return cores()[-1] if len(cores()) > 1 else None


def _pin(child: subprocess.Popen, core: int | None) -> None:
    """At once after the start: what it starts itself goes there too."""
    if core is not None:
        os.sched_setaffinity(child.pid, {core})


def settle(folder: Path) -> None:
    """What every process of a benchmark finds; the user's key and history stay out of it."""
    os.environ |= {
        "PYTHONPATH": str(ROOT),
        # What is installed has its bytecode; a work tree may be told to write none.
        "PYTHONPYCACHEPREFIX": str(folder.resolve() / "bytecode"),
        "XDG_STATE_HOME": str(folder.resolve() / "state"),
        "DASHSCOPE_API_KEY": "sk-bench",
    }
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def build(name: str, folder: Path) -> Path:
    """A program of C of this folder, compiled."""
    program, source = folder / name, Path(__file__).with_name(f"{name}.c")
    try:
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", program, source], check=True)
    except FileNotFoundError:
        raise SystemExit("the benchmark builds programs of C: install gcc") from None
    return program


def build_server(folder: Path, *, size: tuple[int, int] = PICTURE_SIZE) -> Command:
    """The command without TASK_MS; its picture has so many pixels."""
    from PIL import Image

    picture, file = folder / "picture.png", io.BytesIO()
    Image.frombytes("RGB", size, os.urandom(size[0] * size[1] * 3)).save(file, "PNG")
    picture.write_bytes(file.getvalue())
    return [build("server", folder), picture]


@contextlib.contextmanager
def serving(command: Command, *, task_ms: int) -> Iterator[Server]:
    with subprocess.Popen([*command, str(task_ms)], stdout=subprocess.PIPE, text=True) as server:
        _pin(server, server_core())
        assert server.stdout is not None
        try:
            port = server.stdout.readline().strip()
            if not port:
                raise SystemExit("the server did not start")
            yield Server(f"http://127.0.0.1:{port}/api/v1", server.stdout)
        finally:
            server.terminate()


def start(
    command: Command, *, words: IO[bytes], cwd: Path = ROOT, **environment: str
) -> subprocess.Popen[bytes]:
    """A process on the clients' core."""
    child = subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=words, env=os.environ | environment
    )
    _pin(child, client_core())
    return child


def run(command: Command, *, cwd: Path = ROOT, **environment: str) -> Done:
    """From start to end; what it says is shown only where it fails."""
    with tempfile.TemporaryFile() as words:
        began = time.perf_counter()
        child = start(command, words=words, cwd=cwd, **environment)
        usage = wait(child)
        seconds = time.perf_counter() - began
        if child.returncode:
            raise failure(child, words)
    return done(seconds, usage)


def first_create(server: Command, command: Command, *, cwd: Path, **environment: str) -> Done:
    """From the start of a fresh run to its first create; the run is killed then."""
    with serving(server, task_ms=0) as service, tempfile.TemporaryFile() as words:
        began = time.perf_counter()
        child = start(
            command, words=words, cwd=cwd, DASHSCOPE_HTTP_BASE_URL=service.url, **environment
        )
        while not service.has_create(within_s=1):
            if child.poll() is not None:
                raise failure(child, words)
        seconds = time.perf_counter() - began
        child.kill()
        return done(seconds, wait(child))


def wait(child: subprocess.Popen[bytes]) -> resource.struct_rusage:
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage


def failure(child: subprocess.Popen[bytes], words: IO[bytes]) -> SystemExit:
    words.seek(0)
    return SystemExit(f"{child.args} ended with {child.returncode}: {words.read().decode()}")


def done(seconds: float, usage: resource.struct_rusage) -> Done:
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return Done(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6)
