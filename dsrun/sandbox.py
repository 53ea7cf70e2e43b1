"""The sandbox of templates: what they may read, how long they may run, how much they may give."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from math import prod
from typing import Any, NoReturn

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateNotFound, Undefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.lexer import TokenStream
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from dsrun.inputs import Inputs
from dsrun.template_faults import TemplateProblem, numbered
from dsrun.wording import nearest

MAX_STEPS = 200_000  # loop turns and calls of one rendering
MAX_TEXT = 1_000_000  # characters that one rendering may give or repeat into being
_MAX_BASE, _MAX_POWER, _MAX_BITS = 2**64, 64, 8192
_MAX_GROWTH = 50_000_000
_LOOKED_AT = 8
_PER_STEP = 50
_WIDTH = re.compile(r"[0-9]{7,15}")


class NamedUndefined(StrictUndefined):
    """Says which names there are, where one is not."""

    @property
    def _undefined_message(self) -> str:
        owner, name = self._undefined_obj, self._undefined_name
        if self._undefined_hint or not isinstance(owner, Mapping):
            return super()._undefined_message
        known = [str(key) for key in owner]
        return (
            f"{name} is undefined{nearest(str(name), known)}; "
            f"defined there: {', '.join(sorted(known)) or 'nothing'}"
        )


class Sandbox(ImmutableSandboxedEnvironment):
    """Counts loop turns and calls, and bounds the size of what a template builds."""

    intercepted_binops = frozenset(["*", "**", "+", "%"])
    steps_left = MAX_STEPS

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, finalize=_printable)
        self.filters = {name: self._sized(function) for name, function in self.filters.items()}
        self.filters["_counted"] = self._counted
        self.filters["_joined"] = _joined

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        return _Bounds().visit(tree)  # type: ignore[no-any-return]

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        tokens = numbered(self.lexer.tokeniter(source, name, filename, state), source)
        return TokenStream(self.lexer.wrap(tokens, name, filename), name, filename)

    def handle_exception(self, source: str | None = None) -> NoReturn:
        """Jinja would write a traceback with as many empty lines as the error's line says."""
        del source
        raise  # noqa: PLE0704  # called where an exception is handled

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A column named `items` or `copy` is a column, not a method of the row."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def step(self) -> None:
        self.steps_left -= 1
        if self.steps_left < 0:
            raise SecurityError(f"the template did not end within {MAX_STEPS} steps")

    def _sized(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter that refuses a width, a result and an effort beyond all need."""

        @wraps(function)
        def filtered(*args: Any, **kwargs: Any) -> Any:
            _check_widths((*args[1:], *kwargs.values()))
            self._charge((*args, *kwargs.values()))
            return _check_size(function(*args, **kwargs))

        return filtered

    def _charge(self, values: Sequence[Any]) -> None:
        """Refuse before it is made what long arguments could make of each other.

        Replacing, joining and printing give at most the product of their arguments' weights;
        what is large takes long too, so it counts as many steps.
        """
        heaviest = prod(sorted(map(_weight, values), reverse=True)[:2])
        if heaviest > _MAX_GROWTH:
            raise SecurityError(f"a repetition could give {heaviest} characters or items")
        self.steps_left -= heaviest // _PER_STEP
        self.step()

    def _counted(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.step()
            yield item

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.step()
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, str):
            _check_widths(args)
            self._charge((owner, *args))
        return _check_size(super().call(context, obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        _check_operands(operator, left, right)
        return _check_size(super().call_binop(context, operator, left, right))


class _Bounds(NodeTransformer):
    """Leads loops and `~` through functions that count."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802  # the name is Jinja's
        self.generic_visit(node)
        node.iter = _filter(node.iter, "_counted", node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802  # as above
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), "_joined", node.lineno)


def _printable(value: Any) -> Any:
    """What may stand in a text. A method or generator would print its place in memory."""
    if value is None or isinstance(value, str | int | float | dict | Undefined):
        return value
    if isinstance(value, list | tuple):
        _check_length(_weight(value))
        return value
    raise SecurityError(
        f"the expression gives a {type(value).__name__}, which is no text; end it with a filter "
        "such as `| join(', ')` or `| list`"
    )


def _filter(value: nodes.Node, name: str, line: int) -> nodes.Filter:
    return nodes.Filter(value, name, [], [], None, None, lineno=line)


def _joined(parts: list[Any]) -> str:
    texts = [str(part) for part in parts]
    _check_length(sum(map(len, texts)))
    return "".join(texts)


def _check_operands(operator: str, left: Any, right: Any) -> None:
    """Refuse what would take long or much memory to compute."""
    numbers = isinstance(left, int) and isinstance(right, int)
    if operator == "**" and not (numbers and abs(left) <= _MAX_BASE and abs(right) <= _MAX_POWER):
        raise SecurityError(f"{left} ** {right} is too large")
    if operator == "*" and numbers and left.bit_length() + right.bit_length() > _MAX_BITS:
        raise SecurityError("a product is too large")
    if operator == "*":
        for side, times in ((left, right), (right, left)):
            if isinstance(side, str | list | tuple) and isinstance(times, int):
                _check_length(len(side) * times)
    if operator == "%" and isinstance(left, str):
        _check_widths(int(width) for width in _WIDTH.findall(left))


def _check_widths(values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, int) and abs(value) > MAX_TEXT:
            raise SecurityError(f"a width of {value} is more than {MAX_TEXT}")


def _weight(value: Any) -> int:
    """About how long a value is when printed; what is no text or container weighs little."""
    if isinstance(value, str):
        return max(1, len(value))
    if isinstance(value, range):
        return max(1, len(value))
    if isinstance(value, list | tuple):
        # The items of a repeated list are one object, so their number says nothing of them.
        return max(1, len(value)) * max((_weight(item) for item in value[:_LOOKED_AT]), default=1)
    return 1


def _check_size(value: Any) -> Any:
    if isinstance(value, str | list | tuple):
        _check_length(len(value))
    return value


def _check_length(length: int) -> None:
    if length > MAX_TEXT:
        raise SecurityError(f"a repetition gives more than {MAX_TEXT} characters or items")


class BelowLoader(BaseLoader):
    """Reads included files of a pipeline's folder, following no way out of it."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self.texts: dict[str, str] = {}

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        del environment
        if template not in self.texts:
            path = self._inputs.place(template).resolve()
            if not self._inputs.holds(path):
                raise TemplateProblem(f"{template} lies outside the folder of the manifest")
            try:
                self.texts[template] = path.read_text(encoding="utf-8-sig")
            except (OSError, ValueError) as error:
                raise TemplateNotFound(template) from error
        return self.texts[template], template, None


def bounded(parts: Iterable[str]) -> Iterator[str]:
    size = 0
    for part in parts:
        size += len(part)
        if size > MAX_TEXT:
            raise SecurityError(f"the template gives more than {MAX_TEXT} characters")
        yield part
