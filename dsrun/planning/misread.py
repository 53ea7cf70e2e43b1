"""Warnings of what a pipeline's files may not say as their writer means it.

A comment may cut a text, and a number is not printed as it is written: `007` gives 7.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from dsrun.common.errors import ManifestError, Problem
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath
from dsrun.common.yaml_document import YamlDocument, parse_yaml
from dsrun.common.yaml_misread import printed, respelled_words
from dsrun.manifest.files import DataFile, decoded
from dsrun.manifest.model import Manifest, Step
from dsrun.service.catalog import Catalog
from dsrun.service.operation_file import schema_at

_SECTIONS = ("matrix", "input", "parameters", "filename")
_NAMES = ("file", "glob", "upload")  # the name of a file that is not there is told anyway
_WORDED = ("enum", "const", "pattern")  # a text cut short would not be one of these
_MOST_TOLD = 100
_YAML = (".yaml", ".yml")
_JSON = (".json", ".jsonl", ".ndjson")
_HEAD_BYTES = 2**20  # of a JSON file, that are searched for such numbers
_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?|-?[0-9][0-9.eE+-]*')
# Every number and boolean that is printed otherwise has a part like this.
_ODD = re.compile(
    rb"(?<![\w.])(?:[-+]?0[0-9xo]|\+[0-9.]|-?\.[0-9]|-0(?![.\w])|[0-9]+\.[0-9]*0(?![0-9])|[0-9]+\.(?![0-9])"
    rb"|[0-9.]+[eE]|[0-9.]{16}|T(?:rue|RUE)|F(?:alse|ALSE))"
)
_EXPRESSION = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)
_COMMENT = re.compile(rb"[ \t]#")

IsPrinted = Callable[[str], bool]  # whether some text of the step shows the value of this name


def cut_texts(manifest: Manifest, catalog: Catalog) -> Iterator[Problem]:
    """Texts that end at a ` #`, in what requests are made of."""
    return islice(_cut_texts(manifest, catalog), _MOST_TOLD)


def _cut_texts(manifest: Manifest, catalog: Catalog) -> Iterator[Problem]:
    document = manifest.document
    if document.value.get("params"):
        yield from _cuts(document, ("params",))
    for name, text in manifest.set_params.items():
        if parsed := _set_value(manifest, name, text):
            yield from _cuts(parsed, ())
    told: set[DataFile] = set()
    for step in manifest.steps:
        section = document.value["steps"][step.name]
        schema = catalog[step.calls.operations[0]].schema
        for key in filter(section.__contains__, _SECTIONS):
            yield from _cuts(document, ("steps", step.name, key), schema)
        for data in (data for axis in step.matrix.axes for data in axis.data.values()):
            if data not in told:
                told.add(data)
                yield from _data_cuts(data)


def _cuts(document: YamlDocument, path: KeyPath, schema: Json = None) -> Iterator[Problem]:
    for cut, problem in document.cuts(path):
        if cut.path[-1:] and cut.path[-1] in _NAMES:
            continue
        inner = schema_at(schema or {}, cut.path[2:])
        if not (cut.is_spaced and any(word in inner for word in _WORDED)):
            yield problem


def _data_cuts(data: DataFile) -> Iterator[Problem]:
    """One warning a file."""
    document = _yaml_of(data, holding=_COMMENT)
    if document is not None:
        yield from (problem for _, problem in islice(document.cuts(()), 1))


def respelled_params(manifest: Manifest, is_printed: IsPrinted) -> Iterator[Problem]:
    """Params that some text of a step shows in another spelling than they are written in."""
    for name in manifest.params:
        if not is_printed(name):
            continue
        if name in manifest.set_params:
            parsed = _set_value(manifest, name, manifest.set_params[name])
            problem = None if parsed is None else parsed.respelled((), _below(is_printed))
        else:
            problem = manifest.document.respelled(("params", name), _below(is_printed))
        if problem is not None:
            yield problem


def respelled_axes(document: YamlDocument, step: Step, is_printed: IsPrinted) -> Iterator[Problem]:
    """Values of a matrix, and rows of its files, of which the same is true."""
    at: KeyPath = ("steps", step.name, "matrix")
    section = document.value["steps"][step.name].get("matrix") or {}
    for name in section:
        if name not in {"exclude", "sample"} and not _is_range(section[name]):
            problem = document.respelled((*at, name), _below(is_printed))
            if problem is not None:
                yield problem
    for axis in step.matrix.axes:
        for name, data in axis.data.items():
            if is_printed(name):
                yield from _respelled_rows(data, is_printed)


def _is_range(value: Json) -> bool:
    return isinstance(value, dict) and "range" in value


def _respelled_rows(data: DataFile, is_printed: IsPrinted) -> Iterator[Problem]:
    if data.path.suffix.lower() in _JSON:
        yield from _respelled_json(data, is_printed)
    elif (document := _yaml_of(data, holding=_ODD)) is not None:
        problem = document.respelled((), _below(is_printed))
        if problem is not None:
            yield problem


def _below(is_printed: IsPrinted) -> Callable[[KeyPath], bool]:
    """The test of a name, for the last name of a path."""

    def test(path: KeyPath) -> bool:
        names = [part for part in path if isinstance(part, str)]
        return not names or is_printed(names[-1])

    return test


def _respelled_json(data: DataFile, is_printed: IsPrinted) -> Iterator[Problem]:
    with data.open() as file:
        head = file.read(_HEAD_BYTES)
    found: list[tuple[int, str, str]] = []
    name = ""
    for token in _TOKEN.finditer(head) if _ODD.search(head) else ():
        if token[1] is not None:
            name = token[1].decode(errors="replace") if token[2] else name
        elif is_printed(name) or not name:
            written = token[0].decode()
            if (printed := _printed(written)) != written:
                found.append((token.start(), written, printed))
    if found:
        yield Problem(
            file=data.name, line=head.count(b"\n", 0, found[0][0]) + 1,
            column=found[0][0] - head.rfind(b"\n", 0, found[0][0]), where="",
            message=respelled_words([(written, shown) for _, written, shown in found]),
        )  # fmt: skip


def _printed(written: str) -> str:
    """A number of JSON as a template prints it; the word itself where it was cut in two."""
    try:
        return printed(float(written) if re.search("[.eE]", written) else int(written))
    except ValueError:
        return written


def _yaml_of(data: DataFile, *, holding: re.Pattern[bytes]) -> YamlDocument | None:
    """The rows of a YAML file with their places; None for another kind, or without a match."""
    if data.path.suffix.lower() not in _YAML:
        return None
    with data.open() as file:
        content = file.read()
    return parse_yaml(decoded(content), file=data.name) if holding.search(content) else None


def _set_value(manifest: Manifest, name: str, text: str) -> YamlDocument | None:
    """The value of a `--set`, where it is not taken as text anyway."""
    defaults = manifest.document.value.get("params") or {}
    if isinstance(defaults.get(name, ""), str):
        return None
    try:
        return parse_yaml(text, file=f"--set {name}")
    except ManifestError:
        return None  # told as a problem


def printed_in(sources: Iterable[str]) -> IsPrinted:
    """The test whether a name stands in an expression of one of some templates."""
    expressions = (part for source in sources for part in _EXPRESSION.findall(source))
    words = {word for part in expressions for word in re.findall(r"\w+", part)}
    return words.__contains__
