"""Writes what a run directory says of its pipeline: the manifest, the lock file, the inputs."""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from dsrun import __version__
from dsrun.common.lockfile import read_lockfile
from dsrun.common.models import Json
from dsrun.common.names import written
from dsrun.common.settings import Settings
from dsrun.common.user_files import INPUTS, can_be_kept, is_file
from dsrun.manifest.files import DataFile, text_sha256
from dsrun.manifest.model import iter_texts
from dsrun.planning.plan import Plan
from dsrun.planning.plan_digest import file_digests
from dsrun.session.opening import OWN_OPERATIONS
from dsrun.storage.files import NameRefused, NoLink, make_folder, point_latest, write_whole
from dsrun.storage.layout import RunLayout

_CHUNK = 1 << 20
# Characters that JSON allows and YAML does not; a lock file is read again as YAML.
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def write_manifest(
    plan: Plan,
    layout: RunLayout,
    settings: Settings,
    *,
    command: str,
    warn: Callable[[str], None],
) -> None:
    """The manifest as it was read, everything resolved beside it, and `latest`.

    `command` goes on with the run; the report and `dsrun status` show it.
    """
    if plan.manifest.pinned is not None and layout.lockfile.is_file():
        command = read_lockfile(layout.run_dir).get("command", command)  # of the run before
    content = _lock_content(plan, settings, command=command)
    _keep_inputs(plan, layout.run_dir / INPUTS, warn=warn)
    for name, text in plan.catalog.own.items():
        make_folder(layout.run_dir / OWN_OPERATIONS)
        write_whole(layout.run_dir / OWN_OPERATIONS / f"{name}.json", [text.encode()])
    if plan.manifest.pinned is None or not layout.manifest.exists():
        write_whole(layout.manifest, [plan.manifest.source])
    write_whole(
        layout.lockfile,
        [_UNPRINTABLE.sub(_escape, json.dumps(content, indent=2, ensure_ascii=False)).encode()],
    )
    # An emulated run must not take the place of a real one.
    if not layout.emulated or not layout.latest_is_real():
        try:
            point_latest(layout.latest, layout.run_dir.name)
        except NoLink as error:
            warn(f"{error}; the run goes on without that link to the newest run")


def _lock_content(plan: Plan, settings: Settings, *, command: str) -> dict[str, Json]:
    content: dict[str, Json] = {
        "digest": plan.digest,
        "dsrun_version": __version__,
        "endpoint": settings.base_url,
        "command": command,
        "root": written(plan.manifest.root.resolve()),
        "run": dict(plan.run_values),
        "files": file_digests(plan.manifest, plan.included) | plan.files.digests,
        "manifest": plan.manifest.raw,
    }
    if picks := {
        name: file.text for step in plan.manifest.steps for name, file in step.matrix.picks.items()
    }:
        content["picks"] = picks
    return content


def _keep_inputs(plan: Plan, folder: Path, *, warn: Callable[[str], None]) -> None:
    """Copy the files that the pipeline reads, so that its lock file can run without them."""
    for name, copy in _copies(plan, folder):
        try:
            copy()
        except NameRefused as error:
            warn(f"{name} is not kept beside the lock file, which reads the original: {error}")


def _copies(plan: Plan, folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """The name of each file, and what copies it."""
    texts = dict(plan.included)
    for step in plan.manifest.steps:
        texts |= {text.file: text.source for text in iter_texts(step.body) if text.file}
        for name, data in step.matrix.files.items():
            yield name, partial(_keep_data, folder / name, data, name)
    for name, text in texts.items():
        if can_be_kept(name):
            yield name, partial(_keep_text, folder / name, text)


def _keep_text(copy: Path, text: str) -> None:
    make_folder(copy.parent)
    write_whole(copy, [text.encode()])


def _keep_data(copy: Path, data: DataFile, name: str) -> None:
    if not can_be_kept(name) or data.path.resolve() == copy.resolve():
        return
    if is_file(copy) and text_sha256(copy, shown_as=name) == data.sha256:
        return
    make_folder(copy.parent)
    with data.open() as file:
        write_whole(copy, iter(partial(file.read, _CHUNK), b""))


def _escape(sign: re.Match[str]) -> str:
    return f"\\u{ord(sign[0]):04x}"
