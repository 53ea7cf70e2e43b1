"""`dsrun --version`, and with -v what it runs on."""

import platform
from collections.abc import Callable
from typing import Any

import click

from dsrun import __version__


def _tell(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if not is_asked or ctx.resilient_parsing:
        return
    lines = [f"dsrun, version {__version__}"]
    if ctx.params["verbose"]:
        from dsrun.common.fast import in_use  # noqa: PLC0415  # start-up

        transport, loop = in_use()
        lines += [
            f"Python {platform.python_version()} on {platform.platform()}",
            f"transport: {transport}",
            f"loop: {loop}",
        ]
    click.echo("\n".join(lines))
    ctx.exit()


def version_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --version, and -v for it: eager, so that it is known whichever comes first."""
    verbose = click.option(
        "-v", "--verbose", is_flag=True, is_eager=True,
        help="With --version: name what carries the requests too.",
    )  # fmt: skip
    version = click.option(
        "--version", is_flag=True, expose_value=False, callback=_tell,
        help="Show the version and exit.",
    )  # fmt: skip
    return verbose(version(command))
