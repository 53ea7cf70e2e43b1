"""The requests of one operation, as the texts of a step give them, row by row."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from dsrun.common.credential import holds_key
from dsrun.common.digest import NotCanonical, canonical_json, json_text
from dsrun.common.errors import ManifestError, Problem
from dsrun.common.json_schema import SchemaProblem
from dsrun.common.models import Job, Json
from dsrun.common.pointer import KeyPath, dotted, holder_at, put_at, value_at
from dsrun.common.yaml_document import YamlDocument
from dsrun.manifest.late_values import Reference
from dsrun.manifest.matrix import Row
from dsrun.manifest.model import Step, Text
from dsrun.manifest.spelling import NoText
from dsrun.planning.compiled_text import (
    Builder,
    Failures,
    TextCompiler,
    TextFailure,
    name_known,
)
from dsrun.planning.job_index import Seeds
from dsrun.planning.late_prices import LatePrices, needed_now
from dsrun.planning.late_requests import (
    NO_LATE,
    LateRules,
    LateValues,
    late_values,
    put_forms,
    put_stand_ins,
)
from dsrun.planning.own_words import as_list, is_told, told_as_written, told_of_row
from dsrun.planning.uploads import NOTHING, Taken, UploadFields, UploadFiles, is_below
from dsrun.service.catalog import Catalog
from dsrun.service.operation_file import constants
from dsrun.service.request import drop_nulls, fill_request, laid_over, planned_units
from dsrun.service.short_form import MixedForms, WrittenOut, write_out
from dsrun.service.short_words import ShortWords

_IN_LIST = (
    "found null in a list; elsewhere a null sends nothing, but here it would move the others; "
    "allowed: a value"
)


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


class Made(NamedTuple):
    """A request, the files that it uploads, and where the manifest has what stands in it.

    `late` are the values that other jobs give; stand-ins take their places in the request.
    """

    request: dict[str, Json]
    taken: Taken
    out: WrittenOut
    late: LateValues = NO_LATE


class RequestForm:
    """Makes the requests of one operation."""

    def __init__(
        self,
        step: Step,
        name: str,
        *,
        catalog: Catalog,
        document: YamlDocument,
        files: UploadFiles,
        texts: TextCompiler,
    ) -> None:
        """Raises ManifestError where a template cannot be compiled."""
        self.operation = catalog[name]
        self.uploads = UploadFields(self.operation, files)
        self._step = step
        self._document = document
        self._texts = texts
        self._seed_key = _key_of(self.operation.main.seed)
        self._count_key = _key_of(self.operation.main.count)
        self._validator = catalog.validator(name)
        schema = self.operation.schema
        self._late_rules = LateRules(
            schema, needed=frozenset(needed_now(self.operation)), files=self.uploads.fields
        )
        self._late_prices = LatePrices(self.operation)
        parts: dict[KeyPath, Builder] = {}
        self._out = self._written_out()
        self._short_words = self._words_of_short_form()
        self._build = texts.body(laid_over(constants(schema), self._out.body), (), parts)
        self._upload_parts = {
            at: parts[at] for root in self.uploads.roots if (at := _holding(root, parts))
        }
        if texts.problems:
            raise ManifestError(texts.problems)

    def _written_out(self) -> WrittenOut:
        """The step's request as the API documents it. Raises ManifestError."""
        try:
            return write_out(self._step.body, self.operation.short)
        except MixedForms as error:
            at = ("steps", self._step.name, "input")
            raise ManifestError([self._document.problem(at, str(error))]) from error

    def _words_of_short_form(self) -> ShortWords | None:
        """None where the operation has no short form, or the step writes the documented one."""
        form, written = self.operation.short, self._step.body.get("input")
        if form is None or not isinstance(written, Mapping) or written.keys() & form.base.keys():
            return None
        return ShortWords(self.operation, form)

    @property
    def references(self) -> list[Reference]:
        """What the texts take of steps above."""
        return self._texts.late

    @property
    def may_upload(self) -> bool:
        """Whether the manifest gives a value where a local file may stand."""
        return bool(self._upload_parts)

    def make(self, variables: dict[str, Any]) -> Made:
        """The request that the manifest's texts give in a row. Raises RowProblem."""
        failures = Failures()
        request: dict[str, Json] = self._build(variables, failures)
        if failures:
            raise RowProblem(self._failed(request, failures, variables))
        if self._texts.has_null or failures.may_hold_null or self._out.lists:
            return self._settled(request)
        return self._made(request, self._out)

    def _made(self, request: dict[str, Json], out: WrittenOut) -> Made:
        if not self._texts.late:
            return Made(request, self.uploads.take(request) if self._upload_parts else NOTHING, out)
        late = late_values(request)
        put_stand_ins(request, late)
        taken = self.uploads.take(request, late)
        bad = [one.at for one in taken.bad]
        kept = {at: late[at] for at in late if not any(is_below(at, place) for place in bad)}
        return Made(request, taken, out, kept)

    def _settled(self, request: dict[str, Json]) -> Made:
        """A null sends nothing, and a list of parts becomes several.

        Raises RowProblem for a null in a list.
        """
        nulls = self._out.null_items(request)
        out = self._out.settled(request)
        nulls += (out.as_written(at) for at in drop_nulls(request, self.operation))
        made = self._made(request, out)
        if nulls:
            raise RowProblem(self._null_findings(nulls, made))
        return made

    def is_valid(self, made: Made) -> bool:
        if made.taken.bad:
            return False
        if made.late:
            return self._late_rules.is_valid(made.request, made.late)
        return self._validator.is_valid(made.request)

    def canonical(self, made: Made, row: Row, replica: int) -> bytes:
        """The canonical JSON of a request, with all that dsrun adds to it. Raises RowProblem."""
        try:
            body = self._body(made, replica)
        except NotCanonical as error:
            words = f"cannot be sent as JSON: {error}"
            other = self._row_problem("canonical", (), words)
            raise RowProblem(self._other_findings(made, replica) or other.problems) from error
        if holds_key(body) or holds_key(json_text(row)):
            words = "the row, or its request, holds the API key; no pipeline may send it"
            raise self._row_problem("key", (), words)
        return body

    def _body(self, made: Made, replica: int) -> bytes:
        """The identity of a late value is that of the job that gives it, also for what is derived.

        Raises NotCanonical.
        """
        if not made.late:
            fill_request(made.request, operation=self.operation, replica=replica)
            return canonical_json(made.request)
        put_forms(made.request, made.late)
        fill_request(made.request, operation=self.operation, replica=replica)
        body = canonical_json(made.request)
        put_stand_ins(made.request, made.late)
        return body

    def planned(self, request: Mapping[str, Json], late: LateValues) -> tuple[int | None, bool]:
        """What a request costs, and whether that is only the most that it may cost.

        It has the JSON forms of its late values.
        """
        seconds = self.uploads.seconds_of
        if not late:
            return planned_units(request, self.operation, seconds=seconds), False
        priced = self._late_prices.priced(request, late)
        units = planned_units(priced.request, self.operation, seconds=seconds)
        return units, priced.is_bound and units is not None

    def findings(self, made: Made) -> Iterator[Finding]:
        """What is wrong with a request."""
        out = made.out
        for bad in made.taken.bad:
            at = (*out.as_written(bad.at), *bad.below)
            text = value_at(self._step.body, at)
            words = told_of_row(bad.message, text, bad.value, self._texts.axes)
            yield Finding(bad.rule, self._problem(at, words))
        problems: Iterable[SchemaProblem] = self._broken(made)
        yield from self._misplaced(made, problems)
        short = self._short_words
        if short is not None:
            problems = short.told([*problems], made.request)
        for broken in problems:
            at = (short and short.place(broken.path)) or out.as_written(broken.path)
            words = self._in_own_words(broken.message, at, broken.path, made)
            words += self._way_out(broken, at, made)
            problem = self._problem(at, words, of_key=broken.of_key)
            yield Finding(broken.rule, problem, broken.size)

    def _misplaced(self, made: Made, broken: Iterable[SchemaProblem]) -> Iterator[Finding]:
        """The late values that no other problem tells of."""
        told = [(one.path, one.rule) for one in broken]
        for at, fault in self._late_rules.misplaced(made.late):
            if is_told(at, told):
                continue
            written = made.out.as_written(at)
            listed = as_list(value_at(self._step.body, written))
            is_listed = self._late_rules.takes_list_of(at, made.late[at])
            words = f"found one value that another step makes; allowed: a list: {listed}"
            yield Finding("late type", self._problem(written, words if is_listed else fault))

    def _in_own_words(self, message: str, written: KeyPath, at: KeyPath, made: Made) -> str:
        """A message about the value at `at`, which the manifest has at `written`."""
        part, value = value_at(self._step.body, written), value_at(made.request, at)
        if isinstance(value, Mapping):
            message = told_of_row(message, part, value, self._texts.axes)
        return told_as_written(message, part, value) if made.late else message

    def _way_out(self, broken: SchemaProblem, written: KeyPath, made: Made) -> str:
        """What the manifest may say instead, where another section of it is the way."""
        value = value_at(made.request, broken.path)
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        is_unknown = broken.rule == "additionalProperties" and "belongs below" not in broken.message
        if is_unknown and written[-1:] == ("n",) and is_whole:
            more = f"; `repeat: {value}` of the step makes {value}" if value > 1 else ""
            return f"; {self.operation.name} makes one in each request{more}"
        is_plain = isinstance(value_at(self._step.body, written), str | Text) and bool(value)
        if written[-1:] == ("size",) and len(self._step.calls.operations) > 1 and is_plain:
            return (
                "; a size for one model: `include` in the matrix with `operation` and `size`, and "
                f"`size: \"{{{{ size | default('{value}') }}}}\"` here"
            )
        return ""

    def _broken(self, made: Made) -> list[SchemaProblem]:
        if made.late:
            return self._late_rules.problems(made.request, made.late)
        return self._validator.problems(made.request)

    def upload_contents(self, variables: Mapping[str, Any]) -> list[str]:
        """SHA-256 of every file that the job of a row uploads; empty for a bad one."""
        request: dict[str, Json] = {}
        for at, build in self._upload_parts.items():
            failures = Failures()
            value = build(variables, failures)
            if not failures:
                put_at(request, at, value)
        self._out.settled(request)
        return self.uploads.contents(request)

    def seeds(self, job: Job) -> Seeds | None:
        """The seeds that a job asks for; None where it names none."""
        seed = value_at(job.request, self.operation.main.seed)
        if type(seed) is not int and not isinstance(seed, float):
            return None
        # No text of the body can hold these: its quotes are escaped there.
        body = job.body.replace(self._seed_key + b"%d" % seed, b"", 1)
        body = body.replace(self._count_key + b"%d" % len(job.stems), b"", 1)
        key = hash((self.operation.name, body))
        return Seeds(key, int(seed), len(job.stems), self._step.name, job.replica)

    def _row_problem(self, rule: str, at: KeyPath, message: str) -> RowProblem:
        return RowProblem([Finding(rule, self._problem(at, message))])

    def _problem(self, at: KeyPath, message: str, *, of_key: bool = False) -> Problem:
        return self._document.problem(("steps", self._step.name, *at), message, of_key=of_key)

    def _failed(
        self, request: dict[str, Json], failures: Failures, variables: dict[str, Any]
    ) -> list[Finding]:
        """What is wrong with each failed text, and with the rest of the request."""
        made, replica = self._made(request, self._out), variables["job"]["replica"]
        # What follows from a text that failed is no problem of its own, and is told only while
        # null stands in its place, or only while nothing does.
        with_null = self._other_findings(made, replica)
        for failure in failures:
            _take_out(request, failure.text.at[2:])
        without = {
            (finding.rule, finding.problem.where) for finding in self._other_findings(made, replica)
        }
        places = {dotted(failure.text.at) for failure in failures}
        rest = [
            finding
            for finding in with_null
            if finding.problem.where not in places
            and (finding.rule, finding.problem.where) in without
        ]
        return [*(text_finding(self._texts, failure, variables) for failure in failures), *rest]

    def _null_findings(self, places: Sequence[KeyPath], made: Made) -> list[Finding]:
        """The nulls that stand in lists, and what else is wrong with the request."""
        nulls = [Finding("null", self._problem(at, _IN_LIST)) for at in dict.fromkeys(places)]
        told = {finding.problem.where for finding in nulls}
        rest = (item for item in self.findings(made) if item.problem.where not in told)
        return [*nulls, *rest]

    def _other_findings(self, made: Made, replica: int) -> list[Finding]:
        """What is wrong with a request, except that it lacks what dsrun would add."""
        with suppress(NotCanonical):  # the value that has no JSON is among the problems
            fill_request(made.request, operation=self.operation, replica=replica)
        added = {dotted(("steps", self._step.name, *fill.at)) for fill in self.operation.fills}
        return [
            finding
            for finding in self.findings(made)
            if not (finding.rule.startswith("required") and finding.problem.where in added)
        ]


def _holding(root: KeyPath, parts: Mapping[KeyPath, Builder]) -> KeyPath | None:
    """The part of a step's request that is a root, or the one template that gives it."""
    at = next(root[:end] for end in range(len(root), -1, -1) if root[:end] in parts)
    is_inside = any(len(other) > len(at) and other[: len(at)] == at for other in parts)
    return at if at == root or not is_inside else None


def text_finding(
    texts: TextCompiler, failure: TextFailure, variables: Mapping[str, Any]
) -> Finding:
    problem = texts.problem(failure.text, failure.error)
    cause = failure.error.__cause__
    rule = f"no text: {cause.kind}" if isinstance(cause, NoText) else "template"
    return Finding(rule, name_known(problem, variables, failure.text.source, steps=texts.steps))


def _key_of(at: KeyPath | None) -> bytes:
    """How the key of a number begins in canonical JSON."""
    return b'"%s":' % str(at[-1]).encode() if at else b"\0"


def _take_out(request: Any, at: KeyPath) -> None:
    """Remove a key of a request; an item of a list stays, or the others would move."""
    holder = holder_at(request, at)
    if isinstance(holder, dict):
        holder.pop(str(at[-1]), None)
