"""Which operations a step calls: one, those of a list, or those models that rows name."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from dsrun.common.messages import closest, nearest, show
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath
from dsrun.manifest.matrix import MODEL, OPERATION, Complain
from dsrun.manifest.model import Calls, Text
from dsrun.service.catalog import Catalog
from dsrun.service.operation_file import constants

_MOST_NEAR, _LEAST_NEAR = 5, 0.4  # names that are told, and how near they must be
_WORD = re.compile(r"\w+")

Section = Mapping[str, Json]


class Called(NamedTuple):
    """What a step says of its operations."""

    calls: Calls
    listed: Sequence[str] = ()  # the values of the axis `operation`

    @property
    def has_models(self) -> bool:
        """Whether the step's model reads an axis of this name, perhaps by a slip of the pen."""
        words = _WORD.findall(self.calls.model.source) if self.calls.model else ()
        return any(closest(word, [MODEL], cutoff=0.7) for word in words)


def read_calls(section: Section, at: KeyPath, catalog: Catalog, complain: Complain) -> Called:
    """The operations of a step; problems go to `complain`."""
    return _CallReader(section, at, catalog, complain).read()


class _CallReader:
    def __init__(self, section: Section, at: KeyPath, catalog: Catalog, complain: Complain) -> None:
        self._section = section
        self._at = at
        self._catalog = catalog
        self._complain = complain

    def read(self) -> Called:
        named, model = self._section[OPERATION], self._section.get(MODEL)
        if isinstance(named, list):
            return self._listed(named)
        models = self._catalog.families.get(named, ())
        text = Text(source=str(model), at=(*self._at, MODEL))
        if models and model is not None and text.is_template:
            return Called(Calls(operations=models, model=text))
        name = chosen_operation(self._section, self._catalog)
        if name in self._catalog:
            self._check_model(name)
        elif models:
            words = f"found {show(model)}{nearest(str(model), models)}" if model else "missing"
            self._complain((*self._at, MODEL), f"{words}; allowed: {_models_words(models)}")
        else:
            self._complain((*self._at, OPERATION), self._unknown(name, self._catalog.families))
        return Called(Calls(operations=(name,)))

    def _listed(self, names: Sequence[str]) -> Called:
        own = [own_name(name, self._catalog) for name in names]
        for number, name in enumerate(names):
            place = (*self._at, OPERATION, number)
            if own[number] in own[:number]:
                self._complain(place, f"found {show(name)} a second time; remove one")
            else:
                self._check_listed(name, place)
        if MODEL in self._section:
            words = (
                f"found {show(self._section[MODEL])} beside a list of operations; each of the "
                "list is a model, so leave this out"
            )
            self._complain((*self._at, MODEL), words)
        further = [name for name, place in self._included() if self._check_listed(name, place)]
        known = dict.fromkeys([*own, *(own_name(name, self._catalog) for name in further)])
        return Called(Calls(operations=tuple(known), by_axis=True), listed=names)

    def _included(self) -> Iterator[tuple[str, KeyPath]]:
        """The operations that rules of `include` name, each with its place."""
        for number, rule in enumerate((self._section.get("matrix") or {}).get("include", ())):
            if OPERATION in rule:
                yield rule[OPERATION], (*self._at, "matrix", "include", number, OPERATION)

    def _check_listed(self, name: Json, place: KeyPath) -> bool:
        """An item of a list stands for one model."""
        if isinstance(name, str) and own_name(name, self._catalog) in self._catalog:
            return True
        models = self._catalog.families.get(name, ()) if isinstance(name, str) else ()
        if models:
            words = (
                f"found {show(name)}, which has several models; in a list each name stands for "
                f"one; allowed: {', '.join(models)}"
            )
            self._complain(place, words)
        else:
            single = [one for one, models in self._catalog.families.items() if len(models) == 1]
            self._complain(place, self._unknown(name, single))
        return False

    def _unknown(self, name: Json, families: Iterable[str]) -> str:
        known = list(dict.fromkeys([*self._catalog.names, *families]))
        near = difflib.get_close_matches(str(name), known, n=_MOST_NEAR, cutoff=_LEAST_NEAR)
        such = f", such as {', '.join(near)}" if near else ""
        own = f"; in operations/: {', '.join(self._catalog.own)}" if self._catalog.own else ""
        return (
            f"found {show(name)}{nearest(str(name), known)}; allowed: a name that "
            f"`dsrun operations` lists{such}{own}"
        )

    def _check_model(self, name: str) -> None:
        """A request from the API's documentation is pasted with its `model`, which must be ours."""
        model = constants(self._catalog[name].schema).get(MODEL, name)
        if self._section.get(MODEL, model) != model:
            words = (
                f"found {show(self._section[MODEL])}; allowed: {model}, which the operation sends"
            )
            self._complain((*self._at, MODEL), words)


def _models_words(models: Sequence[str]) -> str:
    return f'{", ".join(models)}, or a template of an axis: "{{{{ model }}}}"'


def own_name(name: str, catalog: Catalog) -> str:
    """The operation that a name stands for: a file of one model may be named too."""
    models = catalog.families.get(name, ())
    return models[0] if len(models) == 1 else name


def chosen_operation(section: Section, catalog: Catalog) -> str:
    """The name of the operation, where a file of several models and a `model` name it together."""
    name, model = str(section[OPERATION]), section.get(MODEL)
    if model in catalog.families.get(name, ()):
        return str(model)
    return own_name(name, catalog) if model is None else name


def without_models(sections: Mapping[str, Section], catalog: Catalog) -> Json:
    """The operation says the model, so the digest does not count how a manifest spells it.

    A model that a template gives is counted.
    """
    return {name: _without_model(section, catalog) for name, section in sections.items()}


def _without_model(section: Section, catalog: Catalog) -> Section:
    if isinstance(section[OPERATION], list):
        return section
    model = Text(source=str(section.get(MODEL, "")), at=())
    if model.is_template and section[OPERATION] in catalog.families:
        return section
    rest = {key: value for key, value in section.items() if key != MODEL}
    return {**rest, OPERATION: chosen_operation(section, catalog)}
