"""`dsrun emulate`: serve the emulator until told to stop."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from dsrun.emulator import EmulatorOptions, start_emulator

ANY_KEY = "sk-emulator"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def serve(options: EmulatorOptions, *, announce: Callable[[str], None]) -> int:
    """Serve until interrupted, terminated or cancelled; each of them is a good end."""
    stop = asyncio.Event()
    emulator = await start_emulator(options)
    try:
        with _call_on_signals(stop.set):
            announce(f"emulator: {emulator.base_url}")
            announce(f"export DASHSCOPE_HTTP_BASE_URL={emulator.base_url}")
            announce(f"export DASHSCOPE_API_KEY={_show_key(options)}")
            with suppress(asyncio.CancelledError):
                await stop.wait()
    finally:
        await emulator.aclose()
    return 0


def _show_key(options: EmulatorOptions) -> str:
    """A key that works; one that the user chose may be real and is not repeated."""
    return ANY_KEY if options.api_key is None else "...  # the key given to the emulator"


@contextmanager
def _call_on_signals(action: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    caught = []
    for number in SIGNALS:
        # No handlers on Windows, and none outside the main thread.
        with suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, action)
            caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
