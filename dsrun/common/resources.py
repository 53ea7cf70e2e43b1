"""The one reader of files that ship with the package."""

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

from dsrun.common.errors import SetupError

MANIFEST = "pipeline.yaml"  # of a pipeline that ships as a folder


def read_schema(name: str) -> bytes:
    """Bytes of `schemas/NAME`. Raises SetupError when the installation lacks it."""
    return _read(_package("dsrun.schemas"), name)


def read_pipeline(name: str) -> bytes:
    """Bytes of `pipelines/NAME`."""
    return _read(_package("dsrun.pipelines"), name)


def read_page(name: str) -> bytes:
    """Bytes of a part of the report's page."""
    return _read(_package("dsrun.report"), name)


def pipelines() -> dict[str, list[str]]:
    """The files of each pipeline that ships, below `pipelines/`, its manifest first.

    One is a folder around `pipeline.yaml`, or NAME.yaml with the files of the same stem.
    """
    entries = sorted(_package("dsrun.pipelines").iterdir(), key=lambda item: item.name)
    found: dict[str, list[str]] = {}
    for item in entries:
        if item.is_dir() and item.joinpath(MANIFEST).is_file():
            names = sorted(_below(item), key=lambda name: (name != MANIFEST, name))
            found[item.name] = [f"{item.name}/{name}" for name in names]
        elif item.name.endswith(".yaml"):
            stem = item.name.removesuffix("yaml")
            others = (other.name for other in entries if other.name.startswith(stem))
            found[stem[:-1]] = sorted(others, key=lambda name: name != item.name)
    return found


def iter_operation_files() -> Iterator[tuple[str, bytes]]:
    """Names (without `.json`) and bytes of the operation files, sorted by name."""
    folder = _package("dsrun.schemas").joinpath("operations")
    operations = [item for item in folder.iterdir() if item.name.endswith(".json")]
    for item in sorted(operations, key=lambda item: item.name):
        yield item.name.removesuffix(".json"), item.read_bytes()


def _below(folder: Traversable) -> Iterator[str]:
    """Names of all files below a folder, with slashes."""
    for item in folder.iterdir():
        if item.is_file():
            yield item.name
        elif item.name not in ("__pycache__", "outputs"):
            yield from (f"{item.name}/{name}" for name in _below(item))


def _package(name: str) -> Traversable:
    try:
        return files(name)
    except ModuleNotFoundError as error:
        raise SetupError(
            f"{name} is missing from this installation; install dsrun with "
            "`pip install .` or `pip install -e .` instead of running it from its source folder",
        ) from error


def _read(folder: Traversable, name: str) -> bytes:
    try:
        return folder.joinpath(name).read_bytes()
    except FileNotFoundError as error:
        raise SetupError(
            f"{name} is missing from this installation; install dsrun again"
        ) from error
