"""What tests share: a clean environment, an emulator on its own thread, and dsrun itself."""

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dsrun.cli.main import main
from dsrun.emulator import Emulator, EmulatorOptions, parse_fault, start_emulator
from dsrun.emulator.faults import FaultDice
from tests.files_of_kinds import FILES
from tests.studio import Studio
from tests.template import Fork, fork

KEY = "sk-never-to-be-written-down"
PATIENCE_S = 60.0
FOREIGN = ("DASHSCOPE_", "DSRUN_", "XDG_")
FOREIGN_NAMES = ("NO_COLOR", "NETRC", "SSLKEYLOGFILE", "PYTHONWARNINGS", "PYTHONASYNCIODEBUG")
QUICK = {
    "rate": "1000/s",
    "grace": "200ms",
    "polling": {"first": "50ms", "max": "200ms", "rate": "1000/s"},
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--transport",
        choices=("aiohttp", "fast"),
        default="aiohttp",
        help="what carries the requests; fast needs what `.[fast]` installs",
    )


@pytest.fixture(autouse=True)
def clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """No key, no setting, no proxy and no home of the person who runs the tests."""
    for name in list(os.environ):
        is_proxy = name.lower().endswith("_proxy")
        if is_proxy or name.startswith(FOREIGN) or name in FOREIGN_NAMES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("DSRUN_TRANSPORT", pytestconfig.getoption("transport"))
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))


def wait_until(condition: Callable[[], Any], *, what: str) -> None:
    """Return as soon as the condition holds; fail when it never does."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"it never came to this: {what}"
        time.sleep(0.01)


class StandingClock:
    """Epoch seconds that move by hand only: no task of the emulator ends before that."""

    def __init__(self) -> None:
        self._now = time.time()
        self._released_at: float | None = None

    def __call__(self) -> float:
        if self._released_at is None:
            return self._now
        return self._now + time.monotonic() - self._released_at

    def advance(self, seconds: float) -> None:
        self._now += seconds

    def release(self) -> None:
        """From now on go like any clock."""
        self._released_at = time.monotonic()


class FewStrikes:
    """The dice of an emulator, which strike so often."""

    def __init__(self, dice: FaultDice, times: int) -> None:
        self._dice = dice
        self._left = times

    def strikes(self, name: str) -> bool:
        strikes = self._left > 0 and self._dice.strikes(name)
        self._left -= strikes
        return strikes

    def pick(self, name: str, choices: int) -> int:
        return self._dice.pick(name, choices)


class Service:
    """An emulator as its operator sees it; every question is asked on the emulator's thread."""

    def __init__(self, emulator: Emulator, loop: asyncio.AbstractEventLoop) -> None:
        self._emulator = emulator
        self._loop = loop
        self.base_url = emulator.base_url

    def creates(self) -> dict[str, int]:
        """Accepted creates, each of which is paid, by the canonical JSON of their body."""
        return self._ask(lambda: dict(self._emulator.creates))

    def paid(self) -> int:
        return sum(self.creates().values())

    def requests(self) -> list[tuple[str, str]]:
        return self._ask(lambda: list(self._emulator.requests))

    def count(self, method: str, part: str = "") -> int:
        """How many requests had this method and this part in their path."""
        return sum(m == method and part in path for m, path in self.requests())

    def tasks_asked_for(self) -> int:
        """How many tasks were asked for at least once: their ids are on the client's disk."""
        return len({path for _, path in self.requests() if "/tasks/" in path})

    def strike_only(self, times: int) -> None:
        """Its faults strike so often, whichever requests come first, and never again."""
        world = self._emulator._world
        self._ask(lambda: setattr(world, "dice", FewStrikes(world.dice, times)))

    def heal(self) -> None:
        """From now on there are no faults; all that it made and knows is still there."""
        self._ask(lambda: setattr(self._emulator._world, "dice", FaultDice((), seed=0)))

    def suffer(self, *faults: str) -> None:
        """From now on it has these faults."""
        dice = FaultDice(tuple(map(parse_fault, faults)), seed=0)
        self._ask(lambda: setattr(self._emulator._world, "dice", dice))

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._emulator.aclose(), self._loop).result()

    def _ask(self, question: Callable[[], Any]) -> Any:
        async def answer() -> Any:
            return question()

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Service]]:
    """Start an emulator on a loop of its own and make it the service that dsrun finds.

    Faults by name, options by keyword; `clock` replaces the computer's.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    services: list[Service] = []

    def start(*faults: str, clock: Callable[[], float] | None = None, **options: Any) -> Service:
        quick = {"picture_scale": 0.1, "queue_time_s": 0.0, "task_time_s": 0.05, "limits": False}
        parsed = tuple(parse_fault(text) for text in faults)
        chosen = EmulatorOptions(**(quick | {"api_key": KEY, "faults": parsed} | options))
        starting = start_emulator(chosen, now=clock)
        emulator = asyncio.run_coroutine_threadsafe(starting, loop).result()
        services.append(Service(emulator, loop))
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", emulator.base_url)
        monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
        return services[-1]

    yield start
    for service in services:
        service.close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def emulator(serve: Callable[..., Service]) -> Service:
    """A service that does everything right, at once, and has no rate limits."""
    return serve()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        """stdout, which must be JSON."""
        return json.loads(self.out)


class Child:
    """A dsrun of its own process."""

    def __init__(self, begin: Callable[..., Any], *, folder: Path) -> None:
        """`begin` starts it, with the files that take what it says."""
        self._out, self._err = folder / "stdout", folder / "stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process: subprocess.Popen[bytes] | Fork = begin(stdout=out, stderr=err)

    def wait_for_words(self, words: str) -> None:
        wait_until(lambda: words in self._err.read_text(), what=f"{words!r} on stderr")

    def wait_for_answer(self, words: str) -> None:
        wait_until(lambda: words in self.answered(), what=f"{words!r} on stdout")

    def answered(self) -> str:
        """stdout so far."""
        return self._out.read_text()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """`kill -9`, and wait until the process is no more."""
        self.process.kill()
        self.process.wait()

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def end(self) -> Outcome:
        """Wait for the end that the process comes to by itself."""
        code = self.process.wait(timeout=PATIENCE_S)
        return Outcome(code=code, out=self._out.read_text(), err=self._err.read_text())


class Workplace:
    """A folder with a pipeline, dsrun in it, and what dsrun leaves there."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self._children: list[Child] = []

    @staticmethod
    def until(condition: Callable[[], Any], *, what: str) -> None:
        """Wait for a condition that another thread or process brings about."""
        wait_until(condition, what=what)

    def pipeline(
        self, steps: str, *, path: str = "demo.yaml", name: str = "demo", **execution: Any
    ) -> Path:
        """Write a manifest; `execution` is laid over settings that make a run quick."""
        settings = {key: value for key, value in (QUICK | execution).items() if value is not None}
        text = f"version: 1\nname: {name}\n{steps.strip()}\nexecution: {json.dumps(settings)}\n"
        file = self.folder / path
        file.write_text(text, encoding="utf-8")
        return file

    def posters(
        self,
        count: int,
        *,
        pictures: int = 1,
        seed: str = "",
        subject: str = "lantern",
        **execution: Any,
    ) -> Path:
        """A pipeline of one step `posters` with so many jobs: prompts `a lantern 0` and so on."""
        parameters = f"n: {pictures}" + (f", seed: {seed}" if seed else "")
        steps = f"""
steps:
  posters:
    operation: wanx-v1
    matrix:
      number: {{range: [0, {count - 1}]}}
    input: {{prompt: "a {subject} {{{{ number }}}}"}}
    parameters: {{{parameters}}}
    filename: "{{{{ number }}}}-{{{{ index }}}}"
"""
        return self.pipeline(steps, **execution)

    def posters_and_voices(self, *tones: str, **options: Any) -> Path:
        """A pipeline of two steps: two jobs of `posters`, and one of `voices` for each tone."""
        steps = f"""
steps:
  posters:
    operation: wanx-v1
    matrix: {{number: [0, 1]}}
    input: {{prompt: "a lantern {{{{ number }}}}"}}
  voices:
    operation: qwen-voice-design
    matrix: {{tone: {json.dumps(tones)}}}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: "A {{{{ tone }}}} voice"
      preview_text: Good evening.
"""
        return self.pipeline(steps, **options)

    def dsrun(self, *arguments: str | Path) -> Outcome:
        """Run a command line in this process. A bug fails the test, whatever it expects."""
        self._capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        assert "Traceback" not in out + err
        log = re.search(r"details: (.+\.log)", err)
        assert code != 4, Path(log[1]).read_text() if log else err
        return Outcome(code=code, out=out, err=err)

    def spawn(self, *arguments: str | Path) -> Child:
        """Run a command line in a process of its own."""
        return self._spawn(partial(fork, ["-m", "dsrun", *map(str, arguments)], folder=self.folder))

    def spawn_script(self, script: Path, *arguments: str | Path) -> Child:
        """Run a script that uses dsrun in a process of its own."""
        return self._spawn(partial(fork, [str(script), *map(str, arguments)], folder=self.folder))

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "dsrun"]

    def spawn_command(self, command: Sequence[str | Path], **options: Any) -> Child:
        """Run any program; dsrun's own start, such as from a shell, is a part of the test."""
        return self._spawn(
            partial(subprocess.Popen, command, stdin=subprocess.DEVNULL, cwd=self.folder, **options)
        )

    def _spawn(self, begin: Callable[..., Any]) -> Child:
        number = len(self._children)
        folder = self.folder.parent / f"child-{number}"
        folder.mkdir()
        child = Child(begin, folder=folder)
        self._children.append(child)
        return child

    def run_dir(self, name: str = "demo") -> Path:
        """The newest run directory of a pipeline."""
        return (self.folder / "outputs" / name / "latest").resolve(strict=True)

    def results(self, name: str = "demo") -> list[dict[str, Any]]:
        text = (self.run_dir(name) / "results.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def statuses(self) -> dict[str, int]:
        """Jobs by status, from the ledger."""
        rows = self.query("SELECT status, count(*) FROM job GROUP BY status")
        return {row["status"]: row["count(*)"] for row in rows}

    def query(self, sql: str, name: str = "demo") -> list[Mapping[str, Any]]:
        """Rows of the ledger of the newest run."""
        with closing(sqlite3.connect(self.run_dir(name) / "ledger.sqlite3")) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(sql)]

    def files(self, name: str = "demo") -> dict[str, bytes]:
        """Every artifact by its path in the run directory."""
        root = self.run_dir(name)
        found = sorted((root / "artifacts").rglob("*"))
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in found if p.is_file()}

    def close(self) -> None:
        for child in self._children:
            if child.process.poll() is None:
                child.kill()


@pytest.fixture
def work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Workplace]:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    place = Workplace(folder, capsys)
    yield place
    place.close()


@pytest.fixture
def standing_clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def key() -> str:
    """The only key that the emulator of `serve` takes."""
    return KEY


@pytest.fixture
def closed_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch, key: str) -> Iterator[Studio]:
    """The service that dsrun finds; it gives a whole file of every kind."""
    server = Studio({media: data for media, (data, _, _) in FILES.items()})
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", server.address)
    monkeypatch.setenv("DASHSCOPE_API_KEY", key)
    yield server
    server.close()
