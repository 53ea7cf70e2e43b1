"""A manifest as the other rooms know it: frozen, every file that it names read."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsrun.common.errors import Problem
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath
from dsrun.common.user_files import Inputs
from dsrun.common.yaml_document import YamlDocument
from dsrun.manifest.execution import Execution
from dsrun.manifest.matrix import Matrix
from dsrun.manifest.notify import Notify
from dsrun.manifest.schedule import Schedule

FORMAT_VERSION = 1
_TEMPLATE = re.compile(r"\{[{%#]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text of `input`, `parameters` or `filename`, in most cases a template."""

    source: str
    at: KeyPath
    file: str | None = None  # the prompt file, as the manifest spells it
    sha256: str | None = None  # of the prompt file

    @property
    def is_template(self) -> bool:
        return bool(_TEMPLATE.search(self.source))


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The operations that a step may call: one for every row, or what each row names.

    A row names one as its value of the axis `operation`, or by the text of `model`.
    """

    operations: tuple[str, ...]
    by_axis: bool = False
    model: Text | None = None

    @property
    def one(self) -> str | None:
        """The operation that every row calls."""
        return None if self.by_axis or self.model else self.operations[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. The leaves of `body` (input and parameters) are Text or constants."""

    name: str
    calls: Calls
    matrix: Matrix
    repeat: int
    body: Mapping[str, Any]
    filename: Text | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that a pipeline says. `raw` is the manifest's value with the params resolved."""

    path: Path
    inputs: Inputs  # where the files lie that it names
    source: bytes
    document: YamlDocument
    raw: Mapping[str, Json]
    name: str
    params: Mapping[str, Json]
    steps: tuple[Step, ...]
    execution: Execution
    notify: Notify | None
    pinned: Mapping[str, Json] | None  # the lock file, where the pipeline is one
    schedule: Schedule | None = None
    keep: int | None = None  # run directories that stay; None: all
    metadata: bool = True  # pictures carry their request
    set_params: Mapping[str, str] = field(default_factory=dict)  # the texts of `--set`
    problems: tuple[Problem, ...] = ()  # `steps` lack what these are about
    warnings: tuple[Problem, ...] = ()

    @property
    def root(self) -> Path:
        """The folder that file names are relative to."""
        return self.inputs.root


def iter_texts(value: Any) -> Iterator[Text]:
    """Every Text leaf of a step's body."""
    if isinstance(value, Text):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from iter_texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from iter_texts(item)
