"""Tells somebody how a run ended, by a webhook or a command. A notice that fails is a warning."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from dsrun.common.clock import SystemClock
from dsrun.common.console import say
from dsrun.common.credential import holds_key
from dsrun.common.errors import DsrunError, NotSent, SetupError
from dsrun.common.models import Json
from dsrun.common.redaction import keep_secret
from dsrun.common.run_summary import RunEnd
from dsrun.common.settings import read_variable, without_key
from dsrun.manifest.notify import FromEnvironment, Notify
from dsrun.manifest.template_errors import TemplateProblem

_PAUSES_S = (0.0, 1.0, 5.0)  # before each try
_ANSWER_S = 10.0
_COMMAND_S = 60.0
_THROTTLED, _BROKEN = 429, 500


def send_notice(notify: Notify, end: RunEnd) -> None:
    """Send it where this end is one to tell of. The user has allowed it."""
    if not notify.wants(end):
        return
    try:
        payload = notify.payload_of(end)
    except TemplateProblem as error:
        say(f"warning: the notice has no words of its own: notify.payload: {error}")
        payload = end.as_json()
    for fault in _faults(notify, end, payload):
        say(f"warning: the notice was not delivered: {fault}")


def _faults(notify: Notify, end: RunEnd, payload: Json) -> Iterator[str]:
    if notify.url is not None:
        try:
            asyncio.run(_post(notify, payload))
        except DsrunError as error:
            yield f"notify.url: {error}"
    if notify.command:
        try:
            _call(notify, end, _body(payload))
        except DsrunError as error:
            yield f"notify.command: {error}"


async def _post(notify: Notify, payload: Json) -> None:
    from dsrun.service.transport import Transport  # noqa: PLC0415  # start-up

    url, body = _secret(notify.url), _body(payload)
    kind = "text/plain; charset=utf-8" if isinstance(payload, str) else "application/json"
    headers = {"Content-Type": kind} | {k: _secret(v) for k, v in notify.headers.items()}
    fault: DsrunError = SetupError("")
    async with Transport() as transport:
        for pause in _PAUSES_S:
            await SystemClock().sleep(pause)
            try:
                reply = await transport.request(
                    "POST", url, headers=headers, body=body, timeout_s=_ANSWER_S,
                    most=None,
                )  # fmt: skip
            except NotSent as error:
                fault = error
                continue
            if reply.status < 300:  # noqa: PLR2004  # HTTP: the family of success
                return
            fault = SetupError(f"the host answered HTTP {reply.status}")
            if reply.status != _THROTTLED and reply.status < _BROKEN:
                break
    raise fault


def _call(notify: Notify, end: RunEnd, body: bytes) -> None:
    env = without_key() | {
        "DSRUN_PIPELINE": end.pipeline,
        "DSRUN_OUTCOME": end.outcome,
        "DSRUN_DIRECTORY": end.directory,
    }
    with tempfile.TemporaryFile() as told:  # a pipe would be held open by what it leaves behind
        try:
            process = subprocess.Popen(  # noqa: S603  # the user's own command, without a shell
                notify.command, stdin=subprocess.PIPE, stdout=told, stderr=told,
                cwd=notify.root, env=env, start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            words = getattr(error, "strerror", None) or error
            raise SetupError(f"{notify.command[0]} cannot be started: {words}") from error
        try:
            process.communicate(body, timeout=_COMMAND_S)
        except subprocess.TimeoutExpired as error:
            _kill(process)
            raise SetupError(f"stopped after {_COMMAND_S:.0f} s") from error
        if process.returncode:
            told.seek(0)
            lines = told.read(100_000).decode(errors="replace").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), "no words")
            raise SetupError(f"exit code {process.returncode}: {last}")


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _secret(given: str | FromEnvironment | None) -> str:
    """The value itself, hidden from now on. Raises SetupError where a variable is not set."""
    if isinstance(given, FromEnvironment):
        value = read_variable(given.name)
        if value is None:
            raise SetupError(f"the environment has no {given.name}; set it, also for cron")
        return value
    keep_secret(given or "")
    return given or ""


def _body(payload: Json) -> bytes:
    # ASCII, since a path may hold bytes that are no text.
    text = payload if isinstance(payload, str) else json.dumps(payload)
    body = text.encode(errors="backslashreplace")
    if holds_key(body):
        raise SetupError("its payload holds the API key")
    return body
