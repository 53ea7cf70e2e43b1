"""`--set KEY=VALUE`: replaces params, typed as the manifest types them."""

from collections.abc import Mapping

from dsrun.common.errors import ManifestError, Problem
from dsrun.common.messages import json_type, nearest, show
from dsrun.common.models import Json
from dsrun.common.yaml_document import parse_yaml
from dsrun.common.yaml_scalars import is_text


def apply_params(
    params: Mapping[str, Json], given: Mapping[str, str], *, file: str
) -> tuple[dict[str, Json], list[Problem]]:
    """The params with the given ones replaced, and what is wrong with those."""
    result, problems = dict(params), []
    for key, text in given.items():
        if key not in params:
            known = ", ".join(params) or "none: the manifest has no params"
            message = f"unknown param{nearest(key, list(params))}; allowed: {known}"
        else:
            try:
                result[key] = _typed(params[key], text)
                continue
            except ValueError as error:
                message = str(error)
        problems.append(Problem(file=file, line=0, column=0, where=f"--set {key}", message=message))
    return result, problems


def _typed(default: Json, text: str) -> Json:
    """The text as the type of the default. Raises ValueError."""
    if not is_text(text):
        raise ValueError("found bytes that are no UTF-8; allowed: text")
    if isinstance(default, str):
        return text
    try:
        value = parse_yaml(text, file="--set").value
    except ManifestError as error:
        raise ValueError(f"found {show(text)}; {error.problems[0].message}") from error
    wanted = json_type(default)
    fits = json_type(value) == wanted or (wanted == "number" and json_type(value) == "integer")
    if default is not None and not fits:
        raise ValueError(f"found {show(text)}; allowed: {wanted}, as in the manifest")
    return value
