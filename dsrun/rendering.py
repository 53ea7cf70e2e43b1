"""One step, compiled: from a row of its matrix to the request and the file names of a job."""

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from dsrun.catalog import Catalog, constants, schema_at
from dsrun.digest import NotCanonical, canonical_json, job_id_of
from dsrun.errors import Problem
from dsrun.fills import artifact_count, fill_request, value_at
from dsrun.manifest import Manifest, Step, Text
from dsrun.matrix import Row
from dsrun.pointing import name_known, text_problem
from dsrun.records import Job, Json
from dsrun.template_faults import TemplateProblem
from dsrun.templating import Template, Templates
from dsrun.wording import show
from dsrun.yaml_source import dotted

Place = tuple[str | int, ...]
Builder = Callable[[Mapping[str, Any]], Json]

_TEMPLATE = re.compile(r"\{[{%#]")
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)").fullmatch
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?").fullmatch
_KINDS = r"\.(?:png|jpe?g|webp|bmp|tiff?|gif|wav|mp3|opus|ogg|pcm)"
_EXTENSION = re.compile(_KINDS + r"\Z", re.IGNORECASE)
# A folder must not be named like a file, or the two could meet.
_BAD_STEM = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|[\x00-\x1f\x7f\\]|" + _KINDS + "/", re.IGNORECASE)
_LONGEST_NAME = 240  # bytes; file systems allow 255, the extension wants some
_LONGEST_STEM = 1000  # bytes


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
    ) -> None:
        self.step = step
        self.operation = catalog[step.operation]
        self.warnings: list[Problem] = []
        self._document = manifest.document
        self._root = manifest.root
        self._validator = catalog.validator(step.operation)
        self._base = templates.variables({"params": manifest.params, "run": run_values})
        self._templates = templates
        self.compiled: list[Template] = []
        self.uses: dict[str, frozenset[str]] = {}  # variables of the templates, by their place
        self._collects = False  # whether a broken leaf is noted instead of raised
        self._broken: list[_LeafProblem] = []
        problems: list[Finding] = []
        body = _merge(constants(self.operation.schema), step.body)
        self._build = self._compile(body, (), problems)
        self._filename = self._compile_filename(step, problems)
        if problems:
            raise RowProblem(problems)

    def job(self, row: Row, *, index: int, replica: int) -> Job:
        """The job of a row. Raises RowProblem."""
        variables = {**self._base, **row, "matrix": row}
        variables["job"] = {"index": index, "replica": replica}
        request = self._render(variables)
        try:
            fill_request(request, operation=self.operation, replica=replica)
            body = canonical_json(request)
        except NotCanonical as error:
            found = list(self._schema_problems(request))
            words = f"cannot be sent as JSON: {error}"
            other = self._row_problem("canonical", ("steps", self.step.name), words)
            raise RowProblem(found or other.problems) from error
        if not self._validator.is_valid(request):
            raise RowProblem([*self._schema_problems(request), *self._stem_problems(variables)])
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
        others = [
            found for found in self._schema_problems(request) if found.problem.where not in broken
        ]
        stems = self._stem_problems(dict(variables))
        return [*(self._at_leaf(leaf, variables) for leaf in self._broken), *others, *stems]

    def _compile(self, value: Any, at: Place, problems: list[Finding]) -> Builder:
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
        at: Place = ("steps", self.step.name, "filename")
        try:
            text = self._filename(variables)
        except _LeafProblem as problem:
            raise RowProblem([self._at_leaf(problem, variables)]) from problem
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

    def _schema_problems(self, request: Json) -> Iterator[Finding]:
        for found in self._validator.problems(request):
            at = ("steps", self.step.name, *found.path)
            problem = self._document.problem(at, found.message, of_key=found.of_key)
            yield Finding(found.rule, problem, found.size)

    def _row_problem(self, rule: str, at: Place, message: str) -> RowProblem:
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


def _merge(base: Json, over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on the constants of the operation."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = (
            _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
        )
    return merged
