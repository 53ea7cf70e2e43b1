"""The one reader of files that ship with the package."""

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

from dsrun.common.errors import SetupError


def read_schema(name: str) -> bytes:
    """Bytes of `schemas/NAME`. Raises SetupError when the installation lacks it."""
    return _read(_package("dsrun.schemas"), name)


def read_pipeline(name: str) -> bytes:
    """Bytes of `pipelines/NAME`."""
    return _read(_package("dsrun.pipelines"), name)


def read_page(name: str) -> bytes:
    """Bytes of a part of the report's page."""
    return _read(_package("dsrun.report"), name)


def pipeline_files() -> list[str]:
    """Names of the files that ship in `pipelines/`."""
    names = [item.name for item in _package("dsrun.pipelines").iterdir() if item.is_file()]
    return sorted(name for name in names if not name.endswith((".py", ".pyc")))


def iter_operation_files() -> Iterator[tuple[str, bytes]]:
    """Names (without `.json`) and bytes of the operation files, sorted by name."""
    folder = _package("dsrun.schemas").joinpath("operations")
    operations = [item for item in folder.iterdir() if item.name.endswith(".json")]
    for item in sorted(operations, key=lambda item: item.name):
        yield item.name.removesuffix(".json"), item.read_bytes()


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
