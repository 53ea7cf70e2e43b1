"""The systemd units of a scheduled pipeline. Text only."""

import re
from pathlib import Path

from cronsim import CronSim

from dsrun.cli.crontab import Scheduled
from dsrun.common.errors import UsageError
from dsrun.common.escaping import escaped, is_plain
from dsrun.common.messages import show
from dsrun.common.settings import FILES_TO_WRITE
from dsrun.manifest.schedule import SOME_DAY, Schedule

_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_LINE_ENDS = re.compile(r"[\n\t]")  # which a unit holds spelled out, in quotes
_SERVICE = """\
[Unit]
Description=dsrun {name}
Documentation=man:systemd.service(5)
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User={user}
WorkingDirectory={folder}
{environment}ExecStart={command}
# SIGTERM submits nothing more and records the rest; the next run goes on.
TimeoutStopSec=5min
# Nothing else can be written.
ReadWritePaths={writable}
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
LockPersonality=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0077
"""
_TIMER = """\
[Unit]
Description=Timer of dsrun {name}

[Timer]
{calendar}RandomizedDelaySec={jitter:g}s
AccuracySec=1s
# A machine that was off runs once when it is back.
Persistent=yes

[Install]
WantedBy=timers.target
"""


def systemd_units(item: Scheduled, *, user: str) -> dict[str, str]:
    """A service and its timer, by file name. Raises UsageError for what a unit cannot hold."""
    _check_words(item, user)
    environment = dict(item.environment)
    lines = ""
    if item.key_file is not None:
        # systemd reads it as root and shows it to this service alone.
        lines = f"LoadCredential=api_key:{_spelled(str(item.key_file))}\n"
        lines += "Environment=DASHSCOPE_API_KEY_FILE_PATH=%d/api_key\n"
        environment.pop("DASHSCOPE_API_KEY_FILE_PATH", None)
    for name, value in environment.items():
        lines += f"Environment={_quoted(f'{name}={value}')}\n"
    service = _SERVICE.format(
        name=item.name,
        user=user,
        folder=_spelled(str(item.pipeline.parent)),
        environment=lines,
        command=" ".join(
            _quoted(word).replace("$", "$$") for word in (*item.program, *item.arguments)
        ),
        writable=" ".join(map(_quoted, _writable(item))),
    )
    calendar = "".join(f"OnCalendar={line}\n" for line in on_calendar(item.schedule))
    timer = _TIMER.format(name=item.name, calendar=calendar, jitter=item.schedule.jitter_s)
    return {f"dsrun-{item.name}.service": service, f"dsrun-{item.name}.timer": timer}


def _check_words(item: Scheduled, user: str) -> None:
    """Raises UsageError for a word that would end its line, and begin another setting."""
    names = (user, str(item.pipeline.parent), str(item.out), str(item.key_file))
    values = (*item.program, *item.arguments, *item.environment.values())
    for word in (*names, *(_LINE_ENDS.sub("", value) for value in values)):
        if not is_plain(word) or (word in names and word.endswith("\\")):
            raise UsageError(
                f"{item.pipeline}: {show(word)} holds a hidden character, or ends with a "
                "backslash, and a unit cannot hold it; rename the file, or set the value in a "
                "file for --env-file"
            )


def _writable(item: Scheduled) -> list[str]:
    """The output directory, and the folders of log and report files, which may be missing."""
    files = (item.environment.get(name) for name in FILES_TO_WRITE)
    return [str(item.out), *sorted({f"-{Path(file).parent}" for file in files if file})]


def on_calendar(schedule: Schedule) -> list[str]:
    """A cron expression in systemd's words: two lines where cron means this day or that one."""
    cron = CronSim(schedule.cron, SOME_DAY)
    zone = f" {schedule.timezone}" if schedule.timezone else ""
    hours, minutes = _listed(cron.hours, 24), _listed(cron.minutes, 60)
    months = _listed(cron.months, 12)
    days = _listed(cron.days, 31)
    numbers = {day % 7 for day in cron.weekdays if isinstance(day, int)}
    weekdays = "" if len(numbers) == len(_WEEKDAYS) else _names(numbers)
    pairs = [(weekdays, days)]
    if not cron.day_and and weekdays and days != "*":
        pairs = [("", days), (weekdays, "*")]
    return [f"{week}*-{months}-{day} {hours}:{minutes}:00{zone}" for week, day in pairs]


def _listed(numbers: set[int], every: int) -> str:
    return "*" if len(numbers) == every else ",".join(f"{number:02}" for number in sorted(numbers))


def _names(numbers: set[int]) -> str:
    return ",".join(_WEEKDAYS[number] for number in sorted(numbers)) + " "


def _spelled(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """A word of a unit file, in quotes where it needs them."""
    text = _spelled(text)
    if text and not set(text) & set(" \n\t\"'\\;#"):
        return text
    inside = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_LINE_ENDS.sub(lambda sign: escaped(sign[0]), inside)}"'
