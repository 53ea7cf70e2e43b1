"""`dsrun emulate`: serve the emulator until told to stop."""

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from dsrun.common.console import answer, answer_table
from dsrun.common.errors import ExitCode, SetupError, UsageError
from dsrun.common.settings import read_proxies
from dsrun.common.shell import command_line
from dsrun.emulator import FAULTS, EmulatorOptions, parse_fault, start_emulator

ANY_KEY = "sk-emulator"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(
    *,
    host: str,
    port: int,
    key: str | None,
    task_time_s: float,
    limits: bool,
    faults: Sequence[str],
    seed: int,
) -> int:
    """Serve until interrupted. Raises UsageError for an unknown fault, SetupError for the port."""
    if "list" in faults:
        answer_table(FAULTS.items())
        return ExitCode.OK
    try:
        options = EmulatorOptions(
            host=host,
            port=port,
            api_key=key,
            task_time_s=task_time_s,
            limits=limits,
            faults=tuple(parse_fault(text) for text in faults),
            seed=seed,
        )
    except ValueError as error:
        raise UsageError(f"--fault {error}") from error
    try:
        return asyncio.run(serve(options, announce=answer))
    except OSError as error:
        raise SetupError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    except UnicodeError as error:
        raise UsageError(f"--host {host}: no name or address of a machine") from error


async def serve(options: EmulatorOptions, *, announce: Callable[[str], None]) -> int:
    """Serve until interrupted, terminated or cancelled; each of these is a normal end."""
    stop = asyncio.Event()
    emulator = await start_emulator(options)
    try:
        with call_on_signals(stop.set):
            announce(f"emulator: {emulator.base_url}")
            address = f"DASHSCOPE_HTTP_BASE_URL={emulator.base_url}"
            announce(command_line("export", address))
            announce(_key_words(options))
            if read_proxies().has_any_for("http"):  # other clients do not spare loopback
                announce(f'export no_proxy="{options.host}${{no_proxy:+,$no_proxy}}"')
            with suppress(asyncio.CancelledError):
                await stop.wait()
    finally:
        await emulator.aclose()
    return 0


def _key_words(options: EmulatorOptions) -> str:
    """How to set a key that works. One that the user chose may be a real key, and is not shown."""
    if options.api_key is None:
        return command_line("export", f"DASHSCOPE_API_KEY={ANY_KEY}")
    return "# and DASHSCOPE_API_KEY, the key that the emulator was given"


@contextmanager
def call_on_signals(action: Callable[[], None]) -> Iterator[None]:
    """Call `action` for Ctrl-C and SIGTERM, which end a server in a normal way."""
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
