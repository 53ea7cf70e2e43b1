"""Pages in a real browser, as a person opens them: from disk, without network.

`.ci/run` installs Chromium; where it is not installed the tests with `MARKS` are skipped, except in
CI.
"""

import os
import shutil

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
MARKS = [
    pytest.mark.skipif(
        BROWSER is None and os.environ.get("CI") != "true", reason="Chromium is not installed"
    ),
    pytest.mark.timeout(180),
]
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 844}


def dsrun(work, *arguments):
    """In a process of its own: in this one the browser's event loop runs."""
    return work.spawn(*arguments).end()


class Reader:
    """A person at a browser, who writes down every complaint and every address asked for."""

    def __init__(self, chromium, address, **about):
        self._context = chromium.new_context(**({"viewport": WIDE} | about))
        self.page = self._context.new_page()
        self.page.set_default_timeout(10_000)
        self.complaints, self.addresses, self._loading = [], [], set()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", self._note_failure)
        self.page.on("request", self._note_request)
        self.page.on("requestfinished", self._note_end)
        self.page.goto(address)

    def _note_request(self, request):
        self.addresses.append(request.url)
        self._loading.add(request)

    def _note_end(self, request):
        self._loading.discard(request)

    def _note_failure(self, request):
        self._note_end(request)
        # The full view may be left before its picture has come.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"{request.url}: {request.failure}")

    def reload(self):
        self._wait_for_files()
        self.page.reload()

    def visit(self, address):
        self._wait_for_files()
        self.page.goto(address)

    def _wait_for_files(self):
        """A page that is left while files are on their way aborts them, and says so."""
        while self._loading:
            self.page.wait_for_timeout(20)

    def captions(self):
        return self.page.locator(".card .foot span").all_text_contents()

    def choose(self, words, value):
        self.page.locator("#more").evaluate("node => { node.open = true }")
        self.page.get_by_label(words, exact=True).select_option(value)

    def flatten(self):
        """Take the pictures out of their sheet, so that captions have all axes."""
        self.choose("Rows", "")
        self.choose("Columns", "")

    def filter(self, axis, value):
        self.page.locator("#more").evaluate("node => { node.open = true }")
        group = self.page.get_by_role("group", name=axis, exact=True)
        group.get_by_role("button", name=value, exact=True).click()

    def star(self, job_id):
        """Star the first file of a job, wherever it stands."""
        self.page.evaluate(
            "id => [...document.querySelectorAll('.pick')]"
            ".find(node => node.card.entry.job_id === id).click()",
            job_id,
        )

    def saved(self, button):
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=button).click()
        return download.value

    def close(self):
        self._context.close()
