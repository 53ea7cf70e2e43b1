"""`dsrun schema NAME`: the JSON Schemas of what dsrun reads and writes."""

from pathlib import Path

import orjson

from dsrun.common.console import answer, answer_text
from dsrun.common.errors import ExitCode, UsageError
from dsrun.common.messages import nearest
from dsrun.common.resources import read_schema
from dsrun.common.user_files import nearest_path
from dsrun.service.catalog import Catalog
from dsrun.service.editor_schema import manifest_schema
from dsrun.session.opening import own_catalog

_OWN = ("manifest", "results")


def run(name: str | None, *, where: Path, allow_files: tuple[Path, ...]) -> int:
    """Print one schema, or the names of all. Raises UsageError for an unknown name or place.

    `where` is a pipeline or a folder: the operations beside it are known too.
    """
    catalog = catalog_of(where, allow_files)
    known = _names(catalog)
    if name is None:
        for each in known:
            answer(each)
        return ExitCode.OK
    if name not in known:
        raise UsageError(f"no schema {name}{nearest(name, known)}; allowed: {', '.join(known)}")
    answer_text(_schema_text(name, catalog))
    return ExitCode.OK


def known_schemas(where: Path, allow_files: tuple[Path, ...]) -> list[str]:
    """The names of all that can be printed. Raises UsageError, ManifestError."""
    return _names(catalog_of(where, allow_files))


def _names(catalog: Catalog) -> list[str]:
    return [*dict.fromkeys([*_OWN, *catalog.names, *catalog.families])]


def catalog_of(where: Path, allow_files: tuple[Path, ...]) -> Catalog:
    """The operations that a pipeline, or one in a folder, can use. Raises UsageError."""
    if not where.exists():
        near = nearest_path(where)
        hint = f" (did you mean {near}?)" if near else ""
        raise UsageError(f"{where}: no such pipeline or folder{hint}")
    return own_catalog(where if where.is_dir() else where.parent, allow_files)


def _schema_text(name: str, catalog: Catalog) -> str:
    if name == "manifest":
        return manifest_text(catalog)
    if name in catalog.own:
        return catalog.own[name].rstrip("\n")
    if name in _OWN:
        return read_schema(f"{name}.json").decode().rstrip("\n")
    if name in catalog and catalog[name].family != name:  # one model of a file
        return orjson.dumps(catalog[name].schema, option=orjson.OPT_INDENT_2).decode()
    return read_schema(f"operations/{name}.json").decode().rstrip("\n")


def manifest_text(catalog: Catalog) -> str:
    """The schema of manifests, as it is printed and shipped."""
    frame = orjson.loads(read_schema("frame.json"))
    schema = manifest_schema(frame, [catalog[name] for name in catalog.names])
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode()
