"""The options that several commands share, and what they become."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from dsrun.common.errors import UsageError

DEFAULT_PIPELINE = "dsrun.yaml"

Command = TypeVar("Command", bound=Callable[..., Any])


class _Assignment(click.types.StringParamType):
    """KEY=VALUE; in the environment one a line, since values hold spaces."""

    envvar_list_splitter = "\n"


_FILE_TO_WRITE = click.Path(path_type=Path, dir_okay=False)


def in_order(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def _load_env_file(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    del ctx, param
    if path is not None:
        from dsrun.common.console import say
        from dsrun.common.settings import load_env_file

        for warning in load_env_file(path):
            say(f"warning: {warning}")


set_option = click.option(
    "--set", "set_params",
    type=_Assignment(), metavar="KEY=VALUE", multiple=True, envvar="DSRUN_SET",
    help="Replace a param of the manifest; repeatable.",
)  # fmt: skip
allow_option = click.option(
    "--allow-files", type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR", multiple=True, envvar="DSRUN_ALLOW_FILES",
    help="A folder beside the pipeline's own that it may read files of; repeatable.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
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
    type=click.Path(path_type=Path), help="Output directory.",
)  # fmt: skip
run_place_options = in_order(
    click.option(
        "--env-file", type=click.Path(path_type=Path), metavar="FILE", envvar="DSRUN_ENV_FILE",
        is_eager=True, expose_value=False, callback=_load_env_file,
        help="Read NAME=VALUE lines for what the environment does not set.",
    ),
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
        help="Only this step; repeatable.",
    ),
    click.option(
        "--only", metavar="EXPR", envvar="DSRUN_ONLY",
        help="Only rows for which this is true, such as \"style == '<anime>' and seed > 3\".",
    ),
    click.option(
        "--sample", type=click.IntRange(min=1), metavar="N", envvar="DSRUN_SAMPLE",
        help="Only N jobs of these, by lot, the same each time.",
    ),
    click.option(
        "--limit", type=click.IntRange(min=1), metavar="N", envvar="DSRUN_LIMIT",
        help="Only the first N jobs of these.",
    ),
)  # fmt: skip


run_options = in_order(
    click.option(
        "-j",
        "--max-concurrency",
        "concurrency",
        type=click.IntRange(1, 10000),
        metavar="N",
        envvar="DSRUN_MAX_CONCURRENCY",
        help="Jobs in flight at once.",
    ),
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
    click.option(
        "-x",
        "--fail-fast",
        is_flag=True,
        envvar="DSRUN_FAIL_FAST",
        help="Stop submitting at the first failed job.",
    ),
    click.option(
        "--if-running",
        type=click.Choice(["fail", "skip", "wait"]),
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
    click.argument("directory", type=click.Path(path_type=Path)),
    click.option(
        "--sheet", type=click.Path(path_type=Path), metavar="FILE", help="Write this PNG."
    ),
    click.option("--rows", metavar="AXIS", help="What the rows of the sheet are."),
    click.option("--cols", metavar="AXIS", help="What its columns are."),
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
        help="Misbehave with probability P; repeatable; `--fault list` names all.",
    ),
    click.option(
        "--fault-seed", default=0, type=int, metavar="N", help="Seed of the faults' dice."
    ),
)


def plan_options(given: dict[str, Any]) -> dict[str, Any]:
    from dsrun.planning.selection import Selection

    return {
        **place_options(given),
        "no_cache": given["no_cache"],
        "day": given["date"] and given["date"].date(),
        "selection": Selection(
            steps=tuple(given["steps"]),
            only=given["only"],
            sample=given["sample"],
            limit=given["limit"],
        ),
    }


def place_options(given: dict[str, Any]) -> dict[str, Any]:
    """A pipeline and the place of its runs."""
    return {
        "pipeline": given["pipeline"],
        "out": given["out"],
        "set_params": parse_params(given["set_params"]),
        "allow_files": given["allow_files"],
        "emulate": given["emulate"],
    }


def statuses_again(given: dict[str, Any]) -> frozenset[Any]:
    """The statuses of jobs that `run` would send again."""
    from dsrun.common.models import JobStatus

    again: set[JobStatus] = set()
    if given["retry_failed"]:
        again |= {JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.PARTIAL}
    if given["resubmit_unknown"]:
        again.add(JobStatus.UNKNOWN)
    return frozenset(again)


def parse_params(given: Sequence[str]) -> dict[str, str]:
    params = {}
    for item in given:
        key, sign, value = item.partition("=")
        if not sign or not key:
            raise UsageError(f"--set {item}: write it as KEY=VALUE")
        params[key] = value
    return params


def parse_max_cost(text: str | None) -> Any:
    from dsrun.common.units import parse_limit

    if text is None:
        return None
    try:
        return parse_limit(text)
    except ValueError as error:
        raise UsageError(f"--max-cost: {error}") from error
