"""What each operation of a template costs at most, computed before it is done. Pure.

A unit is an item of a container, four characters, or a node of the template's own tree: some
tens of nanoseconds and at most some hundred bytes. No clock is read, so a template that is
allowed on one machine is allowed on all.
"""

import re
from collections.abc import Callable, Iterable, KeysView, Mapping, ValuesView
from collections.abc import ItemsView as Items
from typing import Any

from jinja2 import Undefined
from jinja2.exceptions import SecurityError
from jinja2.utils import Namespace

MAX_TEXT = 1_000_000  # characters or items that one value may have
MAX_DEPTH = 100
UNITS_OF_A_STEP = 10
_CONTAINER = 4  # units of an empty one, or of an entry of a mapping
_MAX_BASE, _MAX_POWER, _MAX_BITS = 2**64, 64, 8192
_MAX_DIGITS = 1000  # to which a number may be rounded
_MAX_INDENT = 16  # of JSON
_DIGITS = re.compile(r"[0-9]+")
_REPR = 12  # characters that `!r` makes of one, at most
_HASHED_ALIKE = 2**60  # above it numbers can be chosen that make a set slow

Charge = Callable[..., int]


class TooCostly(SecurityError):
    """A rendering has spent all its units; one with similar values would too."""


def weight(value: Any, room: int, depth: int = 0) -> int:
    """The units of a value; what it holds several times counts each time, as it would be printed.

    Raises SecurityError where there are more than `room`, or where it can hold what has no end.
    """
    if isinstance(value, str):
        return _text_weight(value)
    if isinstance(value, int):
        return 1 + (value.bit_length() >> 6)
    if value is None or isinstance(value, float | Undefined) or callable(value):
        return 1
    if isinstance(value, range):
        return 1 + len(value)
    if depth > MAX_DEPTH:
        raise SecurityError(f"a value is nested more than {MAX_DEPTH} levels deep")
    total, parts = _parts(value)
    for part in parts:
        total += _text_weight(part) if type(part) is str else weight(part, room - total, depth + 1)
        if total > room:
            raise TooCostly(f"a value holds more than {MAX_TEXT} characters or items")
    return total


def _parts(value: Any) -> tuple[int, Iterable[Any]]:
    if isinstance(value, list | tuple | KeysView | ValuesView):
        return _CONTAINER, value
    if isinstance(value, Namespace):
        value = object.__getattribute__(value, "_Namespace__attrs")
    if isinstance(value, Mapping):
        return _CONTAINER * (1 + len(value)), (part for pair in value.items() for part in pair)
    if isinstance(value, Items):
        return _CONTAINER + len(value), value
    raise SecurityError(
        f"a {type(value).__name__} is no value of a template; allowed: texts, numbers, lists and "
        "mappings"
    )


def _text_weight(text: str) -> int:
    length = len(text)
    if length > MAX_TEXT:
        raise SecurityError(f"a text has more than {MAX_TEXT} characters")
    return 1 + (length >> 2)


def grown(length: int) -> int:
    """The units of a result of at most `length` characters or items. Raises SecurityError."""
    if length > MAX_TEXT:
        raise SecurityError(f"a repetition gives more than {MAX_TEXT} characters or items")
    return 1 + (length >> 2)


def of_operator(operator: str, left: Any, right: Any) -> int:
    """Units of an arithmetic operation beyond those of its operands. Raises SecurityError."""
    numbers = isinstance(left, int) and isinstance(right, int)
    if operator == "**" and not (numbers and abs(left) <= _MAX_BASE and abs(right) <= _MAX_POWER):
        raise SecurityError(f"{_brief(left)} ** {_brief(right)} is too large")
    if operator == "*":
        if numbers and left.bit_length() + right.bit_length() > _MAX_BITS:
            raise SecurityError("a product is too large")
        for side, times in ((left, right), (right, left)):
            if isinstance(side, str | list | tuple) and isinstance(times, int):
                size = len(side) if isinstance(side, str) else weight(side, MAX_TEXT)
                return grown(size * max(times, 0))
    if operator == "%" and isinstance(left, str):
        return formatted(left, "%", right if isinstance(right, tuple) else (right,))
    return 0


def checked_number(value: Any) -> Any:
    """The value itself, unless it is a number of too many digits. Raises SecurityError."""
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise SecurityError("a number has too many digits")
    return value


def formatted(text: str, sign: str, values: Iterable[Any]) -> int:
    """Units of a `%` or `{}` format. A width may be in the text or, as `*`, among the values."""
    values = list(values)
    texts = [text, *(value for value in values if isinstance(value, str))]
    is_computed = "*" in text if sign == "%" else re.search(r"\{[^{}]*\{", text) is not None
    widths = [
        int(digits[:12]) for digits in _DIGITS.findall(" ".join(texts) if is_computed else text)
    ]
    if is_computed:
        widths += [abs(value) for value in values if isinstance(value, int)]
    longest = max(map(_printed, values), default=0)
    return grown(len(text) + text.count(sign) * (max(widths, default=0) + longest))


def _printed(value: Any) -> int:
    """How many characters a value has in a text, at most."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, int):
        return 1 + value.bit_length()
    return 4 * _REPR * weight(value, MAX_TEXT)


def _brief(value: Any) -> str:
    return str(value) if isinstance(value, int) and abs(value) <= _MAX_BASE else "a number"


def _number(value: Any) -> int:
    return min(abs(int(value)), 10**15) if isinstance(value, int | float) else 0


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else _printed(value)


def _items(values: Any) -> int:
    return len(values) if hasattr(values, "__len__") else 1


# What follows has the names and the parameters of the filters and methods that it is about.


def replace(s: Any, old: Any, new: Any, count: int | None = None) -> int:
    text, old, new = str(s), str(old), str(new)
    times = text.count(old) if old else len(text) + 1
    if count is not None and 0 <= _number(count) < times and count >= 0:
        times = _number(count)
    return grown(len(text) + times * len(new)) + (len(text) >> 4)


def join(value: Any, d: Any = "", attribute: Any = None) -> int:
    asked = _items(value) * (1 + _words((attribute,), {}))
    if isinstance(value, str):
        return grown(len(value) * (1 + _length(d))) + asked
    return grown(_items(value) * _length(d) + sum(map(_length, value))) + asked


def joined_by(separator: str, parts: Any) -> int:
    return join(parts, separator)


def padded(text: Any, width: Any = 80, fill: Any = " ") -> int:
    del fill
    return grown(_length(text) + _number(width))


def expanded(text: str, tabsize: Any = 8) -> int:
    return grown(len(text) + text.count("\t") * _number(tabsize))


def translated(text: str, table: Any) -> int:
    values = table.values() if isinstance(table, Mapping) else table
    return grown(len(text) * max((_length(value) for value in values), default=1)) + len(text)


def indent(s: Any, width: Any = 4, first: Any = False, blank: Any = False) -> int:
    del first, blank
    text = str(s)
    size = len(width) if isinstance(width, str) else _number(width)
    return grown(len(text) + (len(text.splitlines()) + 1) * size)


def wordwrap(
    s: Any,
    width: Any = 79,
    break_long_words: Any = True,
    wrapstring: Any = None,
    break_on_hyphens: Any = True,
) -> int:
    del break_long_words, break_on_hyphens
    size = _length(s)
    lines = size // max(_number(width), 1) + str(s).count("\n") + 1
    return grown(size + lines * _length(wrapstring or "")) + _squared(size)


def stripped(text: Any, chars: Any = None) -> int:
    return grown(_length(text)) + (_length(text) * _length(chars or "") >> 8)


def urlize(value: Any, *rest: Any, **named: Any) -> int:
    extra = sum(map(_length, (*rest, *named.values())))
    return grown(_length(value) * (1 + extra)) + _squared(_length(value))


def searched(text: Any, *rest: Any, **named: Any) -> int:
    """A filter that may take the square of the text's length."""
    del rest, named
    return _squared(_length(text))


def _squared(size: int) -> int:
    return 8 * size + (size * size >> 9)


def format_filter(value: Any, *args: Any, **kwargs: Any) -> int:
    return formatted(str(value), "%", (*args, *kwargs.values()))


def braced(text: str, *args: Any, **kwargs: Any) -> int:
    return formatted(text, "{", (*args, *kwargs.values()))


def braced_map(text: str, mapping: Any) -> int:
    return formatted(text, "{", mapping.values() if isinstance(mapping, Mapping) else ())


def rounded(value: Any, precision: Any = 0, method: Any = "common") -> int:
    del value, method
    if _number(precision) > _MAX_DIGITS:
        raise SecurityError(f"a number is rounded to more than {_MAX_DIGITS} digits")
    return 1


def grouped(value: Any, size: Any = 1, fill_with: Any = None) -> int:
    """`batch` and `slice`, which fill up what is missing."""
    del fill_with
    return 4 * grown(_items(value) + _number(size)) + 2 * _items(value)


def summed(iterable: Any, attribute: Any = None, start: Any = 0) -> int:
    asked = _items(iterable) * (1 + _words((attribute,), {}))
    times = 1 if isinstance(start, int | float) else _items(iterable)
    return asked + (4 * grown(times * weight(iterable, MAX_TEXT)) if times > 1 else 0)


def each(value: Any = (), *rest: Any, **named: Any) -> int:
    """A filter that calls another filter or a test, or reads an attribute, for each item."""
    return _items(value) * (10 + _words(rest, named))


def _words(rest: Iterable[Any], named: Mapping[str, Any]) -> int:
    """An attribute such as `a.b.c` is looked up part by part."""
    return sum(len(word) for word in (*rest, *named.values()) if isinstance(word, str))


def in_order(value: Any = (), *rest: Any, **named: Any) -> int:
    """A filter that compares the items with each other, most of them several times."""
    return 8 * weight(value, MAX_TEXT) + _items(value) * (20 + _words(rest, named))


def unique(value: Any = (), *rest: Any, **named: Any) -> int:
    count, parts = _items(value), value if isinstance(value, list | tuple) else ()
    if any(isinstance(part, int | float) and abs(part) >= _HASHED_ALIKE for part in parts):
        return in_order(value, *rest, **named) + count * count
    return in_order(value, *rest, **named)


def tojson(value: Any, indent: Any = None) -> int:
    if _number(indent) > _MAX_INDENT or _length(indent or "") > _MAX_INDENT:
        raise SecurityError(f"JSON is indented by more than {_MAX_INDENT}")
    return 3 * weight(value, MAX_TEXT) * (1 if indent is None else 8)


def listed(value: Any) -> int:
    return 2 * _items(value)


def times(factor: int) -> Charge:
    """A filter that looks at each part of its first argument a few times."""
    return lambda value="", *rest, **named: factor * weight(value, MAX_TEXT)  # noqa: ARG005


FREE = frozenset(
    {"abs", "attr", "count", "d", "default", "filesizeformat", "first", "float", "int", "last"}
    | {"length"}
)
FILTERS: Mapping[str, Charge] = {
    "batch": grouped, "capitalize": times(1), "center": padded, "dictsort": in_order,
    "digest": times(16), "e": times(1), "escape": times(1), "forceescape": times(1),
    "format": format_filter, "from_json": times(16), "groupby": in_order, "indent": indent,
    "items": times(1), "join": join, "list": listed, "lower": times(1), "map": each,
    "max": in_order, "min": in_order,
    "pprint": times(40), "reject": each, "rejectattr": each, "replace": replace,
    "reverse": listed, "round": rounded, "select": each, "selectattr": each,
    "safe": times(1), "slice": grouped, "slug": searched, "sort": in_order, "string": times(4),
    "striptags": searched, "sum": summed, "title": times(8), "tojson": tojson,
    "trim": stripped, "truncate": times(2), "unique": unique, "upper": times(1),
    "urlencode": times(16), "urlize": urlize, "wordcount": times(6), "wordwrap": wordwrap,
    "xmlattr": times(8),
}  # fmt: skip
METHODS: Mapping[str, Charge] = {
    "center": padded, "expandtabs": expanded, "format": braced, "format_map": braced_map,
    "join": joined_by, "ljust": padded, "lstrip": stripped, "replace": replace, "rjust": padded,
    "rstrip": stripped, "strip": stripped, "translate": translated, "zfill": padded,
    "rsplit": times(4), "split": times(4), "splitlines": times(4),
}  # fmt: skip
COMPARING = frozenset(
    {"in", "==", "eq", "equalto", "!=", "ne", ">", "gt", "greaterthan", "ge", ">=", "<", "lt"}
    | {"lessthan", "<=", "le", "lower", "upper"}
)
