"""Pipelines from text, for tests: the folder written, the manifest read, the plan made."""

from dsrun.manifest.reader import load_manifest
from dsrun.planning.plan import build_plan
from dsrun.service.catalog import load_catalog

RUN_VALUES = {"date": "2026-11-22", "datetime": "2026-11-22T09:30:00+08:00", "id": "run-1"}


def write(folder, files):
    """Write files by name; text as UTF-8 with its line ends as they are."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def catalog_of(folder):
    """The operations of a manifest in this folder."""
    return load_catalog(folder / "operations")


def read_manifest(folder, text, *, files=None, set_params=None):
    write(folder, {"p.yaml": text, **(files or {})})
    return load_manifest(folder / "p.yaml", catalog=catalog_of(folder), set_params=set_params)


def plan_of(folder, text, *, files=None, set_params=None, run_values=None):
    manifest = read_manifest(folder, text, files=files, set_params=set_params)
    values = RUN_VALUES if run_values is None else run_values
    return build_plan(manifest, catalog=catalog_of(folder), run_values=values)


def jobs_of(folder, text, *, files=None):
    return list(plan_of(folder, text, files=files).jobs())


def one_step(step, *, head=""):
    """A manifest of one step `s`, given as its indented lines."""
    return f"version: 1\nname: test\n{head}steps:\n  s:\n    operation: wanx-v1\n{step}"
