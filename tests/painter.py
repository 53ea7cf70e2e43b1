"""A small service of its own: the published API over pictures that a test gives it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Painter:
    """`draw` gives the bytes for a seed; `served` has what was given, `refused` gets an error."""

    def __init__(self, draw: Callable[[int], bytes]) -> None:
        self.draw = draw
        self.creates: list[dict[str, Any]] = []
        self.served: dict[int, bytes] = {}
        self.refused: set[int] = set()

    def result(self, seed: int, host: str) -> dict[str, str]:
        if seed in self.refused:
            return {"code": "InternalError.Timeout", "message": "it took too long"}
        return {"url": f"http://{host}/file/{seed}"}

    def task(self, number: int, host: str) -> dict[str, Any]:
        asked = self.creates[number]["parameters"]
        results = [self.result(asked["seed"] + i, host) for i in range(asked["n"])]
        made = sum("url" in item for item in results)
        output = {"task_id": f"{number}", "task_status": "SUCCEEDED", "results": results}
        return {"output": output, "usage": {"image_count": made}, "request_id": f"q{number}"}

    def file(self, seed: int) -> bytes:
        return self.served.setdefault(seed, self.draw(seed))

    @contextmanager
    def open(self) -> Iterator[str]:
        """Serve, until the block ends, at the address that it is given."""
        handler = type("Handler", (_Handler,), {"painter": self})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=[0.01])
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}/api/v1"
            finally:
                server.shutdown()
                thread.join()


class _Handler(BaseHTTPRequestHandler):
    painter: Painter
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.painter.creates.append(json.loads(body))
        output = {"task_id": f"{len(self.painter.creates) - 1}", "task_status": "PENDING"}
        self._answer({"output": output, "request_id": "r"})

    def do_GET(self) -> None:
        kind, _, number = self.path.removeprefix("/api/v1").strip("/").partition("/")
        if kind == "file":
            self._send(self.painter.file(int(number)), "application/octet-stream")
        else:
            self._answer(self.painter.task(int(number), self.headers["Host"]))

    def _answer(self, payload: dict[str, Any]) -> None:
        self._send(json.dumps(payload).encode(), "application/json")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", f"{len(body)}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nothing: the tests' terminal is for the tests."""
