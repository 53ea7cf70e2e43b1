"""One step, compiled: from a row of its matrix to the request and the file names of a job."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any, NamedTuple

from dsrun.common.credential import holds_key
from dsrun.common.digest import NotCanonical, canonical_json, job_id_of, json_text
from dsrun.common.errors import ManifestError, Problem
from dsrun.common.models import Job, Json
from dsrun.common.pointer import KeyPath, dotted, holder_at, put_at, value_at
from dsrun.manifest.matrix import Row, idle_axes
from dsrun.manifest.model import Manifest, Step
from dsrun.manifest.spelling import NoText
from dsrun.manifest.templates import Templates
from dsrun.planning.compiled_text import Builder, TextCompiler, TextFailure, name_known
from dsrun.planning.filenames import BadStem, stem_of
from dsrun.planning.job_index import Seeds
from dsrun.planning.misread import printed_in, respelled_axes, respelled_params
from dsrun.planning.uploads import Taken, UploadFields, UploadFiles, by_content
from dsrun.service.catalog import Catalog
from dsrun.service.operation_file import constants
from dsrun.service.request import artifact_count, fill_request, laid_over, price_of
from dsrun.service.short_form import MixedForms, WrittenOut, write_out

_MOST_ARTIFACTS = 1000  # of one request


class Finding(NamedTuple):
    """A problem of a job, with the rule that it breaks, by which equal ones are grouped.

    `size` is the number that a limit was held against.
    """

    rule: str
    problem: Problem
    size: float | None = None


class RowProblem(Exception):
    """A row gives no valid job. `index` is the job's within its step."""

    def __init__(
        self, problems: list[Finding], *, index: int = 0, row: Mapping[str, Json] | None = None
    ) -> None:
        super().__init__()
        self.problems = problems
        self.index = index
        self.row = row or {}


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
    ) -> None:
        """Raises ManifestError where a template cannot be compiled, or an axis is a rule."""
        self.step = step
        self.operation = catalog[step.operation]
        self.uploads = UploadFields(self.operation, files)
        self.document = manifest.document
        self.gives_seed = _is_given(step.body, self.operation.main.seed)
        self._seed_key = _key_of(self.operation.main.seed)
        self._count_key = _key_of(self.operation.main.count)
        self._validator = catalog.validator(step.operation)
        self._base = templates.variables({"params": manifest.params, "run": run_values})
        schema = self.operation.schema
        self._texts = TextCompiler(
            templates, document=manifest.document, root=manifest.root, schema=schema
        )
        parts: dict[KeyPath, Builder] = {}
        self._out = self._written_out(step)
        self._build = self._texts.body(laid_over(constants(schema), self._out.body), (), parts)
        self._filename = None
        if step.filename is not None:
            self._filename = self._texts.text(step.filename, "string")
        self._upload_parts = {
            at: parts[at] for root in self.uploads.roots if (at := _holding(root, parts))
        }
        self.warnings = self._texts.warnings
        self._note_respelled(manifest, templates)
        problems = self._texts.problems or self._axis_problems()
        if problems:
            raise ManifestError(problems)

    def _written_out(self, step: Step) -> WrittenOut:
        """The step's request as the API documents it. Raises ManifestError."""
        try:
            return write_out(step.body, self.operation.short)
        except MixedForms as error:
            at = ("steps", step.name, "input")
            raise ManifestError([self.document.problem(at, str(error))]) from error

    @property
    def uses(self) -> Mapping[str, frozenset[str]]:
        """The variables of the step's templates, by their place."""
        return self._texts.uses

    @property
    def run_values(self) -> set[str]:
        """The names that the step's templates read from `run`; "*": all of them."""
        return self._texts.run_values

    def jobs(self) -> Iterator[Job | RowProblem]:
        """The job of every row, in order, or what is wrong with it."""
        for row, index, replica in self._numbered_rows():
            try:
                yield self.job(row, index=index, replica=replica)
            except RowProblem as error:
                yield RowProblem(error.problems, index=index, row=row)

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
        request = self._request(variables)
        taken = self.uploads.take(request)
        body = self._canonical(request, taken, row, replica)
        if taken.bad or not self._validator.is_valid(request):
            problems = self._request_problems(request, taken)
            raise RowProblem([*problems, *self._stem_problems(variables)])
        if taken.files:
            body = canonical_json(by_content(request, taken))
        job_id = job_id_of(self.operation.name, replica, body)
        return Job(
            job_id=job_id,
            step=self.step.name,
            index=index,
            replica=replica,
            operation=self.operation.name,
            matrix=row,
            request=request,
            body=body,
            stems=self._stems(variables, request, job_id),
            units=price_of(request, self.operation),
        )

    @property
    def may_overlap(self) -> bool:
        """Whether two of the step's requests may ask for one seed, or one request for several."""
        at = self.operation.main.count
        filled = {fill.at: fill.value for fill in self.operation.fills}
        count = value_at(self.step.body, at) or filled.get(at or ())
        return self.gives_seed and (self.step.repeat > 1 or (at is not None and count != 1))

    def seeds(self, job: Job) -> Seeds | None:
        """The seeds that a job asks for; None where it names none."""
        seed = value_at(job.request, self.operation.main.seed)
        if type(seed) is not int and not isinstance(seed, float):
            return None
        # No text of the body can hold these: its quotes are escaped there.
        body = job.body.replace(self._seed_key + b"%d" % seed, b"", 1)
        body = body.replace(self._count_key + b"%d" % len(job.stems), b"", 1)
        key = hash((self.operation.name, body))
        return Seeds(key, int(seed), len(job.stems), self.step.name, job.replica)

    def variables(self, row: Mapping[str, Json], *, index: int, replica: int) -> dict[str, Any]:
        """What a template of this step sees in a row."""
        job = {"index": index, "replica": replica}
        return {**self._base, **row, "matrix": row, "job": job}

    def uploads_sha256(self) -> str | None:
        """SHA-256 of the contents that the step's jobs upload, in their order; None for none.

        The names of the files do not count, nor where they lie.
        """
        if not self._upload_parts:
            return None
        state, has_any = sha256(), False
        for row, index, replica in self._numbered_rows():
            for content in self._upload_contents(row, index=index, replica=replica):
                state.update(f"{index} {content}\n".encode())
                has_any = True
        return state.hexdigest() if has_any else None

    def _numbered_rows(self) -> Iterator[tuple[Row, int, int]]:
        """Every row as often as it is repeated, with the job's index and replica."""
        repeat = self.step.repeat
        for number, row in enumerate(self.step.matrix.rows()):
            for replica in range(repeat):
                yield row, number * repeat + replica, replica

    def _upload_contents(self, row: Row, *, index: int, replica: int) -> list[str]:
        """SHA-256 of every file that the job of a row uploads; empty for a bad one."""
        variables = self.variables(row, index=index, replica=replica)
        request: dict[str, Json] = {}
        for at, build in self._upload_parts.items():
            failures: list[TextFailure] = []
            value = build(variables, failures)
            if not failures:
                put_at(request, at, value)
        self._out.spread(request)
        return self.uploads.contents(request)

    def _axis_problems(self) -> list[Problem]:
        """An axis that no template uses is a rule misspelt, or makes the same request again."""
        problems: list[Problem] = []
        used = frozenset[str]().union(*self.uses.values())
        for name, rule in idle_axes(self.step.matrix, used):
            at = ("steps", self.step.name, "matrix", name)
            if rule:
                words = f"no template uses this axis (did you mean the rule {rule}?)"
                problems.append(self.document.problem(at, words, of_key=True))
            else:
                words = (
                    "no template uses this axis, so its rows make the same request; "
                    "`repeat` makes one several times"
                )
                self.warnings.append(self.document.problem(at, words, of_key=True))
        return problems

    def _note_respelled(self, manifest: Manifest, templates: Templates) -> None:
        """Numbers that a text of the step shows in another spelling than they are written in."""
        is_printed = printed_in([*self._texts.printing, *templates.files.values()])
        if is_printed("params"):
            self.warnings += respelled_params(manifest, is_printed)
        self.warnings += respelled_axes(self.document, self.step, is_printed)

    def _request(self, variables: dict[str, Any]) -> dict[str, Json]:
        """The request that the manifest's texts give. Raises RowProblem."""
        failures: list[TextFailure] = []
        request: dict[str, Json] = self._build(variables, failures)
        if failures:
            raise RowProblem(self._failed(request, failures, variables))
        self._out.spread(request)
        return request

    def _failed(
        self, request: dict[str, Json], failures: list[TextFailure], variables: dict[str, Any]
    ) -> list[Finding]:
        """What is wrong with each failed text, and with the rest of the request."""
        taken, replica = self.uploads.take(request), variables["job"]["replica"]
        # What follows from a text that failed is no problem of its own, and is told only while
        # null stands in its place, or only while nothing does.
        with_null = self._other_findings(request, taken, replica)
        for failure in failures:
            _take_out(request, failure.text.at[2:])
        without = {
            (finding.rule, finding.problem.where)
            for finding in self._other_findings(request, taken, replica)
        }
        places = {dotted(failure.text.at) for failure in failures}
        rest = [
            finding
            for finding in with_null
            if finding.problem.where not in places
            and (finding.rule, finding.problem.where) in without
        ]
        stems = self._stem_problems(dict(variables))
        return [*(self._text_finding(failure, variables) for failure in failures), *rest, *stems]

    def _other_findings(
        self, request: dict[str, Json], taken: Taken, replica: int
    ) -> list[Finding]:
        """What is wrong with a request, except that it lacks what dsrun would add."""
        with suppress(NotCanonical):  # the value that has no JSON is among the problems
            fill_request(request, operation=self.operation, replica=replica)
        added = {dotted(("steps", self.step.name, *fill.at)) for fill in self.operation.fills}
        return [
            finding
            for finding in self._request_problems(request, taken)
            if not (finding.rule.startswith("required") and finding.problem.where in added)
        ]

    def _canonical(self, request: dict[str, Json], taken: Taken, row: Row, replica: int) -> bytes:
        """The canonical JSON of a request, with all that dsrun adds to it. Raises RowProblem."""
        try:
            fill_request(request, operation=self.operation, replica=replica)
            body = canonical_json(request)
        except NotCanonical as error:
            problems = self._other_findings(request, taken, replica)
            words = f"cannot be sent as JSON: {error}"
            other = self._row_problem("canonical", ("steps", self.step.name), words)
            raise RowProblem(problems or other.problems) from error
        if holds_key(body) or holds_key(json_text(row)):
            words = "the row, or its request, holds the API key; no pipeline may send it"
            raise self._row_problem("key", ("steps", self.step.name), words)
        return body

    def _stems(self, variables: dict[str, Any], request: Json, job_id: str) -> tuple[str, ...]:
        count = artifact_count(request, self.operation)
        if count > _MOST_ARTIFACTS:
            at = ("steps", self.step.name, *(self.operation.main.count or ()))
            words = f"found {count}; allowed: up to {_MOST_ARTIFACTS} results of one request"
            raise self._row_problem("count", at, words)
        if self._filename is None:
            index = variables["job"]["index"]
            stem = f"{index:05d}-{job_id[:8]}"
            if self.operation.main.count is None and count == 1:
                return (stem,)
            return tuple(f"{stem}-{i}" for i in range(count))
        variables["job"] = {**variables["job"], "id": job_id}
        seed = value_at(request, self.operation.main.seed)
        own_seed = "seed" not in variables["matrix"] and isinstance(seed, int | float)
        stems = []
        for i in range(count):
            variables["index"] = i
            if own_seed:
                variables["seed"] = int(seed) + i
            stems.append(self._stem(variables))
        return tuple(stems)

    def _stem_problems(self, variables: dict[str, Any]) -> list[Finding]:
        """What is wrong with the file names of a job whose request is not valid."""
        if self.operation.main.seed is not None:
            variables.setdefault("seed", 0)
        try:
            self._stems(variables, {}, "0" * 64)
        except RowProblem as error:
            return error.problems
        return []

    def _stem(self, variables: Mapping[str, Any]) -> str:
        assert self._filename is not None  # noqa: S101  # the caller has looked
        at: KeyPath = ("steps", self.step.name, "filename")
        failures: list[TextFailure] = []
        text = self._filename(variables, failures)
        if failures:
            raise RowProblem([self._text_finding(failures[0], variables)]) from failures[0].error
        try:
            source = self.step.filename.source if self.step.filename else ""
            return stem_of(text, step=self.step.name, is_slugged="slug" in source)
        except BadStem as bad:
            raise self._row_problem(bad.rule, at, str(bad)) from bad

    def _request_problems(self, request: Json, taken: Taken) -> Iterator[Finding]:
        for bad in taken.bad:
            place = ("steps", self.step.name, *self._out.as_written(bad.at), *bad.below)
            yield Finding(bad.rule, self.document.problem(place, bad.message))
        for broken in self._validator.problems(request):
            at = ("steps", self.step.name, *self._out.as_written(broken.path))
            problem = self.document.problem(at, broken.message, of_key=broken.of_key)
            yield Finding(broken.rule, problem, broken.size)

    def _row_problem(self, rule: str, at: KeyPath, message: str) -> RowProblem:
        return RowProblem([Finding(rule, self.document.problem(at, message))])

    def _text_finding(self, failure: TextFailure, variables: Mapping[str, Any]) -> Finding:
        problem = self._texts.problem(failure.text, failure.error)
        cause = failure.error.__cause__
        rule = f"no text: {cause.kind}" if isinstance(cause, NoText) else "template"
        return Finding(rule, name_known(problem, variables, failure.text.source))


def _holding(root: KeyPath, parts: Mapping[KeyPath, Builder]) -> KeyPath | None:
    """The part of a step's request that is a root, or the one template that gives it."""
    at = next(root[:end] for end in range(len(root), -1, -1) if root[:end] in parts)
    is_inside = any(len(other) > len(at) and other[: len(at)] == at for other in parts)
    return at if at == root or not is_inside else None


def _key_of(at: KeyPath | None) -> bytes:
    """How the key of a number begins in canonical JSON."""
    return b'"%s":' % str(at[-1]).encode() if at else b"\0"


def _is_given(body: Any, at: KeyPath | None) -> bool:
    """Whether the manifest says something at a place of the body, or a template above it may."""
    for step in at or ():
        if not isinstance(body, Mapping):
            break
        body = body.get(step)
    return at is not None and body is not None


def _take_out(request: Any, at: KeyPath) -> None:
    """Remove a key of a request; an item of a list stays, or the others would move."""
    holder = holder_at(request, at)
    if isinstance(holder, dict):
        holder.pop(str(at[-1]), None)
