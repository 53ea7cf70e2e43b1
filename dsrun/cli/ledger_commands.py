"""`dsrun ledger`, `report`, `verify` and `gc` on the command line: what is on the disk."""

from pathlib import Path
from typing import Any

import click

from dsrun.cli.options import (
    DEFAULT_PIPELINE,
    allow_option,
    json_option,
    out_option,
    parse_params,
    report_options,
    set_option,
)


@click.command("ledger")
@click.argument(
    "run_of", metavar="[DIR]", default=DEFAULT_PIPELINE, type=click.Path(path_type=Path)
)
@click.option(
    "--where", default="", metavar="SQL",
    help="Only jobs for which this is true, such as \"status = 'failed' and seed > 3\".",
)  # fmt: skip
@click.option(
    "--columns", default="", metavar="NAMES",
    help="What to show, with commas between; product.name looks inside of product.",
)  # fmt: skip
@click.option("--errors", is_flag=True, help="The errors instead of the jobs, the commonest first.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N.")
@click.option(
    "--format", "form", default="table", show_default=True,
    type=click.Choice(["table", "json", "jsonl", "csv", "parquet"]), help="How to answer.",
)  # fmt: skip
@json_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
    help="Write to this file, not to stdout.",
)  # fmt: skip
@click.option(
    "--out", default="outputs", show_default=True, envvar="DSRUN_OUT",
    type=click.Path(path_type=Path), help="Output directory, where DIR is a pipeline.",
)  # fmt: skip
@click.option("--emulate", is_flag=True, envvar="DSRUN_EMULATE", help="Of the emulated run.")
@set_option
@allow_option
def ledger_command(**given: Any) -> int:
    """Query and export the results of a run, also while it runs.

    DIR is a run directory or a pipeline. The columns are those of the view `results` in the
    ledger, and the axes of the matrix.
    """
    from dsrun.cli import ledger

    options = ledger.LedgerOptions(
        where=given["where"],
        columns=[name.strip() for name in given["columns"].split(",") if name.strip()],
        errors=given["errors"],
        limit=given["limit"],
        form="json" if given["as_json"] else given["form"],
        output=given["output"],
    )
    return ledger.run(
        given["run_of"],
        out=given["out"],
        emulate=given["emulate"],
        set_params=parse_params(given["set_params"]),
        allow_files=given["allow_files"],
        options=options,
    )


@click.command("report")
@report_options
def report_command(**given: Any) -> int:
    """Write report.html of a run directory again, or a contact sheet of its pictures."""
    from dsrun.cli import report

    return report.run(**given)


@click.command("verify")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--repair", "repairs", is_flag=True,
    help="Make a damaged ledger anew from what can be read; the damaged one is kept.",
)  # fmt: skip
@json_option
def verify_command(directory: Path, as_json: bool, repairs: bool) -> int:
    """Check every artifact of a run directory against its recorded SHA-256, and the ledger."""
    from dsrun.cli import verify

    return verify.run(directory, as_json=as_json, repairs=repairs)


@click.command("gc")
@out_option
@click.option(
    "--older-than",
    default="30d",
    show_default=True,
    metavar="AGE",
    help="Remove what was not used for so long: 30d, 12h.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be removed; remove nothing.")
@json_option
def gc_command(out: Path, older_than: str, dry_run: bool, as_json: bool) -> int:
    """Remove from the cache what was not used for long; run directories are not touched."""
    from dsrun.cli import gc

    return gc.run(out, older_than=older_than, dry_run=dry_run, as_json=as_json)
