"""The command line: parses argv, calls a command, and turns errors into exit codes."""

import errno
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from dsrun import __version__
from dsrun.cli.endings import hush_stdout, report_bug, say_last, say_usage
from dsrun.cli.ledger_commands import gc_command, ledger_command, report_command, verify_command
from dsrun.cli.looking_back import cost_command, history_command
from dsrun.cli.options import (
    DEFAULT_PIPELINE,
    allow_option,
    emulator_options,
    format_option,
    json_option,
    out_option,
    parse_max_cost,
    parse_params,
    pipeline_argument,
    place_options,
    plan_options,
    run_options,
    run_place_options,
    selection_options,
    set_option,
    statuses_again,
    watch_options,
)
from dsrun.cli.unattended import cron_command, jitter_seconds, run_days, unattended_options
from dsrun.cli.utf8_mode import enter_utf8_mode
from dsrun.common.console import open_streams
from dsrun.common.errors import DsrunError, ExitCode, ManifestError, UsageError
from dsrun.common.logs import end_logs, speaks_json, start_logs
from dsrun.common.settings import log_form


class _PipelineFirst(click.Group):
    """Whatever is not the name of a command is a pipeline: `dsrun p.yaml` is `dsrun run p.yaml`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:  # then the shell completes the first word
            args = ["run", DEFAULT_PIPELINE]
        elif args and args[0] not in ("--help", "-h", "--version", *self.commands):
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
        """A word that is no file is probably a command with a slip in it."""
        if word.startswith("-") or Path(word).suffix or Path(word).exists():
            return
        near = get_close_matches(word, list(self.commands), n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UsageError(
            f"{word} is neither a command nor a file{hint}; `dsrun --help` lists the commands, "
            "`dsrun init` writes a pipeline to start from"
        )


@click.group(
    cls=_PipelineFirst,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="dsrun")
def cli() -> None:
    """Make images and voices from one YAML file.

    `dsrun PIPELINE.yaml` runs a pipeline; running it again goes on where it stopped and never
    pays for anything twice. Without arguments it runs dsrun.yaml of this folder.
    """


@cli.command("run")
@pipeline_argument
@selection_options
@run_options
@watch_options
@unattended_options
def run_command(**given: Any) -> int:
    """Run a pipeline, or go on with it."""
    from dsrun.cli import plan, run
    from dsrun.session.options import RunOptions
    from dsrun.session.preview import ShowOptions

    options = plan_options(given)
    if given["dry_run"]:
        return plan.run(
            ShowOptions(
                **options,
                max_cost=parse_max_cost(given["max_cost"]),
                again=statuses_again(given),
            )
        )
    start_logs(form=given["log_format"], file=given["log_file"], verbose=given["verbose"])
    chosen = RunOptions(
        **options,
        max_cost=parse_max_cost(given["max_cost"]),
        resubmit_unknown=given["resubmit_unknown"],
        fail_fast=given["fail_fast"],
        if_running=given["if_running"],
        yes=given["yes"],
        allow_notify=given["allow_notify"],
        quiet=given["quiet"],
        progress=not given["no_progress"],
        **{name: given[name] for name in ("junit", "textfile", "concurrency", "retry_failed")},
        jitter_s=jitter_seconds(given),
    )
    return run_days(chosen, given, run.run)


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
@click.option("--full", is_flag=True, help="Every job, with its request.")
@json_option
def plan_command(full: bool, as_json: bool, **given: Any) -> int:
    """Show the jobs, what is done, what will be sent, and what it costs."""
    from dsrun.cli import plan
    from dsrun.session.preview import ShowOptions

    return plan.run(ShowOptions(**plan_options(given), full=full, as_json=as_json))


@cli.command("explain")
@click.argument("job")
@pipeline_argument
@run_place_options
@json_option
def explain_command(job: str, as_json: bool, **given: Any) -> int:
    """Show what makes JOB: an id, the first digits of one, or STEP/INDEX.

    PIPELINE may also be a run directory.
    """
    from dsrun.cli import explain

    return explain.run(job, **place_options(given), as_json=as_json)


@cli.command("status")
@click.argument("where", default=DEFAULT_PIPELINE, type=click.Path(path_type=Path))
@out_option
@click.option("--emulate", is_flag=True, envvar="DSRUN_EMULATE", help="Of the emulated run.")
@set_option
@allow_option
@json_option
def status_command(where: Path, set_params: tuple[str, ...], **given: Any) -> int:
    """Show where a run stands; WHERE is a pipeline or a run directory."""
    from dsrun.cli import status

    return status.run(where, set_params=parse_params(set_params), **given)


@cli.command("operations")
@json_option
def operations_command(as_json: bool) -> int:
    """List the APIs that dsrun can call, with limits and prices."""
    from dsrun.cli import operations

    return operations.run(as_json=as_json)


@cli.command("schema")
@click.argument("name", required=False)
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
    help="Which of the pipelines that ship with dsrun to copy.",
)
def init_command(name: str | None, source: str) -> int:
    """Write a commented pipeline to start from, NAME.yaml."""
    from dsrun.cli import init

    return init.run(name, source=source)


@cli.command("emulate")
@emulator_options
def emulate_command(**given: Any) -> int:
    """Serve an emulator of the API on this machine."""
    from dsrun.cli import emulate

    return emulate.run(
        host=given["host"],
        port=given["port"],
        key=given["key"],
        task_time_s=given["task_time"],
        limits=not given["no_limits"],
        faults=given["faults"],
        seed=given["fault_seed"],
    )


for _command in (
    verify_command, gc_command, cron_command, ledger_command, report_command,
    history_command, cost_command,
):  # fmt: skip
    cli.add_command(_command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code of design 1.2."""
    if argv is None:
        enter_utf8_mode()
    open_streams()
    start_logs(form=log_form(sys.argv[1:] if argv is None else argv), file=None, verbose=False)
    try:
        code = cli.main(args=argv, prog_name="dsrun", standalone_mode=False)
        return int(code or 0)
    except click.ClickException as error:
        say_usage(error)
        return ExitCode.INVALID
    except (click.Abort, KeyboardInterrupt):
        say_last("interrupted")
        return ExitCode.INTERRUPTED
    except ManifestError as error:
        from dsrun.cli.problems import tell

        tell(error.problems)
        return error.exit_code
    except DsrunError as error:
        say_last(str(error))
        return error.exit_code
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
