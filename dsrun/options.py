"""The options that several commands share, and what they become."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from dsrun.errors import UsageError

DEFAULT_PIPELINE = "dsrun.yaml"

Command = TypeVar("Command", bound=Callable[..., Any])


class _Assignment(click.types.StringParamType):
    """KEY=VALUE; in the environment one a line, since values hold spaces."""

    envvar_list_splitter = "\n"


def _in_order(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


set_option = click.option(
    "--set", "set_params",
    type=_Assignment(), metavar="KEY=VALUE", multiple=True, envvar="DSRUN_SET",
    help="Replace a param of the manifest; repeatable.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
pipeline_argument = click.argument(
    "pipeline", default=DEFAULT_PIPELINE, type=click.Path(path_type=Path), metavar="[PIPELINE]"
)
selection_options = _in_order(
    click.option(
        "-o", "--out", default="outputs", show_default=True, envvar="DSRUN_OUT",
        type=click.Path(path_type=Path), help="Output directory.",
    ),
    set_option,
    click.option(
        "--emulate", is_flag=True, envvar="DSRUN_EMULATE",
        help="Use the built-in emulator: no key, no network, no cost.",
    ),
    click.option(
        "--step", "steps", metavar="NAME", multiple=True, envvar="DSRUN_STEP",
        help="Only this step; repeatable.",
    ),
    click.option(
        "--limit", type=click.IntRange(min=1), metavar="N", envvar="DSRUN_LIMIT",
        help="Only the first N jobs of the plan.",
    ),
)  # fmt: skip


def plan_options(given: dict[str, Any]) -> dict[str, Any]:
    return {
        "pipeline": given["pipeline"],
        "out": given["out"],
        "set_params": parse_params(given["set_params"]),
        "steps": tuple(given["steps"]),
        "limit": given["limit"],
        "emulate": given["emulate"],
    }


def parse_params(given: Sequence[str]) -> dict[str, str]:
    params = {}
    for item in given:
        key, sign, value = item.partition("=")
        if not sign or not key:
            raise UsageError(f"--set {item}: write it as KEY=VALUE")
        params[key] = value
    return params


def parse_max_cost(text: str | None) -> Any:
    from dsrun.execution import parse_money

    if text is None:
        return None
    try:
        return parse_money(text)
    except ValueError as error:
        raise UsageError(f"--max-cost: {error}") from error
