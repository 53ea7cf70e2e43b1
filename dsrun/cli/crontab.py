"""Crontab lines, and a crontab with the lines of some pipelines replaced. Text only."""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from dsrun.common.errors import SetupError, UsageError
from dsrun.common.escaping import is_plain
from dsrun.manifest.schedule import Schedule

MOST_SIGNS = 998  # cron cuts a longer line off, or refuses the whole table
_BEGIN, _END = "# BEGIN dsrun ", "# END dsrun "
_DAYS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """A pipeline to run on its schedule. Paths are absolute; `arguments` follow the program."""

    name: str
    pipeline: Path
    schedule: Schedule
    program: tuple[str, ...]
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    out: Path
    key_file: Path | None  # where the key stands, if a file has it

    @property
    def log(self) -> Path:
        return self.out / self.name / "cron.log"


def crontab_lines(item: Scheduled) -> str:
    """Three lines: two markers and what cron runs. Raises UsageError for what cron cannot hold."""
    variables = [f"{name}={shlex.quote(value)}" for name, value in item.environment.items()]
    jitter = [f"--jitter={item.schedule.jitter_s:g}s"] if item.schedule.jitter_s else []
    run = shlex.join([*item.program, *item.arguments, *jitter])
    folder, log = shlex.quote(str(item.log.parent)), shlex.quote(str(item.log))
    command = " ".join(
        [
            f"mkdir -p {folder} && cd {shlex.quote(str(item.pipeline.parent))} &&",
            *variables,
            f"{run} >> {log} 2>&1",
        ]
    )
    line = f"{item.schedule.cron} {command.replace('%', chr(92) + '%')}"
    size = len(line.encode(errors="surrogatepass"))
    if not is_plain(line) or size > MOST_SIGNS:
        hidden = ", ".join(word for word in shlex.split(command) if not is_plain(word))
        raise UsageError(
            f"{item.pipeline}: its line would have {size} bytes or a hidden "
            f"character{f' ({hidden})' if hidden else ''}; cron takes {MOST_SIGNS} printable "
            "ones; shorten paths, or use --systemd"
        )
    return f"{_BEGIN}{item.pipeline}\n{line}\n{_END}{item.pipeline}\n"


def merged(table: str, blocks: Mapping[Path, str]) -> str:
    """The crontab with the block of each pipeline replaced; an empty block takes it out.

    All other lines stay as they are. Raises SetupError where a marker has lost its other half.
    """
    for pipeline, block in blocks.items():
        table = _replaced(table, pipeline, block)
    return table


def _replaced(table: str, pipeline: Path, block: str) -> str:
    lines = re.findall(r"[^\n]*\n|[^\n]+", table)  # as cron has them: no other sign ends a line
    begin = _places(lines, f"{_BEGIN}{pipeline}")
    end = _places(lines, f"{_END}{pipeline}")
    if not begin and not end:
        separator = "\n" if table and not table.endswith("\n") else ""
        return f"{table}{separator}{block}"
    if len(begin) != 1 or len(end) != 1 or begin[0] > end[0]:
        raise SetupError(
            f"the crontab has no pair of lines `{_BEGIN}{pipeline}` and `{_END}{pipeline}`; remove "
            "what is left of them with `crontab -e`, then install again"
        )
    return "".join([*lines[: begin[0]], block, *lines[end[0] + 1 :]])


def _places(lines: Iterable[str], text: str) -> list[int]:
    return [number for number, line in enumerate(lines) if line.rstrip() == text]


def agrees_with_machine(zone: ZoneInfo, local: ZoneInfo, *, since: date) -> bool:
    """Whether both zones show the same time all through the coming year; cron has only one zone."""
    if zone.key == local.key:
        return True
    start = datetime(since.year, since.month, since.day, tzinfo=ZoneInfo("UTC"))
    moments = (start + timedelta(days=number) for number in range(_DAYS))
    return all(m.astimezone(zone).utcoffset() == m.astimezone(local).utcoffset() for m in moments)
