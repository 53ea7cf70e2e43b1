"""What the shell completes: names that stand in the pipeline, in the catalog, or in a run.

A file that is not there or not whole yet completes nothing, and is nothing to complain of.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from dsrun.common.errors import DsrunError

Completion = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completion(names: Callable[[Mapping[str, Any]], Iterable[str]]) -> Completion:
    """Completes the names that `names` gives for the parameters read so far."""

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        del param
        try:
            found = sorted(set(map(str, names(ctx.params))))
        except (DsrunError, OSError, ValueError):
            return []
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]

    return complete


def _steps(given: Mapping[str, Any]) -> Iterable[str]:
    return _mapping(_raw(given), "steps")


def _params(given: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name}=" for name in _mapping(_raw(given), "params"))


def _raw(given: Mapping[str, Any]) -> Any:
    """The pipeline as YAML, whatever is wrong with it otherwise."""
    from dsrun.common.user_files import TEXT_BYTES, Unreadable, read_file  # noqa: PLC0415
    from dsrun.common.yaml_document import parse_yaml  # noqa: PLC0415

    path = given.get("pipeline") or next(iter(given.get("pipelines") or ()), None)
    if path is None:
        return None
    try:
        text = read_file(Path(path), most=TEXT_BYTES).decode("utf-8-sig")
    except Unreadable:
        return None
    raw = parse_yaml(text, file=str(path)).value
    return _mapping(raw, "manifest") or raw


def _mapping(value: Any, name: str) -> dict[str, Any]:
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def _axes(given: Mapping[str, Any]) -> Iterator[str]:
    """What the rows and columns of a contact sheet of this run can be."""
    from dsrun.common.lockfile import read_lockfile  # noqa: PLC0415
    from dsrun.session.opening import run_dir_of  # noqa: PLC0415

    yield from ("step", "seed", "picture")
    manifest = read_lockfile(run_dir_of(Path(given["directory"]))).get("manifest")
    for step in _mapping(manifest, "steps").values():
        yield from set(_mapping(step, "matrix")) - {"exclude", "include", "sample", "zip"}


def _schemas(given: Mapping[str, Any]) -> Iterable[str]:
    from dsrun.cli.schema import known_schemas  # noqa: PLC0415

    return known_schemas(given.get("where") or Path(), tuple(given.get("allow_files") or ()))


def _shipped(given: Mapping[str, Any]) -> Iterable[str]:
    from dsrun.cli.init import shipped  # noqa: PLC0415

    del given
    return shipped()


def _faults(given: Mapping[str, Any]) -> Iterable[str]:
    from dsrun.emulator import FAULTS  # noqa: PLC0415

    del given
    return ["list", *FAULTS]


complete_axis = _completion(_axes)
complete_fault = _completion(_faults)
complete_param = _completion(_params)
complete_schema = _completion(_schemas)
complete_shipped = _completion(_shipped)
complete_step = _completion(_steps)
