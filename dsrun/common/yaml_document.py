"""YAML 1.2 text to JSON values, with the place of every value.

Types are those of the YAML 1.2 core schema, as editors read them: `no` is a word, `2026-11-01`
is text. Whatever JSON cannot express (tags, NaN, keys that are no strings) is a problem.
"""

from collections.abc import Callable, Iterator

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dsrun.common.errors import ManifestError, Problem
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, dotted
from dsrun.common.yaml_misread import Cut, iter_cuts, iter_respelled, respelled_words
from dsrun.common.yaml_positions import (
    PAIR,
    end_column,
    odd_blank,
    offset_in_scalar,
    place_at,
    place_of,
    syntax_problem,
)
from dsrun.common.yaml_scalars import (
    MERGE,
    STR,
    TAG,
    CoreLoader,
    PairLoader,
    convert_scalar,
    is_text,
)

MAX_DEPTH = 50
MAX_VALUES = 2_000_000  # once anchors are expanded
MAX_NODES = 500_000  # before
_CHARACTERS_OF_A_VALUE = 100
_MOST_PROBLEMS = 1000  # nobody reads more
_SECOND_MERGE = "this key stands here a second time; `<<: [*one, *other]` merges several"


class YamlDocument:
    """A parsed document: its value, and the line and column of every part of it."""

    def __init__(self, *, file: str, value: Json, root: Node, text: str) -> None:
        self.file = file
        self.value = value
        self._root = root
        self._text = text

    def place(self, path: KeyPath, *, of_key: bool = False) -> tuple[int, int]:
        """Line and column (from 1) of the value at `path`, or of its key.

        A path that leads nowhere gives the place of its last existing part.
        """
        return place_of(self._text, self._node(path, of_key=of_key).start_mark)

    def place_inside(self, path: KeyPath, offset: int) -> tuple[int, int]:
        """Line and column (from 1) of character `offset` of the text at `path`."""
        node = self._node(path)
        if not isinstance(node, ScalarNode):
            return self.place(path)
        return place_at(self._text, offset_in_scalar(self._text, node, offset))

    def _node(self, path: KeyPath, *, of_key: bool = False) -> Node:
        key: Node | None = None
        node = self._root
        for step in path:
            child = _child(node, step)
            if child is None:
                of_key = True
                break
            key, node = child
        return key if of_key and key is not None else node

    def cuts(self, path: KeyPath) -> Iterator[tuple[Cut, Problem]]:
        """The texts at or below `path` that a comment cuts, each told at its `#`."""
        if " #" not in self._text and "\t#" not in self._text:
            return
        for cut in iter_cuts(self._node(path), path, self._text):
            line, column = place_at(self._text, cut.offset)
            yield cut, Problem(
                file=self.file, line=line, column=column,
                where=dotted(cut.path), message=cut.message,
            )  # fmt: skip

    def respelled(self, path: KeyPath, is_printed: Callable[[KeyPath], bool]) -> Problem | None:
        """The first number at or below `path` that is printed otherwise than it is written."""
        all_found = iter_respelled(self._node(path), path)
        found = [item for item in all_found if is_printed(item.path)]
        if not found:
            return None
        words = respelled_words([(item.written, item.printed) for item in found])
        return _problem(found[0].node, found[0].path, words, text=self._text, file=self.file)

    def part(self, key: str) -> "YamlDocument":
        """The document below one key of its top mapping."""
        child = _child(self._root, key)
        root = self._root if child is None else child[1]
        return YamlDocument(file=self.file, value=self.value[key], root=root, text=self._text)

    def problem(self, path: KeyPath, message: str, *, of_key: bool = False) -> Problem:
        node = self._node(path, of_key=of_key)
        return _problem(node, path, message, text=self._text, file=self.file)


def parse_yaml(text: str, *, file: str) -> YamlDocument:
    """Parse one YAML document. Raises ManifestError with every problem found."""
    try:
        _check_depth(text, file)
        loader = _loader_for(text)(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ManifestError([syntax_problem(error, text, file)]) from error
    if root is None:
        raise ManifestError(
            [Problem(file=file, line=1, column=1, where="", message="the file holds no YAML value")]
        )
    builder = _Builder(file, text)
    value = builder.build(root, ())
    if builder.problems:
        raise ManifestError(builder.problems)
    return YamlDocument(file=file, value=value, root=root, text=text)


def _loader_for(text: str) -> type[CoreLoader] | type[PairLoader]:
    return PairLoader if PAIR.search(text) else CoreLoader


class _Builder:
    """Turns nodes into values; collects problems instead of stopping at the first."""

    def __init__(self, file: str, text: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._text = text
        self._built: dict[int, tuple[Json, int]] = {}
        self._open: set[int] = set()
        self._has_odd_blank = False

    def build(self, root: Node, path: KeyPath) -> Json:
        return self._build(root, path)[0]

    def _build(self, node: Node, path: KeyPath) -> tuple[Json, int]:
        """The value of a node and how many values it holds; an anchor is built once."""
        known = self._built.get(id(node))
        if known is not None:
            return known
        if id(node) in self._open:
            self._complain(node, path, "this anchor holds an alias of itself")
            return None, 1
        self._open.add(id(node))
        if isinstance(node, ScalarNode):
            # A long text counts more, since an anchor may repeat it.
            size = 1 + len(node.value) // _CHARACTERS_OF_A_VALUE
            built: tuple[Json, int] = self._scalar(node, path), size
        elif isinstance(node, SequenceNode):
            built = self._sequence(node, path)
        elif isinstance(node, MappingNode):
            built = self._mapping(node, path)
        else:
            raise TypeError(node)
        self._open.discard(id(node))
        if built[1] > MAX_VALUES:
            self._complain(node, path, f"anchors expand to more than {MAX_VALUES} values")
            built = None, 1
        self._built[id(node)] = built
        return built

    def _sequence(self, node: SequenceNode, path: KeyPath) -> tuple[Json, int]:
        self._check_tag(node, path, "seq")
        items = [self._build(item, (*path, i)) for i, item in enumerate(node.value)]
        return [value for value, _ in items], 1 + sum(size for _, size in items)

    def _mapping(self, node: MappingNode, path: KeyPath) -> tuple[Json, int]:
        self._check_tag(node, path, "map")
        own: dict[str, Json] = {}
        merged: dict[str, Json] = {}
        size, has_merge = 1, False
        for key_node, value_node in node.value:
            if key_node.tag == MERGE:
                if has_merge:
                    self._complain(key_node, (*path, "<<"), _SECOND_MERGE)
                has_merge = True
                value, grown = self._build(value_node, path)
                self._merge(merged, value, value_node, path)
                size += grown
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in own:
                self._complain(key_node, (*path, key), "this key stands here a second time")
            own[key], grown = self._build(value_node, (*path, key))
            size += grown
        return merged | own, size

    def _merge(self, into: dict[str, Json], value: Json, node: Node, path: KeyPath) -> None:
        for source in value if isinstance(value, list) else [value]:
            if not isinstance(source, dict):
                self._complain(node, path, "`<<` takes a mapping or a list of mappings")
                return
            for key, item in source.items():
                into.setdefault(key, item)

    def _key(self, node: Node, path: KeyPath) -> str | None:
        if isinstance(node, ScalarNode) and is_text(node.value):
            if not node.style and (blank := odd_blank(node.value)) and not self._has_odd_blank:
                self._has_odd_blank = True  # in most cases all lines have it; one tells enough
                self._complain(node, path, blank)
            return str(node.value)
        hint = "; put a value that starts with `{{` in quotes" if _is_bare_template(node) else ""
        self._complain(node, path, f"a key must be text{hint}")
        return None

    def _scalar(self, node: ScalarNode, path: KeyPath) -> Json:
        text: str = node.value
        if node.tag in (STR, "!"):
            if not is_text(text):
                self._complain(node, path, "the text holds half of a surrogate pair")
            return text
        try:
            return convert_scalar(node.tag, text)
        except ValueError as error:
            self._complain(node, path, str(error))
            return None

    def _check_tag(self, node: Node, path: KeyPath, kind: str) -> None:
        if node.tag != TAG + kind:
            self._complain(node, path, f"the tag {node.tag} has no JSON type; remove it")

    def _complain(self, node: Node, path: KeyPath, message: str) -> None:
        if len(self.problems) >= _MOST_PROBLEMS:
            raise ManifestError(self.problems)
        self.problems.append(_problem(node, path, message, text=self._text, file=self._file))


def _problem(node: Node, path: KeyPath, message: str, *, text: str, file: str) -> Problem:
    line, column = place_of(text, node.start_mark)
    return Problem(
        file=file,
        line=line,
        column=column,
        end_column=end_column(text, node),
        where=dotted(path),
        message=message,
    )


def _is_bare_template(node: Node) -> bool:
    """`{{ x }}` without quotes is YAML for a mapping whose key is a mapping."""
    return isinstance(node, MappingNode) and bool(node.flow_style)


def _child(node: Node, step: str | int) -> tuple[Node | None, Node] | None:
    """The key node (of a mapping) and the value node that `step` leads to."""
    if isinstance(node, SequenceNode):
        if isinstance(step, int) and 0 <= step < len(node.value):
            return None, node.value[step]
        return None
    if not isinstance(node, MappingNode):
        return None
    for key, value in node.value:
        if key.tag != MERGE and key.value == step:
            return key, value
    for source in _merged(node):
        child = _child(source, step)
        if child is not None:
            return child
    return None


def _merged(node: MappingNode) -> Iterator[Node]:
    for key, value in node.value:
        if key.tag == MERGE:
            yield from value.value if isinstance(value, SequenceNode) else [value]


def _check_depth(text: str, file: str) -> None:
    """Refuse deep nesting before the composer recurses into it."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_loader_for(text))):
        if count > 2 * MAX_NODES:
            raise ManifestError([_too_much(event, text, file, f"more than {MAX_NODES:,} values")])
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                words = f"nested more than {MAX_DEPTH} levels deep"
                raise ManifestError([_too_much(event, text, file, words)])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _too_much(event: yaml.Event, text: str, file: str, message: str) -> Problem:
    mark = event.start_mark
    line, column = place_of(text, mark) if mark is not None else (1, 1)
    return Problem(file=file, line=line, column=column, where="", message=message)
