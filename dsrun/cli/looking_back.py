"""The commands that look back, as the command line knows them."""

from pathlib import Path

import click

from dsrun.cli.options import json_option, out_option


@click.command("history")
@click.argument("pipeline", required=False, type=click.Path(path_type=Path))
@out_option
@click.option("--emulate", is_flag=True, envvar="DSRUN_EMULATE", help="The emulated runs.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, metavar="N",
    help="Only the newest N runs.",
)  # fmt: skip
@json_option
def history_command(
    pipeline: Path | None, out: Path, emulate: bool, limit: int, as_json: bool
) -> int:
    """Show the runs of a pipeline, or of all, over time."""
    from dsrun.cli import history

    return history.run(pipeline, out=out, emulate=emulate, limit=limit, as_json=as_json)


@click.command("cost")
@out_option
@click.option(
    "--by", type=click.Choice(["month", "pipeline", "operation"]), default="month",
    show_default=True, help="What to sum up; months are of UTC.",
)  # fmt: skip
@json_option
def cost_command(out: Path, by: str, as_json: bool) -> int:
    """Show what was paid, by month, pipeline or operation."""
    from dsrun.cli import cost

    return cost.run(out=out, by=by, as_json=as_json)
