"""Serves the report of a run on this machine alone, made anew whenever the ledger has changed.

No other site may read it or write to it: requests must name this very address (Host), must not come
from another origin (Origin, Sec-Fetch-Site), and must know the page's token to change marks. The
ledger is opened for a moment only, so that a run that ends can still put its log away.
"""

import asyncio
import hashlib
import hmac
import html
import json
import re
import secrets
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from aiohttp import hdrs, web

from dsrun.common.errors import SetupError
from dsrun.common.lockfile import read_lockfile
from dsrun.common.resources import read_page
from dsrun.common.sqlite import beside
from dsrun.ledger import totals
from dsrun.ledger.reader import LedgerReader
from dsrun.report.marks import MOST_BYTES, BadMarks, parse_marks, read_marks, write_marks
from dsrun.report.report import current_page
from dsrun.storage.layout import ARTIFACTS, THUMBS, RunLayout

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")
_TOKEN = "X-Dsrun-Token"  # noqa: S105  # the name of a header
_POLICY = re.compile(rb'<meta http-equiv="Content-Security-Policy" content="(?P<policy>[^"]*)">\n?')
_DATA = b'<script type="application/json" id="data">'
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
# A file that a model or a user made is never a page of this origin: nothing in it runs.
_OF_FILES = "default-src 'none'; img-src 'self'; media-src 'self'; sandbox"
_OURS = ("same-origin", "none")  # Sec-Fetch-Site of the page itself, and of who types the address

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ReportServer:
    """The pages, files and marks of one run directory."""

    def __init__(self, run_dir: Path) -> None:
        """Raises SetupError where there is no ledger to read."""
        self._layout = RunLayout.of(run_dir)
        self._token = secrets.token_urlsafe(32)
        self._turn = asyncio.Lock()
        self._marking = asyncio.Lock()
        self._state: tuple[int, ...] = ()
        self._version = ""
        self._page: bytes | None = None
        self._port = 0
        self._look()

    async def start(self, port: int) -> web.AppRunner:
        """Listen; the caller cleans up what it is given. Raises OSError."""
        app = web.Application(middlewares=[self._guard], client_max_size=MOST_BYTES)
        app.router.add_get("/", self._give_page)
        app.router.add_get("/version", self._give_version)
        app.router.add_get("/marks", self._give_marks)
        app.router.add_put("/marks", self._take_marks)
        for folder in (ARTIFACTS, THUMBS):
            app.router.add_get(f"/{folder}/{{path:.+}}", self._give_file)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._port = runner.addresses[0][1]
        return runner

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self._port}/"

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if words := self._intruder(request):
            response: web.StreamResponse = web.Response(status=403, text=words)
        else:
            try:
                response = await handler(request)
            except web.HTTPException as refusal:
                response = web.Response(status=refusal.status, text=refusal.text)
            except SetupError as error:
                response = web.Response(status=503, text=str(error))
        for name, value in _ALWAYS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Content-Security-Policy", _OF_FILES)
        return response

    def _intruder(self, request: web.Request) -> str:
        """Why a request is not answered: it may come from another site; empty where it is fine."""
        names = {f"{name}:{self._port}" for name in _NAMES}
        if request.headers.getall(hdrs.HOST, []) not in [[name] for name in names]:
            return f"this report is at {self.address} alone"
        origins = request.headers.getall(hdrs.ORIGIN, [])
        if not {*origins} <= {f"http://{name}" for name in names}:
            return "another site may not ask for this report"
        is_visit = request.path == "/" and request.headers.get("Sec-Fetch-Dest") == "document"
        if request.headers.get("Sec-Fetch-Site", "none") not in _OURS and not is_visit:
            return "another site may not ask for this report"
        needs_token = request.path in ("/version", "/marks")
        given = request.headers.get(_TOKEN, "").encode()
        if needs_token and not hmac.compare_digest(given, self._token.encode()):
            return "load the page again: it was served by another dsrun"
        return ""

    async def _give_page(self, request: web.Request) -> web.Response:
        del request
        async with self._turn:
            await asyncio.to_thread(self._look)
            if self._page is None:
                self._page = await asyncio.to_thread(self._build)
            page, policy = self._served(self._page, self._version)
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
        return web.Response(body=page, content_type="text/html", charset="utf-8", headers=headers)

    async def _give_version(self, request: web.Request) -> web.Response:
        del request
        async with self._turn:
            await asyncio.to_thread(self._look)
            return web.Response(text=self._version)

    async def _give_file(self, request: web.Request) -> web.StreamResponse:
        """A file below artifacts/ or .thumbs/, and no link that leads out of them."""
        folder = self._layout.run_dir / request.path.split("/")[1]
        path = _file_in(folder, request.match_info["path"])
        if path is None:
            raise web.HTTPNotFound(text="there is no such file in this run")
        return web.FileResponse(path)

    async def _give_marks(self, request: web.Request) -> web.Response:
        del request
        marks, tag = read_marks(self._layout.marks)
        none: dict[str, Any] = {"stars": [], "rejects": [], "notes": {}}
        return web.json_response(marks or none, headers={hdrs.ETAG: tag})

    async def _take_marks(self, request: web.Request) -> web.Response:
        """Replace the marks, where the sender has seen those of now (If-Match)."""
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="marks are application/json")
        data = await request.read()  # aiohttp refuses more than MOST_BYTES with 413
        try:
            marks = parse_marks(data)
        except BadMarks as error:
            raise web.HTTPBadRequest(text=f"these are no marks: {error}") from error
        async with self._marking:
            if request.headers.get(hdrs.IF_MATCH) != read_marks(self._layout.marks)[1]:
                raise web.HTTPPreconditionFailed(text="another window has changed the marks")
            tag = await asyncio.to_thread(write_marks, self._layout.marks, marks)
        return web.Response(status=204, headers={hdrs.ETAG: tag})

    def _look(self) -> None:
        """Note what the ledger has come to; the page is stale where that is something new."""
        state = _state_of(self._layout.ledger)
        if state == self._state and self._version:
            return
        with closing(LedgerReader(self._layout.ledger)) as view:
            counts, last = totals.counts(view), view.last_run()
            newest = view.row("SELECT max(attempt_id) FROM attempt")[0]
            facts = [sorted(counts.items()), newest, view.last_run_id(), last and last.ended_at]
        version = hashlib.sha256(repr(facts).encode()).hexdigest()[:24]
        if version != self._version:
            self._version, self._page = version, None
        self._state = state

    def _build(self) -> bytes:
        with closing(LedgerReader(self._layout.ledger)) as view:
            return current_page(view, self._layout.run_dir)

    def _served(self, page: bytes, version: str) -> tuple[bytes, str]:
        """The page with what it needs to be served, and its policy, which is a header then."""
        marks, tag = read_marks(self._layout.marks)
        digest = read_lockfile(self._layout.run_dir).get("digest") or self._layout.run_dir.name
        about = {
            "token": self._token, "digest": digest, "marks": marks, "tag": tag, "version": version,
        }  # fmt: skip
        script = read_page("served.js")
        found = _POLICY.search(page)
        if found is None or _DATA not in page:
            raise RuntimeError("the page has no policy or no data")
        policy = html.unescape(found["policy"].decode())
        parts = (
            b'<script type="application/json" id="served">', _in_script(about), b"</script>\n",
            b"<script>", script, b"</script>\n", _DATA,
        )  # fmt: skip
        page = page[: found.start()] + page[found.end() :]
        return page.replace(_DATA, b"".join(parts), 1), _served_policy(policy, script)


def _file_in(folder: Path, name: str) -> Path | None:
    """The file of this name, wherever its links lead within the folder; None for any other."""
    try:
        path = (folder / name).resolve(strict=True)
        is_inside = path.is_relative_to(folder.resolve(strict=True)) and path.is_file()
    except (OSError, ValueError, RuntimeError):  # no file; a NUL; links in a circle
        return None
    return path if is_inside else None


def _served_policy(policy: str, script: bytes) -> str:
    """That of a page from disk, with our script, and with questions to this server alone."""
    source = f"'sha256-{b64encode(hashlib.sha256(script).digest()).decode()}'"
    policy = policy.replace("script-src ", f"script-src {source} ").replace(" file:", "")
    return f"{policy}; connect-src 'self'; frame-ancestors 'none'"


def _in_script(value: Any) -> bytes:
    text = json.dumps(value)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode()


def _state_of(ledger: Path) -> tuple[int, ...]:
    """What changes with every commit: the ledger is opened only where this did."""
    state: list[int] = []
    for path in (ledger, beside(ledger, "-wal")):
        try:
            status = path.stat()
        except OSError:
            state += [0, 0]
        else:
            state += [status.st_size, status.st_mtime_ns]
    return tuple(state)
