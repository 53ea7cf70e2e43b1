"""What a run directory says of the pipeline that made it."""

import json
import re

from dsrun import __version__
from dsrun.commands.common import OWN_OPERATIONS
from dsrun.layout import RunLayout
from dsrun.plan import Plan
from dsrun.plan_digest import file_digests
from dsrun.settings import Settings
from dsrun.store import make_folder, point_latest, write_whole

# Signs that JSON lets stand and YAML, by whose reader a lock file is read again, does not.
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def write_manifest(plan: Plan, layout: RunLayout, settings: Settings) -> None:
    """The manifest as it was read, everything resolved beside it, and `latest`."""
    lock = {
        "digest": plan.digest,
        "dsrun_version": __version__,
        "endpoint": settings.base_url,
        "root": str(plan.manifest.root.resolve()),
        "run": dict(plan.run_values),
        "files": file_digests(plan.manifest, plan.included) | plan.files.digests,
        "manifest": plan.manifest.raw,
    }
    for name, text in plan.catalog.own.items():
        make_folder(layout.run_dir / OWN_OPERATIONS)
        write_whole(layout.run_dir / OWN_OPERATIONS / f"{name}.json", [text.encode()])
    if plan.manifest.pinned is None or not (layout.run_dir / "manifest.yaml").exists():
        write_whole(layout.run_dir / "manifest.yaml", [plan.manifest.source])
    write_whole(
        layout.run_dir / "manifest.lock.json",
        [_UNPRINTABLE.sub(_escape, json.dumps(lock, indent=2, ensure_ascii=False)).encode()],
    )
    # An emulated run must not take the place of a real one.
    if not layout.emulated or not layout.latest_is_real():
        point_latest(layout.latest, layout.run_dir.name)


def _escape(sign: re.Match[str]) -> str:
    return f"\\u{ord(sign[0]):04x}"
