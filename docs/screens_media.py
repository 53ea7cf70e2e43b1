"""Takes the pictures of comparing, voices and films: `python docs/screens_media.py [FOLDER]`.

Wants Chromium and playwright, as the tests do. Take them again when the page changes, and look at
them. With FOLDER it also puts there what a phone and a dark screen show, to be looked at only.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs/images"
WIDE = {"width": 1120, "height": 680}
PHONE = {"width": 390, "height": 844}
_MOMENT_MS = 700  # until pictures, films and fonts stand still
_OTHERS = {
    "phone": {"viewport": PHONE, "has_touch": True, "device_scale_factor": 1},
    "dark": {"viewport": WIDE, "color_scheme": "dark"},
}


def _compare(page: Page) -> None:
    """Three models on one prompt, nearer, the second starred and the third rejected."""
    page.evaluate("marked = visible.filter((card) => card.entry.index % 4 === 0).slice(0, 3)")
    for key in ("c", "+", "+", "2", "s", "3", "x", "2"):
        page.keyboard.press(key)


def _voices(page: Page) -> None:
    """A voice that plays."""
    page.locator("audio").evaluate_all("all => all.forEach(audio => { audio.muted = true })")
    page.locator(".play").nth(1).click()
    page.wait_for_function("() => document.querySelectorAll('audio')[1].currentTime > 1")
    page.locator(".play").nth(1).click()


def _films(page: Page) -> None:
    """A film in full, with the picture and the prompt that it was made from."""
    page.locator(".open", has=page.locator("video")).nth(2).click()


SCREENS: dict[str, tuple[str, Callable[[Page], None]]] = {
    "report-compare": ("compare-models.yaml", _compare),
    "report-voices": ("audiobook/audiobook.yaml", _voices),
    "report-videos": ("storyboard/storyboard.yaml", _films),
}


def main() -> None:
    """Run the examples on the emulator, open their reports, and save what a reader sees."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("there is no chromium; install your system's package of that name")
    aside = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (example, prepare) in SCREENS.items():
            report = _report(example, Path(folder))
            _take(browser, report, prepare, IMAGES / f"{name}.png", viewport=WIDE)
            for kind, about in _OTHERS.items() if aside else ():
                _take(browser, report, prepare, aside / f"{name}-{kind}.png", **about)
        browser.close()


def _report(example: str, folder: Path) -> Path:
    """The report of an emulated run of an example."""
    command = [sys.executable, "-m", "dsrun", ROOT / "examples" / example, "--emulate"]
    run = subprocess.run(  # noqa: S603  # our own program
        [*command, "--out", folder], stdout=subprocess.PIPE, text=True, check=True
    )
    return Path(run.stdout.strip()) / "report.html"


def _take(
    browser: Browser, report: Path, prepare: Callable[[Page], None], target: Path, **about: object
) -> None:
    context = browser.new_context(**({"color_scheme": "light"} | about))
    page = context.new_page()
    page.goto(report.as_uri())
    page.wait_for_load_state("networkidle")
    prepare(page)
    page.wait_for_timeout(_MOMENT_MS)
    page.screenshot(path=target)
    context.close()


if __name__ == "__main__":
    main()
