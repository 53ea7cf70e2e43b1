"""Which jobs of a plan an invocation is about. A selection changes what runs, never ids or digest.

The order is: `--step`, `--only`, the picks of the manifest, then `--sample` of what these leave,
then `--limit` of that. What the chosen jobs wait for comes along.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from jinja2 import UndefinedError

from dsrun.common.digest import json_text
from dsrun.common.errors import UsageError
from dsrun.common.messages import nearest, row_words, show
from dsrun.common.models import Job
from dsrun.manifest.template_errors import TemplateProblem
from dsrun.planning.compiled_step import CompiledStep
from dsrun.planning.job_index import ChosenJobs
from dsrun.planning.picked import Picked
from dsrun.planning.plan import Plan

_EXAMPLE = "style == '<anime>' and seed > 3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What the command line asks for; by default everything."""

    steps: tuple[str, ...] = ()
    only: str | None = None
    sample: int | None = None
    limit: int | None = None

    @property
    def is_all(self) -> bool:
        return self == EVERYTHING

    def words(self) -> list[str]:
        """The selection as options of a command line."""
        options = (("only", self.only), ("sample", self.sample), ("limit", self.limit))
        return [f"--step={name}" for name in self.steps] + [
            f"--{name}={value}" for name, value in options if value is not None
        ]


EVERYTHING = Selection()


def chooser_of(plan: Plan, selection: Selection, *, shows_all: str) -> "Chooser | None":
    """What picks the jobs of an invocation; None where it is about all of them.

    Raises as Chooser does.
    """
    has_picks = any(step.matrix.picks for step in plan.manifest.steps)
    if selection.is_all and not has_picks:
        return None
    return Chooser(plan, selection, shows_all=shows_all)


class Chooser:
    """Sees every row of a plan and holds the jobs that the selection picks."""

    def __init__(self, plan: Plan, selection: Selection, *, shows_all: str) -> None:
        """`shows_all`: the command that shows the rows of all jobs.

        Raises UsageError for an unknown step, and for an expression that cannot be compiled.
        """
        self._shows_all = shows_all
        known = [step.name for step in plan.manifest.steps]
        for name in () if plan.problems else selection.steps:
            if name not in known:
                raise UsageError(
                    f"--step {name}: no such step{nearest(name, known)}; "
                    f"allowed: {', '.join(known)}"
                )
        self._selection = selection
        self._only = None if selection.only is None else _Only(selection.only, plan, selection)
        self._plan = plan
        self._picked = Picked(plan)
        self._parents = {
            axis.source.step
            for step in plan.manifest.steps
            for axis in step.matrix.axes
            if axis.source is not None
        }
        self._chosen = ChosenJobs()
        self._seen = 0
        self._unpicked = 0  # rows that the selection takes, and the picks do not

    def visit(self, job: Job, is_new: bool) -> None:
        """Take the job of a row. A job that several rows make is picked when one of them is."""
        self._seen += is_new
        is_in = self._picked.takes(job)
        if self._is_full:
            return
        if self._is_selected(job):
            if is_in:
                self._chosen.add(job, lot=self._lot_of(job))
                return
            self._unpicked += 1
        if is_in and job.step in self._parents:
            self._chosen.keep_in_mind(job)

    @property
    def _is_full(self) -> bool:
        """Whether a limit is reached, and what follows cannot be needed by what is chosen."""
        limit = None if self._selection.sample is not None else self._selection.limit
        return limit is not None and len(self._chosen) >= limit

    def _is_selected(self, job: Job) -> bool:
        steps = self._selection.steps
        return (not steps or job.step in steps) and (self._only is None or self._only.picks(job))

    def _lot_of(self, job: Job) -> bytes | None:
        return None if self._selection.sample is None else _lot(job)

    def end(self) -> ChosenJobs:
        """The jobs that are picked. Raises UsageError where there are none."""
        if self._selection.sample is not None:
            self._chosen.keep_sample(self._selection.sample)
            if self._selection.limit is not None:
                self._chosen.keep_first(self._selection.limit)
        self._plan.warnings.extend(self._picked.problems())
        if not len(self._chosen) and not self._unpicked:
            raise UsageError(
                f"no job is selected: {' '.join(self._selection.words())} picks none of the "
                f"{self._seen} jobs; `{self._shows_all}` shows their rows"
            )
        self._chosen.add_needed()
        return self._chosen


class _Only:
    """An expression of `--only`, compiled: true for the rows to pick."""

    def __init__(self, text: str, plan: Plan, selection: Selection) -> None:
        self._text = text
        self._steps = {
            step.step.name: step
            for step in plan.steps
            if not selection.steps or step.step.name in selection.steps
        }
        try:
            template = plan.templates.compile(f"{{{{ {text} }}}}")
        except TemplateProblem as error:
            raise self._error(f"{error}; write an expression such as {_EXAMPLE}") from error
        if not template.native:
            raise self._error(f"write one expression without braces, such as {_EXAMPLE}")
        self._render, self._uses = template.render, template.uses
        if not plan.problems:
            self._check_names(plan)

    def picks(self, job: Job) -> bool:
        """Raises UsageError where the expression cannot be judged."""
        step = self._steps[job.step]
        variables = step.variables(job.matrix, index=job.index, replica=job.replica)
        try:
            value = self._render(variables)
        except TemplateProblem as error:
            # A row that lacks an axis which other rows have is not what was asked for.
            if isinstance(error.__cause__, UndefinedError) and not variables.keys() >= self._uses:
                return False
            raise self._error_at(job, f"{error}{_hint(error)}") from error
        if isinstance(value, bool):
            return value
        raise self._error_at(
            job, f"gives {show(value)}; allowed: true or false, as of a comparison ({_EXAMPLE})"
        )

    def _check_names(self, plan: Plan) -> None:
        known: set[str] = set()
        for step in self._steps.values():
            known |= set(_names(step))
        for name in sorted(self._uses - known):
            listed = sorted(known - plan.templates.variables({}).keys())
            raise self._error(
                f"{name} is undefined{nearest(name, listed)}; defined here: {', '.join(listed)}"
            )

    def _error_at(self, job: Job, message: str) -> UsageError:
        return self._error(f"{message} (step {job.step}, {row_words(job.index, job.matrix)})")

    def _error(self, message: str) -> UsageError:
        return UsageError(f"--only {show(self._text)}: {message}")


def _names(step: CompiledStep) -> list[str]:
    row: Mapping[str, Any] = dict.fromkeys(step.step.matrix.names)
    return list(step.variables(row, index=0, replica=0))


def _hint(error: TemplateProblem) -> str:
    if isinstance(error.__cause__, TypeError):
        return "; `NAME | int` makes a number of a text, such as a cell of a csv file"
    return ""


def _lot(job: Job) -> bytes:
    """Of the row alone, so that an edited prompt keeps the sample, and a larger one has it all."""
    row = json_text([job.step, job.replica, dict(job.matrix)])
    return blake2b(row.encode(), digest_size=8).digest()
