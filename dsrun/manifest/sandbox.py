"""The sandbox of templates: what they may read, how long they may run, how much they may give."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, NoReturn, TypeVar

from jinja2 import (
    BaseLoader,
    Environment,
    StrictUndefined,
    TemplateNotFound,
    TemplateSyntaxError,
    UndefinedError,
    nodes,
    pass_context,
)
from jinja2.exceptions import SecurityError
from jinja2.lexer import TokenStream
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import MAX_RANGE, ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from dsrun.common.digest import canonical_sha256
from dsrun.common.messages import nearest
from dsrun.common.user_files import TEXT_BYTES, Inputs, Unreadable, read_file
from dsrun.manifest.charges import (
    COMPARING,
    FILTERS,
    FREE,
    MAX_TEXT,
    METHODS,
    UNITS_OF_A_STEP,
    Charge,
    TooCostly,
    checked_number,
    grown,
    of_operator,
    searched,
    weight,
)
from dsrun.manifest.files import decoded
from dsrun.manifest.spelling import (
    SPELLING_FILTERS,
    EscapingFormatter,
    Formatter,
    formatted_values,
    spelled,
    spelled_arguments,
)
from dsrun.manifest.splicing import SHORT
from dsrun.manifest.step_rows import StepRow, late_names
from dsrun.manifest.template_errors import TemplateProblem, numbered

MAX_STEPS = 200_000  # loop turns and calls of one rendering
TOO_MUCH = f"the template gives more than {MAX_TEXT} characters"
_MAX_UNITS = MAX_STEPS * UNITS_OF_A_STEP
_MAX_TOKENS = 20_000  # of a template and all that it includes
_LARGEST = 2**63
_JINJAS_OWN = ("_loop_vars", "_block_vars")  # that it passes to what is called
_PLAIN = (nodes.Const, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.TemplateData)

_Body = TypeVar(
    "_Body", nodes.For, nodes.Macro, nodes.CallBlock, nodes.Block, nodes.Template
)  # that has a body


class NamedUndefined(StrictUndefined):
    """An undefined name, whose error lists the names that there are."""

    @property
    def _undefined_message(self) -> str:
        owner, name = self._undefined_obj, self._undefined_name
        if self._undefined_hint or not isinstance(owner, Mapping):
            return super()._undefined_message
        known = [str(key) for key in owner]
        if isinstance(owner, StepRow):
            known += late_names(owner)
        return (
            f"{name} is undefined{nearest(str(name), known)}; "
            f"defined there: {', '.join(sorted(known)) or 'nothing'}"
        )


class Sandbox(ImmutableSandboxedEnvironment):
    """Every operation of a template passes here, is charged (`charges`), and ends with its units.

    So no rendering takes much longer, or more memory, than another one, whatever it computes.
    """

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%", "**"])
    units_left = 0
    tokens_left = sys.maxsize

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, finalize=self._printable)
        self.add_filters({**self.filters, **SPELLING_FILTERS})
        self.filters |= {
            "_built": _in_context(self.sized),
            "_counted": _in_context(self._counted),
            "_joined": _in_context(self._joined),
            "_spent": _in_context(self.spend),
            "_weighed": _in_context(self._weighed),
        }
        self.tests = {name: self._tested(name, test) for name, test in self.tests.items()}
        self.globals["range"] = _range

    def add_filters(self, filters: Mapping[str, Callable[..., Any]]) -> None:
        self.filters |= {name: self._charged(name, function) for name, function in filters.items()}

    def begin(self) -> None:
        """Start a rendering, with units of its own."""
        self.units_left = _MAX_UNITS

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While a template is compiled, with all that it includes: its tokens are counted."""
        self.begin()  # constants are computed now
        self.tokens_left = _MAX_TOKENS
        try:
            yield
        finally:
            self.tokens_left = sys.maxsize  # what it includes is read again when it is rendered

    def spend(self, units: int) -> None:
        self.units_left -= units
        if self.units_left < 0:
            raise TooCostly(f"the template did not end within {MAX_STEPS} steps")

    def sized(self, value: Any) -> Any:
        """The value, paid for; one that is lazy is paid for when it is read."""
        if not isinstance(value, Iterator):
            self.spend(weight(checked_number(value), MAX_TEXT))
        return value

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A column named `items` or `copy` is a column, not a method of the row."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if not isinstance(argument, str | int):
            self.spend(weight(argument, MAX_TEXT))
        return super().getitem(obj, argument)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.spend(UNITS_OF_A_STEP)
        if isinstance(obj, Macro | LoopContext | BlockReference):
            self.spend(2 * UNITS_OF_A_STEP)
            return self.sized(super().call(context, obj, *args, **kwargs))  # they charge themselves
        own = {name: kwargs.pop(name) for name in _JINJAS_OWN if name in kwargs}
        args, kwargs = self._read(args, kwargs)
        method = getattr(obj, "__wrapped__", obj)  # str.format is wrapped
        owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
        if isinstance(owner, str) and name in METHODS:
            self.spend(_price(METHODS[name], (owner, *args), kwargs))
        elif isinstance(owner, int | float):
            self.spend(sum(grown(arg) for arg in args if isinstance(arg, int)))
        self.spend(sum(weight(arg, MAX_TEXT) for arg in (*args, *kwargs.values())))
        if isinstance(owner, str | list | tuple | Mapping):
            self.spend(weight(owner, MAX_TEXT))
        return self.sized(super().call(context, obj, *args, **kwargs, **own))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            self.spend(weight(left, MAX_TEXT) + weight(right, MAX_TEXT))
        self.spend(of_operator(operator, left, right))
        if operator == "%" and isinstance(left, str):
            right = formatted_values(right)
        return self.sized(super().call_binop(context, operator, left, right))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`str.format` and `str.format_map`, whose values are spelled as in a text."""
        if super().wrap_str_format(value) is None:
            return None
        text: str = value.__self__
        own = Formatter(self)
        if isinstance(text, Markup):
            own = EscapingFormatter(self, escape=text.escape)

        @wraps(value)
        def formatted(*args: Any, **kwargs: Any) -> str:
            if value.__name__ == "format_map":
                (kwargs,), args = args, ()
            return type(text)(own.vformat(text, args, kwargs))

        return formatted

    def handle_exception(self, source: str | None = None) -> NoReturn:
        """Jinja would write a traceback with as many empty lines as the error's line says."""
        del source
        raise  # noqa: PLE0704  # called where an exception is handled

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        if len(source) > MAX_TEXT:
            raise TemplateSyntaxError(f"it has more than {MAX_TEXT} characters", 1, name)
        tree: nodes.Template = _Bounds().visit(super()._parse(source, name, filename))
        if name is not None:  # an included file may be read in a loop
            _begin_with_charge(tree)
        return tree

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        tokens = numbered(self.lexer.tokeniter(source, name, filename, state), source)
        return TokenStream(self.lexer.wrap(self._few(tokens), name, filename), name, filename)

    def _few(self, tokens: Iterable[tuple[int, str, str]]) -> Iterator[tuple[int, str, str]]:
        for token in tokens:
            self.tokens_left -= 1
            if self.tokens_left < 0:
                words = f"with all that it includes it has more than {_MAX_TOKENS} words and signs"
                raise TemplateSyntaxError(words, token[0])
            yield token

    def _charged(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The filter, paid for before it runs, as is its result afterwards."""
        if name in FREE:
            return function
        charge = FILTERS.get(name, searched)
        is_passed = int(hasattr(function, "jinja_pass_arg"))  # a context comes first

        @wraps(function)
        def filtered(*args: Any, **kwargs: Any) -> Any:
            value = args[-1] if args and not kwargs else None
            if type(value) is str and len(value) <= SHORT and len(args) == is_passed + 1:
                self.spend(UNITS_OF_A_STEP)  # short in, short out: as most filters of prompts
                return function(*args)
            head, (read, kwargs) = args[:is_passed], self._read(args[is_passed:], kwargs)
            self.spend(_price(charge, read, kwargs))
            read, kwargs = spelled_arguments(name, read, kwargs)
            return self.sized(function(*head, *read, **kwargs))

        return filtered

    def _tested(self, name: str, test: Any) -> Callable[..., Any]:
        if name not in COMPARING:
            return test  # type: ignore[no-any-return]  # Jinja has no type for tests

        def compared(*args: Any) -> bool:
            args, _ = self._read(args, {})
            self.spend(sum(weight(arg, MAX_TEXT) for arg in args))
            return bool(test(*args))

        return compared

    def _read(
        self, args: Iterable[Any], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, with lazy ones read into lists so that they can be weighed."""
        named = {name: self._listed(value) for name, value in kwargs.items()}
        return tuple(map(self._listed, args)), named

    def _listed(self, value: Any) -> Any:
        if isinstance(value, Iterator) and not isinstance(value, LoopContext):
            return list(self._counted(value, 1))
        return value

    def _counted(self, items: Iterable[Any], units: int) -> Iterator[Any]:
        for item in items:
            self.spend(units)
            yield item

    def _weighed(self, value: Any) -> Any:
        """An operand of a comparison, which may look at all of it."""
        value = self._listed(value)
        if type(value) is not int:
            self.spend(weight(value, MAX_TEXT))
        return value

    def _joined(self, parts: list[Any]) -> str:
        texts = [str(self._printable(part)) for part in parts]
        self.spend(grown(sum(map(len, texts))))
        return "".join(texts)

    def _printable(self, value: Any) -> Any:
        """What may stand in a text, in its spelling."""
        if type(value) is str:
            if len(value) > SHORT:
                self.spend(len(value) >> 2)
            return value
        if isinstance(value, str):
            self.spend(4 * weight(value, MAX_TEXT))
        return spelled(value)


def _in_context(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of our own, which Jinja must not call while it compiles."""

    def called(context: Context, *args: Any) -> Any:
        del context
        return function(*args)

    return pass_context(called)


def _price(charge: Charge, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    try:
        return charge(*args, **kwargs)
    except UndefinedError:
        return 0  # the operation itself says what is not there


def _range(*args: Any) -> range:
    numbers = range(*args)
    if any(abs(number) > _LARGEST for number in args) or len(numbers) > MAX_RANGE:
        raise SecurityError(f"a range has more than {MAX_RANGE} numbers, or larger ones than 2^63")
    return numbers


class _Bounds(NodeTransformer):
    """Puts a charge around what Jinja would compile to plain Python operations."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802  # the names are Jinja's
        self.generic_visit(node)
        turn = nodes.Const(max(UNITS_OF_A_STEP, _size(node.body, node.test)))
        if node.recursive:
            _begin_with_charge(node)
        node.iter = _filter(node.iter, "_counted", node.lineno, turn)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Macro:  # noqa: N802
        self.generic_visit(node)
        return _begin_with_charge(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.CallBlock:  # noqa: N802
        self.generic_visit(node)
        return _begin_with_charge(node)

    def visit_Block(self, node: nodes.Block) -> nodes.Block:  # noqa: N802
        self.generic_visit(node)
        return _begin_with_charge(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), "_joined", node.lineno)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:  # noqa: N802
        self.generic_visit(node)
        sides = [node.expr, *(operand.expr for operand in node.ops)]
        if any(map(_is_word, sides)) and node.ops[0].op not in ("in", "notin"):
            return node  # it ends where the word ends
        node.expr = _filter(node.expr, "_weighed", node.lineno)
        for operand in node.ops:
            operand.expr = _filter(operand.expr, "_weighed", node.lineno)
        return node

    def visit_List(self, node: nodes.List) -> nodes.Expr:  # noqa: N802
        return self._made(node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Expr:  # noqa: N802
        return self._made(node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:  # noqa: N802
        return self._made(node) if node.ctx == "load" else node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            return _filter(node, "_built", node.lineno)
        return node

    def _made(self, node: nodes.List | nodes.Tuple | nodes.Dict) -> nodes.Expr:
        """A container, charged unless it is all constants: then it is as long as the template."""
        is_plain = all(isinstance(inner, _PLAIN) for inner in node.find_all(nodes.Node))
        self.generic_visit(node)
        return node if is_plain else _filter(node, "_built", node.lineno)


def unweighed(operand: nodes.Expr) -> nodes.Expr:
    """The operand of a comparison without the charge around it."""
    if isinstance(operand, nodes.Filter) and operand.name == "_weighed" and operand.node:
        return operand.node
    return operand


def _begin_with_charge(node: _Body) -> _Body:
    """A body that may run many times is charged for its length each time."""
    units = nodes.Const(UNITS_OF_A_STEP + _size(node.body))
    charge = _filter(units, "_spent", node.lineno)
    node.body = [nodes.ExprStmt(charge, lineno=node.lineno), *node.body]
    return node


def _size(body: Iterable[nodes.Node], *others: nodes.Node | None) -> int:
    """The units of doing all this once."""
    size = 0
    for part in (*body, *filter(None, others)):
        size += 1
        for node in part.find_all(nodes.Node):
            size += 1 + (len(node.data) >> 2 if isinstance(node, nodes.TemplateData) else 0)
    return size


def _is_word(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Const)


def _filter(value: nodes.Node, name: str, line: int, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(value, name, list(args), [], None, None, lineno=line)


class BelowLoader(BaseLoader):
    """Reads included files, none of them from outside the pipeline's folders."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self.texts: dict[str, str] = {}

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        del environment
        if template not in self.texts:
            self.texts[template] = self._read(template)
        return self.texts[template], template, None

    def _read(self, name: str) -> str:
        path = self._inputs.place(name)
        try:
            data = read_file(path, most=TEXT_BYTES, folders=self._inputs.folders)
            text = decoded(data)
            self._inputs.check(name, path, canonical_sha256(text))
        except Unreadable as error:
            if error.kind == "missing":
                raise TemplateNotFound(name) from error
            raise TemplateProblem(error.about(name)) from error
        except UnicodeDecodeError as error:
            raise TemplateProblem(f"{name} is no UTF-8; save the file as UTF-8") from error
        return text


def fitting(text: str) -> str:
    """The text, unless it is too long. Raises SecurityError."""
    if len(text) > MAX_TEXT:
        raise SecurityError(TOO_MUCH)
    return text


def bounded(parts: Iterable[str]) -> Iterator[str]:
    size = 0
    for part in parts:
        size += len(part)
        if size > MAX_TEXT:
            raise SecurityError(TOO_MUCH)
        yield part
