"""Where words for people go: stderr as text or as JSON lines, and a log file beside it.

Everything passes `mask` and `shown` here, whoever says it.
"""

import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from dsrun.common.errors import UsageError
from dsrun.common.escaping import Shown, shown, shown_json, unpainted
from dsrun.common.redaction import mask

WARNING = "warning: "  # how the text of a warning begins; JSON has a level for it
FILE_BYTES = 10_000_000
FILES_KEPT = 5  # older ones, beside the one that is written

_root = logging.getLogger("dsrun")
_others = logging.getLogger()
_said = logging.getLogger("dsrun.said")


class _Channel:
    """What the options of this invocation made of stderr."""

    is_json = False
    above: Callable[[str], None] | None = None  # writes a line above the bars that stand there


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": _stamp(record),
            "level": record.levelname.lower(),
            "message": mask(_message(record)).removeprefix(WARNING),
        }
        return shown_json(json.dumps(line, ensure_ascii=False))


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{_stamp(record)} {record.levelname.lower()} {fit(_message(record))}"


class _LogFile(RotatingFileHandler):
    """A log that cannot be written any more is told once, and stops nothing."""

    _has_told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        del record
        if not self._has_told:
            self._has_told = True
            fault = sys.exc_info()[1]
            words = fault.strerror if isinstance(fault, OSError) else fault
            speak(
                f"{WARNING}--log-file {self.baseFilename} cannot be written: {words}",
                show=show_line,
            )

    def close(self) -> None:
        with suppress(OSError):  # was told when it was written
            super().close()


def show_line(text: str) -> None:
    """A text that is Shown on the stderr of the moment, or above the bars there."""
    if _Channel.above is not None:
        _Channel.above(text)
    else:
        print(text, file=sys.stderr, flush=True)  # noqa: T201  # it is a console


def show_above(show: Callable[[str], None] | None) -> None:
    """From now on `show` writes the lines of stderr, since bars stand there; None: no more."""
    _Channel.above = show


def _tell(show: Callable[[str], None], text: str) -> None:
    """Show it; where nobody can read stderr any more, that is no reason to stop a run."""
    try:
        show(text)
    except OSError:  # a closed pipe, a full disk: what is buffered must not fail at the end again
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


class _StderrHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _tell(show_line, self.format(record))


def start_logs(*, form: str, file: Path | None, verbose: bool) -> None:
    """Set up what the options ask for; `form` is text or json. Raises UsageError."""
    end_logs()
    formatter = _JsonFormatter() if form == "json" else _TextFormatter()
    _Channel.is_json = form == "json"
    if _Channel.is_json or verbose:
        heard = _StderrHandler()
        if not _Channel.is_json:
            heard.addFilter(lambda record: record.name != _said.name)  # is printed as it is
        _add(heard, formatter)
        if _Channel.is_json:  # what Python itself warns of is a line too
            _others.addHandler(heard)
            logging.captureWarnings(True)
    if file is not None:
        try:
            written = _LogFile(
                file,
                maxBytes=FILE_BYTES,
                backupCount=FILES_KEPT,
                encoding="utf-8",
                errors="backslashreplace",
            )
        except OSError as error:
            raise UsageError(
                f"--log-file {file}: cannot be written: {error.strerror}; name a file in a folder "
                "that is there"
            ) from error
        _add(written, formatter)
    _root.setLevel(logging.DEBUG if verbose else logging.INFO)


def end_logs() -> None:
    """Close what `start_logs` opened."""
    logging.captureWarnings(False)
    for handler in list(_root.handlers):
        _root.removeHandler(handler)
        _others.removeHandler(handler)
        handler.close()
    _root.setLevel(logging.NOTSET)
    _root.propagate = True
    _Channel.is_json = False


def speaks_json() -> bool:
    """Whether each line of stderr is a JSON object."""
    return _Channel.is_json


def speak(text: str, *, show: Callable[[str], None], level: int = logging.INFO) -> None:
    """Say a text to whoever listens; `show` puts it on stderr where that is plain text."""
    if _root.handlers:
        _said.log(level, "%s", text)
    if not _Channel.is_json:
        _tell(show, fit(text))


def fit(text: str) -> Shown:
    """What may be seen of a text."""
    hidden = mask(text)
    return Shown(hidden) if isinstance(text, Shown) else shown(hidden)


def _add(handler: logging.Handler, formatter: logging.Formatter) -> None:
    handler.setFormatter(formatter)
    _root.addHandler(handler)
    _root.propagate = False


def _message(record: logging.LogRecord) -> str:
    """What was said, without colours."""
    if record.name == _said.name and isinstance(record.args, tuple):
        text = record.args[0]
        if isinstance(text, Shown):
            return Shown(unpainted(text))
    return record.getMessage()


def _stamp(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"
