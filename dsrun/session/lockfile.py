"""Writes what a run directory says of its pipeline: the manifest, the lock file, the inputs."""

import json
import re
from functools import partial
from pathlib import Path

from dsrun import __version__
from dsrun.common.lockfile import read_lockfile
from dsrun.common.settings import Settings
from dsrun.common.user_files import INPUTS, can_be_kept
from dsrun.manifest.files import DataFile, text_sha256
from dsrun.manifest.model import iter_texts
from dsrun.planning.plan import Plan
from dsrun.planning.plan_digest import file_digests
from dsrun.session.opening import OWN_OPERATIONS
from dsrun.storage.files import make_folder, point_latest, write_whole
from dsrun.storage.layout import RunLayout

_CHUNK = 1 << 20
# Characters that JSON allows and YAML does not; a lock file is read again as YAML.
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def write_manifest(plan: Plan, layout: RunLayout, settings: Settings, *, command: str) -> None:
    """The manifest as it was read, everything resolved beside it, and `latest`.

    `command` goes on with the run; the report and `dsrun status` show it.
    """
    if plan.manifest.pinned is not None and layout.lockfile.is_file():
        command = read_lockfile(layout.run_dir).get("command", command)  # of the run before
    content = {
        "digest": plan.digest,
        "dsrun_version": __version__,
        "endpoint": settings.base_url,
        "command": command,
        "root": str(plan.manifest.root.resolve()),
        "run": dict(plan.run_values),
        "files": file_digests(plan.manifest, plan.included) | plan.files.digests,
        "manifest": plan.manifest.raw,
    }
    _keep_inputs(plan, layout.run_dir / INPUTS)
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
        point_latest(layout.latest, layout.run_dir.name)


def _keep_inputs(plan: Plan, folder: Path) -> None:
    """Copy the files that the pipeline reads, so that its lock file can run without them."""
    texts = dict(plan.included)
    for step in plan.manifest.steps:
        texts |= {text.file: text.source for text in iter_texts(step.body) if text.file}
        for name, data in step.matrix.files.items():
            _keep_data(folder / name, data, name)
    for name, text in texts.items():
        if can_be_kept(name):
            make_folder((folder / name).parent)
            write_whole(folder / name, [text.encode()])


def _keep_data(copy: Path, data: DataFile, name: str) -> None:
    if not can_be_kept(name) or data.path.resolve() == copy.resolve():
        return
    if copy.is_file() and text_sha256(copy, shown_as=name) == data.sha256:
        return
    make_folder(copy.parent)
    with data.open() as file:
        write_whole(copy, iter(partial(file.read, _CHUNK), b""))


def _escape(sign: re.Match[str]) -> str:
    return f"\\u{ord(sign[0]):04x}"
