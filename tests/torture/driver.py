"""Runs real dsrun processes against the service, kills them, and goes on until all is done."""

import asyncio
import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp

from tests.template import fork
from tests.torture.disk import SmallDisk
from tests.torture.faults import DARK
from tests.torture.judge import UNKNOWN, judge, judge_payments
from tests.torture.points import AGAIN, REOPENING, place_of
from tests.torture.wal import damage

ROOT = Path(__file__).resolve().parents[2]
CHILD = Path(__file__).with_name("child.py")
SHIFTED = Path(__file__).with_name("shifted.py")
PATIENCE_S = 180.0  # for one life of a dsrun that nobody kills
MOST_RUNS = 60  # after the last kill
MOST_HANGS = 2  # lives that did not end; after them the case is given up
MOST_IDLE = 4  # of runs that say that there is more to do; by bad luck one may get nowhere
START_S = 0.3  # about what a dsrun takes until its first request
REQUESTS_A_JOB = 4
MEMORY_MB = 400
GRACE = "500ms"  # execution.grace: more than the world's lag_s and think_s together
EXPECTED = {0, 1, 3}  # exit codes of a run that nobody interrupts
INCOMPLETE = 3  # the exit code of a run that its surroundings stopped
HANG = "hang"  # for the exit code of a life that had none
NAME = "torture"
LEDGER = "ledger.sqlite3"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of the table: a service, a pipeline, and how its runs are killed."""

    name: str
    pictures: int = 20
    voices: int = 0
    per_job: int = 1  # pictures of one job
    faults: dict = field(default_factory=dict)
    every_fault: bool = True  # each must have happened; else any
    kills: int = 0
    points: tuple = ()  # (point, number): each life dies the numberth time at the next one
    window: int = 1
    attempts: int = 5  # execution.max_attempts
    seed: int = 7
    settings: dict = field(default_factory=dict)  # of the world: task_s, lag_s and so on
    grace: str | None = GRACE  # execution.grace; None leaves dsrun its own
    patience_s: float = PATIENCE_S
    memory_mb: int = MEMORY_MB  # that a dsrun may take
    wal: tuple = ()  # what befalls the ledger's write-ahead log after a kill, by the dice
    resubmit: bool = False  # the user's word, once dsrun has stopped: pay again what is unknown
    disk: str = ""  # the kind of a small disk; it fills up in place of each kill
    clocks: tuple = ()  # seconds that the clock is ahead, life by life, again and again

    @property
    def jobs(self):
        return self.pictures + self.voices

    @property
    def allowed(self):
        """Where the service cannot tell what became of a create, nobody can."""
        is_dark = DARK & self.faults.keys() or "foreign_s" in self.settings or self.clocks
        is_wide = self.window > 1 and not self.disk  # of what was not killed nothing is in doubt
        # Of lives that die one upon the other, or at their first loss, no task may date the list.
        is_undated = len(self.points) > 1 or (bool(self.points) and "reset-after" in self.faults)
        allowed = UNKNOWN if is_dark or is_wide or is_undated else frozenset()
        if self.wal:  # what the log knew, nobody knows; not even whose a file is
            allowed |= UNKNOWN | {"litter"}
        return allowed | {"twice"} if self.resubmit else allowed


@dataclass
class Outcome:
    case: Case
    verdict: object
    kills: int
    runs: int
    creates: int
    seconds: float
    hits: dict
    exits: list  # codes of the runs that ended by themselves
    missed: list  # points that were not come to
    last_words: str  # of the last run with a strange code
    hangs: int
    memory_mb: int  # that a dsrun took at most
    is_stopped: bool  # dsrun would not go on, and sent nothing: only payments are judged

    @property
    def is_pass(self):
        return not self.faults_found()

    def faults_found(self):
        """Why the case did not pass, in few words."""
        found = [f"never came to the point: {point}" for point in self.missed]
        unseen = [name for name, hits in self.hits.items() if not hits]
        if not self.is_stopped and (self.case.every_fault or len(unseen) == len(self.hits)):
            found += [f"no {name} in this run" for name in unseen]
        if self.hangs:
            found.append(f"hang: {self.hangs} lives of more than {self.case.patience_s:g} s")
        if self.memory_mb > self.case.memory_mb:
            found.append(f"memory: {self.memory_mb} MB of {self.case.memory_mb} MB")
        # SQLite maps its index of the log, and a full disk below a mapping is a signal, not an
        # error: such a life ends as by a kill, and what it has paid is judged like that.
        of_disk = {-signal.SIGBUS} if self.case.disk else set()
        strange = sorted(set(self.exits) - EXPECTED - of_disk)
        if strange:
            found.append(f"exit codes {strange}: {self.last_words}")
        kinds = self.verdict.wrong().keys() - self.case.allowed
        return found + [f"{kind}: {words}" for kind, words in self.verdict.words if kind in kinds]


@asynccontextmanager
async def open_service(module="tests.torture.server"):
    """The service in a process of its own, and a session to ask it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        address = (await process.stdout.readline()).decode().strip()
        async with aiohttp.ClientSession(address) as session:
            yield Remote(session, address)
    finally:
        process.stdin.close()
        await process.wait()


class Remote:
    """What the driver asks the service behind dsrun's back."""

    def __init__(self, session, address):
        self._session = session
        self.base_url = f"{address}/api/v1"

    async def open_world(self, **settings):
        async with self._session.post("/_world", json=settings) as response:
            response.raise_for_status()
            self.base_url = (await response.json()).get("base_url", self.base_url)

    async def counts(self, key):
        async with self._session.get("/_counts", params={"key": key}) as response:
            return await response.json()

    async def reach(self, key, events):
        """Wait until the service has had so many requests with this key."""
        params, patience = {"key": key, "events": events}, aiohttp.ClientTimeout(total=None)
        async with self._session.get("/_reach", params=params, timeout=patience) as response:
            response.raise_for_status()


class Driver:
    """One case, in a folder of its own, with an account of its own at the service."""

    def __init__(self, case, service, folder):
        self._case = case
        self._service = service
        self._folder = folder
        self._key = f"sk-{case.seed}-{case.name}".replace(" ", "-")
        self._rng = random.Random(f"{case.seed} {case.name} kills")
        self._kills = self._runs = self._hangs = self._memory_mb = 0
        self._is_stopped = self._is_damaged = False
        self._words = []  # options of the lives after dsrun has stopped
        self._clocks = itertools.cycle(case.clocks)
        self._disk = SmallDisk(folder / "outputs", case.disk) if case.disk else None
        self._exits = []
        self._last_words = ""

    async def run(self):
        """The outcome. Raises NoMount."""
        began = time.monotonic()
        case = self._case
        self._folder.mkdir(parents=True)
        (self._folder / "torture.yaml").write_text(self._manifest(), encoding="utf-8")
        await self._service.open_world(
            key=self._key, faults=case.faults, seed=case.seed, **case.settings
        )
        if self._disk:
            self._disk.mount()
        try:
            missed = [point for point in case.points if not await self._die_at_point(*point)]
            await self._strike_at_random()
            await self._go_on_until_done()
            state = await self._service.counts(self._key)
            verdict = self._judge(state)
        finally:
            if self._disk:
                self._disk.unmount()
        return Outcome(
            case=case,
            verdict=verdict,
            kills=self._kills,
            runs=self._runs,
            creates=sum(found["accepted"] for found in state["creates"].values()),
            seconds=time.monotonic() - began,
            hits=state["hits"],
            exits=self._exits,
            missed=missed,
            last_words=self._last_words,
            hangs=self._hangs,
            memory_mb=self._memory_mb,
            is_stopped=self._is_stopped,
        )

    def _manifest(self):
        return manifest(self._case)

    def _judge(self, state):
        if self._is_stopped:
            return judge_payments(state)
        case = self._case
        return judge(self._run_dir(), state, pictures=case.pictures, voices=case.voices)

    async def _die_at_point(self, point, number):
        """Whether the point was come to."""
        place = place_of(point)
        outputs = self._folder / "outputs"
        if place in REOPENING | AGAIN and not self._files():
            await self._live()  # what is needed again must have been made before
        if place in AGAIN:
            shutil.rmtree(outputs / NAME)
        elif place == "Ledger.reopen_lost":
            shutil.rmtree(outputs / ".cache")
            self._files()[0].unlink()
        script = (str(CHILD), point, str(number))
        return await self._live(script=script) == -signal.SIGKILL

    def _files(self):
        """Pictures that the ledger knows."""
        run_dir = self._run_dir()
        if run_dir is None:
            return []
        with closing(sqlite3.connect(run_dir / LEDGER)) as db:
            rows = db.execute("SELECT path FROM artifact WHERE media_type LIKE 'image/%'")
            return [run_dir / path for (path,) in rows if (run_dir / path).exists()]

    async def _strike_at_random(self):
        """Spread the kills over the whole work, whatever its speed: by requests, then by time.

        Where there is a small disk it fills up instead.
        """
        case, before, strikes = self._case, None, 0
        while strikes < case.kills and self._hangs < MOST_HANGS and not self._is_stopped:
            state = await self._service.counts(self._key)
            done = sum(f["accepted"] - f["failed"] for f in state["creates"].values())
            left = max(case.jobs - done, 0) * REQUESTS_A_JOB / (case.kills - strikes)
            requests = state["events"] + self._rng.randint(1, max(2, round(2 * left)))
            strike = self._fill_up if self._disk else self._kill
            code = await self._live(strike=partial(strike, requests=requests))
            if self._disk:
                self._disk.free()
            if code != -signal.SIGKILL:
                now = await self._progress()
                if code not in (1, 3) or (now == before and not self._disk):
                    return
                before = now
            strikes = strikes + 1 if self._disk else self._kills

    async def _moment(self, requests):
        """A moment at which to kill; one in ten is while dsrun still starts."""
        if self._rng.random() < 0.1:
            await asyncio.sleep(self._rng.uniform(0, START_S))
            return
        await self._service.reach(self._key, requests)
        await asyncio.sleep(self._rng.uniform(0, 0.02))

    async def _go_on_until_done(self):
        """Run again until all is done, or some runs on end have changed nothing."""
        before, idle = None, 0
        for _ in range(MOST_RUNS):
            if self._is_stopped:
                if self._words or not self._case.resubmit:
                    return
                self._words = ["--resubmit-unknown"]
            code = await self._live()
            if code not in (1, 3, HANG) or self._hangs == MOST_HANGS:
                return
            now = await self._progress()
            idle = idle + 1 if now == before else 0
            if idle == (1 if code == 1 else MOST_IDLE):
                return
            before = now

    async def _progress(self):
        """What runs on end have in common when there is no more to do."""
        run_dir, statuses = self._run_dir(), []
        if run_dir is not None:
            with suppress(sqlite3.Error), closing(sqlite3.connect(run_dir / LEDGER)) as db:
                statuses = db.execute("SELECT status, count(*) FROM job GROUP BY status").fetchall()
        state = await self._service.counts(self._key)
        return statuses, sum(found["accepted"] for found in state["creates"].values())

    async def _live(self, *, script=(), strike=None):
        """One dsrun from its start to its end, or to its death. Its exit code."""
        self._runs += 1
        sent = await self._sent()
        process = self._start(script)
        striker = asyncio.create_task(strike(process)) if strike else None
        watcher = asyncio.create_task(self._watch_memory(process.pid))
        try:
            code = await asyncio.to_thread(process.wait, self._case.patience_s)
        except subprocess.TimeoutExpired:
            code = HANG
            self._hangs += 1
        finally:
            watcher.cancel()
            if striker is not None:
                striker.cancel()
            process.kill()
            process.wait()
        if code == -signal.SIGKILL:
            self._kills += 1
            self._spoil_log()
        elif code != HANG:
            self._exits.append(code)
            if code not in EXPECTED:
                self._last_words = last_lines(self._folder / "stderr")
            self._is_stopped = (
                self._is_damaged and code == INCOMPLETE and sent == await self._sent()
            )
        return code

    def _start(self, script):
        """dsrun, or a script that runs it; on a clock that may be wrong."""
        arguments = ["run", "torture.yaml", "--retry-failed", "--no-progress", *self._words]
        with (self._folder / "stderr").open("wb") as stderr:
            if not self._case.clocks:
                program = [*(script or ["-m", "dsrun"]), *arguments]
                return fork(
                    program, folder=self._folder, environment=self._environment(),
                    stdout=subprocess.DEVNULL, stderr=stderr,
                )  # fmt: skip
            clock = [sys.executable, str(SHIFTED), str(next(self._clocks))]
            return subprocess.Popen(
                [*clock, *(script or ["dsrun"]), *arguments],
                cwd=self._folder, env=self._environment(),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
            )  # fmt: skip

    async def _sent(self):
        """Creates that came to the service, accepted or not."""
        state = await self._service.counts(self._key)
        return state["calls"].get("create", 0)

    def _spoil_log(self):
        run_dir = self._run_dir()
        if self._case.wal and run_dir is not None:
            kind = self._rng.choice(self._case.wal)
            if damage(run_dir / f"{LEDGER}-wal", kind, self._rng):
                self._is_damaged = True

    async def _watch_memory(self, pid):
        """The most that the process has held at once, as the kernel tells it."""
        with suppress(FileNotFoundError, ProcessLookupError):
            while True:
                self._memory_mb = max(self._memory_mb, peak_mb(pid))
                await asyncio.sleep(0.1)

    async def _kill(self, process, requests):
        await self._moment(requests)
        process.kill()

    async def _fill_up(self, process, requests):
        """Fill the disk for a while; one time in four it is full when dsrun starts."""
        if self._rng.random() >= 0.25:
            await self._moment(requests)
        self._disk.fill(self._rng.choice((0, 4096, 20_000)))
        await asyncio.sleep(self._rng.uniform(0.2, 3.0))
        self._disk.free()

    def _environment(self):
        """What a stranger's shell has: of dsrun's the address, the key, and what carries it all."""
        names = ("PATH", "LANG", "TMPDIR", "DSRUN_TRANSPORT")
        kept = {name: os.environ[name] for name in names if name in os.environ}
        return kept | {
            "HOME": str(self._folder),
            "DASHSCOPE_HTTP_BASE_URL": self._service.base_url,
            "DASHSCOPE_API_KEY": self._key,
            "DSRUN_YES": "1",
        }

    def _run_dir(self):
        link = self._folder / "outputs" / NAME / "latest"
        return link.resolve() if link.is_symlink() else None


def last_lines(path):
    lines = path.read_text(errors="replace").strip().splitlines()
    return " / ".join(lines[-2:])


def peak_mb(pid):
    """The most memory that a process has held; 0 of one that has ended."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    peaks = [line for line in text.splitlines() if line.startswith("VmHWM")]
    return int(peaks[0].split()[1]) // 1024 if peaks else 0


def manifest(case):
    """The pipeline of a case."""
    steps = {}
    if case.pictures:
        steps["pictures"] = {
            "operation": "wanx-v1",
            "matrix": {"number": {"range": [0, case.pictures - 1]}},
            "input": {"prompt": "lantern {{ number }}"},
            "parameters": {"n": case.per_job},
            "filename": "{{ number }}-{{ index }}",
        }
    if case.voices:
        steps["voices"] = {
            "operation": "qwen-voice-design",
            "matrix": {"number": {"range": [0, case.voices - 1]}},
            "input": {
                "target_model": "qwen3-tts-vd-2026-01-26",
                "voice_prompt": "host {{ number }}",
                "preview_text": "Good evening.",
                "language": "en",
            },
            "filename": "{{ number }}",
        }
    return write_manifest(case, steps)


def write_manifest(case, steps, **more):
    """The text of a manifest with these steps; `more` goes into `execution`. JSON is YAML."""
    execution = {
        "rate": "1000/s",
        "submit_window": case.window,
        "max_attempts": case.attempts,
        "polling": {"first": "0s", "max": "100ms", "rate": "1000/s"},
        **more,
    }
    if case.grace:
        execution["grace"] = case.grace
    return json.dumps({"version": 1, "name": NAME, "steps": steps, "execution": execution})
