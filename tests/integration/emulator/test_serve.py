"""`dsrun emulate`: what it prints and how it ends."""

import asyncio
import os
import signal

import aiohttp
import pytest

from dsrun.cli.emulate import serve
from dsrun.emulator import EmulatorOptions


class Console:
    """Collects what is announced; `ready` once all of it is there."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.ready = asyncio.Event()

    def announce(self, line: str) -> None:
        self.lines.append(line)
        if "API_KEY" in line:
            self.ready.set()


@pytest.fixture
async def console():
    return Console()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_until_a_signal(console, number):
    serving = asyncio.ensure_future(serve(EmulatorOptions(), announce=console.announce))
    await console.ready.wait()
    base_url = console.lines[0].removeprefix("emulator: ")
    headers = {"Authorization": "Bearer sk-emulator"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(f"{base_url}/tasks") as answer:
            assert answer.status == 200
        os.kill(os.getpid(), number)
        assert await serving == 0
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"{base_url}/tasks")


async def test_being_cancelled_is_a_good_end(console):
    serving = asyncio.ensure_future(serve(EmulatorOptions(), announce=console.announce))
    await console.ready.wait()
    serving.cancel()
    assert await serving == 0


async def test_it_prints_what_a_client_needs(console):
    serving = asyncio.ensure_future(serve(EmulatorOptions(), announce=console.announce))
    await console.ready.wait()
    serving.cancel()
    await serving
    base_url = console.lines[0].removeprefix("emulator: ")
    assert base_url.startswith("http://127.0.0.1:")
    assert console.lines[1:] == [
        f"export DASHSCOPE_HTTP_BASE_URL={base_url}",
        "export DASHSCOPE_API_KEY=sk-emulator",
    ]


async def test_a_chosen_key_is_not_repeated(console):
    options = EmulatorOptions(api_key="sk-secret")
    serving = asyncio.ensure_future(serve(options, announce=console.announce))
    await console.ready.wait()
    serving.cancel()
    await serving
    assert "sk-secret" not in "\n".join(console.lines)


async def test_a_taken_port_is_an_error_at_once(console):
    serving = asyncio.ensure_future(serve(EmulatorOptions(), announce=console.announce))
    await console.ready.wait()
    port = int(console.lines[0].split(":")[-1].split("/")[0])
    with pytest.raises(OSError, match="address already in use"):
        await serve(EmulatorOptions(port=port), announce=console.announce)
    serving.cancel()
    await serving
