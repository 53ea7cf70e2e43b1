"""The command line of what runs by itself: `dsrun cron`, and the options of such a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dsrun.cli.options import (
    DEFAULT_PIPELINE,
    allow_option,
    in_order,
    json_option,
    out_option,
    parse_params,
    set_option,
)
from dsrun.common.errors import UsageError

_MOST_DAYS = 366
catch_up_option = click.option(
    "--catch-up", type=click.IntRange(1, _MOST_DAYS), metavar="DAYS", envvar="DSRUN_CATCH_UP",
    help="First run the scheduled days since the last success, so many at most.",
)  # fmt: skip
unattended_options = in_order(
    catch_up_option,
    click.option(
        "--jitter", metavar="TIME", envvar="DSRUN_JITTER",
        help="Begin later by chance, by so much at most, such as 10m.",
    ),
)  # fmt: skip


def run_days(options: Any, given: dict[str, Any], run: Callable[[Any], int]) -> int:
    """Today's run, or that of --date, or with --catch-up those that are missing too."""
    from dsrun.session.catch_up import run_missed

    if given["catch_up"] is None:
        return run(options)
    if options.day is not None:
        raise UsageError("--catch-up ends with today; --date names one day: take one of them")
    return run_missed(options, most=given["catch_up"], run_day=run)


def jitter_seconds(given: dict[str, Any]) -> float:
    """Raises UsageError."""
    from dsrun.common.units import parse_duration

    if given["jitter"] is None:
        return 0.0
    try:
        return parse_duration(given["jitter"])
    except ValueError as error:
        raise UsageError(f"--jitter: {error}") from error


@click.command("cron")
@click.argument("pipelines", nargs=-1, type=click.Path(path_type=Path), metavar="[PIPELINE]...")
@click.option(
    "--next", "number", type=click.IntRange(1, 1000), metavar="N", help="List the coming times."
)
@click.option("--systemd", is_flag=True, help="Print a service and a timer.")
@click.option("--kubernetes", is_flag=True, help="Print a CronJob.")
@click.option("--image", metavar="NAME", help="Container image of the CronJob.")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write the units or CronJobs as files there.",
)
@click.option("--install", is_flag=True, help="Put the lines into your crontab.")
@click.option("--remove", is_flag=True, help="Take the lines out of your crontab.")
@click.option("-y", "--yes", is_flag=True, help="Change the crontab without asking.")
@catch_up_option
@click.option(
    "--env-file",
    type=click.Path(path_type=Path, exists=True),
    metavar="FILE",
    envvar="DSRUN_ENV_FILE",
    help="Each run reads NAME=VALUE lines from it.",
)
@out_option
@set_option
@allow_option
@click.option("--emulate", is_flag=True, envvar="DSRUN_EMULATE", help="Let the runs be emulated.")
@json_option
def cron_command(pipelines: tuple[Path, ...], set_params: tuple[str, ...], **given: Any) -> int:
    """Print what runs pipelines by themselves: crontab lines, units, CronJobs."""
    from dsrun.cli import cron

    chosen = [
        word for word in ("number", "systemd", "kubernetes", "install", "remove") if given[word]
    ]
    if len(chosen) > 1:
        raise UsageError("--next, --systemd, --kubernetes, --install, --remove: take one of them")
    options = cron.CronOptions(
        pipelines=pipelines or (Path(DEFAULT_PIPELINE),),
        out=given["out"],
        env_file=given["env_file"],
        set_params=parse_params(set_params),
        allow_files=given["allow_files"],
        emulate=given["emulate"],
        catch_up=given["catch_up"],
    )
    if given["number"]:
        return cron.print_times(options, number=given["number"], as_json=given["as_json"])
    if given["systemd"]:
        return cron.print_units(options, folder=given["folder"])
    if given["kubernetes"]:
        return cron.print_cronjobs(options, image=given["image"], folder=given["folder"])
    if given["install"] or given["remove"]:
        return cron.install(options, remove=given["remove"], yes=given["yes"])
    return cron.print_lines(options)
