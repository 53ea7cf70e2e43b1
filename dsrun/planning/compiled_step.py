"""One step, compiled: from a row of its matrix to the request and the file names of a job."""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from itertools import chain
from typing import Any

from dsrun.common.digest import canonical_json, job_id_of
from dsrun.common.errors import ManifestError, Problem
from dsrun.common.messages import nearest, show
from dsrun.common.models import Job, Json, Parent
from dsrun.common.pointer import KeyPath, dotted, value_at
from dsrun.manifest.calls import own_name
from dsrun.manifest.joins import Join, RowFailure, Written
from dsrun.manifest.late_values import LATE_WORDS, StepAxis
from dsrun.manifest.matrix import OPERATION, Axis, Matrix, Row, StepSource
from dsrun.manifest.model import Manifest, Step, Text
from dsrun.manifest.step_rows import StepRow, plain_row
from dsrun.manifest.template_errors import TemplateProblem
from dsrun.manifest.templates import Condition, Templates
from dsrun.planning.bindings import broken_bindings, unfit_files
from dsrun.planning.compiled_text import Failures, TextCompiler, TextFailure, name_known
from dsrun.planning.filenames import BadStem, stem_of
from dsrun.planning.idle_axes import idle_axis_problems
from dsrun.planning.job_index import Seeds
from dsrun.planning.late_requests import put_forms, put_stand_ins
from dsrun.planning.misread import printed_in, respelled_axes, respelled_params
from dsrun.planning.parents import (
    Rows,
    StepValues,
    each_file,
    grouped,
    iter_sources,
    parents_of,
    step_row,
)
from dsrun.planning.request_form import Finding, Made, RequestForm, RowProblem, text_finding
from dsrun.planning.shapes import constant_count, is_given, shape_of
from dsrun.planning.uploads import UploadFiles, by_content
from dsrun.service.catalog import Catalog
from dsrun.service.operation import Operation
from dsrun.service.request import artifact_count, upload_places

_AXIS = re.compile(r"\{\{ *(\w+) *\}\}").fullmatch
MAX_JOBS = 10_000_000  # of a step
_MOST_ARTIFACTS = 1000  # of one request
_MOST_TAKES = 1_000_000
_NO_PARENTS: tuple[tuple[Parent, ...], int] = ((), 0)


class CompiledStep:
    """Makes the jobs of one step."""

    def __init__(
        self,
        step: Step,
        *,
        manifest: Manifest,
        catalog: Catalog,
        templates: Templates,
        run_values: Mapping[str, Json],
        files: UploadFiles,
        above: Mapping[str, "CompiledStep"],
    ) -> None:
        """`above`: the steps that an axis may run through.

        Raises ManifestError where a template cannot be compiled, or an axis is a rule.
        """
        self.operations = [catalog[name] for name in step.calls.operations]
        self.document = manifest.document
        self.uses: dict[str, frozenset[str]] = {}  # variables of the templates, by their place
        self.run_values: set[str] = set()  # names that they read from `run`; "*": all of them
        self.warnings: list[Problem] = []
        self._manifest = manifest
        self._catalog = catalog
        self._templates = templates
        self._files = files
        self._above = tuple(above)
        self._base = templates.variables({"params": manifest.params, "run": run_values})
        self._compiled: dict[str, RequestForm] = {}  # by operation
        self._forms: dict[str, RequestForm] = {}  # those that rows have called
        self.axes = {
            axis.names[0]: above[axis.source.step].shape(axis.source)
            for axis in step.matrix.axes
            if axis.source
        }
        self.step = step
        self._own = own = self._texts({}, takes_late=False)  # of what no operation says
        self.step = replace(step, matrix=self._expanded(step.matrix, above))
        calls = step.calls
        self._model = None if calls.model is None else own.text(calls.model, "string")
        axis = _AXIS(calls.model.source) if calls.model else None
        self._model_axis = axis[1] if axis else ""  # quicker than to render the text
        self._filename = None if step.filename is None else own.text(step.filename, "string")
        self._take = own.text(step.take, "integer") if isinstance(step.take, Text) else None
        self._steady_take = step.take if isinstance(step.take, int) else None
        self._only_form: RequestForm | None = None  # where the step calls one operation
        self._compile_forms(own)

    def _compile_forms(self, own: TextCompiler) -> None:
        """Compile what no row has to be known for. Raises ManifestError with all that is wrong."""
        problems = [*own.problems, *self._form_problems(own)]
        one = self.step.calls.one
        if one in self._compiled:
            self._only_form = self._forms[one] = self._compiled[one]
        problems = problems or self._axis_problems()
        if problems:
            raise ManifestError(problems)

    @property
    def called(self) -> list[Operation]:
        """The operations that rows have called until now."""
        return [form.operation for form in self._forms.values()]

    @property
    def upload_places(self) -> frozenset[KeyPath]:
        return frozenset(at for operation in self.operations for at in upload_places(operation))

    @property
    def gives_seed(self) -> bool:
        """Whether the manifest says the seed of some request."""
        return any(is_given(self.step.body, one.main.seed) for one in self.operations)

    def _texts(self, schema: Mapping[str, Json], *, takes_late: bool = True) -> TextCompiler:
        manifest = self._manifest
        return TextCompiler(
            self._templates, document=manifest.document, root=manifest.root, schema=schema,
            axes=self.axes, steps=self._above, takes_late=takes_late, names=self.step.matrix.names,
        )  # fmt: skip

    def shape(self, source: StepSource) -> StepAxis:
        """What templates can read of an axis that runs through this step."""
        return shape_of(self.step, source, axes=self.axes, operations=self.operations)

    def step_rows(self) -> Iterator[StepRow]:
        """Every row that gives a valid job, as later steps know it."""
        with suppress(RowFailure):  # told, as is every RowProblem, where this step is checked
            for row, index, replica in self._numbered_rows():
                with suppress(RowProblem):
                    yield step_row(self.job(row, index=index, replica=replica), row)

    def _expanded(self, matrix: Matrix, above: Mapping[str, "CompiledStep"]) -> Matrix:
        """The matrix with the values of the axes that run through steps. Raises ManifestError."""
        try:
            axes = tuple(self._with_values(axis, above) for axis in matrix.axes)
            where = self._where(matrix.where)
            expanded = replace(matrix, axes=axes, join=where)
            self._check_size(expanded)
        except RowFailure as bad:
            raise ManifestError([self._expression_problem(bad)]) from bad
        return expanded

    def _check_size(self, matrix: Matrix) -> None:
        """Raises ManifestError for too many rows; those that a `where` keeps are counted later.

        Raises RowFailure where an axis has no values.
        """
        count = 0 if matrix.join else matrix.most_rows() * self.step.repeat
        if count > MAX_JOBS:
            words = _too_many(f"the axes give {count:,} jobs")
            raise ManifestError([self._problem(("matrix",), words)])

    def _with_values(self, axis: Axis, above: Mapping[str, "CompiledStep"]) -> Axis:
        source = axis.source
        if source is None:
            return axis
        parent = above[source.step]
        rows: Rows = parent.step_rows
        if source.each:
            rows = each_file(rows, parent.seed_of)
        if source.group_by is not None:
            at = ("steps", self.step.name, "matrix", axis.names[0], "group_by")
            written = Written(source.group_by, at)
            key = self._compiled_expression(written, parent.axes)
            for word in sorted(key.whole.uses & LATE_WORDS):
                words = f"{word} is known only once {source.step} has run"
                raise RowFailure(TemplateProblem(words), written, {})
            rows = grouped(rows, key.whole.render, self._base, written)
        return replace(axis, values=StepValues(rows))

    def _where(self, source: str | None) -> Join | None:
        if source is None:
            return None
        written = self._written_where
        condition = self._compiled_expression(written, self.axes)
        self.uses[dotted(written.at)] = condition.whole.uses
        return Join(condition, written, constants=self._base)

    @property
    def _written_where(self) -> Written:
        at = ("steps", self.step.name, "matrix", "where")
        return Written(self.step.matrix.where or "", at)

    def _compiled_expression(self, written: Written, axes: Mapping[str, StepAxis]) -> Condition:
        """Raises RowFailure."""
        try:
            return self._templates.condition(written.source, axes=axes)
        except TemplateProblem as error:
            raise RowFailure(error, written, {}) from error

    def _expression_problem(self, failure: RowFailure) -> Problem:
        text = Text(source=failure.written.source, at=failure.written.at)
        known = {**self._base, **dict.fromkeys(self.axes), **failure.row}
        return name_known(
            self._own.problem(text, failure.problem), known, text.source, steps=self._own.steps
        )

    def seed_of(self, row: StepRow) -> int | None:
        """The seed of the first file of a row of this step."""
        seed = value_at(row["request"], self._catalog[row["operation"]].main.seed)
        return seed if isinstance(seed, int) else None

    def _form_problems(self, own: TextCompiler) -> list[Problem]:
        """What is wrong with the step's texts, as far as no row has to be known for it."""
        problems: list[Problem] = []
        printing = [*own.printing]
        self._take_facts(own)
        names = self.step.calls.operations
        for name in names[:1] if self.step.calls.model else names:
            try:
                texts = self._compile(name)
            except ManifestError as error:
                problems += (problem for problem in error.problems if problem not in problems)
            else:
                printing += texts.printing
        self._note_respelled(printing)
        return problems

    def _compile(self, name: str) -> TextCompiler:
        """Raises ManifestError."""
        texts = self._texts(self._catalog[name].schema)
        try:
            self._compiled[name] = RequestForm(
                self.step, name, catalog=self._catalog, document=self.document,
                files=self._files, texts=texts,
            )  # fmt: skip
        finally:
            self._take_facts(texts)
        return texts

    def _take_facts(self, texts: TextCompiler) -> None:
        self.uses |= texts.uses
        self.run_values |= texts.run_values
        self.warnings += (note for note in texts.warnings if note not in self.warnings)

    def jobs(self) -> Iterator[Job | RowProblem]:
        """The job of every row, in order, or what is wrong with it."""
        try:
            for row, index, replica in self._numbered_rows():
                try:
                    yield self.job(row, index=index, replica=replica)
                except RowProblem as error:
                    yield RowProblem(error.problems, index=index, row=plain_row(row))
        except RowFailure as failure:
            finding = Finding("template", self._expression_problem(failure))
            yield RowProblem([finding], row=plain_row(failure.row))

    def jobs_at(self, indexes: Collection[int]) -> Iterator[Job]:
        """The jobs of some rows, in order. Raises RowProblem."""
        last = max(indexes, default=-1)
        for row, index, replica in self._numbered_rows():
            if index > last:
                return
            if index in indexes:
                yield self.job(row, index=index, replica=replica)

    def job(self, row: Row, *, index: int, replica: int) -> Job:
        """The job of a row. Raises RowProblem."""
        variables = self.variables(row, index=index, replica=replica)
        form = self._only_form or self._form_of(row, variables)
        try:
            made = form.make(variables)
        except RowProblem as error:
            unnamed = self._stem_problems(dict(variables), form)
            raise RowProblem([*error.problems, *unnamed]) from error
        request, taken = made.request, made.taken
        body = form.canonical(made, row, replica)
        if not form.is_valid(made):
            raise RowProblem([*form.findings(made), *self._stem_problems(variables, form)])
        if taken.files:
            put_forms(request, made.late)
            body = canonical_json(by_content(request, taken))
            put_stand_ins(request, made.late)
        operation = form.operation
        take = self._steady_take or self._take_of(variables)
        job_id = job_id_of(operation.name, replica, body, take=take)
        parents, depth = self._parents(form, made, variables) if self.axes else _NO_PARENTS
        if made.late:
            self._check_bound(form, made, variables)
            put_forms(request, made.late)
        stems = self._stems(variables, form, request, job_id)
        units, is_bound = form.planned(request, made.late)
        return Job(
            job_id=job_id,
            step=self.step.name,
            index=index,
            replica=replica,
            operation=operation.name,
            matrix=plain_row(row) if self.axes else row,
            request=request,
            body=body,
            stems=stems,
            units=units,
            is_bound=is_bound,
            late=tuple(made.late),
            parents=parents,
            depth=depth,
            take=take,
        )

    def _parents(
        self, form: RequestForm, made: Made, variables: Mapping[str, Any]
    ) -> tuple[tuple[Parent, ...], int]:
        return parents_of(made.late.values(), form.references, self.axes, variables)

    def _check_bound(self, form: RequestForm, made: Made, variables: Mapping[str, Any]) -> None:
        """Raises RowProblem where a late value is of another kind, or belongs elsewhere."""
        sources = iter_sources(form.references, variables)
        rows = {job_id: row for job_id, (_, row) in sources}
        unfit = unfit_files(
            made.request, made.late, rows, operation=form.operation, catalog=self._catalog
        )
        broken = broken_bindings(made.request, made.late, rows, self._catalog)
        findings = [
            Finding("bound", self._problem(made.out.as_written(at), words))
            for at, words in chain(unfit, broken)
        ]
        if findings:
            raise RowProblem(findings)

    def _take_of(self, variables: Mapping[str, Any]) -> int:
        """The number of the take. Raises RowProblem."""
        failures = Failures()
        take = 1 if self._take is None else self._take(variables, failures)
        if failures:
            raise RowProblem([self._text_finding(failures[0], variables)])
        if isinstance(take, int) and not isinstance(take, bool) and 1 <= take <= _MOST_TAKES:
            return take
        words = f"found {show(take)}; allowed: a whole number from 1 to {_MOST_TAKES}"
        raise self._row_problem("take", ("take",), words)

    def _form_of(self, row: Mapping[str, Json], variables: Mapping[str, Any]) -> RequestForm:
        """The form of the operation that a row calls. Raises RowProblem."""
        name = self.step.calls.one or self._called_by(row, variables)
        form = self._forms.get(name)
        if form is None:
            try:
                if name not in self._compiled:
                    self._compile(name)
            except ManifestError as error:
                findings = [Finding("template", problem) for problem in error.problems]
                raise RowProblem(findings) from error
            form = self._forms[name] = self._compiled[name]
        return form

    def _called_by(self, row: Mapping[str, Json], variables: Mapping[str, Any]) -> str:
        """The name of the operation that a row calls. Raises RowProblem."""
        known = self.step.calls.operations
        if self._model is None:
            if OPERATION in row:
                return own_name(str(row[OPERATION]), self._catalog)
            words = f"a rule of `include` makes a row that names none; allowed: {', '.join(known)}"
            raise self._row_problem("operation", (OPERATION,), words)
        failures = Failures()
        model = row.get(self._model_axis) or self._model(variables, failures)
        if failures:
            raise RowProblem([self._text_finding(failures[0], variables)])
        if isinstance(model, str) and model in known:
            return model
        near = nearest(model, known) if isinstance(model, str) else ""
        words = f"found {show(model)}{near}; allowed: {', '.join(known)}"
        raise self._row_problem("enum", ("model",), words)

    @property
    def may_warn(self) -> bool:
        """Whether a row, or how the rows come about, may be worth a warning of its own."""
        matrix, calls = self.step.matrix, self.step.calls
        has_rules = bool(matrix.where is not None or matrix.exclude or matrix.include or self.axes)
        return has_rules or calls.model is not None or any(one.languages for one in self.operations)

    @property
    def may_overlap(self) -> bool:
        """Whether two of the step's requests may ask for one seed, or one request for several."""
        return self.gives_seed and (
            self.step.repeat > 1
            or any(constant_count(self.step.body, one) != 1 for one in self.operations)
        )

    def seeds(self, job: Job) -> Seeds | None:
        """The seeds that a job asks for; None where it names none."""
        return self._forms[job.operation].seeds(job)

    def variables(self, row: Mapping[str, Json], *, index: int, replica: int) -> dict[str, Any]:
        """What a template of this step sees in a row."""
        job = {"index": index, "replica": replica}
        return {**self._base, **row, "matrix": row, "job": job}

    def uploads_sha256(self) -> str | None:
        """SHA-256 of the contents that the step's jobs upload, in their order; None for none.

        The names of the files do not count, nor where they lie.
        """
        may_upload = any(form.may_upload for form in self._compiled.values())
        if not may_upload and not (self._model and self.upload_places):
            return None
        state, has_any = sha256(), False
        with suppress(RowFailure):  # told, as each RowProblem, when the jobs are made
            for row, index, replica in self._numbered_rows():
                variables = self.variables(row, index=index, replica=replica)
                with suppress(RowProblem):
                    for content in self._form_of(row, variables).upload_contents(variables):
                        state.update(f"{index} {content}\n".encode())
                        has_any = True
        return state.hexdigest() if has_any else None

    def _numbered_rows(self) -> Iterator[tuple[Row, int, int]]:
        """Every row as often as it is repeated, with the job's index and replica."""
        repeat = self.step.repeat
        for number, row in enumerate(self.step.matrix.rows()):
            if (number + 1) * repeat > MAX_JOBS:  # only a `where` lets so many come
                problem = TemplateProblem(_too_many("it leaves too many rows"))
                raise RowFailure(problem, self._written_where, row)
            for replica in range(repeat):
                yield row, number * repeat + replica, replica

    def _axis_problems(self) -> list[Problem]:
        """An axis that no template uses is a rule misspelt, or makes the same request again."""
        used = frozenset([OPERATION]).union(*self.uses.values())
        problems, warnings = idle_axis_problems(self.step, used, self.document)
        self.warnings += warnings
        return problems

    def _note_respelled(self, printing: list[str]) -> None:
        """Numbers that a text of the step shows in another spelling than they are written in."""
        is_printed = printed_in([*printing, *self._templates.files.values()])
        if is_printed("params"):
            self.warnings += respelled_params(self._manifest, is_printed)
        self.warnings += respelled_axes(self.document, self.step, is_printed)

    def _stems(
        self, variables: dict[str, Any], form: RequestForm, request: Json, job_id: str
    ) -> tuple[str, ...]:
        main, count = form.operation.main, artifact_count(request, form.operation)
        if count > _MOST_ARTIFACTS:
            words = f"found {count}; allowed: up to {_MOST_ARTIFACTS} results of one request"
            raise self._row_problem("count", main.count or (), words)
        if self._filename is None:
            index = variables["job"]["index"]
            stem = f"{index:05d}-{job_id[:8]}"
            if main.count is None and count == 1:
                return (stem,)
            return tuple(f"{stem}-{i}" for i in range(count))
        variables["job"] = {**variables["job"], "id": job_id}
        seed = value_at(request, main.seed)
        own_seed = "seed" not in variables["matrix"] and isinstance(seed, int | float)
        stems = []
        for i in range(count):
            variables["index"] = i
            if own_seed:
                variables["seed"] = int(seed) + i
            stems.append(self._stem(variables))
        return tuple(stems)

    def _stem_problems(self, variables: dict[str, Any], form: RequestForm) -> list[Finding]:
        """What is wrong with the file names of a job whose request is not valid."""
        if form.operation.main.seed is not None:
            variables.setdefault("seed", 0)
        try:
            self._stems(variables, form, {}, "0" * 64)
        except RowProblem as error:
            return error.problems
        return []

    def _stem(self, variables: Mapping[str, Any]) -> str:
        assert self._filename is not None  # noqa: S101  # the caller has looked
        failures = Failures()
        text = self._filename(variables, failures)
        if failures:
            raise RowProblem([self._text_finding(failures[0], variables)]) from failures[0].error
        try:
            source = self.step.filename.source if self.step.filename else ""
            return stem_of(text, step=self.step.name, is_slugged="slug" in source)
        except BadStem as bad:
            raise self._row_problem(bad.rule, ("filename",), str(bad)) from bad

    def _row_problem(self, rule: str, at: KeyPath, message: str) -> RowProblem:
        return RowProblem([Finding(rule, self._problem(at, message))])

    def _problem(self, at: KeyPath, message: str) -> Problem:
        return self.document.problem(("steps", self.step.name, *at), message)

    def _text_finding(self, failure: TextFailure, variables: Mapping[str, Any]) -> Finding:
        return text_finding(self._own, failure, variables)


def _too_many(found: str) -> str:
    return f"{found}; allowed: at most {MAX_JOBS:,} jobs a step"
