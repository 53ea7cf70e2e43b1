"""Templates that only put values into a text, as most do, filled without Jinja.

What comes of it is what Jinja's rendering gives. For each value where that is not certain, as for
one that has a spelling of its own or is not there, the rendering itself is asked.
"""

from collections.abc import Callable, Mapping
from operator import itemgetter
from types import NoneType
from typing import Any

from jinja2 import nodes

from dsrun.common.models import Json
from dsrun.manifest.charges import MAX_TEXT

SHORT = 64  # characters; so short a text is paid for by the node that prints it
_KEPT = frozenset({str, int, float, bool, NoneType})  # types of values that stay what they are
_NO_VARIABLE = "self"  # Jinja's own

Variables = Mapping[str, Any]
Render = Callable[[Variables], Json]
WordFilters = Mapping[str, Callable[[str], str]]  # of a text alone, without arguments


class _Unsure(LookupError):
    """Only Jinja can tell what it makes of the value."""


def spliced_value(expression: nodes.Expr, render: Render, *, filters: WordFilters) -> Render:
    """`render` of an expression alone, quicker where that names a value."""
    read = _reader(expression, filters)
    if read is None:
        return render

    def splice(variables: Variables) -> Json:
        try:
            value = read(variables)
        except LookupError:
            return render(variables)
        is_sure = type(value) in _KEPT and (type(value) is not str or len(value) <= MAX_TEXT)
        return value if is_sure else render(variables)

    return splice


def spliced_text(tree: nodes.Template, render: Render, *, filters: WordFilters) -> Render:
    """`render` of a text, quicker where that only puts values in."""
    reads: list[Render] = []
    form = ""
    for part in _printed_parts(tree):
        if isinstance(part, nodes.TemplateData):
            form += part.data.replace("%", "%%")
            continue
        read = _reader(part, filters)
        if read is None:
            return render
        reads.append(read)
        form += "%s"
    if not reads:
        return render
    longest = (MAX_TEXT - len(form)) // len(reads)  # so that all of them fit

    def splice(variables: Variables) -> Json:
        texts = []
        try:
            for read in reads:
                text = read(variables)
                if type(text) is int:
                    text = str(text)
                if type(text) is not str or len(text) > longest:
                    return render(variables)
                texts.append(text)
        except (LookupError, ValueError):  # ValueError: a number of very many digits
            return render(variables)
        return form % tuple(texts)

    return splice


def _printed_parts(tree: nodes.Template) -> list[nodes.Expr]:
    """What a template prints, in order; nothing where it does more than that."""
    body = tree.body
    return body[0].nodes if len(body) == 1 and isinstance(body[0], nodes.Output) else []


def _reader(node: nodes.Expr, filters: WordFilters) -> Render | None:
    """What reads `name`, `name.part` or `name['part']`, and filters it; None for all else.

    It raises LookupError where only Jinja can tell.
    """
    if isinstance(node, nodes.Name):
        return None if node.name == _NO_VARIABLE else itemgetter(node.name)
    if isinstance(node, nodes.Filter):
        return _filtered(node, filters)
    if isinstance(node, nodes.Getattr):
        return _part_reader(node.node, node.attr, filters)
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        return _part_reader(node.node, node.arg.value, filters)
    return None


def _part_reader(owner: nodes.Expr, key: Json, filters: WordFilters) -> Render | None:
    read_owner = _reader(owner, filters)
    if read_owner is None or type(key) is not str:
        return None

    def read(variables: Variables) -> Json:
        value = read_owner(variables)
        if type(value) is not dict:
            raise _Unsure
        return value[key]

    return read


def _filtered(node: nodes.Filter, filters: WordFilters) -> Render | None:
    function = filters.get(node.name)
    read_value = _reader(node.node, filters) if function and node.node else None
    if function is None or read_value is None or node.args or node.kwargs:
        return None
    if node.dyn_args or node.dyn_kwargs:
        return None

    def read(variables: Variables) -> Json:
        value = read_value(variables)
        if type(value) is not str or len(value) > SHORT:
            raise _Unsure
        return function(value)

    return read
