"""The short form of a request: friendly keys for what a documented body spells as content parts.

`input: {prompt: …, images: [A, B]}` stands for one message whose content is `{image: A}`,
`{image: B}`, `{text: …}`. The documented body is what is checked, hashed and sent.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, value_at

_INPUT = "input"


class Part(NamedTuple):
    """A key of the short form, and the key of the content part that it becomes."""

    key: str
    becomes: str
    is_many: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortForm:
    """Which keys of `input` may be written short, in the order of the parts that they become."""

    base: Mapping[str, Json]  # of `input`, with an empty list at `content`
    content: KeyPath  # in the request
    parts: tuple[Part, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(part.key for part in self.parts)


class MixedForms(ValueError):
    """A request has the short form and the documented one at once."""


class WrittenOut(NamedTuple):
    """The documented body; `places` says where a manifest has what stands at a path of it.

    `lists` are the parts, by their index, in whose place a template may give a whole list.
    """

    body: dict[str, Any]
    places: Mapping[KeyPath, KeyPath]
    lists: Mapping[int, Part] = {}
    form: ShortForm | None = None

    def spread(self, request: dict[str, Any]) -> None:
        """Give each item of a list that a template has given a part of its own, in place."""
        content = value_at(request, self.form.content) if self.form and self.lists else None
        if not isinstance(content, list):
            return
        parts: list[Json] = []
        for index, part in enumerate(content):
            key = self.lists[index].becomes if index in self.lists else ""
            several = part.get(key) if isinstance(part, Mapping) else None
            parts += [{key: one} for one in several] if isinstance(several, list) else [part]
        content[:] = parts

    def as_written(self, path: KeyPath) -> KeyPath:
        """The path in the manifest of what a path of the request names."""
        if self.form is not None and self.lists:  # a row has as many parts as its list has items
            begin = self.form.content
            of_part = path[len(begin) + 1 : len(begin) + 2] if path[: len(begin)] == begin else ()
            for part in self.form.parts:
                if of_part == (part.becomes,):
                    return (_INPUT, part.key)
        for end in range(len(path), 0, -1):
            if path[:end] in self.places:
                return self.places[path[:end]]
        is_own = not self.places or path[:1] != (_INPUT,)
        return path if is_own else path[:1]


def write_out(body: Mapping[str, Any], form: ShortForm | None) -> WrittenOut:
    """The documented body of a step's `input` and `parameters`. Raises MixedForms."""
    written = body.get(_INPUT)
    if form is None or not isinstance(written, Mapping) or not written.keys() & {*form.keys}:
        return WrittenOut(dict(body), {})
    if both := sorted(written.keys() & form.base.keys()):
        raise MixedForms(f"{both[0]} and its short form {', '.join(form.keys)} exclude each other")
    rest = {key: value for key, value in written.items() if key not in form.keys}
    made: dict[str, Any] = {**body, _INPUT: copy.deepcopy(dict(form.base)) | rest}
    places: dict[KeyPath, KeyPath] = {(_INPUT, key): (_INPUT, key) for key in rest}
    content = value_at(made, form.content)
    lists: dict[int, Part] = {}
    for part, value, at in _items(written, form.parts):
        if part.is_many and at == (_INPUT, part.key):
            lists[len(content)] = part
        place = (*form.content, len(content))
        places[place] = places[(*place, part.becomes)] = at
        content.append({part.becomes: value})
    return WrittenOut(made, places, lists, form)


def _items(
    written: Mapping[str, Any], parts: Sequence[Part]
) -> Iterator[tuple[Part, Any, KeyPath]]:
    for part in parts:
        value = written.get(part.key)
        if part.is_many and isinstance(value, list):
            for index, item in enumerate(value):
                yield part, item, (_INPUT, part.key, index)
        elif value is not None:
            yield part, value, (_INPUT, part.key)
