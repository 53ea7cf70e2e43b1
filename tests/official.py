"""The official `dashscope` package, pointed at an emulator."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import dashscope
import pytest
from dashscope import MultiModalConversation

from dsrun.emulator import Emulator, EmulatorOptions, parse_fault, start_emulator

KEY = "sk-test"
PICTURE = "https://pictures.example/a.png"
FILM = "https://films.example/a.mp4"
SOUND = "https://sounds.example/talk.mp3"

Launch = Callable[..., Emulator]


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Launch]:
    """Start an emulator on a loop of its own, since the package blocks this thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    emulators: list[Emulator] = []

    def start(*faults: str, **options: Any) -> Emulator:
        quick = {"picture_scale": 0.1, "queue_time_s": 0.0, "task_time_s": 0.0, "limits": False}
        parsed = tuple(parse_fault(text) for text in faults)
        chosen = EmulatorOptions(**(quick | {"faults": parsed} | options))
        emulator = asyncio.run_coroutine_threadsafe(start_emulator(chosen), loop).result()
        emulators.append(emulator)
        monkeypatch.setattr(dashscope, "base_http_api_url", emulator.base_url)
        return emulator

    yield start
    for emulator in emulators:
        asyncio.run_coroutine_threadsafe(emulator.aclose(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def emulator(launch: Launch) -> Emulator:
    return launch()


def messages(*content: dict[str, Any]) -> list[dict[str, Any]]:
    """One message of the user, in parts."""
    return [{"role": "user", "content": list(content)}]


def talk(model: str, *content: dict[str, Any], **words: Any) -> Any:
    return MultiModalConversation.call(
        model=model, messages=messages(*content), api_key=KEY, **words
    )


def client_of(emulator: Emulator, **options: Any) -> dashscope.Client:
    """The client of the package's version 2."""
    chosen = {"api_key": KEY, "max_retries": 0} | options
    return dashscope.Client(base_url=emulator.base_url, **chosen)
