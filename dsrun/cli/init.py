"""`dsrun init`: a commented pipeline to start from, with the files that it reads."""

import re
from collections.abc import Sequence
from pathlib import Path

from dsrun.common.console import answer_json, answer_path, say
from dsrun.common.errors import ExitCode, SetupError, UsageError
from dsrun.common.messages import nearest
from dsrun.common.resources import pipeline_files, read_pipeline
from dsrun.common.shell import command_line
from dsrun.session.options import DEFAULT_OUT
from dsrun.storage.layout import RunLayout, latest_of

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}").fullmatch


def run(name: str | None, *, source: str, as_json: bool) -> int:
    """Write NAME.yaml and, unchanged, the data files of `source`.

    Never overwrites: raises UsageError where a file is there already.
    """
    known = shipped()
    if source not in known:
        raise UsageError(
            f"--from {source}: no such pipeline{nearest(source, known)}; "
            f"allowed: {', '.join(known)}"
        )
    stem = _stem(name, source)
    text = read_pipeline(f"{source}.yaml").decode()
    text = text.replace(f"name: {source}", f"name: {stem}", 1)
    pipeline = Path(f"{stem}.yaml")
    for written in ("THIS-FILE", f"{source}.yaml"):  # in its comments, which one can paste
        text = text.replace(written, pipeline.name)
    files = [pipeline]
    _write(pipeline, text.encode())
    for file in pipeline_files():
        if Path(file).stem == source and not file.endswith(".yaml"):
            _write(Path(file), read_pipeline(file))
            files.append(Path(file))
    _answer(files, stem, as_json=as_json)
    return ExitCode.OK


def shipped() -> list[str]:
    """The names of the pipelines that can be copied."""
    return sorted(Path(file).stem for file in pipeline_files() if file.endswith(".yaml"))


def _answer(files: Sequence[Path], name: str, *, as_json: bool) -> None:
    """The files, and where the page of the first run will be."""
    run = command_line("dsrun", files[0], "--emulate")
    page = RunLayout.of(latest_of(DEFAULT_OUT / name)).report
    if as_json:
        answer_json({"pipeline": str(files[0]), "files": list(map(str, files)), "next": run})
        return
    for file in files:
        answer_path(file)
    say(f"next: `{run}` tries it without a key and without cost; then open {page}")


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
