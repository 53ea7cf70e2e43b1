"""A small service that answers at once, as a user's own operation file says. Counts its creates."""

import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PATH = "/services/answers"


def write_operation(folder: Path, **about: Any) -> None:
    """`operations/mine.json`: a prompt, and what a test says of the answer."""
    rules = {
        "protocol": "sync",
        "endpoint": {"method": "POST", "path": PATH, "headers": {}, "timeout_s": 60},
        "fill": [],
        "outputs": {},
        "price": {
            "currency": "CNY", "as_of": "2026-05",
            "items": [{
                "unit": "image", "amount": "0.5", "units": {"count": True},
                "billed": ["/usage/count"], "sure": "exact",
            }],
        },
        "limits": {"requests": 1000, "per_s": 1},
    }  # fmt: skip
    if about.get("protocol") == "task":
        rules["polling"] = {"first_s": 0.05, "factor": 1, "max_s": 0.1, "timeout_s": 600}
    whole = {"type": "integer", "minimum": 0, "maximum": 1000}
    schema = {
        "description": "Answers.",
        "type": "object",
        "required": ["model", "input"],
        "additionalProperties": False,
        "properties": {
            "model": {"type": "string", "const": "mine"},
            "input": {
                "type": "object",
                "required": ["prompt"],
                "additionalProperties": False,
                "properties": {"prompt": {"type": "string"}},
            },
            "parameters": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"n": whole, "seed": whole},
            },
        },
        "x-dsrun": rules | about,
    }
    (folder / "operations").mkdir(exist_ok=True)
    (folder / "operations/mine.json").write_text(json.dumps(schema, indent=1), encoding="utf-8")


class Answering:
    """`answer` gives the body for a request; `files` are served by name, 404 where there is none.

    `hold(name)` keeps a download waiting, so that a test can kill who waits for it.
    """

    def __init__(self, answer: Callable[[dict[str, Any], str], Any]) -> None:
        self.answer = answer
        self.files: dict[str, bytes] = {}
        self.creates: Counter[str] = Counter()  # by prompt
        self.bodies: list[dict[str, Any]] = []
        self.asked: Counter[str] = Counter()  # files
        self.gate = threading.Event()
        self.gate.set()

    def total(self) -> int:
        return self.creates.total()

    @contextmanager
    def open(self) -> Iterator[str]:
        """Serve, until the block ends, at the address that it is given."""
        handler = type("Handler", (_Handler,), {"service": self})
        with _Server(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=[0.01])
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}/api/v1"
            finally:
                self.gate.set()
                server.shutdown()
                thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that was killed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    service: Answering
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.service.bodies.append(body)
        self.service.creates[body["input"]["prompt"]] += 1
        if "X-DashScope-Async" in self.headers:
            number = len(self.service.bodies) - 1
            self._give({"output": {"task_id": f"{number}", "task_status": "PENDING"}})
        else:
            self._give(self.service.answer(body, self.headers["Host"]))

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if "/tasks/" in self.path:
            answer = self.service.answer(self.service.bodies[int(name)], self.headers["Host"])
            answer["output"] |= {"task_id": name, "task_status": "SUCCEEDED"}
            self._give(answer)
            return
        assert "Authorization" not in self.headers
        self.service.asked[name] += 1
        self.service.gate.wait(60)
        data = self.service.files.get(name)
        self._send(404 if data is None else 200, data or b"gone", "application/octet-stream")

    def _give(self, answer: Any) -> None:
        payload = {"request_id": f"r{len(self.service.bodies)}"} | answer
        self._send(200, json.dumps(payload).encode(), "application/json")

    def _send(self, status: int, data: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
