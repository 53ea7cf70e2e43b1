"""What the shell completes: names that stand in the pipeline, in the catalog, or in a run.

A file that is not there or not whole yet completes nothing, and is nothing to complain of.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from dsrun.common.errors import DsrunError

Completion = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completion(names: Callable[[Sequence[Any]], Iterable[str]]) -> Completion:
    """Completes the names that `names` gives for the arguments of the command so far."""

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        del param
        try:
            found = sorted(set(map(str, names(_arguments(ctx)))))
        except (DsrunError, OSError, ValueError):
            return []
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]

    return complete


def complete_word(words: Iterable[str]) -> Completion:
    """Completes one of these words."""
    known = tuple(words)
    return _completion(lambda _: known)


def _arguments(ctx: click.Context) -> list[Any]:
    """Those typed, the defaults after them. An option without its value leaves them in `args`."""
    names = [param.name for param in ctx.command.params if isinstance(param, click.Argument)]
    return [*ctx.args, *(ctx.params[name] for name in names if name and ctx.params.get(name))]


def _steps(given: Sequence[Any]) -> Iterable[str]:
    return _mapping(_raw(given), "steps")


def _params(given: Sequence[Any]) -> Iterator[str]:
    return (f"{name}=" for name in _mapping(_raw(given), "params"))


def _raw(given: Sequence[Any]) -> Any:
    """The first pipeline as YAML, whatever is wrong with it otherwise."""
    from dsrun.common.user_files import TEXT_BYTES, Unreadable, read_file
    from dsrun.common.yaml_document import parse_yaml

    path = next((path for path in map(_path, given) if path.is_file()), None)
    if path is None:
        return None
    try:
        text = read_file(path, most=TEXT_BYTES).decode("utf-8-sig")
    except Unreadable:
        return None
    raw = parse_yaml(text, file=str(path)).value
    return _mapping(raw, "manifest") or raw


def _path(argument: Any) -> Path:
    """The path that an argument names; of several arguments the first."""
    return Path(argument[0] if isinstance(argument, tuple) else argument)


def _mapping(value: Any, name: str) -> dict[str, Any]:
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def _axes(given: Sequence[Any]) -> Iterator[str]:
    """What the rows and columns of a contact sheet of this run can be."""
    from dsrun.common.lockfile import read_lockfile
    from dsrun.session.opening import run_dir_of

    yield from ("step", "seed", "picture")
    manifest = read_lockfile(run_dir_of(_path(given[0]))).get("manifest") if given else None
    for step in _mapping(manifest, "steps").values():
        yield from set(_mapping(step, "matrix")) - {"exclude", "include", "sample", "zip"}


def _schemas(given: Sequence[Any]) -> Iterable[str]:
    from dsrun.cli.schema import known_schemas

    del given
    return known_schemas(Path(), ())


def _shipped(given: Sequence[Any]) -> Iterable[str]:
    from dsrun.cli.init import shipped

    del given
    return shipped()


def _faults(given: Sequence[Any]) -> Iterable[str]:
    from dsrun.emulator import FAULTS

    del given
    return ["list", *FAULTS]


complete_axis = _completion(_axes)
complete_fault = _completion(_faults)
complete_param = _completion(_params)
complete_schema = _completion(_schemas)
complete_shipped = _completion(_shipped)
complete_step = _completion(_steps)
complete_voices = _completion(lambda given: () if given else ("list", "show", "delete"))
