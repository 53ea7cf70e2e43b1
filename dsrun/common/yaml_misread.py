"""What a YAML text may not say as its writer means it: cut by a comment, or respelled as a number.

Neither is wrong, so that each is only a warning.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dsrun.common.messages import show
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath
from dsrun.common.yaml_scalars import BOOL, FLOAT, INT, MERGE, NULL, STR, convert_scalar

_COMMENT = re.compile(r"(?P<blanks>[ \t]+)(?P<comment>#[^\n]*)")
_LONGEST_SHOWN = 30
_MOST_SHOWN = 3


class Cut(NamedTuple):
    """A comment behind a text without quotes, which ends there; `offset` is that of its `#`."""

    path: KeyPath
    offset: int
    is_spaced: bool  # `# ` with a blank, as most comments are written
    message: str


class Respelled(NamedTuple):
    """A number or boolean that is printed in another spelling than it is written in."""

    path: KeyPath
    node: Node
    written: str
    printed: str


def printed(value: Json) -> str:
    """What a template prints for a number or a boolean."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def iter_cuts(root: Node, path: KeyPath, text: str) -> Iterator[Cut]:
    """The texts below a node that a comment cuts, or that are nothing but one.

    A `# ` at least two blanks behind the text is taken for a comment that is meant as one.
    """
    for at, node in _scalars(root, path):
        is_empty = node.tag == NULL and not node.value
        if node.style or not (is_empty or node.tag == STR):
            continue
        found = _COMMENT.match(text, _end(node, text))
        if found is None:
            continue
        is_spaced = not found["comment"][1:2].strip()
        if is_spaced and (is_empty or found["blanks"] != " "):
            continue
        yield Cut(at, found.start("comment"), is_spaced, _cut_words(node.value, found["comment"]))


def _end(node: ScalarNode, text: str) -> int:
    """The offset behind the last sign of a scalar."""
    if not node.value:
        return int(node.start_mark.index)
    end = int(node.end_mark.index)
    while text[end - 1].isspace():
        end -= 1
    return end


def _cut_words(value: str, comment: str) -> str:
    kept = f"ends at {show(value[-_LONGEST_SHOWN:])}" if value else "is empty"
    lost = show(comment.rstrip(), longest=_LONGEST_SHOWN)
    return (
        f"this text {kept}, since YAML takes {lost} for a comment; put the text in quotes to keep "
        "it, or two blanks before `# ` where it is a comment"
    )


def iter_respelled(root: Node, path: KeyPath) -> Iterator[Respelled]:
    """The numbers and booleans below a node that a template prints in another spelling."""
    for at, node in _scalars(root, path):
        if not node.style and node.tag in (INT, FLOAT, BOOL):
            try:
                value = printed(convert_scalar(node.tag, node.value))
            except ValueError:
                continue  # a problem of its own
            if value != node.value:
                yield Respelled(at, node, node.value, value)


def respelled_words(pairs: Sequence[tuple[str, str]]) -> str:
    """`pairs`: how each value is written and how it is printed."""
    (written, printed), *others = pairs[:_MOST_SHOWN]
    also = "".join(f", {one} as {other}" for one, other in others)
    more = len(pairs) - _MOST_SHOWN
    also += f" and {more:,} more in the same way" if more > 0 else ""
    return (
        f"within a text {written} is sent as {printed}{also}, since a number or boolean has no "
        "spelling of its own; put it in quotes to keep the one that stands here"
    )


def _scalars(root: Node, path: KeyPath) -> Iterator[tuple[KeyPath, ScalarNode]]:
    """Every scalar value below a node, in order; what an alias repeats is met once."""
    seen: set[int] = set()
    stack: list[tuple[KeyPath, Node]] = [(path, root)]
    while stack:
        at, node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, ScalarNode):
            yield at, node
        elif isinstance(node, SequenceNode):
            stack += [((*at, i), item) for i, item in enumerate(node.value)][::-1]
        elif isinstance(node, MappingNode):
            parts = [(at if k.tag == MERGE else (*at, k.value), v) for k, v in node.value]
            stack += parts[::-1]
