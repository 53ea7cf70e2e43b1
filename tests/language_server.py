"""A client of yaml-language-server: an editor without a screen.

It speaks the Language Server Protocol over the server's stdin and stdout, and nothing else: the
server's own downloads (schema stores) are switched off.
"""

import json
import queue
import subprocess
import threading
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0


class LanguageServer:
    """One running server. `schema` is what it holds every YAML file to."""

    def __init__(self, command: str, schema: Path) -> None:
        self._settings = {
            "yaml": {
                "schemas": {schema.as_uri(): "*.yaml"},
                "schemaStore": {"enable": False},
                "kubernetesCRDStore": {"enable": False},
                "validate": True,
                "hover": True,
                "completion": True,
            }
        }
        self._process = subprocess.Popen(
            [command, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._answers: dict[int, Any] = {}
        self._diagnostics: dict[str, queue.Queue[list[dict[str, Any]]]] = {}
        self._answered = threading.Condition()
        self._number = 0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self._request(
            "initialize",
            {
                "processId": None,
                "rootUri": None,
                "capabilities": {
                    "workspace": {"configuration": True},
                    "textDocument": {
                        "completion": {"completionItem": {"documentationFormat": ["markdown"]}},
                        "hover": {"contentFormat": ["markdown"]},
                    },
                },
            },
        )
        self._notify("initialized", {})
        self._notify("workspace/didChangeConfiguration", {"settings": self._settings})

    def open(self, uri: str, text: str) -> list[dict[str, Any]]:
        """Open a document; the diagnostics that the server sends about it."""
        self._diagnostics[uri] = queue.Queue()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._notify("textDocument/didOpen", {"textDocument": document})
        return self._diagnostics[uri].get(timeout=PATIENCE_S)

    def completions(self, uri: str, line: int, column: int) -> list[dict[str, Any]]:
        """What is proposed at a place (from 0)."""
        answer = self._request("textDocument/completion", _place(uri, line, column))
        return answer["items"] if isinstance(answer, dict) else answer or []

    def hover(self, uri: str, line: int, column: int) -> str:
        answer = self._request("textDocument/hover", _place(uri, line, column))
        return answer["contents"]["value"] if answer else ""

    def close(self) -> None:
        self._request("shutdown", None)
        self._notify("exit", None)
        self._process.wait(timeout=PATIENCE_S)
        self._thread.join()
        for stream in (self._process.stdin, self._process.stdout):
            stream.close()

    def _request(self, method: str, params: Any) -> Any:
        self._number += 1
        number = self._number
        self._send({"id": number, "method": method, "params": params})
        with self._answered:
            assert self._answered.wait_for(lambda: number in self._answers, PATIENCE_S), method
            return self._answers.pop(number)

    def _notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _listen(self) -> None:
        while (message := self._read()) is not None:
            method = message.get("method")
            if method is None:
                with self._answered:
                    self._answers[message["id"]] = message.get("result")
                    self._answered.notify_all()
            elif method == "textDocument/publishDiagnostics":
                params = message["params"]
                self._diagnostics[params["uri"]].put(params["diagnostics"])
            elif "id" in message:
                self._send({"id": message["id"], "result": self._own_answer(message)})

    def _own_answer(self, message: dict[str, Any]) -> Any:
        if message["method"] == "workspace/configuration":
            sections = [item.get("section", "") for item in message["params"]["items"]]
            return [self._settings.get(section) for section in sections]
        return None

    def _read(self) -> dict[str, Any] | None:
        length = 0
        while (line := self._process.stdout.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if not length:
            return None
        return json.loads(self._process.stdout.read(length))


def _place(uri: str, line: int, column: int) -> dict[str, Any]:
    return {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}}
