"""Takes the pictures of the report in docs/images again: `python -m tests.screens [NAME ...]`.

Each run is a real one against the emulator, and each picture one of Chromium. A change of the page
is looked at here, and the pictures are committed with it.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.browsing import BROWSER

IMAGES = Path(__file__).parent.parent / "docs/images"
MOST_BYTES = 200_000
DESKTOP, PHONE = (1440, 900), (375, 812)
QUICK = {
    "rate": "1000/s", "concurrency": 50,
    "polling": {"first": "100ms", "max": "200ms", "rate": "1000/s"},
}  # fmt: skip
SUBJECTS = [
    "a paper lantern", "a tea house", "a sleeping cat", "a boat", "a night market", "a bridge",
    "a heron", "a lotus", "a teapot", "a kite", "a drum", "a fox", "an owl", "a pagoda",
    "a bamboo grove", "a snow gate", "a koi pond", "a ferry", "a scholar", "a lute", "a pear tree",
    "a mill", "a mountain hut", "a stone lion", "a red door",
]  # fmt: skip
STYLES = ["<anime>", "<sketch>", "<watercolor>", "<oil painting>", "<flat illustration>"]


@dataclass(frozen=True)
class Run:
    """A pipeline, and how the service misbehaves."""

    name: str
    description: str
    step: dict
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Screen:
    run: Run
    size: tuple[int, int] = DESKTOP
    scheme: str = "light"
    keys: tuple[str, ...] = ()
    script: str = ""


MODELS = Run(
    "lanterns",
    "Three models paint five subjects in two lights, to choose the look of the autumn posters.",
    {
        "operation": ["wan2.6-t2i", "qwen-image-plus", "wanx-v1"],
        "matrix": {"subject": SUBJECTS[:5], "light": ["evening light", "noon sun"]},
        "input": {"prompt": "{{ subject }}, {{ light }}"},
    },
)
MANY = Run(
    "posters",
    "Twenty-five subjects in five styles, with four seeds each.",
    {
        "operation": "wanx-v1",
        "matrix": {"style": STYLES, "subject": SUBJECTS, "seed": [11, 12, 13, 14]},
        "input": {"prompt": "{{ subject }}"},
        "parameters": {"style": "{{ style }}", "seed": "{{ seed }}"},
    },
)
FAILED = Run(
    "cards",
    "Six subjects in three styles, on a bad day.",
    {
        "operation": "wanx-v1",
        "matrix": {"subject": SUBJECTS[:6], "style": STYLES[:3]},
        "input": {"prompt": "{{ subject }}"},
        "parameters": {"style": "{{ style }}"},
    },
    faults=("moderation=0.15", "failed-task=0.15"),
)
REPEATED = Run(
    "repeats",
    "The same request three times.",
    {
        "operation": "wanx-v1",
        "repeat": 3,
        "matrix": {"style": STYLES, "subject": SUBJECTS[:3]},
        "input": {"prompt": "{{ subject }}"},
        "parameters": {"style": "{{ style }}"},
    },
)
SCREENS = {
    "models": Screen(MODELS),
    "models-dark": Screen(MODELS, scheme="dark"),
    "models-phone": Screen(MODELS, size=PHONE),
    "models-phone-dark": Screen(MODELS, size=PHONE, scheme="dark"),
    "full-view": Screen(MODELS, keys=("Enter",)),
    "keys": Screen(MODELS, keys=("?",)),
    "filters": Screen(MODELS, script="openControls(); toggleFilter('light', 'noon sun'); draw()"),
    "500": Screen(MANY),
    "500-scrolled": Screen(MANY, scheme="dark", script="scrollTo(0, 2600)"),
    "500-phone": Screen(MANY, size=PHONE, script="scrollTo(60, 2600)"),
    "failures": Screen(FAILED),
    "failures-phone": Screen(FAILED, size=PHONE, scheme="dark"),
    "repeats": Screen(REPEATED),
}


@contextmanager
def service(faults: tuple[str, ...]) -> Iterator[str]:
    """The emulator's base URL, until the block ends."""
    options = [f"--fault={fault}" for fault in faults]
    command = [sys.executable, "-m", "dsrun", "emulate", "--port=0", "--key=a-key", "--no-limits"]
    process = subprocess.Popen(
        [*command, "--task-time=0.2", "--fault-seed=5", *options], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "DASHSCOPE_HTTP_BASE_URL=" in line)
        yield line.strip().partition("=")[2]
    finally:
        process.terminate()
        process.wait()


def page_of(run: Run, folder: Path) -> Path:
    """The report of this run, made below `folder`."""
    manifest = {
        "version": 1, "name": run.name, "description": run.description,
        "steps": {"posters": run.step}, "execution": QUICK,
    }  # fmt: skip
    folder.mkdir()
    pipeline = folder / f"{run.name}.yaml"
    pipeline.write_text(json.dumps(manifest), encoding="utf-8")
    with service(run.faults) as address:
        access = {"DASHSCOPE_HTTP_BASE_URL": address, "DASHSCOPE_API_KEY": "a-key"}
        command = [sys.executable, "-m", "dsrun", pipeline.name]
        subprocess.run(command, cwd=folder, env=os.environ | access, check=False)
    run_dir = (folder / "outputs" / run.name / "latest").resolve()
    report = [sys.executable, "-m", "dsrun", "report", str(run_dir)]
    subprocess.run(report, cwd=folder, check=True)
    return run_dir / "report.html"


def take(browser: Browser, page: Path, screen: Screen) -> bytes:
    """The picture, as a WebP."""
    width, height = screen.size
    scale = 2 if screen.size == PHONE else 1
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=screen.scheme,
        device_scale_factor=scale, timezone_id="UTC",
    )  # fmt: skip
    try:
        tab = context.new_page()
        tab.goto(page.as_uri())
        for key in screen.keys:
            tab.keyboard.press(key)
        if screen.script:
            tab.evaluate(screen.script)
        tab.wait_for_load_state("networkidle")
        tab.wait_for_timeout(1000)  # pictures are decoded after they have come
        picture = tab.screenshot()
    finally:
        context.close()
    return small(picture)


def small(picture: bytes) -> bytes:
    """The picture as a WebP below MOST_BYTES."""
    with Image.open(BytesIO(picture)) as image:
        for quality in range(85, 20, -10):
            out = BytesIO()
            image.convert("RGB").save(out, "WEBP", quality=quality, method=6)
            if len(out.getvalue()) < MOST_BYTES:
                break
    return out.getvalue()


def main(names: list[str]) -> None:
    wanted = {name: SCREENS[name] for name in names or SCREENS}
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        pages: dict[str, Path] = {}
        for name, screen in wanted.items():
            run = screen.run
            if run.name not in pages:
                pages[run.name] = page_of(run, Path(folder) / run.name)
            path = IMAGES / f"report-{name}.webp"
            path.write_bytes(take(browser, pages[run.name], screen))
            print(path.name, path.stat().st_size)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
