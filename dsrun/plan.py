"""The plan of a pipeline: its digest and its jobs, a lazy, pure function of manifest and files."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from dsrun.catalog import Catalog
from dsrun.digest import canonical_sha256, tagged
from dsrun.errors import ManifestError, Problem
from dsrun.manifest import FORMAT_VERSION, Manifest, Step, iter_texts, step_digest_source
from dsrun.planindex import PlanIndex
from dsrun.records import Job, Json
from dsrun.rendering import CompiledStep, RowProblem
from dsrun.templating import Templates
from dsrun.wording import show

MAX_JOBS = 10_000_000
_BATCH = 500
_MOST_WORDS = 100  # groups of problems
_MOST_BAD_JOBS = 10_000  # of one step; by then the message is clear


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`run_values` are those of `run.…` that templates use; they are part of the digest."""

    manifest: Manifest
    catalog: Catalog
    digest: str
    run_values: Mapping[str, Json]
    included: Mapping[str, str]
    steps: tuple[CompiledStep, ...]
    problems: tuple[Problem, ...] = ()  # found before the first job was made
    warnings: list[str] = field(default_factory=list)

    def jobs(self) -> Iterator[Job]:
        """Every job, in order. Raises ManifestError at the first that is not valid."""
        for _, job in self._rows():
            if isinstance(job, RowProblem):
                raise ManifestError([problem for _, problem in job.problems])
            yield job

    def distinct_jobs(self) -> Iterator[Job]:
        """Every job once, in order, where several rows make the same request."""
        with PlanIndex() as index:
            for batch in batched(self.jobs(), _BATCH):
                for job, is_new in zip(batch, index.add(batch), strict=True):
                    if is_new:
                        yield job

    def check(self, visit: Callable[[Job], None] | None = None) -> int:
        """Validate every job and every file name; the number of jobs, equal ones counted once.

        `visit` sees each of those jobs, in order. Raises ManifestError with all problems, equal
        ones of different jobs told once.
        """
        found = _Findings()
        distinct = 0
        with PlanIndex() as index:
            for batch in batched(self._valid_jobs(found), _BATCH):
                for job, is_new in zip(batch, index.add(batch), strict=True):
                    if is_new:
                        distinct += 1
                        if visit is not None:
                            visit(job)
            found.add_clashes(index, self)
        self._note_unused_rules()
        problems = (*self.problems, *found.problems())
        if problems:
            raise ManifestError(problems)
        return distinct

    def _valid_jobs(self, found: "_Findings") -> Iterator[Job]:
        for step, job in self._rows():
            name = step.step.name
            found.seen[name] += 1
            if isinstance(job, RowProblem):
                found.add(name, job)
            else:
                yield job
        for step in self.steps:
            if not found.seen[step.step.name]:
                at = ("steps", step.step.name, "matrix")
                message = "every row is excluded, so the step has no job; loosen `exclude`"
                problem = self.manifest.document.problem(at, message)
                found.groups[(step.step.name, "", "empty")] = _Group(problem)

    def _rows(self) -> Iterator[tuple[CompiledStep, Job | RowProblem]]:
        for step in self.steps:
            bad = 0
            for item in _step_rows(step):
                yield step, item
                bad += isinstance(item, RowProblem)
                if bad == _MOST_BAD_JOBS:
                    break

    def _note_unused_rules(self) -> None:
        for step in self.steps:
            for number in sorted(step.step.matrix.unused):
                at = ("steps", step.step.name, "matrix", "exclude", number)
                self.warnings.append(
                    str(self.manifest.document.problem(at, "this rule matches no row"))
                )


def build_plan(manifest: Manifest, *, catalog: Catalog, run_values: Mapping[str, Json]) -> Plan:
    """Compile every template and take the digest.

    What is wrong stands in `problems`, which `check()` tells with all the rest.

    `run_values`: `date`, `datetime` and `id` of this run.
    """
    templates = Templates(root=manifest.root)
    pinned = dict(manifest.pinned["run"]) if manifest.pinned else {}
    values = {**run_values, **pinned}
    problems = [*manifest.problems, *_currency_problems(manifest, catalog)]
    steps: list[CompiledStep] = []
    warnings = list(_rate_warnings(manifest, catalog))
    for step in manifest.steps:
        too_many = _size_problem(manifest, step)
        if too_many is not None:
            problems.append(too_many)
            continue
        try:
            compiled = CompiledStep(
                step, manifest=manifest, catalog=catalog, templates=templates, run_values=values
            )
        except RowProblem as error:
            problems += [problem for _, problem in error.problems]
            continue
        steps.append(compiled)
        warnings += compiled.warnings
    names = {name for step in steps for t in step.compiled for name in t.run_values}
    used = {name: value for name, value in values.items() if "*" in names or name in names}
    plan = Plan(
        manifest=manifest,
        catalog=catalog,
        digest=_digest(manifest, used, templates.files, catalog.own),
        run_values=used,
        included=templates.files,
        steps=tuple(steps),
        problems=tuple(problems),
        warnings=warnings,
    )
    if not problems:
        _check_pinned(plan)
    return plan


def batched(jobs: Iterator[Job], size: int) -> Iterator[list[Job]]:
    """Lists of `size` jobs, the last one shorter."""
    while batch := list(islice(jobs, size)):
        yield batch


def _step_rows(step: CompiledStep) -> Iterator[Job | RowProblem]:
    index = 0
    for row in step.step.matrix.rows():
        for replica in range(step.step.repeat):
            try:
                yield step.job(row, index=index, replica=replica)
            except RowProblem as problem:
                problem.row = describe_row(index, row)
                yield problem
            index += 1


def _digest(
    manifest: Manifest,
    used: Mapping[str, Json],
    files: Mapping[str, str],
    own_operations: Mapping[str, str],
) -> str:
    sections = manifest.raw["steps"]
    called = {step.operation for step in manifest.steps}
    source = {
        "format": FORMAT_VERSION,
        "name": manifest.name,
        "params": manifest.params,
        "steps": {
            step.name: step_digest_source(step, sections[step.name]) for step in manifest.steps
        },
        "run": dict(used),
        "included": dict(files),
        "operations": {name: text for name, text in own_operations.items() if name in called},
    }
    return canonical_sha256(tagged(source))


def _check_pinned(plan: Plan) -> None:
    pinned = plan.manifest.pinned
    if pinned is None or pinned["digest"] == plan.digest:
        return
    changed = [
        name for name, sha256 in pinned["files"].items() if file_digests(plan).get(name) != sha256
    ]
    what = f"changed since: {', '.join(changed)}" if changed else "made by another version of dsrun"
    raise ManifestError(
        [
            Problem(
                file=plan.manifest.document.file,
                line=0,
                column=0,
                where="",
                message=f"this lock file no longer gives digest {pinned['digest'][:12]}; {what}",
            )
        ]
    )


def file_digests(plan: Plan) -> dict[str, str]:
    """SHA-256 of every file that the plan reads, by the name that the manifest uses."""
    found: dict[str, str] = {}
    for step in plan.manifest.steps:
        found |= {name: data.sha256 for name, data in step.matrix.files.items()}
        found |= {t.file: t.sha256 for t in iter_texts(step.body) if t.file and t.sha256}
    return found | {name: canonical_sha256(text) for name, text in plan.included.items()}


def _size_problem(manifest: Manifest, step: Step) -> Problem | None:
    count = step.matrix.most_rows() * step.repeat
    if count <= MAX_JOBS:
        return None
    return manifest.document.problem(
        ("steps", step.name, "matrix"),
        f"the axes give {count:,} jobs; allowed: at most {MAX_JOBS:,} a step",
    )


def _currency_problems(manifest: Manifest, catalog: Catalog) -> Iterator[Problem]:
    """A limit in another currency than the prices would never be reached."""
    currencies = sorted({catalog[step.operation].price.currency for step in manifest.steps})
    for name in ("max_cost", "confirm_above"):
        money = getattr(manifest.execution, name)
        if money is not None and currencies and currencies != [money.currency]:
            yield manifest.document.problem(
                ("execution", name),
                f"found {money}; allowed: an amount in {' or '.join(currencies)}, as the prices",
            )


def _rate_warnings(manifest: Manifest, catalog: Catalog) -> Iterator[str]:
    rate = manifest.execution.rate
    for name in sorted({step.operation for step in manifest.steps}):
        published = catalog[name].rate
        if rate and rate.requests / rate.per_s > published.requests / published.per_s:
            yield str(
                manifest.document.problem(
                    ("execution", "rate"),
                    f"more than the {published.requests} requests in {published.per_s:g} s that "
                    f"are published for {name}; right only if your account has more",
                )
            )


@dataclass(slots=True)
class _Group:
    problem: Problem
    count: int = 1
    first: str = ""


class _Findings:
    """Problems of jobs, grouped by step, place and rule."""

    def __init__(self) -> None:
        self.groups: dict[tuple[str, str, str], _Group] = {}
        self.seen: Counter[str] = Counter()

    def add(self, step: str, error: RowProblem) -> None:
        for rule, problem in error.problems:
            # Each wrong word of a list is told, but not each of a thousand lengths.
            words = problem.message if rule == "enum" and len(self.groups) < _MOST_WORDS else rule
            group = self.groups.get((step, problem.where, words))
            if group:
                group.count += 1
            else:
                self.groups[(step, problem.where, words)] = _Group(problem, first=error.row)

    def add_clashes(self, index: PlanIndex, plan: Plan) -> None:
        for clash in index.clashes():
            same = clash.first_index == clash.second_index
            jobs = (
                f"several pictures of job {clash.first_index} would be"
                if same
                else f"jobs {clash.first_index} and {clash.second_index} would be"
            )
            hint = "add {{ index }}" if same else "add what tells the jobs apart"
            problem = plan.manifest.document.problem(
                ("steps", clash.step, "filename"), f"{jobs} written to the same file; {hint}"
            )
            self.groups[(clash.step, "filename", "clash")] = _Group(problem)

    def problems(self) -> Sequence[Problem]:
        return [self._told(step, group) for (step, _, _), group in self.groups.items()]

    def _told(self, step: str, group: _Group) -> Problem:
        total, problem = self.seen[step], group.problem
        if total <= 1 or not group.first:
            return problem
        return Problem(
            file=problem.file,
            line=problem.line,
            column=problem.column,
            where=problem.where,
            message=f"{problem.message} (in {group.count} of {total} jobs, first in {group.first})",
        )


def describe_row(index: int, row: Mapping[str, Json]) -> str:
    """`job 12: style "<anime>", seed 3`."""
    axes = ", ".join(f"{name} {show(value)}" for name, value in row.items())
    return f"job {index}{': ' + axes if axes else ''}"
