"""One step, compiled: from a row of its matrix to the request and the file names of a job."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from dsrun.common.credential import holds_key
from dsrun.common.digest import NotCanonical, canonical_json, job_id_of, json_text
from dsrun.common.errors import Problem
from dsrun.common.messages import nearest
from dsrun.common.models import Job, Json
from dsrun.common.pointer import KeyPath, dotted, value_at
from dsrun.common.yaml_document import YamlDocument
from dsrun.manifest.matrix import Row, idle_axes
from dsrun.manifest.model import Manifest, Step, Text
from dsrun.manifest.template_errors import TemplateProblem
from dsrun.manifest.templates import Template, Templates
from dsrun.planning.filenames import BadStem, stem_of
from dsrun.planning.uploads import Taken, UploadFields, UploadFiles, by_content
from dsrun.service.catalog import Catalog, constants, schema_at
from dsrun.service.request import artifact_count, fill_request, laid_over

Builder = Callable[[Mapping[str, Any]], Json]

_MOST_ARTIFACTS = 1000  # of one request
_TEMPLATE = re.compile(r"\{[{%#]")


class Finding(NamedTuple):
    """A problem, the rule that found it, so that equal ones can be grouped, and how much it found.

    `size` is the number that a limit was held against.
    """

    rule: str
    problem: Problem
    size: float | None = None


class RowProblem(Exception):
    """A row gives no valid job."""

    def __init__(self, problems: list[Finding]) -> None:
        super().__init__()
        self.problems = problems
        self.index = 0  # of the job within its step
        self.row: Row = {}


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
        self.warnings: list[Problem] = []
        self._document = manifest.document
        self.uploads = UploadFields(self.operation.uploads, files)
        self.upload_parts: dict[KeyPath, Builder] = {}  # what stands in upload fields
        self._root = manifest.root
        self._validator = catalog.validator(step.operation)
        self._base = templates.variables({"params": manifest.params, "run": run_values})
        self._templates = templates
        self.compiled: list[Template] = []
        self.uses: dict[str, frozenset[str]] = {}  # variables of the templates, by their place
        self._collects = False  # whether a broken leaf is noted instead of raised
        self._broken: list[_LeafProblem] = []
        problems: list[Finding] = []
        body = laid_over(constants(self.operation.schema), step.body)
        self._build = self._compile(body, (), problems)
        self._filename = self._compile_filename(step, problems)
        if not problems:
            self._check_axes(problems)
        if problems:
            raise RowProblem(problems)

    def _check_axes(self, problems: list[Finding]) -> None:
        """An axis that no template uses is a rule misspelt, or makes the same request again."""
        used = frozenset[str]().union(*self.uses.values())
        for name, rule in idle_axes(self.step.matrix, used):
            at = ("steps", self.step.name, "matrix", name)
            if rule:
                words = f"no template uses this axis (did you mean the rule {rule}?)"
                problems.append(Finding("axis", self._document.problem(at, words, of_key=True)))
            else:
                words = (
                    "no template uses this axis, so its rows make the same request; "
                    "`repeat` makes one several times"
                )
                self.warnings.append(self._document.problem(at, words, of_key=True))

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
        if holds_key(body) or holds_key(json_text(row)):
            words = "the row, or its request, holds the API key; no pipeline may send it"
            raise self._row_problem("key", ("steps", self.step.name), words)
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

    def _all_leaf_problems(self, variables: Mapping[str, Any]) -> list[Finding]:
        """What is wrong with each leaf, and with the rest of the request without those."""
        self._broken.clear()
        self._collects = True
        request = self._build(variables)
        self._collects = False
        broken = {dotted(leaf.text.at) for leaf in self._broken}
        taken = self.uploads.take(request)
        others = [
            found
            for found in self._request_problems(request, taken)
            if found.problem.where not in broken
        ]
        stems = self._stem_problems(dict(variables))
        return [*(self._at_leaf(leaf, variables) for leaf in self._broken), *others, *stems]

    def _compile(self, value: Any, at: KeyPath, problems: list[Finding]) -> Builder:
        build = self._compile_value(value, at, problems)
        if at in self.uploads.places:
            self.upload_parts[at] = build
        return build

    def _compile_value(self, value: Any, at: KeyPath, problems: list[Finding]) -> Builder:
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

    def _compile_text(self, text: Text, wanted: str | None, problems: list[Finding]) -> Builder:
        if not _TEMPLATE.search(text.source):
            plain = text.source.removesuffix("\n") if text.file else text.source
            return lambda _: plain
        if "${{" in text.source:
            hint = TemplateProblem(
                "`${{` gives a dollar sign and then the value; in dsrun a template is written "
                "{{ name }}, without the dollar",
                span=(text.source.index("${{"), 3),
                source=text.source,
            )
            self.warnings.append(self._text_problem(text, hint))
        try:
            template = self._templates.compile(text.source)
        except TemplateProblem as error:
            problems.append(Finding("template", self._text_problem(text, error)))
            return lambda _: None
        self.compiled.append(template)
        self.uses[dotted(text.at)] = template.uses
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

    def _compile_filename(self, step: Step, problems: list[Finding]) -> Builder | None:
        if step.filename is None:
            return None
        return self._compile_text(step.filename, "string", problems)

    def _stems(self, variables: dict[str, Any], request: Json, job_id: str) -> tuple[str, ...]:
        count = artifact_count(request, self.operation)
        if count > _MOST_ARTIFACTS:
            at = ("steps", self.step.name, *(self.operation.artifacts.count or ()))
            words = f"found {count}; allowed: up to {_MOST_ARTIFACTS} results of one request"
            raise self._row_problem("count", at, words)
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

    def _stem_problems(self, variables: dict[str, Any]) -> list[Finding]:
        """What is wrong with the file names of a job whose request is not valid."""
        if self.operation.artifacts.seed is not None:
            variables.setdefault("seed", 0)
        try:
            self._stems(variables, {}, "0" * 64)
        except RowProblem as error:
            return error.problems
        return []

    def _stem(self, variables: Mapping[str, Any]) -> str:
        assert self._filename is not None  # noqa: S101  # the caller has looked
        at: KeyPath = ("steps", self.step.name, "filename")
        try:
            text = self._filename(variables)
        except _LeafProblem as problem:
            raise RowProblem([self._at_leaf(problem, variables)]) from problem
        try:
            return stem_of(text, step=self.step.name)
        except BadStem as bad:
            raise self._row_problem(bad.rule, at, str(bad)) from bad

    def _request_problems(self, request: Json, taken: Taken) -> Iterator[Finding]:
        for bad in taken.bad:
            place = ("steps", self.step.name, *bad.at)
            yield Finding(bad.rule, self._document.problem(place, bad.message))
        for found in self._validator.problems(request):
            at = ("steps", self.step.name, *found.path)
            problem = self._document.problem(at, found.message, of_key=found.of_key)
            yield Finding(found.rule, problem, found.size)

    def _row_problem(self, rule: str, at: KeyPath, message: str) -> RowProblem:
        return RowProblem([Finding(rule, self._document.problem(at, message))])

    def _at_leaf(self, leaf: "_LeafProblem", variables: Mapping[str, Any]) -> Finding:
        problem = self._text_problem(leaf.text, leaf.error)
        return Finding("template", name_known(problem, variables))

    def _text_problem(self, text: Text, error: TemplateProblem) -> Problem:
        return text_problem(self._document, self._root, text, error)


class _LeafProblem(Exception):
    def __init__(self, text: Text, error: TemplateProblem) -> None:
        super().__init__()
        self.text = text
        self.error = error


_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)").fullmatch
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?").fullmatch


def coerce(text: str, wanted: str | None) -> Json:
    """The rendered text as the type that the schema asks for, where it is exactly that."""
    if wanted == "integer" and len(text) <= 20 and _INTEGER(text):  # noqa: PLR2004  # 64 bits
        return int(text)
    if wanted == "number" and len(text) <= 40 and _NUMBER(text):  # noqa: PLR2004  # no huge text
        number = int(text) if _INTEGER(text) else float(text)
        return number if math.isfinite(number) else text
    if wanted == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


_UNDEFINED = re.compile(r"'(\w+)' is undefined")


def text_problem(document: YamlDocument, root: Path, text: Text, error: TemplateProblem) -> Problem:
    """The problem of a text's template: in the manifest, a prompt file or an included file."""
    name = error.file or text.file
    if name is not None:
        return Problem(
            file=str(root / name),
            line=error.line,
            column=error.column,
            end_column=error.column + error.width if error.width else 0,
            where=dotted(text.at),
            message=str(error),
        )
    if error.offset < 0:
        return document.problem(text.at, str(error))
    line, column = document.place_inside(text.at, error.offset)
    last = document.place_inside(text.at, error.offset + max(error.width, 1) - 1)
    return Problem(
        file=document.file,
        line=line,
        column=column,
        end_column=last[1] + 1 if last[0] == line else 0,
        where=dotted(text.at),
        message=str(error),
    )


def name_known(problem: Problem, names: Iterable[str]) -> Problem:
    """The problem of an undefined variable, with the names that there are."""
    undefined = _UNDEFINED.fullmatch(problem.message)
    if undefined is None:
        return problem
    known = sorted(name for name in names if name not in ("range", "dict", "namespace"))
    message = f"{undefined[1]} is undefined{nearest(undefined[1], known)}; defined here: "
    return replace(problem, message=message + ", ".join(known))
