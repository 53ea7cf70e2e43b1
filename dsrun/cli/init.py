"""`dsrun init`: a commented pipeline to start from, with the files that it reads."""

import re
from pathlib import Path

from dsrun.common.console import answer_path
from dsrun.common.errors import ExitCode, SetupError, UsageError
from dsrun.common.messages import nearest
from dsrun.common.resources import pipeline_files, read_pipeline

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}").fullmatch


def run(name: str | None, *, source: str) -> int:
    """Write NAME.yaml and, unchanged, the data files of `source`.

    Never overwrites: raises UsageError where a file is there already.
    """
    known = sorted(Path(file).stem for file in pipeline_files() if file.endswith(".yaml"))
    if source not in known:
        raise UsageError(
            f"--from {source}: no such pipeline{nearest(source, known)}; "
            f"allowed: {', '.join(known)}"
        )
    stem = _stem(name, source)
    text = read_pipeline(f"{source}.yaml").decode()
    text = text.replace(f"name: {source}", f"name: {stem}", 1)
    _write(Path(f"{stem}.yaml"), text.encode())
    for file in pipeline_files():
        if Path(file).stem == source and not file.endswith(".yaml"):
            _write(Path(file), read_pipeline(file))
    return ExitCode.OK


def _stem(name: str | None, source: str) -> str:
    asked = name or ("dsrun" if source == "starter" else source)
    stem = asked.removesuffix(".yaml").removesuffix(".yml")
    if not _NAME(stem):
        raise UsageError(f"found name {asked!r}; allowed: a-z, 0-9 and -, at most 63 characters")
    return stem


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already; choose another name or folder") from error
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror}") from error
    answer_path(path)
