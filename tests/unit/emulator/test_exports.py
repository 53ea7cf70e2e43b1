"""What the package offers, and what importing it costs."""

import subprocess
import sys

import pytest

import dsrun.emulator


def test_every_exported_name_is_there():
    assert all(hasattr(dsrun.emulator, name) for name in dsrun.emulator.__all__)


def test_any_other_name_is_not():
    with pytest.raises(AttributeError, match="no attribute 'emulate'"):
        dsrun.emulator.emulate  # noqa: B018


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("dsrun.emulator", ("aiohttp", "jsonschema_rs", "PIL", "numpy", "soundfile")),
        ("dsrun.emulator.app", ("PIL", "numpy", "soundfile", "jsonschema")),
    ],
)
def test_heavy_packages_are_imported_when_they_are_used(module, unwanted):
    script = f"import sys, {module}; print(*[name for name in {unwanted} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_the_emulator_imports_nothing_of_the_client_side():
    modules = "dsrun.emulator.app, dsrun.emulator.media.picture, dsrun.emulator.media.speech"
    script = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    ours = {name for name in done.stdout.split() if name.startswith("dsrun.")}
    assert {name for name in ours if not name.startswith("dsrun.emulator")} == set()
