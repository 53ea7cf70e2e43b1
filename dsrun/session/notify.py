"""Tells machines and absent people how a run ended. None of it can fail the run."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from dsrun.common.clock import SystemClock, stamp
from dsrun.common.console import say
from dsrun.common.credential import holds_key
from dsrun.common.errors import DsrunError, ExitCode, GroundLost, NotSent, SetupError
from dsrun.common.models import Json
from dsrun.common.redaction import keep_secret
from dsrun.common.run_summary import RunEnd
from dsrun.common.settings import read_variable, step_summary_file, without_key
from dsrun.ledger import totals
from dsrun.ledger.history import History, Invocation, PastRun, invocations
from dsrun.ledger.reader import LedgerReader
from dsrun.manifest.notify import FromEnvironment, Notify
from dsrun.manifest.template_errors import TemplateProblem
from dsrun.planning.plan import Plan
from dsrun.report.github import step_summary
from dsrun.report.junit import junit_report
from dsrun.report.prometheus import metrics_text
from dsrun.report.results import iter_results
from dsrun.session.host import Ending
from dsrun.session.options import RunOptions
from dsrun.session.permit import Permit
from dsrun.storage.files import make_folder, write_whole
from dsrun.storage.layout import RunLayout

_ERRORS_TOLD = 5
_PAUSES_S = (0.0, 1.0, 5.0)  # before each try
_ANSWER_S = 10.0
_COMMAND_S = 60.0
_THROTTLED, _BROKEN = 429, 500


def reported(plan: Plan, options: RunOptions, permit: Permit, run: Callable[[], Ending]) -> Ending:
    """Run, then write and send the reports that were asked for, even if the run could not begin."""
    clock = SystemClock()
    started, began_at = clock.now(), clock.monotonic()

    def aftermath() -> _Aftermath:
        took_s = clock.monotonic() - began_at
        return _Aftermath(
            plan, options, permit.notify, started=started, ended=clock.now(), took_s=took_s
        )

    try:
        ending = run()
    except Exception as error:
        known = isinstance(error, DsrunError)
        code = error.exit_code if isinstance(error, DsrunError) else ExitCode.BUG
        words = str(error).partition("\n")[0] if known else f"a bug: {type(error).__name__}"
        aftermath().tell(code, words, has_place=not isinstance(error, GroundLost))
        raise
    aftermath().tell(ending.code, ending.reason if ending.is_refused else None)
    return ending


class _Aftermath:
    """What is known of one invocation that has ended, and whom to tell."""

    def __init__(
        self,
        plan: Plan,
        options: RunOptions,
        notify: Notify | None,
        *,
        started: datetime,
        ended: datetime,
        took_s: float,
    ) -> None:
        """`took_s` is from the monotonic clock: the wall clock may have been set in between."""
        self._notify = notify
        self._options = options
        self._name = plan.manifest.name
        self._plan = plan
        self._started, self._ended, self._took_s = started, ended, took_s
        self._summary = step_summary_file()

    def tell(self, code: int, reason: str | None, *, has_place: bool = True) -> None:
        """`has_place`: the output directory can still be written to."""
        options = self._options
        if not (self._notify or options.junit or options.textfile or self._summary):
            return
        layout = RunLayout.for_plan(
            out=options.out, name=self._name, digest=self._plan.digest, emulated=options.emulate
        )
        try:
            own = self._own_run(layout)
            if own is None and code == ExitCode.OK:
                return  # skipped, since another run holds the directory
            past = History(options.out, pipeline=self._name, emulated=options.emulate).runs(
                counted=False
            )
            end = self._end(layout, code, reason, own, self._outcome(code, past, layout))
        except DsrunError as error:
            say(f"warning: nobody was told how the run ended: {error}")
            return
        self._write(layout, end, past, has_ledger=own is not None)
        if self._notify is not None:
            if has_place:
                self._mark(layout, end)
            send_notice(self._notify, end)

    def _write(
        self, layout: RunLayout, end: RunEnd, past: list[PastRun], *, has_ledger: bool
    ) -> None:
        options = self._options
        if options.junit is not None and has_ledger:
            _warned("--junit", options.junit, lambda path: _write_junit(path, layout, self._name))
        if options.textfile is not None:
            succeeded = [p.run.ended_at for p in past if p.run.exit_code == 0 and p.run.ended_at]
            # A success dated next year would keep an alert silent until then.
            known = [at for at in succeeded if at <= end.ended_at]
            text = metrics_text(end, last_success=max(known, default=None))
            _warned(
                "--textfile", options.textfile, lambda path: _write_parts(path, [text.encode()])
            )
        if self._summary is not None:
            _warned("GITHUB_STEP_SUMMARY", self._summary, lambda path: _append(path, end))

    def _own_run(self, layout: RunLayout) -> Invocation | None:
        """The row of this invocation; None where it did not get that far."""
        if not layout.ledger.is_file():
            return None
        with closing(LedgerReader(layout.ledger)) as ledger:
            runs = invocations(ledger)
        is_own = runs and runs[-1].pid == os.getpid() and runs[-1].host == socket.gethostname()
        began = min(self._started, self._ended - timedelta(seconds=self._took_s))
        return runs[-1] if is_own and runs[-1].started_at >= stamp(began) else None

    def _outcome(self, code: int, past: list[PastRun], layout: RunLayout) -> str:
        if code == ExitCode.INTERRUPTED:
            return "interrupted"
        if code != ExitCode.OK:
            return "failure"
        before = [run for run in past if run.run.started_at < stamp(self._started)]
        fell = bool(before) and before[-1].outcome not in ("succeeded", "interrupted", "running")
        return "recovery" if fell or layout.failed.exists() else "success"

    def _end(
        self, layout: RunLayout, code: int, reason: str | None, own: Invocation | None, outcome: str
    ) -> RunEnd:
        directory = layout.run_dir.absolute()
        report = RunLayout.of(directory).report
        errors: list[tuple[str, str, int]] = []
        counts = {}
        if own is not None:
            with closing(LedgerReader(layout.ledger)) as view:
                counts, errors = totals.counts(view), totals.errors(view, _ERRORS_TOLD)
        return RunEnd(
            pipeline=self._name,
            outcome=outcome,
            exit_code=int(code),
            reason=reason or (own and own.reason) or None,
            host=socket.gethostname(),
            emulated=self._options.emulate,
            started_at=stamp(self._started),
            ended_at=stamp(self._ended),
            duration_s=round(self._took_s, 3),
            directory=str(directory),
            results=str(layout.results.absolute()),
            report=str(report) if report.is_file() else None,
            jobs=counts,
            cost=own.cost if own and not self._options.emulate else (),
            errors=tuple(errors),
        )

    def _mark(self, layout: RunLayout, end: RunEnd) -> None:
        """Remember a failure until a run ends well; perhaps no ledger has it."""
        marker = layout.failed
        try:
            if end.outcome == "failure":
                make_folder(marker.parent)
                marker.touch()
            elif end.outcome == "recovery":
                marker.unlink(missing_ok=True)
        except (OSError, DsrunError) as error:
            say(f"warning: {marker} cannot be written, so a recovery may go unreported: {error}")


def _write_junit(path: Path, layout: RunLayout, name: str) -> None:
    with closing(LedgerReader(layout.ledger)) as view:
        _write_parts(path, junit_report(name, totals.step_counts(view), iter_results(view)))


def _write_parts(path: Path, parts: Iterable[bytes]) -> None:
    make_folder(path.parent)
    write_whole(path, parts)


def _append(path: Path, end: RunEnd) -> None:
    with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(step_summary(end))


def _warned(name: str, path: Path, write: Callable[[Path], None]) -> None:
    try:
        write(path)
    except (OSError, DsrunError) as error:
        words = error.strerror if isinstance(error, OSError) else error
        say(f"warning: {name} {path} was not written: {words}")


def send_notice(notify: Notify, end: RunEnd) -> None:
    """Send a notice if the manifest wants one for this end. The user has allowed it."""
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
    from dsrun.service.transports import open_transport  # noqa: PLC0415  # start-up

    url, body = _secret(notify.url), _body(payload)
    kind = "text/plain; charset=utf-8" if isinstance(payload, str) else "application/json"
    headers = {"Content-Type": kind} | {k: _secret(v) for k, v in notify.headers.items()}
    fault: DsrunError = SetupError("")
    async with open_transport() as transport:
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
    with (
        tempfile.TemporaryFile() as output
    ):  # a process that it leaves behind would hold a pipe open
        try:
            process = subprocess.Popen(  # noqa: S603  # the user's own command, without a shell
                notify.command, stdin=subprocess.PIPE, stdout=output, stderr=output,
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
            output.seek(0)
            lines = output.read(100_000).decode(errors="replace").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), "no words")
            raise SetupError(f"exit code {process.returncode}: {last}")


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:  # Windows
        process.kill()
    process.wait()


def _secret(value: str | FromEnvironment | None) -> str:
    """The value itself, masked in output from now on. Raises SetupError for an unset variable."""
    if isinstance(value, FromEnvironment):
        content = read_variable(value.name)
        if content is None:
            raise SetupError(f"the environment has no {value.name}; set it, also for cron")
        return content
    keep_secret(value or "")
    return value or ""


def _body(payload: Json) -> bytes:
    # ASCII, since a path may hold bytes that are no text.
    text = payload if isinstance(payload, str) else json.dumps(payload)
    body = text.encode(errors="backslashreplace")
    if holds_key(body):
        raise SetupError("its payload holds the API key")
    return body
