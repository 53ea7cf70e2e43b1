"""An emulator on loopback, a clock that tests move by hand, and a plain HTTP client."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from dsrun.emulator import Emulator, EmulatorOptions, parse_fault, start_emulator

WANX = "/services/aigc/text2image/image-synthesis"
VOICES = "/services/audio/tts/customization"
KEY = {"Authorization": "Bearer sk-test"}


class ManualClock:
    """Epoch seconds that stand still until `advance`."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int
    content: bytes
    json: Any
    headers: Mapping[str, str]

    @property
    def error(self) -> tuple[int, str]:
        return self.status, self.json["code"]


class Remote:
    """The emulator as a client sees it."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session
        self.origin = emulator.base_url.removesuffix("/api/v1")

    @property
    def paid(self) -> int:
        """How many creates were accepted in all."""
        return sum(self.emulator.creates.values())

    async def call(self, method: str, path: str, **options: Any) -> Reply:
        """`path` below the base URL, or a whole address."""
        url = path if path.startswith("http") else self.emulator.base_url + path
        async with self.session.request(method, url, **options) as answer:
            content = await answer.read()
            is_json = answer.content_type == "application/json"
            return Reply(
                status=answer.status,
                content=content,
                json=await answer.json() if is_json else None,
                headers=answer.headers,
            )

    async def create(
        self,
        parameters: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **words: Any,
    ) -> Reply:
        """A wanx-v1 task."""
        body: dict[str, Any] = {"model": "wanx-v1", "input": {"prompt": "a lantern"} | words}
        if parameters is not None:
            body["parameters"] = parameters
        sent = KEY | {"X-DashScope-Async": "enable"} | dict(headers or {})
        return await self.call("POST", WANX, json=body, headers=sent)

    async def create_task(self, parameters: Mapping[str, Any] | None = None, **words: Any) -> str:
        reply = await self.create(parameters, **words)
        task_id: str = reply.json["output"]["task_id"]
        return task_id

    async def query(self, task_id: str) -> Reply:
        return await self.call("GET", f"/tasks/{task_id}", headers=KEY)

    async def voice(
        self, action: str, *, parameters: Mapping[str, Any] | None = None, **words: Any
    ) -> Reply:
        body: dict[str, Any] = {
            "model": "qwen-voice-design",
            "input": {"action": action} | words,
        }
        if parameters is not None:
            body["parameters"] = parameters
        return await self.call("POST", VOICES, json=body, headers=KEY)


Launch = Callable[..., Awaitable[Remote]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def launch(clock: ManualClock) -> AsyncIterator[Launch]:
    """Start an emulator: options by keyword, faults by name."""
    remotes: list[Remote] = []

    async def start(*faults: str, **options: Any) -> Remote:
        parsed = tuple(parse_fault(text) for text in faults)
        chosen = EmulatorOptions(**({"picture_scale": 0.1, "faults": parsed} | options))
        emulator = await start_emulator(chosen, now=clock)
        remotes.append(Remote(emulator, aiohttp.ClientSession()))
        return remotes[-1]

    yield start
    for remote in remotes:
        await remote.session.close()
        await remote.emulator.aclose()


@pytest.fixture
async def remote(launch: Launch) -> Remote:
    return await launch(limits=False)
