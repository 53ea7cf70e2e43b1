"""Jinja2, sandboxed, with bounds: a prompt template is data, and it must end.

A template may compute, but not run without end, not be random, and not read outside the
manifest's folder. What it gives depends on its variables alone.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

from jinja2 import (
    StrictUndefined,
    TemplateNotFound,
    TemplateSyntaxError,
    UndefinedError,
    meta,
    nodes,
)
from jinja2.exceptions import TemplateError
from jinja2.meta import TrackingCodeGenerator
from jinja2.runtime import Context

from dsrun.common.digest import NotCanonical, canonical_sha256
from dsrun.common.late import FROM_JSON, from_json
from dsrun.common.models import Json
from dsrun.common.user_files import Inputs
from dsrun.manifest.charges import MAX_TEXT, TooCostly, weight
from dsrun.manifest.late_values import LATE_PLACES, LateParts, Reference, StepAxis
from dsrun.manifest.sandbox import BelowLoader, NamedUndefined, Sandbox, bounded, fitting, unweighed
from dsrun.manifest.spelling import spelled
from dsrun.manifest.splicing import spliced_text, spliced_value
from dsrun.manifest.template_errors import (
    LITERAL,
    TemplateProblem,
    misnamed,
    unreadable,
    unrendered,
)

_COMPUTED = (
    "the name of an included file must be written out: dsrun reads all files before it makes the "
    "first job"
)
_NO_PART = re.compile(r"'(\w+?)(?: object)?' has no attribute '(\w+)'")
_SHORT = 200  # characters of a slug that is kept
_LONG_NUMBER = re.compile(r"[0-9][0-9a-fA-FxXoObB_]{1000,}")
_NO_WORD = re.compile(r"[\W_]+")

_NO_AXES: Mapping[str, StepAxis] = MappingProxyType({})
_REPEATING: tuple[type[nodes.Node], ...] = (nodes.For, nodes.Call, nodes.CallBlock, nodes.Include)

Variables = Mapping[str, Any]
Render = Callable[[Variables], Json]


class Template:
    """One compiled template: call it with variables."""

    def __init__(
        self,
        render: Render,
        uses: frozenset[str],
        run_values: frozenset[str],
        *,
        native: bool,
        late: tuple[Reference, ...] = (),
    ) -> None:
        self.render = render
        self.late = late  # what it takes of steps above, known once they have run
        self.uses = uses  # names of the variables that it reads
        self.run_values = run_values  # names that it reads from `run`; "*": all of them
        self.native = native  # a single expression, whose value keeps its type


class Condition(NamedTuple):
    """An expression over a row, and the equalities that must hold where it is true."""

    whole: Template
    equal: tuple[tuple[Template, Template], ...]


class Templates:
    """Compiles templates, and reads the files that they include."""

    def __init__(self, inputs: Inputs) -> None:
        self._loader = BelowLoader(inputs)
        self._env = Sandbox(
            loader=self._loader, undefined=NamedUndefined, autoescape=False, cache_size=-1,
            optimized=False,  # it computes each constant anew on every level of nesting
        )  # fmt: skip
        self._env.globals = {
            name: self._env.globals[name] for name in ("range", "dict", "namespace")
        }
        self._env.filters.pop("random")
        self._env.add_filters({"slug": slug, "digest": digest_filter, FROM_JSON: from_json_filter})

    @property
    def files(self) -> Mapping[str, str]:
        """Text of every file that a compiled template includes, by its name in the template."""
        return self._loader.texts

    def variables(self, values: Variables) -> dict[str, Any]:
        """The variables of a rendering: the values, and below them Jinja's own names."""
        return {**self._env.globals, **values}

    def compile(self, source: str, *, axes: Mapping[str, StepAxis] = _NO_AXES) -> Template:
        """Compile a template; `axes` are those whose values are rows of steps above.

        Raises TemplateProblem.
        """
        try:
            with self._env.reading():
                return self._compiled(source, axes)
        except TemplateSyntaxError as error:
            raise self._unreadable(error, source, error.name or "") from error
        except (RecursionError, SyntaxError, MemoryError) as error:
            # Python's own limits, reached by the code that Jinja makes.
            raise TemplateProblem("the template is nested too deeply") from error
        except ValueError as error:
            raise _too_long_a_number(source) from error

    def condition(self, source: str, *, axes: Mapping[str, StepAxis] = _NO_AXES) -> "Condition":
        """Compile an expression that is true or false for a row. Raises TemplateProblem."""
        if source.startswith("{{"):
            words = "found braces; allowed: one expression, without braces"
            raise TemplateProblem(words, source=source, span=(0, len("{{")))
        try:
            return self._condition(f"{{{{{source}}}}}", axes)
        except TemplateProblem as problem:
            raise _without_braces(problem, _of_expression(problem), source) from problem

    def expression(self, source: str, *, axes: Mapping[str, StepAxis] = _NO_AXES) -> Template:
        """Compile an expression, written without braces. Raises TemplateProblem."""
        return self.condition(source, axes=axes).whole

    def _condition(self, source: str, axes: Mapping[str, StepAxis]) -> "Condition":
        whole = self.compile(source, axes=axes)
        whole.render = _placed(whole.render, source[2:-2])
        tree = self._env.parse(source)
        expression = _single_expression(tree)
        if expression is None:
            raise TemplateProblem("found a text; allowed: one expression, without braces")
        if whole.late:
            words = f"{whole.late[0].what} is known only once {whole.late[0].axis.step} has run"
            raise TemplateProblem(f"{words}; the rows are known before", source=source, span=(2, 1))
        sides = [(self._side(a, source), self._side(b, source)) for a, b in _equalities(expression)]
        return Condition(whole, tuple(sides))

    def _side(self, expression: nodes.Expr, source: str) -> Template:
        output = nodes.Output([expression], lineno=expression.lineno)
        uses = frozenset(_undeclared(nodes.Template([output], lineno=1), self._env))
        return Template(self._value(expression, source), uses, frozenset(), native=True)

    def _compiled(self, source: str, axes: Mapping[str, StepAxis]) -> Template:
        tree = self._env.parse(source)
        parts = self._with_includes(tree, source)
        uses = frozenset(name for part in parts for name in self._names(*part, source))
        run_values = frozenset(name for _, part in parts for name in _run_values(part))
        expression = _single_expression(tree)
        late = self._late_parts(parts, axes, source, is_single=expression is not None)
        if expression is None:
            render = _filling(self._text(tree, source), late)
            return Template(render, uses, run_values, native=False, late=tuple(late.references))
        render = self._value(expression, source) if late.alone is None else late.alone.value
        return Template(render, uses, run_values, native=True, late=tuple(late.references))

    def _late_parts(
        self,
        parts: Iterable[tuple[str, nodes.Template]],
        axes: Mapping[str, StepAxis],
        own: str,
        *,
        is_single: bool,
    ) -> LateParts:
        """The late values of the template; a file that it includes can have none."""
        (_, tree), *included = parts
        for file, part in included:
            LateParts(part, axes, source=self._source(file, own), file=file, takes_none=True)
        return LateParts(tree, axes, source=own, is_single=is_single)

    def _names(self, file: str, tree: nodes.Template, own: str) -> set[str]:
        try:
            return _undeclared(tree, self._env)
        except TemplateSyntaxError as error:
            raise self._unreadable(error, own, file) from error

    def _with_includes(self, tree: nodes.Template, own: str) -> list[tuple[str, nodes.Template]]:
        """The template and all that it includes, each file once, by its name."""
        parts, names = [("", tree)], set[str]()
        for file, part in parts:
            for name in meta.find_referenced_templates(part):
                if name is None:
                    raise misnamed(_COMPUTED, part, "", self._source(file, own), file)
                if name not in names:
                    names.add(name)
                    try:
                        parts.append((name, self._included(name)))
                    except TemplateProblem as error:
                        source = self._source(file, own)
                        raise misnamed(str(error), part, name, source, file) from error
        return parts

    def _included(self, name: str) -> nodes.Template:
        try:
            source = self._loader.get_source(self._env, name)[0]
        except TemplateNotFound as error:
            raise TemplateProblem(f"included file not found: {name}") from error
        return self._env.parse(source, name=name)

    def _source(self, file: str, own: str) -> str:
        """The text of an included file, or of the template itself."""
        return self._loader.texts.get(file, "") if file else own

    def _unreadable(self, error: TemplateSyntaxError, own: str, file: str) -> TemplateProblem:
        known = {"filter": self._env.filters, "test": self._env.tests}
        return unreadable(error, self._source(file, own), file, known)

    def _failed(self, error: Exception, own: str, number: int) -> TemplateProblem:
        """The problem of a rendering; `number` is its place where the error knows none."""
        file, place = _place_of(error)
        source = self._source(file, own)
        return unrendered(_words_of(error), place or number, source, file)

    def _text(self, tree: nodes.Template, source: str) -> Render:
        template = self._env.from_string(tree)
        env, root = self._env, template.root_render_func
        # What cannot repeat itself is bounded by its own length and its values.
        repeats = any(tree.find(kind) is not None for kind in _REPEATING)
        bound: Callable[[Iterable[str]], Iterable[str]] = bounded if repeats else iter

        def render(variables: Variables) -> str:
            env.begin()
            context = Context(env, variables, None, template.blocks)  # type: ignore[arg-type]
            try:
                return fitting("".join(bound(root(context))))
            except Exception as error:
                raise self._failed(error, source, 0) from error

        return _once_if_too_costly(spliced_text(tree, render, filters=_OF_WORDS))

    def _value(self, expression: nodes.Expr, source: str) -> Render:
        place = expression.lineno
        result = nodes.Assign(nodes.Name("result", "store"), expression, lineno=place)
        template = self._env.from_string(nodes.Template([result], lineno=place))
        env, root = self._env, template.root_render_func

        def render(variables: Variables) -> Json:
            env.begin()
            context = Context(env, variables, None, template.blocks)  # type: ignore[arg-type]
            try:
                for _ in root(context):
                    pass
                value = context.vars["result"]
                return _plain_json(value)
            except Exception as error:
                raise self._failed(error, source, place) from error

        return _once_if_too_costly(spliced_value(expression, render, filters=_OF_WORDS))


def _placed(render: Render, source: str) -> Render:
    """A rendering of an expression in braces, whose problems have the places of the expression."""

    def placed(variables: Variables) -> Json:
        try:
            return render(variables)
        except TemplateProblem as problem:
            raise _without_braces(problem, str(problem), source) from problem.__cause__

    return placed


def _without_braces(problem: TemplateProblem, words: str, source: str) -> TemplateProblem:
    span = (max(0, problem.offset - 2), problem.width) if problem.offset >= 0 else None
    return TemplateProblem(words, source=source, span=span)


def _of_expression(problem: TemplateProblem) -> str:
    """A problem in the words of an expression, which stands without braces and decides on rows."""
    words = str(problem).removesuffix(f"; {LITERAL}")
    early = ", and the rows before; use what is known of its row: its axes, its request"
    words = words.replace(f": {LATE_PLACES}", early)
    words = words.replace("the template cannot be read", "the expression cannot be read")
    words = words.replace("expected token }}, got", "found")
    return f"{words}; equality is written `==`" if words.endswith("found '='") else words


def _filling(render: Render, late: LateParts) -> Render:
    """The rendering, with late values in place of their marks."""
    if not late.references:
        return render
    return lambda variables: late.filled(str(render(variables)), variables)


def _once_if_too_costly(render: Render) -> Render:
    """Spares the other rows a template that has been too costly for one."""
    failed: list[TemplateProblem] = []

    def rendered(variables: Variables) -> Json:
        if failed:
            raise failed[0]
        try:
            return render(variables)
        except TemplateProblem as problem:
            if isinstance(problem.__cause__, TooCostly):
                failed.append(problem)
            raise

    return rendered


def _too_long_a_number(source: str) -> TemplateProblem:
    digits = _LONG_NUMBER.search(source)
    span = (digits.start(), len(digits[0])) if digits else None
    words = "the template cannot be read: a number in it has too many digits"
    return TemplateProblem(words, source=source, span=span)


def slug(value: object) -> str:
    """A word fit for file names: letters and digits of any script, joined by `-`."""
    text = str(value)
    return _known_slug(text) if len(text) <= _SHORT else _slug(text)


@lru_cache(maxsize=4096)
def _known_slug(text: str) -> str:
    return _slug(text)


def _slug(text: str) -> str:
    return _NO_WORD.sub("-", unicodedata.normalize("NFKC", text).lower()).strip("-")


_OF_WORDS: Mapping[str, Callable[[str], str]] = {"slug": slug}


def digest_filter(value: Json, length: int = 12) -> str:
    """The first hex digits of the SHA-256 of a value's canonical JSON."""
    return canonical_sha256(_plain_json(value))[:length]


def from_json_filter(value: Any) -> Json:
    """The value of a text that is JSON."""
    return from_json(str(value))


def _single_expression(tree: nodes.Template) -> nodes.Expr | None:
    """The expression of a template that is exactly one `{{ expression }}`."""
    if len(tree.body) == 1 and isinstance(tree.body[0], nodes.Output):
        parts = tree.body[0].nodes
        if len(parts) == 1 and not isinstance(parts[0], nodes.TemplateData):
            return parts[0]
    return None


def _equalities(expression: nodes.Expr) -> Iterator[tuple[nodes.Expr, nodes.Expr]]:
    """The sides of each `==` that `and` joins."""
    if isinstance(expression, nodes.And):
        yield from _equalities(expression.left)
        yield from _equalities(expression.right)
    elif isinstance(expression, nodes.Compare) and [one.op for one in expression.ops] == ["eq"]:
        yield unweighed(expression.expr), unweighed(expression.ops[0].expr)


def _undeclared(tree: nodes.Template, env: Sandbox) -> set[str]:
    """Jinja's own `find_undeclared_variables` takes the cube of the nesting's depth."""
    finder = TrackingCodeGenerator(env)
    finder.optimizer = None
    finder.visit(tree)
    return finder.undeclared_identifiers


def _run_values(tree: nodes.Template) -> Iterator[str]:
    attributes = [item for item in tree.find_all(nodes.Getattr) if _is_run(item.node)]
    items = [item for item in tree.find_all(nodes.Getitem) if _is_run(item.node)]
    yield from (item.attr for item in attributes)
    for item in items:
        yield item.arg.value if isinstance(item.arg, nodes.Const) else "*"
    if sum(1 for name in tree.find_all(nodes.Name) if _is_run(name)) > len(attributes) + len(items):
        yield "*"


def _is_run(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "run"


def _plain_json(value: Any) -> Json:
    """The value of an expression as JSON. Raises TemplateProblem where it has none, or too much."""
    if isinstance(value, str):
        return str.__str__(fitting(value))  # filters such as tojson give a str that is no JSON
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping | list | tuple):
        weight(value, MAX_TEXT)
        return _plain_parts(value)
    return _no_json(value)


def _plain_parts(value: Any) -> Json:
    if isinstance(value, Mapping):
        return {str(spelled(key)): _plain_parts(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_parts(item) for item in value]
    if isinstance(value, str):
        return str.__str__(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return _no_json(value)


def _no_json(value: Any) -> NoReturn:
    if isinstance(value, StrictUndefined):
        str(value)  # raises UndefinedError with Jinja's words
    raise TemplateProblem(
        f"the expression gives a {type(value).__name__}, which is no JSON value; "
        "end it with a filter such as `| list` or `| join`"
    )


def _words_of(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the template calls itself without end"
    if isinstance(error, TemplateProblem):
        return str(error)
    if isinstance(error, UndefinedError | TemplateError):
        return _NO_PART.sub(_no_part_words, str(error.message or error))
    if isinstance(error, NotCanonical):
        return f"the digest filter got a value without JSON form: {error}"
    return f"the expression fails: {str(error) or type(error).__name__}"


def _no_part_words(match: re.Match[str]) -> str:
    owner = {"str": "text", "int": "number", "float": "number"}.get(match[1], match[1])
    return f"'{match[2]}' is asked of a {owner}, which has no such part"


def _place_of(error: Exception) -> tuple[str, int]:
    """The included file, if any, and Jinja's number of the place, from the traceback's globals."""
    trace, places = error.__traceback__, [("", 0)]
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            line = template.get_corresponding_lineno(trace.tb_lineno)
            places.append((template.name or "", line))
        trace = trace.tb_next
    # Where a template calls itself, the last place is wherever the stack happened to end.
    if isinstance(error, RecursionError):
        return Counter(places).most_common(1)[0][0]
    return places[-1]
