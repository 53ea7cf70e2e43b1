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
    single: tuple[KeyPath, ...] = ()  # of the parts that a key gives alone
    lists: frozenset[KeyPath] = frozenset()  # of these, those that may become several
    content: KeyPath = ()  # the list of the parts

    def null_items(self, request: Any) -> list[KeyPath]:
        """Where the manifest has nulls in a list of parts, whose items cannot be left out."""
        parts = {at: place for at, place in self.places.items() if isinstance(at[-1], int)}
        return [
            place
            for at, place in parts.items()
            if at not in self.single and None in value_at(request, at).values()
        ]

    def settled(self, request: Any) -> "WrittenOut":
        """Spread a list that a template has given over parts of its own, and take out nulls.

        The request is changed in place; returns where the manifest has what stands in it now.
        """
        parts = value_at(request, self.content) if self.content else None
        if not isinstance(parts, list):
            return self
        places = {at: written for at, written in self.places.items() if not self._is_part(at)}
        made: list[Json] = []
        for index, part in enumerate(parts):
            at = (*self.content, index)
            for one in self._spread(at, part):
                place = (*self.content, len(made))
                made.append(one)
                places[place] = self.places[at]
                for key in part:
                    places[(*place, key)] = self.places[at]
        parts[:] = made
        return WrittenOut(self.body, places)

    def _is_part(self, at: KeyPath) -> bool:
        return len(at) > len(self.content) and at[: len(self.content)] == self.content

    def _spread(self, at: KeyPath, part: Mapping[str, Json]) -> list[Json]:
        """The parts that one becomes: none for a null, several for a list."""
        ((key, value),) = part.items()
        if at in self.single and value is None:
            return []
        if at in self.lists and isinstance(value, list):
            return [None if one is None else {key: one} for one in value]
        return [part]

    def as_written(self, path: KeyPath) -> KeyPath:
        """The path in the manifest of what a path of the request names."""
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
    single: list[KeyPath] = []
    lists: list[KeyPath] = []
    for part, value, at in _items(written, form.parts):
        place = (*form.content, len(content))
        if at == (_INPUT, part.key):
            single.append(place)
            lists += [place] if part.is_many else []
        places[place] = places[(*place, part.becomes)] = at
        content.append({part.becomes: value})
    return WrittenOut(made, places, tuple(single), frozenset(lists), form.content)


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
