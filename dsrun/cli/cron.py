"""`dsrun cron`: makes pipelines run on their schedules, by cron, systemd or Kubernetes."""

import difflib
import getpass
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from dsrun.cli.crontab import Scheduled, agrees_with_machine, crontab_lines, merged
from dsrun.cli.kubernetes import as_yaml, cronjob
from dsrun.cli.systemd import systemd_units
from dsrun.cli.user_crontab import read_crontab, write_crontab
from dsrun.common.clock import SystemClock, local_zone, zone_of_cron
from dsrun.common.console import (
    answer,
    answer_json,
    answer_path,
    answer_table,
    answer_text,
    ask,
    say,
)
from dsrun.common.errors import ExitCode, ManifestError, SetupError, UsageError
from dsrun.common.models import Job
from dsrun.common.settings import (
    has_bare_key,
    is_on,
    key_file,
    lasting_environment,
    names_set_by,
)
from dsrun.common.shell import command_line
from dsrun.common.units import Money, sum_money
from dsrun.manifest.notify import Notify
from dsrun.manifest.reader import load_manifest
from dsrun.planning.job_index import ChosenJob
from dsrun.planning.selection import EVERYTHING, chooser_of
from dsrun.session.opening import check_out, open_plan, own_catalog
from dsrun.session.options import PlanOptions
from dsrun.session.permit import calls_of

_KEY_VARIABLES = {"DASHSCOPE_API_KEY", "DASHSCOPE_API_KEY_FILE_PATH"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CronOptions:
    """How the scheduled runs are to be started."""

    pipelines: Sequence[Path]
    out: Path
    env_file: Path | None
    set_params: Mapping[str, str]
    allow_files: Sequence[Path]
    emulate: bool
    catch_up: int | None


def print_lines(options: CronOptions) -> int:
    """Crontab lines on stdout."""
    answer_text("".join(_blocks(options).values()).rstrip("\n"))
    return ExitCode.OK


def install(options: CronOptions, *, remove: bool, yes: bool) -> int:
    """Put the lines into the user's crontab, or take them out, after showing the difference.

    The lines of a pipeline stand between markers; all others stay. Raises SetupError.
    """
    blocks = {path.absolute(): "" for path in options.pipelines} if remove else _blocks(options)
    old = read_crontab()
    new = merged(old, blocks)
    if new == old:
        say("the crontab is so already")
        return ExitCode.OK
    for line in difflib.unified_diff(
        old.splitlines(), new.splitlines(), "crontab", "crontab with this", lineterm=""
    ):
        answer(line)
    if not yes and not sys.stdin.isatty():
        raise UsageError("nothing was changed; add --yes to agree where there is no terminal")
    if not yes and not ask("Change the crontab so?"):
        say("nothing was changed")
        return ExitCode.INCOMPLETE
    write_crontab(new)
    return ExitCode.OK


def print_units(options: CronOptions, *, folder: Path | None) -> int:
    """Systemd's service and timer of each pipeline, on stdout or as files in `folder`."""
    files: dict[str, str] = {}
    if not options.out.is_dir():
        say(f"warning: {options.out} must be there before a service starts; create it")
    items = _scheduled(options)
    for item in items:
        files |= systemd_units(item, user=_user())
    if not all(item.schedule.timezone for item in items):
        _note_zone("systemd")
    _note_key(options, "systemd")
    _deliver(files, folder)
    return ExitCode.OK


def print_cronjobs(options: CronOptions, *, image: str | None, folder: Path | None) -> int:
    """A CronJob for each pipeline. Raises UsageError without `image`, or for a path outside."""
    if not image:
        raise UsageError("--kubernetes needs --image NAME, a container image with dsrun in it")
    root, files = Path.cwd(), {}
    beside = [*([options.env_file] if options.env_file else []), *options.allow_files]
    for item in _scheduled(options):
        for path in (item.pipeline, item.out, *map(Path.absolute, beside)):
            if not path.is_relative_to(root):
                raise UsageError(
                    f"{path} is not below the current folder, which the volume `dsrun` holds; "
                    "start this command in a folder above all pipelines and outputs"
                )
        job = cronjob(item, image=image, root=root, zone=_zone_name(item))
        files[f"dsrun-{item.name}.yaml"] = as_yaml(job)
    if not options.emulate:
        say("the CronJobs read the key from the secret `dashscope`, where it is `api_key`")
    _deliver(files, folder, separator="---")
    return ExitCode.OK


def print_times(options: CronOptions, *, number: int, as_json: bool) -> int:
    """The next `number` times of each pipeline, in order of time."""
    now = SystemClock().now()
    coming = [
        (moment, item)
        for item in _scheduled(options)
        for moment in islice(item.schedule.times(now, local=_zone(item)), number)
    ]
    coming.sort(key=lambda pair: (pair[0].astimezone(ZoneInfo("UTC")), pair[1].name))
    if as_json:
        rows = [
            {"name": i.name, "pipeline": str(i.pipeline), "at": m.isoformat()} for m, i in coming
        ]
        answer_json(rows, indent=False)
    else:
        answer_table([_when(moment), item.name] for moment, item in coming)
    return ExitCode.OK


def _when(moment: datetime) -> str:
    return f"{moment:%a %Y-%m-%d %H:%M %z} {moment.tzname()}"


def _blocks(options: CronOptions) -> dict[Path, str]:
    local, today = local_zone(), SystemClock().now().date()
    blocks = {}
    for item in _scheduled(options):
        zone = item.schedule.zone(local)
        if not agrees_with_machine(zone, local, since=today):
            raise UsageError(
                f"{item.pipeline}: the schedule is in {zone.key}, and cron knows the machine's "
                f"zone only, {local.key}; use --systemd or --kubernetes, or leave timezone out"
            )
        blocks[item.pipeline] = crontab_lines(item)
    _note_zone("cron")
    _note_key(options, "cron")
    return blocks


def _zone(item: Scheduled) -> ZoneInfo:
    """The zone of a schedule. Raises SetupError where it is the machine's, and unknown."""
    named = item.schedule.timezone
    return ZoneInfo(named) if named else local_zone()


def _zone_name(item: Scheduled) -> str:
    """The same by a name that Kubernetes knows. Raises UsageError where it has none."""
    zone, today = _zone(item), SystemClock().now().date()
    if zone.key in available_timezones():
        return zone.key
    for name in (f"Etc/GMT{hours:+}" for hours in range(-14, 13)):
        if agrees_with_machine(ZoneInfo(name), zone, since=today):
            return name
    raise UsageError(
        f"{item.pipeline}: Kubernetes wants the name of a zone, and that of this machine "
        f"({zone.key}) has none; give the schedule a timezone"
    )


def _note_zone(program: str) -> None:
    """`program` counts in the machine's zone, whatever TZ of this shell says."""
    try:
        local = local_zone()
    except SetupError:
        return  # nothing here depends on it
    cron, today = zone_of_cron(), SystemClock().now().date()
    if cron is not None and not agrees_with_machine(local, cron, since=today):
        say(
            f"warning: {local.key}, the TZ of this shell, is not the zone of the machine; where "
            f"{program} was started without it, runs come at the machine's times"
        )


def _note_key(options: CronOptions, program: str) -> None:
    """A key that stands in this shell alone is a key that no scheduled run has."""
    is_given = options.emulate or _key_file() or _names_given(options) & _KEY_VARIABLES
    if has_bare_key() and not is_given:
        say(
            f"warning: {program} will not see DASHSCOPE_API_KEY of this shell; put the key into "
            f"{key_file()} (chmod 600), or into a file for --env-file"
        )


def _names_given(options: CronOptions) -> frozenset[str]:
    """The variables that --env-file gives to each run."""
    return names_set_by(options.env_file) if options.env_file else frozenset()


def _key_file() -> Path | None:
    path = key_file()
    return path.absolute() if path.is_file() else None


def _scheduled(options: CronOptions) -> list[Scheduled]:
    """Read and check the pipelines. Raises UsageError or ManifestError."""
    items = [_one(path, options) for path in options.pipelines]
    names: dict[str, Path] = {}
    check_out(options.out)
    for item in items:
        if item.name in names:
            raise UsageError(
                f"{item.pipeline} and {names[item.name]} have the same name, {item.name}, and so "
                "the same output directory; give one of them another name"
            )
        names[item.name] = item.pipeline
    return items


def _one(path: Path, options: CronOptions) -> Scheduled:
    manifest = load_manifest(
        path,
        catalog=own_catalog(path.parent, options.allow_files),
        set_params=options.set_params,
        allow_files=options.allow_files,
    )
    if manifest.schedule is None:
        raise UsageError(f'{path} has no schedule; add a line such as `schedule: "0 3 * * *"`')
    wanted = manifest.notify.variables if manifest.notify else ()
    if names := ", ".join(name for name in wanted if name not in _names_given(options)):
        say(f"warning: a run by itself will not see {names}, which notify wants; use --env-file")
    script = Path(sys.executable).with_name("dsrun")
    program = (str(script),) if script.exists() else (sys.executable, "-P", "-m", "dsrun")
    return Scheduled(
        name=manifest.name,
        pipeline=path.absolute(),
        schedule=manifest.schedule,
        program=program,
        arguments=(
            *_arguments(path, options),
            *_allowed(path, manifest.notify, options),
            *_agreed(path, manifest.execution.confirm_above, options),
        ),
        environment=lasting_environment(),
        out=options.out.absolute(),
        key_file=None if options.emulate else _key_file(),
    )


def _arguments(path: Path, options: CronOptions) -> Iterator[str]:
    """What `dsrun` is called with. Paths are absolute."""
    yield from ("run", str(path.absolute()), "--out", str(options.out.absolute()))
    yield from ("--if-running", "skip", "--no-progress")
    if options.env_file is not None:
        yield from ("--env-file", str(options.env_file.absolute()))
    for name, value in options.set_params.items():
        yield from ("--set", f"{name}={value}")
    for folder in options.allow_files:
        yield from ("--allow-files", str(folder.absolute()))
    if options.catch_up is not None:
        yield from ("--catch-up", str(options.catch_up))
    if options.emulate:
        yield "--emulate"


def _allowed(path: Path, notify: Notify | None, options: CronOptions) -> list[str]:
    """A scheduled run can ask nobody, so whoever schedules it sees what it calls, and agrees."""
    if notify is None or options.emulate:
        return []
    for call in calls_of(notify):
        say(f"{path}: each run may call {call} (--allow-notify)")
    return ["--allow-notify"]


def _user() -> str:
    """The name of this user, or the number where it has none; systemd takes both."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _agreed(path: Path, above: Money | None, options: CronOptions) -> list[str]:
    """`--yes` where a run may cost more than `confirm_above`; whoever schedules it sees that."""
    is_agreed = is_on(lasting_environment().get("DSRUN_YES"))
    if above is None or options.emulate or is_agreed:
        return []
    try:
        costs, is_known = _costs(path, options)
    except ManifestError as error:
        say(
            f"warning: {path}: what a run costs cannot be told yet: {error.problems[0]}; one that "
            f"costs more than confirm_above ({above}) is refused"
        )
        return []
    if is_known and all(
        cost.amount <= above.amount for cost in costs if cost.currency == above.currency
    ):
        return []
    words = ", ".join(map(str, costs)) if is_known else "an amount that nobody can tell"
    say(
        f"warning: {path}: each run may cost {words}, more than confirm_above ({above}), and "
        "nobody can be asked: it gets --yes; execution.max_cost bounds it"
    )
    return ["--yes"]


def _costs(path: Path, options: CronOptions) -> tuple[list[Money], bool]:
    """What all jobs of the pipeline cost where none is done, and whether that is known of each.

    Raises ManifestError.
    """
    asked = PlanOptions(
        pipeline=path, set_params=options.set_params, allow_files=tuple(options.allow_files)
    )
    plan, units, unknown = open_plan(asked), Counter[str](), Counter[str]()  # by operation

    def count(job: Job | ChosenJob, is_new: bool) -> None:
        units[job.operation] += (job.units or 0) if is_new else 0
        unknown[job.operation] += job.units is None

    chooser = chooser_of(plan, EVERYTHING, shows_all=command_line("dsrun", "plan", str(path)))
    plan.check(count if chooser is None else chooser.visit)
    if chooser is not None:
        with closing(chooser.end()) as chosen:
            for job in (job for page in chosen.pages() for job in page):
                count(job, True)
    costs = (plan.catalog[name].price.of(number) for name, number in units.items())
    return sum_money(costs), not unknown.total()


def _deliver(files: Mapping[str, str], folder: Path | None, *, separator: str = "") -> None:
    if folder is None:
        answer_text(f"{separator}\n".join(_with_names(files)).rstrip("\n"))
        return
    for name, text in files.items():
        path = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise SetupError(f"{path} cannot be written: {error.strerror}") from error
        answer_path(path)


def _with_names(files: Mapping[str, str]) -> Iterable[str]:
    return (f"# {name}\n{text}" for name, text in files.items())
