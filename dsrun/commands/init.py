"""`dsrun init`: a commented starter pipeline."""

import re
from pathlib import Path

from dsrun.console import answer
from dsrun.errors import ExitCode, SetupError, UsageError
from dsrun.resources import read_pipeline

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}").fullmatch


def run(name: str) -> int:
    """Write NAME.yaml. Never overwrites: raises UsageError where the file is there."""
    stem = name.removesuffix(".yaml").removesuffix(".yml")
    if not _NAME(stem):
        raise UsageError(f"found name {name!r}; allowed: a-z, 0-9 and -, at most 63 characters")
    path = Path(f"{stem}.yaml")
    text = read_pipeline("starter.yaml").decode().replace("name: starter", f"name: {stem}", 1)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already; choose another name") from error
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror}") from error
    answer(str(path))
    return ExitCode.OK
