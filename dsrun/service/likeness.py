"""An operation file of a user's that says `like`: new models of a family that dsrun knows. Pure.

`{"like": "wan-t2i", "models": {"wan3.0-t2i": {"like": "wan2.5-t2i-preview"}}}` makes an operation
of each of its models, the same as the one that it is like but for its name, price and limits.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from dsrun.common.json_schema import shipped_validator
from dsrun.common.messages import nearest, show
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath
from dsrun.service.agreement import disagreements
from dsrun.service.families import members, models_of
from dsrun.service.request import laid_over
from dsrun.service.runnable import unrunnable
from dsrun.service.self_contained import Fault, linear

_LIKE = "like"
_AMOUNT = "amount"
_OVERRIDES = ("price", "limits")

Schemas = Mapping[str, Json]


def is_likeness(content: Json) -> bool:
    """Whether a file is of this kind."""
    return isinstance(content, Mapping) and _LIKE in content


def likeness_faults(content: Mapping[str, Json], families: Schemas) -> Iterator[Fault]:
    """What is wrong with such a file; `families`: the schemas of the bundled files, by name."""
    frame = shipped_validator("operation-like.json")
    problems = frame.problems(content)
    yield from (Fault(problem.path, problem.message) for problem in problems)
    if problems:
        return
    family = content[_LIKE]
    if family not in families:
        words = f"found {show(family)}, which is no operation file of dsrun's"
        known = f"{nearest(family, list(families))}; allowed: {', '.join(sorted(families))}"
        yield Fault((_LIKE,), words + known)
        return
    known_models = _models(families[family])
    for name, about in content["models"].items():
        path = ("models", name)
        if _LIKE not in about and len(known_models) > 1:
            words = f"missing; allowed: a model of {family}: {', '.join(known_models)}"
            yield Fault((*path, _LIKE), words)
        elif (like := about.get(_LIKE)) is not None and like not in known_models:
            words = (
                f"found {show(like)}, which is no model of {family}{nearest(like, known_models)}"
            )
            yield Fault((*path, _LIKE), f"{words}; allowed: {', '.join(known_models)}")
        else:
            yield from _override_faults(_model(families[family], content, name), path)


def models_like(
    content: Mapping[str, Json], families: Schemas
) -> Iterator[tuple[str, dict[str, Json]]]:
    """Each model of a file without faults, with the operation file that it would have alone."""
    for name in content["models"]:
        yield name, linear(_model(families[content[_LIKE]], content, name))


def place_of_model(content: Json, name: str) -> KeyPath:
    """Where a file of a user's, of either kind, names a model."""
    return ("models", name) if is_likeness(content) else ("properties", "model")


def _models(family: Mapping[str, Json]) -> tuple[str, ...]:
    return models_of(family) or (family["properties"]["model"]["const"],)


def _model(family: Mapping[str, Json], content: Mapping[str, Json], name: str) -> dict[str, Json]:
    about = content["models"][name]
    like = about.get(_LIKE, _models(family)[0])
    alike = dict(members(family)).get(like, family)
    own: dict[str, Any] = copy.deepcopy(dict(alike))
    own["$id"] = f"urn:dsrun:operation:{name}"
    own["title"] = name
    own["description"] = content.get("description", own["description"])
    own["properties"]["model"]["const"] = name
    rules = own["x-dsrun"]
    if rules.get("recovery", {}).get("model_name") == like:
        del rules["recovery"]["model_name"]
    for key in _OVERRIDES:
        rules[key] = laid_over(rules[key], about.get(key, {}))
        if key in about and "$comment" not in about[key]:
            rules[key]["$comment"] = f"user's own file; what that does not say is as of {like}"
    items = rules["price"]["items"]
    if _AMOUNT in rules["price"] and len(items) == 1:
        items[0][_AMOUNT] = rules["price"].pop(_AMOUNT)
    return own


def _override_faults(own: Mapping[str, Json], path: tuple[str, ...]) -> Iterator[Fault]:
    """What is wrong with a price or limits of a user's, told where they stand."""
    frame = shipped_validator("operation.json")
    faults = [Fault(problem.path, problem.message) for problem in frame.problems(own)]
    for fault in faults or (*unrunnable(own), *disagreements(own)):
        if fault.path[1:2] in [(key,) for key in _OVERRIDES]:
            is_short = fault.path[2:] == ("items", 0, _AMOUNT)
            yield Fault(
                (*path, *(fault.path[1:2] + fault.path[4:] if is_short else fault.path[1:])),
                fault.message,
            )
