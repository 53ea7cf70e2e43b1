"""The plan of a pipeline: its digest and its jobs, a lazy, pure function of manifest and files."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice

from dsrun.common.credential import KEPT_KEY, holds_key, is_key_file
from dsrun.common.errors import ManifestError, Problem
from dsrun.common.models import Job, Json
from dsrun.common.pointer import KeyPath
from dsrun.common.units import Money
from dsrun.manifest.execution import Execution
from dsrun.manifest.files import misread_problems
from dsrun.manifest.misread import misread
from dsrun.manifest.model import Manifest
from dsrun.manifest.templates import Templates
from dsrun.planning.compiled_step import CompiledStep
from dsrun.planning.job_index import Overlap, PlanIndex, SeedIndex, Seeds
from dsrun.planning.misread import cut_texts
from dsrun.planning.own_limits import limit_problems, rate_warnings
from dsrun.planning.partners import partner_problems, rule_problems
from dsrun.planning.plan_digest import StepUploads, file_digests, plan_digest
from dsrun.planning.problems import MOST_BAD_JOBS, Findings, Group
from dsrun.planning.request_form import Finding, RowProblem
from dsrun.planning.uploads import UploadFiles
from dsrun.service.catalog import Catalog
from dsrun.service.language import language_notes
from dsrun.service.operation import Operation
from dsrun.service.own_prices import own_prices
from dsrun.service.self_contained import Fault

_BATCH = 500
Visit = Callable[[Job, bool], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`run_values` are those of `run.…` that templates use; they are part of the digest."""

    manifest: Manifest
    catalog: Catalog
    digest: str
    run_values: Mapping[str, Json]
    included: Mapping[str, str]
    files: UploadFiles  # that jobs upload, as far as jobs were made
    templates: Templates
    steps: tuple[CompiledStep, ...]
    problems: tuple[Problem, ...] = ()  # found before the first job was made
    warnings: list[Problem] = field(default_factory=list)

    def jobs(self) -> Iterator[Job]:
        """Every job, in order. Raises ManifestError at the first row that gives none."""
        for _, job in self._rows():
            if isinstance(job, RowProblem):
                raise ManifestError([finding.problem for finding in job.problems])
            yield job

    def distinct_jobs(self) -> Iterator[Job]:
        """Every job once, in order, where several rows make the same request."""
        with PlanIndex() as index:
            for batch in batched(self.jobs(), _BATCH):
                for job, is_new in zip(batch, index.add(batch), strict=True):
                    if is_new:
                        yield job

    def job_at(self, step: str, index: int) -> Job | None:
        """The job of one row. Raises ManifestError where it is not valid."""
        for compiled in self.steps:
            if compiled.step.name == step:
                row_number, replica = divmod(index, compiled.step.repeat)
                row = next(islice(compiled.step.matrix.rows(), row_number, None), None)
                try:
                    return None if row is None else compiled.job(row, index=index, replica=replica)
                except RowProblem as error:
                    problems = [finding.problem for finding in error.problems]
                    raise ManifestError(problems) from error
        return None

    def check(self, *visits: Visit) -> int:
        """Validate every job and every file name; the number of jobs, equal ones counted once.

        Each of `visits` sees the job of every row, in order, and whether none before was equal.
        Raises ManifestError with all problems, equal ones of different jobs told once.
        """
        findings, notes = Findings(ends_at=MOST_BAD_JOBS), Findings()
        distinct, seeded = 0, self._with_seeds()
        with (
            PlanIndex(endings=self.endings()) as index,
            closing(SeedIndex()) as seeds,
        ):
            for batch in batched(self._valid_jobs(findings, notes), _BATCH):
                news = index.add(batch)
                if seeded:
                    seeds.add(_iter_seeds(batch, news, seeded))
                for job, is_new in zip(batch, news, strict=True):
                    distinct += is_new
                    for visit in visits:
                        visit(job, is_new)
            self.warnings.extend(self._overlap_warnings(seeds.overlaps()))
            findings.add_clashes(index.clashes(), self.manifest.document)
        self._note_rules()
        by_model = [one for one in self.steps if one.step.calls.model]
        used = (operation for compiled in by_model for operation in compiled.called)
        self.warnings.extend(rate_warnings(self.manifest, used))
        self.warnings.extend(notes.problems(self.steps))
        problems = [*self.problems, *findings.problems(self.steps)]
        faulty = self._faulty(findings)
        for compiled in self.steps:
            problems += rule_problems(compiled.step, compiled.axes, self.manifest.document)
            holes, spare = partner_problems(compiled.step, self.manifest.document, faulty=faulty)
            problems += holes
            self.warnings.extend(spare)
        if problems:
            raise ManifestError(problems)
        return distinct

    @property
    def may_warn_of_rows(self) -> bool:
        """Whether a check of valid jobs may find something to warn of."""
        return bool(self._with_seeds()) or any(compiled.may_warn for compiled in self.steps)

    def endings(self) -> dict[str, tuple[str, ...]]:
        """What the names of further kinds of files end with, by operation."""
        kinds = ((name, self.catalog[name].artifacts[1:]) for name in self.catalog.names)
        return {name: tuple(f"-{kind.name}" for kind in more) for name, more in kinds if more}

    def _valid_jobs(self, findings: Findings, notes: Findings) -> Iterator[Job]:
        """The valid jobs; what is wrong with the other rows, and what to warn of, is noted."""
        notes.seen = findings.seen
        for compiled, job in self._rows():
            name = compiled.step.name
            findings.seen[name] += 1
            if isinstance(job, RowProblem):
                findings.add(name, job)
                continue
            languages = self.catalog[job.operation].languages
            for path, words in language_notes(job.request, languages):
                problem = self.manifest.document.problem(("steps", name, *path), words)
                finding = Finding(words, problem)
                notes.add(name, RowProblem([finding], index=job.index, row=job.matrix))
            yield job
        faulty = self._faulty(findings)
        for compiled in self.steps:
            name = compiled.step.name
            if not findings.seen[name]:
                if name in faulty:
                    continue  # it has no rows because those above have a fault, told there
                rule = "where" if compiled.step.matrix.where is not None else "exclude"
                words = f"every row is excluded, so the step has no job; loosen `{rule}`"
                problem = self.manifest.document.problem(("steps", name, "matrix"), words)
                findings.groups[(name, "", "empty")] = Group(problem)

    def _faulty(self, findings: Findings) -> set[str]:
        """The steps that have a fault, and those that build on them, and so may lack rows."""
        faulty = {name for name, *_ in findings.groups}
        for compiled in self.steps:
            if not faulty.isdisjoint(compiled.step.matrix.steps):
                faulty.add(compiled.step.name)
        return faulty

    def _rows(self) -> Iterator[tuple[CompiledStep, Job | RowProblem]]:
        """Every row of every step, until a step has too many bad ones."""
        for compiled in self.steps:
            bad = 0
            for job in compiled.jobs():
                yield compiled, job
                bad += isinstance(job, RowProblem)
                if bad == MOST_BAD_JOBS:
                    break

    def _with_seeds(self) -> dict[str, CompiledStep]:
        """The steps whose seeds the manifest gives, unless no two requests can share one."""
        steps = {compiled.step.name: compiled for compiled in self.steps if compiled.gives_seed}
        return steps if any(compiled.may_overlap for compiled in steps.values()) else {}

    def _overlap_warnings(self, overlaps: Mapping[str, Overlap]) -> Iterator[Problem]:
        for compiled in self.steps:
            overlap = overlaps.get(compiled.step.name)
            if overlap is not None:
                operation = next(one for one in compiled.operations if one.main.seed)
                unit = operation.price.unit.replace("image", "picture")
                words = (
                    f"pays {overlap.paid:,} {unit}s for {_counted(overlap.seeds, 'seed')}, and one "
                    f"seed gives one {unit}: {_overlap_cause(overlap)}"
                )
                at = ("steps", compiled.step.name, *(operation.main.seed or ()))
                yield self.manifest.document.problem(at, words)

    def _note_rules(self) -> None:
        """Rules of a matrix that do not what they seem to."""
        for compiled in self.steps:
            at: KeyPath = ("steps", compiled.step.name, "matrix")
            for number in sorted(compiled.step.matrix.unused):
                words = "this rule matches no row"
                problem = self.manifest.document.problem((*at, "exclude", number), words)
                self.warnings.append(problem)
            for item, count in sorted(compiled.step.matrix.replaced.items()):
                words = (
                    f"replaces what include[{item.earlier}] gave {item.key} in "
                    f"{_counted(count, 'row')}: a rule extends the rows that agree with it, "
                    "and adds none of its own; for a row of each, make both values of an axis"
                )
                place = (*at, "include", item.number, item.key)
                problem = self.manifest.document.problem(place, words, of_key=True)
                self.warnings.append(problem)


def build_plan(manifest: Manifest, *, catalog: Catalog, run_values: Mapping[str, Json]) -> Plan:
    """Compile every template and take the digest.

    `run_values`: `date`, `datetime` and `id` of this run; a lock file has its own. What is wrong
    stands in `problems`, which `check()` tells with all the rest. Raises ManifestError where a
    lock file gives another digest than it says.
    """
    catalog, price_faults = own_prices(manifest.execution.prices, catalog)
    templates, files = Templates(manifest.inputs), UploadFiles(manifest.inputs)
    values = {**run_values, **(manifest.pinned["run"] if manifest.pinned else {})}
    steps, step_problems = _compiled(manifest, catalog, templates, values, files)
    used = _used_values(values, steps)
    plan = Plan(
        manifest=manifest,
        catalog=catalog,
        digest=plan_digest(
            manifest, used, templates.files, _own_operations(manifest, catalog), _uploads(steps)
        ),
        run_values=used,
        included=templates.files,
        files=files,
        templates=templates,
        steps=tuple(steps),
        problems=(
            *manifest.problems,
            *_price_problems(manifest, price_faults),
            *_currency_problems(manifest, catalog),
            *limit_problems(manifest, catalog),
            *step_problems,
            *_key_problems(manifest, templates),
        ),
        warnings=[
            *manifest.warnings,
            *_misread_includes(manifest, templates),
            *rate_warnings(manifest, _named(manifest, catalog)),
            *cut_texts(manifest, catalog),
            *_once(warning for compiled in steps for warning in compiled.warnings),
        ],
    )
    if not plan.problems:
        _check_pinned(plan)
    return plan


def _iter_seeds(
    jobs: Iterable[Job], news: Iterable[bool], seeded: Mapping[str, CompiledStep]
) -> Iterator[Seeds]:
    """What the jobs that are new ask for."""
    for job, is_new in zip(jobs, news, strict=True):
        compiled = seeded.get(job.step) if is_new else None
        seeds = None if compiled is None else compiled.seeds(job)
        if seeds is not None:
            yield seeds


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _overlap_cause(overlap: Overlap) -> str:
    if overlap.is_repeated:
        return "`repeat` sends the same seed again; without a seed here each request gets its own"
    most = overlap.most
    return (
        f"a request for {most} uses the seeds from its own to seed + {most - 1}; seeds that are "
        f"{most} apart share none, such as {{range: [1, {1 + 3 * most}, {most}]}}"
    )


def _once(warnings: Iterable[Problem]) -> list[Problem]:
    """Several steps may use one param, and read one file."""
    told: list[Problem] = []
    for warning in warnings:
        if warning not in told:
            told.append(warning)
    return told


def batched(jobs: Iterator[Job], size: int) -> Iterator[list[Job]]:
    """Lists of `size` jobs, the last one shorter."""
    while batch := list(islice(jobs, size)):
        yield batch


def _compiled(
    manifest: Manifest,
    catalog: Catalog,
    templates: Templates,
    run_values: Mapping[str, Json],
    files: UploadFiles,
) -> tuple[list[CompiledStep], list[Problem]]:
    """The steps that can be compiled, and what is wrong with the others."""
    steps: list[CompiledStep] = []
    above: dict[str, CompiledStep] = {}
    problems: list[Problem] = []
    for step in manifest.steps:
        if not step.matrix.steps <= above.keys():
            continue  # what is wrong with the step above is told
        try:
            compiled = CompiledStep(
                step, manifest=manifest, catalog=catalog, templates=templates,
                run_values=run_values, files=files, above=above,
            )  # fmt: skip
        except ManifestError as error:
            problems += error.problems
        else:
            steps.append(compiled)
            above[step.name] = compiled
    return steps, problems


def called(manifest: Manifest, catalog: Catalog) -> Iterator[Operation]:
    """Every operation that a step may call."""
    for step in manifest.steps:
        yield from (catalog[name] for name in step.calls.operations)


def _own_operations(manifest: Manifest, catalog: Catalog) -> dict[str, str]:
    """The texts of the user's operation files that the steps use."""
    families = {one.family for one in called(manifest, catalog)}
    return {name: text for name, text in catalog.own.items() if name in families}


def _uploads(steps: Iterable[CompiledStep]) -> dict[str, StepUploads]:
    return {
        compiled.step.name: StepUploads(compiled.upload_places, compiled.uploads_sha256())
        for compiled in steps
    }


def _used_values(
    run_values: Mapping[str, Json], steps: Iterable[CompiledStep]
) -> Mapping[str, Json]:
    """The values of `run` that some template reads."""
    names = set[str]().union(*(compiled.run_values for compiled in steps))
    return {name: value for name, value in run_values.items() if "*" in names or name in names}


def _check_pinned(plan: Plan) -> None:
    pinned = plan.manifest.pinned
    if pinned is None or pinned["digest"] == plan.digest:
        return
    digests = file_digests(plan.manifest, plan.included) | plan.files.digests
    changed = [name for name, sha256 in pinned["files"].items() if digests.get(name) != sha256]
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


def _price_problems(manifest: Manifest, faults: Iterable[Fault]) -> Iterator[Problem]:
    for path, message in faults:
        at: KeyPath = ("execution", "prices", *path)
        yield manifest.document.problem(at, message, of_key=len(path) == 1)


def _currency_problems(manifest: Manifest, catalog: Catalog) -> Iterator[Problem]:
    """A limit in another currency than the prices would never be reached, or always."""
    currencies = sorted({one.price.currency for one in called(manifest, catalog)})
    execution = manifest.execution
    limits: dict[KeyPath, Money | None] = {
        (name,): getattr(execution, name)
        for name in ("max_cost", "confirm_above", "repeat_below")
        if getattr(execution, name) != getattr(Execution(), name)
    }
    if execution.budget is not None:
        limits["budget", "amount"] = execution.budget.amount
    for path, money in limits.items():
        if money is not None and currencies and currencies != [money.currency]:
            yield manifest.document.problem(
                ("execution", *path),
                f"found {money}; allowed: an amount in {' or '.join(currencies)}, as the prices",
            )


def _key_problems(manifest: Manifest, templates: Templates) -> Iterator[Problem]:
    """Included files that hold the key; their texts have gone nowhere yet."""
    for name, text in templates.files.items():
        if holds_key(text) or is_key_file(manifest.inputs.place(name)):
            yield manifest.document.problem(("steps",), f"the included file {name} {KEPT_KEY}")


def _misread_includes(manifest: Manifest, templates: Templates) -> Iterator[Problem]:
    for name, text in templates.files.items():
        yield from misread_problems(str(manifest.root / name), misread(text))


def _named(manifest: Manifest, catalog: Catalog) -> Iterator[Operation]:
    """The operations that steps name themselves; the others are known when rows are made."""
    for step in manifest.steps:
        if step.calls.model is None:
            yield from (catalog[name] for name in step.calls.operations)
