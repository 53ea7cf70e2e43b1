"""The commands that dsrun suggests: with every option that makes them mean the same plan."""

from collections.abc import Iterator
from pathlib import Path

from dsrun.common.settings import names_output
from dsrun.common.shell import command_line, option
from dsrun.planning.plan import Plan
from dsrun.session.options import DEFAULT_OUT, PlanOptions, RunOptions
from dsrun.storage.layout import RunLayout

_DAY_ALONE = {"date"}  # what --date can bring back; run.id is another at every start


def run_again(plan: Plan, options: RunOptions, layout: RunLayout) -> str:
    """The command that goes on with this run, on any later day. More options may follow."""
    subject = _subject(plan, options, layout.lockfile)
    words = [*subject, *_of_plan(options), *options.selection.words()]
    return command_line("dsrun", *words, *_of_run(options))


def plan_all(plan: Plan, options: PlanOptions) -> str:
    """The command that shows every job of the plan, whatever `options` select."""
    layout = RunLayout.for_plan(
        out=options.out, name=plan.manifest.name, digest=plan.digest, emulated=options.emulate
    )
    lockfile = layout.lockfile if layout.lockfile.is_file() else None
    subject = _subject(plan, options, lockfile)
    return command_line("dsrun", "plan", *subject, *_of_plan(options), "--full")


def _subject(plan: Plan, options: PlanOptions, lockfile: Path | None) -> list[str | Path]:
    """The pipeline, its params and its day; its lock file where it cannot be had a second time."""
    if plan.manifest.pinned is not None:
        return [options.pipeline]
    comes_back = options.day is not None or plan.run_values.keys() <= _DAY_ALONE
    if lockfile is not None and not (comes_back and options.pipeline.is_file()):
        return [lockfile]
    params = [option("set", f"{name}={value}") for name, value in options.set_params.items()]
    return [options.pipeline, *params, *_day(plan, options)]


def _day(plan: Plan, options: PlanOptions) -> list[str]:
    if not plan.run_values:
        return []
    if options.day is not None:
        return [option("date", options.day.isoformat())]
    return [option("date", str(day))] if (day := plan.run_values.get("date")) else []


def _of_plan(options: PlanOptions) -> Iterator[str]:
    if options.emulate:
        yield "--emulate"
    if options.out != DEFAULT_OUT or names_output():
        yield option("out", options.out)
    if options.env_file is not None:
        yield option("env-file", options.env_file)
    yield from (option("allow-files", folder) for folder in options.allow_files)
    if options.no_cache:
        yield "--no-cache"


def _of_run(options: RunOptions) -> Iterator[str]:
    """What bounds the run, and what it writes; not what was asked for once, as --retry-failed."""
    if options.concurrency is not None:
        yield option("max-concurrency", str(options.concurrency))
    if options.max_cost is not None:
        yield option("max-cost", str(options.max_cost))
    for name, value in (("junit", options.junit), ("textfile", options.textfile)):
        if value is not None:
            yield option(name, value)
    if options.if_running != "fail":
        yield option("if-running", options.if_running)
    switches = (("fail-fast", options.fail_fast), ("yes", options.yes))
    yield from (f"--{name}" for name, is_on in switches if is_on)
    if options.allow_notify:
        yield "--allow-notify"
