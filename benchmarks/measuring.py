"""A server of C in a process of its own, and processes of Python, measured from start to end."""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PICTURE_SIZE = (130, 128)  # of random pixels: 50 KB as PNG


class Done(NamedTuple):
    seconds: float
    cpu_s: float  # of all its threads
    peak_mb: float


def cores() -> list[int]:
    """Those that this process may use; none where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def client_core() -> int | None:
    return cores()[0] if len(cores()) > 1 else None


def server_core() -> int | None:
    return cores()[-1] if len(cores()) > 1 else None


def _pin(child: "subprocess.Popen[Any]", core: int | None) -> None:
    """At once after the start: what it starts itself goes there too."""
    if core is not None:
        os.sched_setaffinity(child.pid, {core})


def build_server(folder: Path) -> list[str | Path]:
    """Compile it, and make the picture that it sends; gives the command without TASK_MS."""
    from PIL import Image

    program, picture = folder / "server", folder / "picture.png"
    source = Path(__file__).with_name("server.c")
    subprocess.run(["gcc", "-O2", "-o", program, source], check=True)
    width, height = PICTURE_SIZE
    file = io.BytesIO()
    Image.frombytes("RGB", PICTURE_SIZE, os.urandom(width * height * 3)).save(file, "PNG")
    picture.write_bytes(file.getvalue())
    return [program, picture]


@contextlib.contextmanager
def serving(command: Sequence[str | Path], *, task_ms: int) -> Iterator[str]:
    """Gives its base URL."""
    with subprocess.Popen([*command, str(task_ms)], stdout=subprocess.PIPE, text=True) as server:
        _pin(server, server_core())
        assert server.stdout is not None
        try:
            port = server.stdout.readline().strip()
            if not port:
                raise SystemExit("the server did not start")
            yield f"http://127.0.0.1:{port}/api/v1"
        finally:
            server.terminate()


def start(
    arguments: Sequence[str | Path], *, words: io.IOBase, cwd: Path = ROOT, **environment: str
) -> subprocess.Popen[bytes]:
    """A process of Python on the clients' core."""
    child = subprocess.Popen(
        [sys.executable, *arguments], cwd=cwd, stdout=subprocess.DEVNULL, stderr=words,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )  # fmt: skip
    _pin(child, client_core())
    return child


def run(arguments: Sequence[str | Path], *, cwd: Path = ROOT, **environment: str) -> Done:
    """From start to end; what it says is shown only where it fails."""
    with tempfile.TemporaryFile() as words:
        began = time.perf_counter()
        child = start(arguments, words=words, cwd=cwd, **environment)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            words.seek(0)
            raise SystemExit(f"{arguments} ended with {child.returncode}: {words.read().decode()}")
    return Done(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
