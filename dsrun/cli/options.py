"""The options of the commands, and how their values are read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from dsrun.cli.completion import (
    complete_axis,
    complete_fault,
    complete_param,
    complete_step,
    complete_word,
)
from dsrun.common.errors import UsageError
from dsrun.session.ranges import (
    CATCH_UP_DAYS,
    CONCURRENCY,
    IF_RUNNING,
    LIMIT,
    ORDER_SETTINGS,
    ORDERS,
    SAMPLE,
    address_problem,
)

DEFAULT_PIPELINE = "dsrun.yaml"

Command = TypeVar("Command", bound=Callable[..., Any])


class _Assignment(click.types.StringParamType):
    """KEY=VALUE; one per line in the environment, since values may hold spaces."""

    envvar_list_splitter = "\n"


class _Place(click.Path):
    """A file or folder to write; no address."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if words := address_problem(value):
            self.fail(words, param, ctx)
        return super().convert(value, param, ctx)


_FILE_TO_WRITE = _Place(path_type=Path, dir_okay=False)


def in_order(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def _load_env_file(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    del ctx, param
    if path is not None:
        from dsrun.common.console import say
        from dsrun.common.settings import load_env_file

        for warning in load_env_file(path):
            say(f"warning: {warning}")
    return path


set_option = click.option(
    "--set", "set_params",
    type=_Assignment(), metavar="KEY=VALUE", multiple=True, envvar="DSRUN_SET",
    shell_complete=complete_param,
    help="Replace a param of the manifest; repeatable.",
)  # fmt: skip
allow_option = click.option(
    "--allow-files", type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR", multiple=True, envvar="DSRUN_ALLOW_FILES",
    help="A folder beside the pipeline's own that it may read files of; repeatable.",
)  # fmt: skip
json_option = click.option(
    "--json", "as_json", is_flag=True, envvar="DSRUN_JSON", help="Answer as JSON."
)
format_option = click.option(
    "--format", "form",
    type=click.Choice(["text", "json", "github"]), default="text", show_default=True,
    help="What goes to stdout: nothing, the answer as JSON, or annotations for GitHub.",
)  # fmt: skip
pipeline_argument = click.argument(
    "pipeline", default=DEFAULT_PIPELINE, type=click.Path(path_type=Path), metavar="[PIPELINE]"
)
out_option = click.option(
    "-o", "--out", default="outputs", show_default=True, envvar="DSRUN_OUT",
    type=_Place(path_type=Path), help="Output directory.",
)  # fmt: skip
place_options = in_order(
    out_option,
    click.option("--emulate", is_flag=True, envvar="DSRUN_EMULATE", help="Of the emulated run."),
    set_option,
    allow_option,
)
order_arguments = in_order(
    click.argument(
        "command", metavar="pause|resume|stop|set", shell_complete=complete_word(ORDERS)
    ),
    click.argument(
        "words", nargs=-1, metavar="[NAME=VALUE]...",
        shell_complete=complete_word(f"{name}=" for name in ORDER_SETTINGS),
    ),
)  # fmt: skip
env_file_option = click.option(
    "--env-file", type=click.Path(path_type=Path), metavar="FILE", envvar="DSRUN_ENV_FILE",
    is_eager=True, callback=_load_env_file,
    help="Read NAME=VALUE lines for what the environment does not set.",
)  # fmt: skip
run_place_options = in_order(
    env_file_option,
    out_option,
    set_option,
    allow_option,
    click.option(
        "--emulate", is_flag=True, envvar="DSRUN_EMULATE",
        help="Use the built-in emulator: no key, no network, no cost.",
    ),
)  # fmt: skip
selection_options = in_order(
    run_place_options,
    click.option(
        "--no-cache", is_flag=True, envvar="DSRUN_NO_CACHE",
        help="Neither take finished results from the cache nor add to it.",
    ),
    click.option(
        "--date", type=click.DateTime(["%Y-%m-%d"]), metavar="DAY", envvar="DSRUN_DATE",
        help="Run, or repeat, another day: what run.date is, such as 2026-11-01.",
    ),
    click.option(
        "--step", "steps", metavar="NAME", multiple=True, envvar="DSRUN_STEP",
        shell_complete=complete_step,
        help="Only this step; repeatable.",
    ),
    click.option(
        "--only", metavar="EXPR", envvar="DSRUN_ONLY",
        help="Only rows for which this is true, such as \"style == '<anime>' and seed > 3\".",
    ),
    click.option(
        "--sample", type=click.IntRange(*SAMPLE), metavar="N", envvar="DSRUN_SAMPLE",
        help="Only N jobs of these, by lot, the same each time.",
    ),
    click.option(
        "--limit", type=click.IntRange(*LIMIT), metavar="N", envvar="DSRUN_LIMIT",
        help="Only the first N jobs of these.",
    ),
)  # fmt: skip


sending_options = in_order(
    click.option(
        "--max-cost",
        metavar="AMOUNT",
        envvar="DSRUN_MAX_COST",
        help="Stop before the request that would pass this, such as '40 CNY' or 40.",
    ),
    click.option(
        "--retry-failed",
        is_flag=True,
        envvar="DSRUN_RETRY_FAILED",
        help="Send failed and cancelled jobs again.",
    ),
    click.option(
        "--resubmit-unknown",
        is_flag=True,
        envvar="DSRUN_RESUBMIT_UNKNOWN",
        help="Send jobs again whose answer was lost; they may be paid twice.",
    ),
)
run_options = in_order(
    click.option(
        "-j",
        "--max-concurrency",
        "concurrency",
        type=click.IntRange(*CONCURRENCY),
        metavar="N",
        envvar="DSRUN_MAX_CONCURRENCY",
        help="Jobs in flight at once.",
    ),
    sending_options,
    click.option(
        "-x",
        "--fail-fast",
        is_flag=True,
        envvar="DSRUN_FAIL_FAST",
        help="Stop submitting at the first failed job.",
    ),
    click.option(
        "--if-running",
        type=click.Choice(IF_RUNNING),
        default="fail",
        show_default=True,
        envvar="DSRUN_IF_RUNNING",
        help="What to do while another run holds the directory.",
    ),
    click.option(
        "-y",
        "--yes",
        is_flag=True,
        envvar="DSRUN_YES",
        help="Agree to a run above execution.confirm_above.",
    ),
    click.option(
        "--allow-notify",
        is_flag=True,
        envvar="DSRUN_ALLOW_NOTIFY",
        help="Agree to what the manifest's notify calls, from now on.",
    ),
    click.option(
        "-n",
        "--dry-run",
        is_flag=True,
        envvar="DSRUN_DRY_RUN",
        help="Show the plan and send nothing.",
    ),
    click.option("-q", "--quiet", is_flag=True, envvar="DSRUN_QUIET", help="Only errors."),
    click.option(
        "-v", "--verbose", is_flag=True, envvar="DSRUN_VERBOSE", help="Log every request."
    ),
    click.option(
        "--no-progress",
        is_flag=True,
        envvar="DSRUN_NO_PROGRESS",
        help="No progress bar on a terminal.",
    ),
)
watch_options = in_order(
    click.option(
        "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True,
        envvar="DSRUN_LOG_FORMAT", help="What goes to stderr and to the log file.",
    ),
    click.option(
        "--log-file", type=_FILE_TO_WRITE, metavar="FILE", envvar="DSRUN_LOG_FILE",
        help="Also write what is said to FILE, which is rotated at 10 MB.",
    ),
    click.option(
        "--junit", type=_FILE_TO_WRITE, metavar="FILE", envvar="DSRUN_JUNIT",
        help="Write a JUnit report of the jobs.",
    ),
    click.option(
        "--textfile", type=_FILE_TO_WRITE, metavar="FILE", envvar="DSRUN_TEXTFILE",
        help="Write metrics for the textfile collector of Prometheus' node-exporter.",
    ),
)  # fmt: skip
report_options = in_order(
    click.argument(
        "directories", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="DIR [DIR]"
    ),
    click.option(
        "-o",
        "--output",
        type=_FILE_TO_WRITE,
        metavar="FILE",
        help="Where the page of two runs goes.  [default: compare-DIR.html in the second]",
    ),
    click.option(
        "--sheet",
        type=_Place(path_type=Path),
        metavar="FILE",
        help="Write a contact sheet, FILE.png or FILE.jpg, instead of the page.",
    ),
    click.option(
        "--rows",
        metavar="AXIS",
        shell_complete=complete_axis,
        help="What the rows of the sheet are.",
    ),
    click.option(
        "--cols", metavar="AXIS", shell_complete=complete_axis, help="What its columns are."
    ),
    click.option(
        "--width",
        type=click.IntRange(200, 12_000),
        metavar="PIXELS",
        help="How wide the sheet may be.  [default: 2400]",
    ),
)
picks_options = in_order(
    click.option(
        "--picks",
        type=click.Path(path_type=Path, allow_dash=True),
        metavar="FILE",
        help="A list of picks, as the page saves it; - reads it from stdin.",
    ),
    click.option(
        "--zip",
        "archive",
        type=_FILE_TO_WRITE,
        metavar="FILE",
        help="Pack the files that --picks names into FILE.zip instead.",
    ),
)
serve_options = in_order(
    click.option(
        "--serve",
        is_flag=True,
        help="Serve the page on this machine; it follows a run, and keeps picks and notes.",
    ),
    click.option(
        "--port",
        default=0,
        type=click.IntRange(0, 65535),
        help="Port to serve at.  [default: any free one]",
    ),
)
emulator_options = in_order(
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option(
        "--port",
        default=8765,
        show_default=True,
        type=click.IntRange(0, 65535),
        help="Port; 0 takes any free one.",
    ),
    click.option("--key", metavar="KEY", help="Accept this API key only."),
    click.option(
        "--task-time",
        default=1.0,
        show_default=True,
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="How long a task runs.",
    ),
    click.option("--no-limits", is_flag=True, help="Do not enforce the published rates."),
    click.option(
        "--fault",
        "faults",
        metavar="NAME[=P]",
        multiple=True,
        shell_complete=complete_fault,
        help="Misbehave with probability P; repeatable; `dsrun emulate --fault list` names all.",
    ),
    click.option(
        "--fault-seed", default=0, type=int, metavar="N", help="Seed of the faults' dice."
    ),
)


catch_up_option = click.option(
    "--catch-up", type=click.IntRange(*CATCH_UP_DAYS), metavar="DAYS", envvar="DSRUN_CATCH_UP",
    help="First run the scheduled days since the last success, so many at most.",
)  # fmt: skip
unattended_options = in_order(
    catch_up_option,
    click.option(
        "--jitter", metavar="TIME", envvar="DSRUN_JITTER",
        help="Begin later by chance, by so much at most, such as 10m.",
    ),
)  # fmt: skip
ledger_options = in_order(
    click.argument(
        "run_of", metavar="[DIR]", default=DEFAULT_PIPELINE, type=click.Path(path_type=Path)
    ),
    click.option(
        "--where", default="", metavar="SQL",
        help="Only jobs for which this is true, such as \"status = 'failed' and seed > 3\".",
    ),
    click.option(
        "--columns", default="", metavar="NAMES",
        help="What to show, with commas between; product.name looks inside of product.",
    ),
    click.option(
        "--errors", is_flag=True, help="The errors instead of the jobs, the commonest first."
    ),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N."),
    click.option(
        "--format", "form", default="table", show_default=True,
        type=click.Choice(["table", "json", "jsonl", "csv", "parquet"]), help="How to answer.",
    ),
    json_option,
    click.option(
        "-o", "--output", type=_Place(path_type=Path), metavar="FILE",
        help="Write to this file, not to stdout.",
    ),
    click.option(
        "--out", default="outputs", show_default=True, envvar="DSRUN_OUT",
        type=_Place(path_type=Path), help="Output directory, where DIR is a pipeline.",
    ),
    click.option("--emulate", is_flag=True, envvar="DSRUN_EMULATE", help="Of the emulated run."),
    set_option,
    allow_option,
)  # fmt: skip
cron_options = in_order(
    click.argument("pipelines", nargs=-1, type=click.Path(path_type=Path), metavar="[PIPELINE]..."),
    click.option(
        "--next", "number", type=click.IntRange(1, 1000), metavar="N", help="List the coming times."
    ),
    click.option("--systemd", is_flag=True, help="Print a service and a timer."),
    click.option("--kubernetes", is_flag=True, help="Print a CronJob."),
    click.option("--image", metavar="NAME", help="Container image of the CronJob."),
    click.option(
        "--to",
        "folder",
        type=_Place(path_type=Path, file_okay=False),
        metavar="FOLDER",
        help="Write the units or CronJobs as files there.",
    ),
    click.option("--install", is_flag=True, help="Put the lines into your crontab."),
    click.option("--remove", is_flag=True, help="Take the lines out of your crontab."),
    click.option("-y", "--yes", is_flag=True, help="Change the crontab without asking."),
    catch_up_option,
    click.option(
        "--env-file",
        type=click.Path(path_type=Path, exists=True),
        metavar="FILE",
        envvar="DSRUN_ENV_FILE",
        help="Each run reads NAME=VALUE lines from it.",
    ),
    out_option,
    set_option,
    allow_option,
    click.option(
        "--emulate", is_flag=True, envvar="DSRUN_EMULATE", help="Let the runs be emulated."
    ),
    json_option,
)  # fmt: skip


def parse_params(assignments: Sequence[str]) -> dict[str, str]:
    params = {}
    for item in assignments:
        key, sign, value = item.partition("=")
        if not sign or not key:
            raise UsageError(f"--set {item}: write it as KEY=VALUE")
        params[key] = value
    return params


def jitter_seconds(text: str | None) -> float:
    """Raises UsageError."""
    from dsrun.common.units import parse_duration

    if text is None:
        return 0.0
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--jitter: {error}") from error
