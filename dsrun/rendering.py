"""One step, compiled: from a row of its matrix to the request and the file names of a job."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from dsrun.catalog import Catalog, constants, schema_at
from dsrun.coercion import coerce
from dsrun.digest import NotCanonical, canonical_json, job_id_of
from dsrun.errors import Problem
from dsrun.fills import artifact_count, fill_request, laid_over, value_at
from dsrun.manifest import Manifest, Step, Text
from dsrun.matrix import Row
from dsrun.records import Job, Json
from dsrun.sandbox import TemplateProblem
from dsrun.templating import Template, Templates
from dsrun.upload_fields import Taken, UploadFields, by_content
from dsrun.upload_files import UploadFiles
from dsrun.wording import nearest, show
from dsrun.yaml_source import dotted

Place = tuple[str | int, ...]
Builder = Callable[[Mapping[str, Any]], Json]

_TEMPLATE = re.compile(r"\{[{%#]")
_KINDS = r"\.(?:png|jpe?g|webp|bmp|tiff?|gif|wav|mp3|opus|ogg|pcm)"
_EXTENSION = re.compile(_KINDS + r"\Z", re.IGNORECASE)
# A folder must not be named like a file, or the two could meet.
_BAD_STEM = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|[\x00-\x1f\x7f\\]|" + _KINDS + "/", re.IGNORECASE)
_LONGEST_NAME = 240  # bytes; file systems allow 255, the extension wants some
_LONGEST_STEM = 1000  # bytes


class RowProblem(Exception):
    """A row gives no valid job: problems as (rule, Problem), so that equal ones can be grouped."""

    def __init__(self, problems: list[tuple[str, Problem]]) -> None:
        super().__init__()
        self.problems = problems
        self.row = ""  # the row in words, where there is one


class CompiledStep:
    """Makes the jobs of one step. Raises TemplateProblem's problems as RowProblem."""

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
        self.step = step
        self.operation = catalog[step.operation]
        self.warnings: list[str] = []
        self._document = manifest.document
        self.uploads = UploadFields(self.operation.uploads, files)
        self.upload_parts: dict[Place, Builder] = {}  # what stands in upload fields
        self._validator = catalog.validator(step.operation)
        self._base = templates.variables({"params": manifest.params, "run": run_values})
        self._templates = templates
        self.compiled: list[Template] = []
        self._collects = False  # whether a broken leaf is noted instead of raised
        self._broken: list[_LeafProblem] = []
        problems: list[tuple[str, Problem]] = []
        body = laid_over(constants(self.operation.schema), step.body)
        self._build = self._compile(body, (), problems)
        self._filename = self._compile_filename(step, problems)
        if problems:
            raise RowProblem(problems)

    def job(self, row: Row, *, index: int, replica: int) -> Job:
        """The job of a row. Raises RowProblem."""
        variables = self.variables(row, index=index, replica=replica)
        request = self._render(variables)
        taken = self.uploads.take(request)
        try:
            fill_request(request, operation=self.operation, replica=replica)
            body = canonical_json(request)
        except NotCanonical as error:
            found = list(self._request_problems(request, taken))
            words = f"cannot be sent as JSON: {error}"
            other = self._row_problem("canonical", ("steps", self.step.name), words)
            raise RowProblem(found or other.problems) from error
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
            units=artifact_count(request, self.operation),
        )

    def upload_contents(self, row: Row, *, index: int, replica: int) -> list[str]:
        """SHA-256 of every file that the job of a row uploads; nothing for one that is no good."""
        variables, values = self.variables(row, index=index, replica=replica), {}
        for at, build in self.upload_parts.items():
            with suppress(_LeafProblem):
                values[at] = build(variables)
        return self.uploads.contents(values)

    def variables(self, row: Mapping[str, Json], *, index: int, replica: int) -> dict[str, Any]:
        """What a template of this step sees in a row."""
        job = {"index": index, "replica": replica}
        return {**self._base, **row, "matrix": row, "job": job}

    def _render(self, variables: Mapping[str, Any]) -> dict[str, Json]:
        try:
            request: dict[str, Json] = self._build(variables)
        except _LeafProblem as problem:
            raise RowProblem(self._all_leaf_problems(variables)) from problem
        return request

    def _all_leaf_problems(self, variables: Mapping[str, Any]) -> list[tuple[str, Problem]]:
        """What is wrong with each leaf, and with the rest of the request without those."""
        self._broken.clear()
        self._collects = True
        request = self._build(variables)
        self._collects = False
        broken = {dotted(leaf.text.at) for leaf in self._broken}
        taken = self.uploads.take(request)
        others = [
            (rule, problem)
            for rule, problem in self._request_problems(request, taken)
            if problem.where not in broken
        ]
        return [("template", self._at_leaf(leaf, variables)) for leaf in self._broken] + others

    def _compile(self, value: Any, at: Place, problems: list[tuple[str, Problem]]) -> Builder:
        build = self._compile_value(value, at, problems)
        if at in self.uploads.places:
            self.upload_parts[at] = build
        return build

    def _compile_value(self, value: Any, at: Place, problems: list[tuple[str, Problem]]) -> Builder:
        if isinstance(value, Text):
            wanted = schema_at(self.operation.schema, at).get("type")
            return self._compile_text(value, wanted, problems)
        if isinstance(value, dict):
            parts = {k: self._compile(v, (*at, k), problems) for k, v in value.items()}
            return lambda variables: {key: part(variables) for key, part in parts.items()}
        if isinstance(value, list):
            items = [self._compile(v, (*at, i), problems) for i, v in enumerate(value)]
            return lambda variables: [item(variables) for item in items]
        return lambda _: value

    def _compile_text(
        self, text: Text, wanted: str | None, problems: list[tuple[str, Problem]]
    ) -> Builder:
        if not _TEMPLATE.search(text.source):
            plain = text.source.removesuffix("\n") if text.file else text.source
            return lambda _: plain
        if "${{" in text.source:
            line, column = self._document.place(text.at)
            self.warnings.append(
                f"{self._document.file}:{line}:{column}: `${{{{` gives a dollar sign and then the "
                "value; in dsrun a template is written {{ name }}, without the dollar"
            )
        try:
            template = self._templates.compile(text.source)
        except TemplateProblem as error:
            problems.append(("template", self._text_problem(text, error)))
            return lambda _: None
        self.compiled.append(template)
        render = template.render

        def build(variables: Mapping[str, Any]) -> Json:
            try:
                value = render(variables)
            except TemplateProblem as error:
                problem = _LeafProblem(text, error)
                if not self._collects:
                    raise problem from error
                self._broken.append(problem)
                return None
            return coerce(value, wanted) if type(value) is str else value

        return build

    def _compile_filename(self, step: Step, problems: list[tuple[str, Problem]]) -> Builder | None:
        if step.filename is None:
            return None
        return self._compile_text(step.filename, "string", problems)

    def _stems(self, variables: dict[str, Any], request: Json, job_id: str) -> tuple[str, ...]:
        count = artifact_count(request, self.operation)
        if self._filename is None:
            index = variables["job"]["index"]
            stem = f"{index:05d}-{job_id[:8]}"
            if self.operation.artifacts.count is None:
                return (stem,)
            return tuple(f"{stem}-{i}" for i in range(count))
        variables["job"] = {**variables["job"], "id": job_id}
        seed = value_at(request, self.operation.artifacts.seed)
        own_seed = "seed" not in variables["matrix"] and isinstance(seed, int | float)
        stems = []
        for i in range(count):
            variables["index"] = i
            if own_seed:
                variables["seed"] = int(seed) + i
            stems.append(self._stem(variables))
        return tuple(stems)

    def _stem_problems(self, variables: dict[str, Any]) -> list[tuple[str, Problem]]:
        """What is wrong with the file names of a job whose request is not valid."""
        try:
            self._stems(variables, {}, "0" * 64)
        except RowProblem as error:
            return error.problems
        return []

    def _stem(self, variables: Mapping[str, Any]) -> str:
        assert self._filename is not None  # noqa: S101  # the caller has looked
        at: Place = ("steps", self.step.name, "filename")
        try:
            text = self._filename(variables)
        except _LeafProblem as problem:
            raise RowProblem([("template", self._at_leaf(problem, variables))]) from problem
        written = unicodedata.normalize("NFC", text if isinstance(text, str) else show(text))
        stem = _EXTENSION.sub("", written)  # dsrun adds the one that the file turns out to have
        if _BAD_STEM.search(stem):
            raise self._row_problem(
                "path",
                at,
                f"found {show(stem)}; allowed: a path below artifacts/{self.step.name}/ without "
                "empty parts, `.`, `..`, backslashes and control characters; `| slug` makes any "
                "text fit",
            )
        if len(stem) > _LONGEST_NAME // 4:
            self._check_length(stem, at)
        return stem

    def _check_length(self, stem: str, at: Place) -> None:
        longest = max(len(part.encode()) for part in stem.split("/"))
        if longest > _LONGEST_NAME or len(stem.encode()) > _LONGEST_STEM:
            raise self._row_problem(
                "length",
                at,
                f"found a name of {longest} bytes in a path of {len(stem.encode())}; allowed: "
                f"{_LONGEST_NAME} a name, {_LONGEST_STEM} in all; `| truncate(40, true, '')` "
                "shortens a text",
            )

    def _request_problems(self, request: Json, taken: Taken) -> Iterator[tuple[str, Problem]]:
        for bad in taken.bad:
            place = ("steps", self.step.name, *bad.at)
            yield bad.rule, self._document.problem(place, bad.message)
        for found in self._validator.problems(request):
            at = ("steps", self.step.name, *found.path)
            yield found.rule, self._document.problem(at, found.message, of_key=found.of_key)

    def _row_problem(self, rule: str, at: Place, message: str) -> RowProblem:
        return RowProblem([(rule, self._document.problem(at, message))])

    def _at_leaf(self, problem: "_LeafProblem", variables: Mapping[str, Any]) -> Problem:
        known = [name for name in variables if name not in ("range", "dict", "namespace")]
        message = str(problem.error)
        undefined = re.fullmatch(r"'(\w+)' is undefined", message)
        if undefined:
            near = nearest(undefined[1], known)
            message = f"{undefined[1]} is undefined{near}; defined here: {', '.join(sorted(known))}"
        return self._text_problem(
            problem.text, TemplateProblem(message, line=problem.error.line, file=problem.error.file)
        )

    def _text_problem(self, text: Text, error: TemplateProblem) -> Problem:
        found = self._document.problem(text.at, str(error))
        if error.file or text.file:
            name = error.file or text.file or ""
            return Problem(
                file=name, line=error.line or 1, column=1, where=found.where, message=found.message
            )
        if error.line > 1 or (error.line and self._document.is_block(text.at)):
            # The text of a block scalar starts on the line below its head.
            line = found.line + error.line - (0 if self._document.is_block(text.at) else 1)
            column = found.column if line == found.line else 1
            return Problem(
                file=found.file, line=line, column=column, where=found.where, message=found.message
            )
        return found


class _LeafProblem(Exception):
    def __init__(self, text: Text, error: TemplateProblem) -> None:
        super().__init__()
        self.text = text
        self.error = error
