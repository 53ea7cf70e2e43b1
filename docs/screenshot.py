"""Takes the picture of the report for README and manual: `python docs/screenshot.py`.

Wants Chromium and playwright, as the tests do. Take it again when the page changes, and look at it.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from dsrun.cli.main import main as dsrun

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs/images/report.png"
README = ROOT / "README.md"
SIZE = {"width": 1280, "height": 920}


def main() -> None:
    """Run README's manifest on the emulator, open its report, and save what a reader sees."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("there is no chromium; install your system's package of that name")
    with tempfile.TemporaryDirectory() as folder:
        page = _report(Path(folder))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            reader = browser.new_page(viewport=SIZE, color_scheme="light")
            reader.goto(page.as_uri())
            reader.wait_for_load_state("networkidle")
            reader.screenshot(path=PICTURE)
            browser.close()


def _report(folder: Path) -> Path:
    """The report of an emulated run in this folder."""
    found = re.search(
        r"^```yaml\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    if found is None:
        sys.exit("README has no manifest")
    manifest = folder / "lanterns.yaml"
    manifest.write_text(found[1], encoding="utf-8")
    if code := dsrun(["run", str(manifest), "--emulate", "--out", str(folder)]):
        sys.exit(code)
    return next(folder.glob("*/emulated-*/report.html"))


if __name__ == "__main__":
    main()
