"""The texts from which a page assembles the manifest of the starred rows.

They are made here because a browser reads 1.0 as 1 and rounds large integers: a template would
then print another text, and the job would be another one, paid again.
"""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

from dsrun.common.digest import json_text
from dsrun.common.models import Json
from dsrun.manifest.matrix import OPERATION

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*").fullmatch
_WORDS = re.compile("y|n|yes|no|on|off|true|false|null", re.IGNORECASE).fullmatch
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_LIST = "picks.txt"
_MOST_OF_NAME = 57  # with "-picks" this is the longest name allowed
_NOTE = (
    "# The starred rows of a report. Save it beside the pipeline: "
    "what it names is found from there.\n"
)


def yaml_text(value: Json) -> str:
    """A value as one line of YAML: JSON, with the few characters that YAML forbids escaped."""
    return _NOT_IN_YAML.sub(lambda sign: f"\\u{ord(sign[0]):04x}", json_text(value))


def picks_of(manifest: dict[str, Any] | None) -> dict[str, Any] | None:
    """The `head` and `steps` of a manifest as YAML, to which the page adds the rows of each step.

    `excludes` take the place of the rows that a list of operations would make by itself.

    `manifest` comes from the lock file; None where there is none, or where an axis runs through a
    step: no row names a job of another one, and `only` reads the list instead.
    """
    if not manifest or any(any(_step_axes(step)) for step in manifest["steps"].values()):
        return None
    head = {"version": 1} | {key: value for key, value in manifest.items() if key != "steps"}
    head["name"] = f"{manifest['name'][:_MOST_OF_NAME]}-picks"
    steps = {
        name: "".join(_lines({name: {k: v for k, v in step.items() if k != "matrix"}}, "  "))
        for name, step in manifest["steps"].items()
    }
    excludes = {
        name: f"      exclude:\n        - {yaml_text({OPERATION: step[OPERATION]})}\n"
        for name, step in manifest["steps"].items()
        if isinstance(step.get(OPERATION), list)
    }
    head_text = _NOTE + "".join(_lines(head, "")) + "steps:\n"
    return {"head": head_text, "steps": steps, "excludes": excludes}


def list_name(manifest: dict[str, Any] | None) -> str:
    """How a list of picks is called: as the first axis with `only` asks for it, or `picks.txt`."""
    steps = manifest["steps"].values() if manifest else ()
    asked = (axis["only"] for axis in chain.from_iterable(map(_step_axes, steps)) if "only" in axis)
    return PurePosixPath(next(asked, _LIST)).name


def reads_picks(manifest: dict[str, Any] | None) -> bool:
    """Whether an axis takes only what a list of picks names."""
    steps = manifest["steps"].values() if manifest else ()
    return any("only" in axis for axis in chain.from_iterable(map(_step_axes, steps)))


def _step_axes(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The axes of a step that run through another one."""
    matrix = step.get("matrix")
    axes = matrix.values() if isinstance(matrix, dict) else ()
    return (axis for axis in axes if isinstance(axis, dict) and "step" in axis)


def _lines(mapping: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in mapping.items():
        word = key if _PLAIN(key) and not _WORDS(key) else yaml_text(key)
        if isinstance(value, dict) and value:
            yield f"{indent}{word}:\n"
            yield from _lines(value, f"{indent}  ")
        elif isinstance(value, list) and value:
            yield f"{indent}{word}:\n"
            yield from (f"{indent}  - {yaml_text(item)}\n" for item in value)
        else:
            yield f"{indent}{word}: {yaml_text(value)}\n"
