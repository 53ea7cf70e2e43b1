"""The command line: parses argv, calls a command, and turns errors into exit codes."""

import errno
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from dsrun.cli.completion import complete_schema, complete_shipped, complete_voices
from dsrun.cli.endings import hush_stdout, report_bug, say_last, tell_error
from dsrun.cli.options import (
    DEFAULT_PIPELINE,
    allow_option,
    cron_options,
    emulator_options,
    env_file_option,
    format_option,
    jitter_seconds,
    json_option,
    ledger_options,
    order_arguments,
    out_option,
    parse_params,
    picks_options,
    pipeline_argument,
    place_options,
    report_options,
    run_options,
    run_place_options,
    selection_options,
    sending_options,
    serve_options,
    set_option,
    unattended_options,
    watch_options,
)
from dsrun.cli.utf8_mode import enter_utf8_mode
from dsrun.cli.version import version_options
from dsrun.common.collector import collect_seldom
from dsrun.common.console import end_logs, open_streams, speaks_json, start_logs
from dsrun.common.errors import DsrunError, ExitCode, UsageError
from dsrun.common.messages import closest
from dsrun.common.settings import log_form, wants_json
from dsrun.common.user_files import nearest_path


class _PipelineFirst(click.Group):
    """Whatever is not the name of a command is a pipeline: `dsrun p.yaml` is `dsrun run p.yaml`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:  # then the shell completes the first word
            args = ["run", DEFAULT_PIPELINE]
        elif (
            args
            and args[0] not in ("--help", "-h", "--version", *self.commands)
            and not (args[0].startswith("-") and "--version" in args)
        ):
            if not ctx.resilient_parsing:
                self._check_word(args[0])
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Before click sees it: a reader that has enough, such as `head`, is no failure.
            hush_stdout()
            return ExitCode.OK
        except KeyboardInterrupt:
            if speaks_json():  # click would end the line of the ^C, where none stands
                raise click.Abort from None
            raise

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands, and files where the shell finds no command."""
        return [CompletionItem(incomplete, type="file"), *super().shell_complete(ctx, incomplete)]

    def _check_word(self, word: str) -> None:
        """A word that names no file is probably a misspelt command."""
        if word.startswith("-") or Path(word).suffix or Path(word).exists():
            return
        from dsrun.manifest.reader import PIPELINE_SUFFIXES, missing_words

        near = nearest_path(Path(word), suffixes=PIPELINE_SUFFIXES)
        meant = [closest(word, self.commands), str(near or "")]
        hint = f" (did you mean {' or '.join(filter(None, meant))}?)" if any(meant) else ""
        init = missing_words(Path(word)).partition("; ")[2]
        more = ("`dsrun --help` lists the commands", init)
        raise UsageError(
            f"{word} is neither a command nor a file{hint}; {', '.join(filter(None, more))}"
        )


@click.group(
    cls=_PipelineFirst,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@version_options
def cli(**_: bool) -> None:
    """Make images, videos and voices from one YAML file.

    `dsrun PIPELINE.yaml` runs a pipeline; running it again goes on where it stopped and never
    pays for anything twice. Without arguments it runs dsrun.yaml of this folder.
    """


@cli.command("run")
@pipeline_argument
@selection_options
@run_options
@watch_options
@unattended_options
@json_option
def run_command(
    *, set_params: tuple[str, ...], dry_run: bool, no_progress: bool, as_json: bool,
    log_format: str, log_file: Path | None, verbose: bool, catch_up: int | None,
    jitter: str | None, **words: Any,
) -> int:  # fmt: skip
    """Run a pipeline, or go on with it."""
    from dsrun.cli import plan, run
    from dsrun.session.catch_up import run_missed
    from dsrun.session.options import run_options as options_of

    params = parse_params(set_params)
    if not dry_run:
        start_logs(form=log_format, file=log_file, verbose=verbose)
    options = options_of(set_params=params, progress=not no_progress, **words)
    if dry_run:
        return plan.run(options, as_json=as_json)
    options = replace(options, jitter_s=jitter_seconds(jitter))
    run_day = partial(run.run, as_json=True) if as_json else run.run
    if catch_up is None:
        return run_day(options)
    if options.day is not None:
        raise UsageError("--catch-up ends with today; --date names one day: take one of them")
    return run_missed(options, most=catch_up, run_day=run_day)


@cli.command("validate")
@click.argument("pipelines", nargs=-1, type=click.Path(path_type=Path), metavar="[PIPELINE]...")
@set_option
@allow_option
@json_option
@format_option
def validate_command(
    pipelines: tuple[Path, ...],
    set_params: tuple[str, ...],
    allow_files: tuple[Path, ...],
    as_json: bool,
    form: str,
) -> int:
    """Check a pipeline and every job of it, without network."""
    from dsrun.cli import validate

    return validate.run(
        pipelines or (Path(DEFAULT_PIPELINE),),
        set_params=parse_params(set_params),
        allow_files=allow_files,
        form="json" if as_json else form,
    )


@cli.command("plan")
@pipeline_argument
@selection_options
@sending_options
@click.option("--full", is_flag=True, help="Every job, with its request.")
@json_option
def plan_command(set_params: tuple[str, ...], full: bool, as_json: bool, **words: Any) -> int:
    """Show the jobs, what is done, what will be sent, and what it costs."""
    from dsrun.cli import plan
    from dsrun.session.options import run_options as options_of

    options = options_of(set_params=parse_params(set_params), **words)
    return plan.run(options, full=full, as_json=as_json)


@cli.command("explain")
@click.argument("job")
@pipeline_argument
@run_place_options
@json_option
def explain_command(job: str, set_params: tuple[str, ...], as_json: bool, **words: Any) -> int:
    """Show what makes JOB: an id, the first digits of one, or STEP/INDEX.

    PIPELINE may also be a run directory.
    """
    from dsrun.cli import explain
    from dsrun.session.options import PlanOptions

    options = PlanOptions(set_params=parse_params(set_params), **words)
    return explain.run(job, options, as_json=as_json)


@cli.command("status")
@click.argument("where", default=DEFAULT_PIPELINE, type=click.Path(path_type=Path))
@place_options
@click.option(
    "-w", "--watch", "watches", is_flag=True,
    help="Show it anew each second, until the run ends; q ends the view.",
)  # fmt: skip
@json_option
def status_command(where: Path, set_params: tuple[str, ...], **place: Any) -> int:
    """Show where a run stands; WHERE is a pipeline or a run directory."""
    from dsrun.cli import status

    return status.run(where, set_params=parse_params(set_params), **place)


@cli.command("control")
@click.argument("where", type=click.Path(path_type=Path))
@order_arguments
@place_options
@json_option
def control_command(
    where: Path, command: str, words: tuple[str, ...], set_params: tuple[str, ...], **place: Any
) -> int:
    """Pause, resume or stop the run in WHERE, or set its concurrency, rate and max_cost.

    WHERE is a run directory or a pipeline. What is set holds for the run that goes on, and no
    rate goes above the limit that it began with.
    """
    from dsrun.cli import control

    return control.run(where, command, words, set_params=parse_params(set_params), **place)


_NAME_AND_PLACE = 2


@cli.command("operations")
@click.argument("names", nargs=-1, metavar="[NAME] [WHERE]")
@click.option("--check", is_flag=True, help="Hold operation files, named here, to their samples.")
@allow_option
@json_option
def operations_command(
    names: tuple[str, ...], check: bool, allow_files: tuple[Path, ...], as_json: bool
) -> int:
    """List the APIs that dsrun can call, with limits and prices, also those beside WHERE.

    With the NAME of one it tells its fields too, and gives an example.
    """
    from dsrun.cli import operation_check, operations

    if check and not names:
        raise UsageError("dsrun operations --check wants the operation files that it checks")
    if check:
        return operation_check.run(tuple(map(Path, names)), wants_json=as_json)
    if len(names) > _NAME_AND_PLACE:
        raise UsageError("dsrun operations takes one name and one place; files go with --check")
    name, where = (*names, None, None)[:_NAME_AND_PLACE]
    place = None if where is None else Path(where)
    return operations.run(name, where=place, allow_files=allow_files, as_json=as_json)


@cli.command("schema")
@click.argument("name", required=False, shell_complete=complete_schema)
@click.argument("where", default=".", type=click.Path(path_type=Path))
@allow_option
def schema_command(name: str | None, where: Path, allow_files: tuple[Path, ...]) -> int:
    """Print a JSON Schema: manifest (for editors), results, or an operation, also of WHERE."""
    from dsrun.cli import schema

    return schema.run(name, where=where, allow_files=allow_files)


@cli.command("init")
@click.argument("name", required=False)
@click.option(
    "--from",
    "source",
    default="starter",
    show_default=True,
    metavar="PIPELINE",
    shell_complete=complete_shipped,
    help="Which of the pipelines that ship with dsrun to copy.",
)
@json_option
def init_command(name: str | None, source: str, as_json: bool) -> int:
    """Write a commented pipeline to start from, NAME.yaml."""
    from dsrun.cli import init

    return init.run(name, source=source, as_json=as_json)


@cli.command("emulate")
@emulator_options
def emulate_command(
    *, host: str, port: int, key: str | None, task_time: float, no_limits: bool,
    faults: tuple[str, ...], fault_seed: int,
) -> int:  # fmt: skip
    """Serve an emulator of the API on this machine."""
    from dsrun.cli import emulate

    return emulate.run(
        host=host, port=port, key=key, task_time_s=task_time, limits=not no_limits,
        faults=faults, seed=fault_seed,
    )  # fmt: skip


@cli.command("ledger")
@ledger_options
def ledger_command(
    *, run_of: Path, where: str, columns: str, errors: bool, limit: int | None, form: str,
    as_json: bool, output: Path | None, set_params: tuple[str, ...], **place: Any,
) -> int:  # fmt: skip
    """Query and export the results of a run, also while it runs.

    DIR is a run directory or a pipeline. The columns are those of the view `results` in the
    ledger, and the axes of the matrix.
    """
    from dsrun.cli import ledger

    options = ledger.LedgerOptions(
        where=where,
        columns=[name.strip() for name in columns.split(",") if name.strip()],
        errors=errors,
        limit=limit,
        form="json" if as_json else form,
        output=output,
    )
    return ledger.run(run_of, set_params=parse_params(set_params), options=options, **place)


@cli.command("report")
@report_options
@picks_options
@serve_options
@json_option
def report_command(*, picks: Path | None, archive: Path | None, **words: Any) -> int:
    """Write the report of a run again, its contact sheet, or a page of two runs; or serve it.

    DIR is a run directory, or the directory of a pipeline, whose newest run is meant.
    """
    if picks or archive:
        from dsrun.cli import report_zip

        return report_zip.run(picks=picks, archive=archive, **words)
    from dsrun.cli import report

    return report.run(**words)


@cli.command("verify")
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


@cli.command("gc")
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


@cli.command("history")
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


@cli.command("cost")
@out_option
@click.option(
    "--by", default="month", show_default=True,
    help="What to sum up: month (of UTC), pipeline, operation, or an axis; that of a step above "
    "is named through its own, such as voice.who.name.",
)  # fmt: skip
@json_option
def cost_command(out: Path, by: str, as_json: bool) -> int:
    """Show what was paid, by month, pipeline, operation or axis."""
    from dsrun.cli import cost

    return cost.run(out=out, by=by, as_json=as_json)


@cli.command("voices")
@click.argument(
    "words", nargs=-1, shell_complete=complete_voices, metavar="[list | show NAME | delete NAME...]"
)
@env_file_option
@out_option
@click.option("-y", "--yes", is_flag=True, envvar="DSRUN_YES", help="Agree to what is deleted.")
@json_option
def voices_command(
    *, words: tuple[str, ...], env_file: Path | None, out: Path, yes: bool, as_json: bool
) -> int:
    """List, show or delete the designed and cloned voices of the account.

    Which job made a voice is looked up in the ledgers below the output directory, and below the
    others that runs of this machine were written to.
    """
    del env_file  # it was read as soon as it was named
    from dsrun.cli import voices

    return voices.run(words, out=out, yes=yes, as_json=as_json)


@cli.command("cron")
@cron_options
def cron_command(
    *, pipelines: tuple[Path, ...], set_params: tuple[str, ...], number: int | None, systemd: bool,
    kubernetes: bool, image: str | None, folder: Path | None, install: bool, remove: bool,
    yes: bool, as_json: bool, **runs: Any,
) -> int:  # fmt: skip
    """Print what runs pipelines by themselves: crontab lines, units, CronJobs."""
    from dsrun.cli import cron

    if sum(map(bool, (number, systemd, kubernetes, install, remove))) > 1:
        raise UsageError("--next, --systemd, --kubernetes, --install, --remove: take one of them")
    options = cron.CronOptions(
        pipelines=pipelines or (Path(DEFAULT_PIPELINE),),
        set_params=parse_params(set_params),
        **runs,
    )
    if number:
        return cron.print_times(options, number=number, as_json=as_json)
    if systemd:
        return cron.print_units(options, folder=folder)
    if kubernetes:
        return cron.print_cronjobs(options, image=image, folder=folder)
    if install or remove:
        return cron.install(options, remove=remove, yes=yes)
    return cron.print_lines(options)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code of design 1.2."""
    words = sys.argv[1:] if argv is None else argv
    if argv is None:
        enter_utf8_mode()
        collect_seldom()
    open_streams()
    start_logs(form=log_form(words), file=None, verbose=False)
    try:
        code = cli.main(args=argv, prog_name="dsrun", standalone_mode=False)
        return int(code or 0)
    except (click.Abort, KeyboardInterrupt):
        say_last("interrupted")
        return ExitCode.INTERRUPTED
    except (click.ClickException, DsrunError) as error:
        return tell_error(error, cli, as_json=wants_json(words))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            return report_bug(error)
        hush_stdout()
        say_last(f"the answer cannot be written: {error.strerror}")
        return ExitCode.INCOMPLETE
    except Exception as error:  # noqa: BLE001  # the one place where a bug becomes an exit code
        return report_bug(error)
    finally:
        end_logs()
