"""A browser for the pages that dsrun writes."""

import pytest

from tests.browsing import BROWSER, Reader


@pytest.fixture(scope="module")
def chromium():
    assert BROWSER is not None, "CI runs these tests; install Debian's package chromium"
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # most tests here need none

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def read(chromium):
    readers = []

    def start(report, **about):
        address = report if isinstance(report, str) else report.as_uri()
        readers.append(Reader(chromium, address, **about))
        return readers[-1]

    yield start
    for reader in readers:
        reader.close()
