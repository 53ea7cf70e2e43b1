"""`dsrun report --serve`: serve the page of a run on this machine until told to stop."""

import asyncio
import errno
from pathlib import Path

from dsrun.cli.emulate import call_on_signals
from dsrun.common.console import answer, answer_json
from dsrun.common.errors import ExitCode, SetupError
from dsrun.report.serving import HOST, ReportServer


def serve(run_dir: Path, *, port: int, as_json: bool) -> int:
    """Serve until interrupted, which is a normal end. Raises SetupError."""
    try:
        return asyncio.run(_serve(run_dir, port, as_json=as_json))
    except OSError as error:
        in_use = "; --port 0 takes any free one" if error.errno == errno.EADDRINUSE else ""
        words = f"cannot listen on {HOST}:{port}: {error.strerror or error}{in_use}"
        raise SetupError(words) from error


async def _serve(run_dir: Path, port: int, *, as_json: bool) -> int:
    stop = asyncio.Event()
    with call_on_signals(stop.set):
        server = ReportServer(run_dir)
        runner = await server.start(port)
        try:
            if as_json:
                answer_json({"directory": str(run_dir), "address": server.address})
            else:
                answer(f"{server.address}  (Ctrl-C ends it)")
            await stop.wait()
        finally:
            await runner.cleanup()
    return ExitCode.OK
