"""`dsrun init`: a commented pipeline to start from, with the files that it reads."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from dsrun.common.console import answer_json, answer_path, say
from dsrun.common.errors import ExitCode, SetupError, UsageError
from dsrun.common.messages import nearest
from dsrun.common.resources import MANIFEST, pipelines, read_pipeline
from dsrun.common.shell import command_line
from dsrun.session.options import DEFAULT_OUT
from dsrun.storage.layout import RunLayout, latest_of

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}").fullmatch


def run(name: str | None, *, source: str, as_json: bool) -> int:
    """Write the pipeline `source` under another name, with the files that it reads.

    Never overwrites: raises UsageError where a file, or its folder, is there already.
    """
    known = shipped()
    if source not in known:
        raise UsageError(
            f"--from {source}: no such pipeline{nearest(source, known)}; "
            f"allowed: {', '.join(known)}"
        )
    stem = _stem(name, source)
    manifest, *others = pipelines()[source]
    if manifest.endswith(f"/{MANIFEST}"):
        files = _copy_folder(manifest, others, source=source, stem=stem)
    else:
        files = [Path(f"{stem}.yaml"), *map(Path, others)]
        _must_be_free(files)
        _write(files[0], _named(manifest, source, stem))
        for file in others:
            _write(Path(file), read_pipeline(file))
    _answer(files, stem, as_json=as_json)
    return ExitCode.OK


def shipped() -> list[str]:
    """The names of the pipelines that can be copied."""
    return sorted(pipelines())


def _copy_folder(manifest: str, others: Sequence[str], *, source: str, stem: str) -> list[Path]:
    """All files of a pipeline, in a new folder of its name."""
    folder = Path(stem)
    _make_folder(folder)
    written = {folder / MANIFEST: _named(manifest, source, stem)}
    for file in others:
        written[folder / Path(file).relative_to(source)] = read_pipeline(file)
    for path, data in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, data)
    return list(written)


def _named(manifest: str, source: str, stem: str) -> bytes:
    """The text of a manifest as `stem`, also in the commands of its comments."""
    text = read_pipeline(manifest).decode()
    text = text.replace(f"name: {source}", f"name: {stem}", 1)
    for written in ("THIS-FILE", f"{source}.yaml"):
        text = text.replace(written, f"{stem}.yaml")
    return text.encode()


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


def _must_be_free(files: Sequence[Path]) -> None:
    """So that no half of a pipeline is left where another file is in the way."""
    for file in files:
        if os.path.lexists(file):
            raise UsageError(f"{file} is there already; choose another name or folder")


def _make_folder(path: Path) -> None:
    try:
        path.mkdir()
    except FileExistsError as error:
        raise UsageError(f"{path} is there already; choose another name or folder") from error
    except OSError as error:
        raise SetupError(f"{path} cannot be made: {error.strerror}") from error


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already; choose another name or folder") from error
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror}") from error
