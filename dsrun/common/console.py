"""The terminal: results go to stdout; progress and notes go to stderr and to a log file.

Text from outside may contain terminal commands or secrets. Everything that is not `Shown` yet
becomes one line without hidden characters here, and all that goes to stderr passes `mask`.
"""

import json
import logging
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from dsrun.common.errors import UsageError
from dsrun.common.escaping import DEGRADED, Shown, shown, shown_json, shown_lines, unpainted
from dsrun.common.models import Json
from dsrun.common.redaction import mask
from dsrun.common.settings import terminal_encoding
from dsrun.common.text_table import table

WARNING = "warning: "  # how the text of a warning begins; JSON has a level for it
FILE_BYTES = 10_000_000
_LOOK_UP_S = 0.1
FILES_KEPT = 5  # beside the current one

_root = logging.getLogger("dsrun")
_others = logging.getLogger()
_said = logging.getLogger("dsrun.said")
_listener: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


def open_streams() -> None:
    """Make stdin, stdout and stderr usable, whoever started us.

    A closed stream is replaced by an empty one, so that no file opened later gets its descriptor.
    A terminal gets the encoding of its locale, files and pipes UTF-8; characters that it lacks,
    such as an emoji, are spelled out.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115  # to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding=terminal_encoding(stream), errors=DEGRADED)
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(encoding=terminal_encoding(sys.stdin), errors="replace")


def say(text: str) -> None:
    """Tell the user a line, or Shown text: on stderr, or through the listening program."""
    listener = _listener.get()
    if listener is not None:
        listener(fit(text))
        return
    level = logging.WARNING if text.startswith(WARNING) else logging.INFO
    speak(text, show=show_line, level=level)


@contextmanager
def heard_by(listener: Callable[[str], None]) -> Iterator[None]:
    """In this block `listener` gets the lines; other threads and tasks keep their own."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def answer(text: str) -> None:
    """Write a line of the command's result, or Shown text, to stdout."""
    print(shown(text), flush=True)  # noqa: T201  # the console prints


def answer_json(value: Json, *, indent: bool = True) -> None:
    """The command's result for a program."""
    answer(shown_json(_as_json(value, indent=indent)))


def _as_json(value: Json, *, indent: bool) -> str:
    import orjson  # noqa: PLC0415  # start-up

    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else None).decode()
    except TypeError:  # a path whose bytes are no text, or an integer past 64 bits
        separators = None if indent else (",", ":")
        return json.dumps(value, indent=2 if indent else None, separators=separators)


def answer_path(path: Path) -> None:
    """Write a file name to stdout; a program that reads it gets the exact name."""
    name = str(path)
    answer(name if is_terminal(sys.stdout) else Shown(name))


def answer_text(text: str) -> None:
    """Write a text to stdout: exact for another program, safe to see on a terminal."""
    lines = text.split("\n")
    answer(shown_lines(lines) if is_terminal(sys.stdout) else Shown(text))


def answer_pieces(pieces: Iterable[str]) -> None:
    """Write a long result to stdout piece by piece; the pieces are already safe to show."""
    sys.stdout.writelines(pieces)
    sys.stdout.flush()


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def count_of(number: int, noun: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def terminal_width() -> int | None:
    """Columns of the terminal that reads stdout; None for a file or another program."""
    if not is_terminal(sys.stdout):
        return None
    with suppress(OSError, ValueError):
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    return None


def answer_table(rows: Iterable[Iterable[str]], *, titled: bool = False, indent: int = 0) -> None:
    """Write a table to stdout, as wide as its terminal; `titled` as `text_table.table` has it."""
    width = terminal_width()
    lines = table(rows, titled=titled, width=width and max(1, width - indent)).split("\n")
    answer(Shown("\n".join(" " * indent + line for line in lines)))


def ask(question: str) -> bool:
    """Whether the user at the terminal says yes. Ctrl-C is a KeyboardInterrupt, at any moment."""
    while True:
        print(f"{shown(question)} [y/N]: ", end="", file=sys.stderr, flush=True)  # noqa: T201  # the console prints
        word = _typed_line().strip().lower()
        if word in ("y", "yes"):
            return True
        if word in ("n", "no", ""):
            return False
        print("please answer y or n", file=sys.stderr, flush=True)  # noqa: T201  # as above


def _typed_line() -> str:
    """A line of the terminal; an empty text at its end.

    Python does not see a signal that comes right before it begins to read: it looks up for that.
    """
    with suppress(OSError, ValueError):  # Windows selects sockets alone
        while not select.select([sys.stdin], [], [], _LOOK_UP_S)[0]:
            pass
    return sys.stdin.readline()


class _Channel:
    """How this invocation uses stderr."""

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


def show_line(text: str) -> None:
    """Write Shown text to the current stderr, above the bars if there are any."""
    if _Channel.above is not None:
        _Channel.above(text)
    else:
        print(text, file=sys.stderr, flush=True)  # noqa: T201  # the console prints


def show_above(show: Callable[[str], None] | None) -> None:
    """Let `show` write the lines of stderr while bars are shown there; None ends that."""
    _Channel.above = show


def _tell(show: Callable[[str], None], text: str) -> None:
    """Show it; a stderr that nobody reads any more is no reason to stop a run."""
    try:
        show(text)
    except OSError:  # a closed pipe, a full disk: what is buffered must not fail at the end again
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


class _StderrHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _tell(show_line, self.format(record))


def start_logs(*, form: str, file: Path | None, verbose: bool) -> None:
    """Set up logging as the options say; `form` is text or json. Raises UsageError."""
    end_logs()
    formatter = _JsonFormatter() if form == "json" else _TextFormatter()
    _Channel.is_json = form == "json"
    if _Channel.is_json or verbose:
        _add(_stderr_handler(), formatter)
    if file is not None:
        _add(_log_file(file), formatter)
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
    """Log a text; `show` also puts it on stderr where stderr is plain text."""
    if _root.handlers:
        _said.log(level, "%s", text)
    if not _Channel.is_json:
        _tell(show, fit(text))


def fit(text: str) -> Shown:
    """The text without secrets, safe to show."""
    hidden = mask(text)
    return Shown(hidden) if isinstance(text, Shown) else shown(hidden)


def _stderr_handler() -> logging.Handler:
    handler = _StderrHandler()
    if _Channel.is_json:  # what Python itself warns of is a line too
        _others.addHandler(handler)
        logging.captureWarnings(True)
    else:
        handler.addFilter(lambda record: record.name != _said.name)  # is printed as it is
    return handler


def _log_file(file: Path) -> logging.Handler:
    from dsrun.common.log_file import LogFile  # noqa: PLC0415  # start-up: logging.handlers

    try:
        return LogFile(
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


def _add(handler: logging.Handler, formatter: logging.Formatter) -> None:
    handler.setFormatter(formatter)
    _root.addHandler(handler)
    _root.propagate = False


def _message(record: logging.LogRecord) -> str:
    """The message without colours."""
    if record.name == _said.name and isinstance(record.args, tuple):
        text = record.args[0]
        if isinstance(text, Shown):
            return Shown(unpainted(text))
    return record.getMessage()


def _stamp(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"
