"""How a value is written inside a text. A prompt is paid for, and nobody wants Python's spelling.

Texts and integers are written as they are, booleans as `true` and `false`, and a float with the
digits of canonical JSON where Python would write `1e-05`. Mappings, lists and null have no
spelling.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

from jinja2 import Environment, Undefined, pass_environment, pass_eval_context
from jinja2.exceptions import TemplateRuntimeError
from jinja2.filters import do_pprint, do_urlencode, do_xmlattr, make_attrgetter
from jinja2.nodes import EvalContext
from jinja2.sandbox import SandboxedFormatter
from markupsafe import EscapeFormatter

from dsrun.common.digest import canonical_json

_ALLOWED = "allowed: texts, numbers, true and false"
_MOST_KEYS, _LONGEST_KEY = 5, 40  # that a message names, and how much of each
_ONE_TEXT = (
    *("capitalize", "center", "e", "escape", "forceescape", "indent", "lower", "safe", "string"),
    *("striptags", "title", "trim", "truncate", "upper", "urlize", "wordcount", "wordwrap"),
)
# How many arguments of a filter are texts, counted from the value itself, and their names.
_TEXTS: Mapping[str, int] = dict.fromkeys(_ONE_TEXT, 1) | {"replace": 3}
_TEXT_NAMES = frozenset({"s", "value", "old", "new"})


class NoText(TemplateRuntimeError):
    """A value stands inside a text that has no spelling there; `kind` is its kind in words."""

    def __init__(self, kind: str, found: str, hint: str) -> None:
        super().__init__(f"found {found} inside a text; {_ALLOWED}; {hint}")
        self.kind = kind


def spelled(value: Any) -> Any:
    """What `str` makes the value's spelling of. Raises NoText where it has none."""
    kind = type(value)
    if kind is str or kind is int:
        return value
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        return _digits(value)
    if isinstance(value, str | int | float | Undefined):
        return value
    raise _no_text(value)


def spelled_arguments(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a filter, with those that it takes as texts spelled. Raises NoText."""
    if name == "format":
        named = {key: formattable(value) for key, value in kwargs.items()}
        return (*map(spelled, args[:1]), *map(formattable, args[1:])), named
    texts = _TEXTS.get(name, 0)
    if not texts:
        return args, kwargs
    named = {k: spelled(value) if k in _TEXT_NAMES else value for k, value in kwargs.items()}
    return (*map(spelled, args[:texts]), *args[texts:]), named


def _digits(number: float) -> str:
    if not math.isfinite(number):
        raise NoText("no finite number", str(number), "no request can hold it")
    text = repr(number)
    return canonical_json(number).decode() if "e" in text else text


def _no_text(value: Any) -> TemplateRuntimeError:
    if value is None:
        hint = "leave it out with {% if %}, or give a text with `| default('', true)`"
        return NoText("null", "null", hint)
    if isinstance(value, Mapping):
        names = [str(key)[:_LONGEST_KEY] for key in islice(value, _MOST_KEYS)]
        told = ", ".join(names) + (", ..." if len(value) > _MOST_KEYS else "")
        hint = "name one part of it, or end it with `| tojson`"
        return NoText("mapping", f"a mapping ({told})" if told else "an empty mapping", hint)
    if isinstance(value, list | tuple):
        return NoText("list", "a list", "end it with `| join(', ')` or `| tojson`")
    return TemplateRuntimeError(
        f"the expression gives a {type(value).__name__}, which is no text; end it with a "
        "filter such as `| join(', ')`"
    )


# What follows are values inside a format, `'%s'` or `'{}'`: they keep their numbers for `%d`.


class _Flag(int):
    def __str__(self) -> str:
        return "true" if self else "false"

    __repr__ = __str__

    def __format__(self, form: str) -> str:
        return format(int(self) if form[-1:].isalpha() else str(self), form)


class _Float(float):
    def __str__(self) -> str:
        return _digits(float(self))

    __repr__ = __str__

    def __format__(self, form: str) -> str:
        has_own_digits = form[-1:].isalpha() or "." in form or "%" in form
        return format(float(self) if has_own_digits else Decimal(str(self)), form)


class _Unspelled:
    """A value that has no spelling, which its format may yet not ask for."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __str__(self) -> str:
        raise _no_text(self._value)

    __repr__ = __str__

    def __format__(self, form: str) -> str:
        raise _no_text(self._value)


class _Named(dict[str, Any]):
    """The named values of `'%(name)s' % mapping`; `'%s' % mapping` asks for the mapping itself."""

    def __str__(self) -> str:
        raise _no_text(self)

    __repr__ = __str__


def formattable(value: Any) -> Any:
    """The value inside a format: spelled only where its format asks for a text."""
    kind = type(value)
    if kind is bool:
        return _Flag(value)
    if kind is float:
        _digits(value)  # no form of a number that is not finite is any better
        return _Float(value)
    if isinstance(value, str | int | float | Undefined):
        return value
    return _Unspelled(value)


def formatted_values(values: Any) -> Any:
    """What stands behind `%`: one value, several, or named ones."""
    if isinstance(values, tuple):
        return tuple(map(formattable, values))
    if isinstance(values, Mapping):
        return _Named({key: formattable(value) for key, value in values.items()})
    return formattable(values)


class Formatter(SandboxedFormatter):
    """`str.format` with values that are spelled as in a text."""

    def get_field(
        self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, str]:
        value, name = super().get_field(field_name, args, kwargs)
        return formattable(value), name


class EscapingFormatter(Formatter, EscapeFormatter):
    """The same for `Markup`."""


@pass_environment
def _join(
    environment: Environment, value: Iterable[Any], d: Any = "", attribute: Any = None
) -> str:
    items = value if attribute is None else map(make_attrgetter(environment, attribute), value)
    return str(spelled(d)).join([str(spelled(item)) for item in items])


def _tojson(value: Any, indent: Any = None) -> str:
    """JSON as a person writes it: Jinja's own would spell `灯` and `'` as escapes for HTML."""
    return json.dumps(value, indent=indent, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _pprint(value: Any) -> str:
    return do_pprint(value) if isinstance(value, str) else str(spelled(value))


def _urlencode(value: Any) -> str:
    if isinstance(value, Mapping):
        value = list(value.items())
    if isinstance(value, list | tuple):
        return do_urlencode([(spelled(key), spelled(item)) for key, item in value])
    return do_urlencode(spelled(value))


@pass_eval_context
def _xmlattr(context: EvalContext, d: Mapping[str, Any], autospace: bool = True) -> str:
    present = {key: spelled(item) for key, item in d.items() if item is not None}
    return do_xmlattr(context, present, autospace)


SPELLING_FILTERS: Mapping[str, Callable[..., Any]] = {
    "join": _join, "pprint": _pprint, "tojson": _tojson, "urlencode": _urlencode,
    "xmlattr": _xmlattr,
}  # fmt: skip
