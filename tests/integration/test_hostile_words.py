"""Prompts, names and a service that hold what a terminal, a spreadsheet or a CI log obeys."""

import csv
import io
import json
import os
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree as ET

import pytest

EVIL = (
    "\x1b]0;owned\x07\x1b[2J\x9b31m \u202etxet\u2066 \u2028\U000e0041\nwarning: fake\r"
    "::error file=a::x\t| `code` <b> ##[error]y"
)
PROMPTS = [f"a {EVIL}", "灯笼 👩\u200d👩\u200d👧 e\u0301 عربي", "=1+1", "-1", "@x", "\tx"]
HIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
COMMAND = re.compile(r"^\s*::|##[a-z]*\[|^warning: fake", re.MULTILINE)


@pytest.fixture
def service(monkeypatch):
    """It refuses each second create, and accepts the others with tasks that fail."""
    count = iter(range(1000))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            number = next(count)
            if number % 2:
                output = {"task_id": f"{number}{EVIL}", "task_status": "PENDING"}
                self.answer(200, {"output": output})
            else:
                self.answer(400, {"code": f"Invalid{EVIL}", "message": EVIL, "request_id": EVIL})

        def do_GET(self):
            failed = {"task_status": "FAILED", "code": f"C{EVIL}", "message": EVIL}
            self.answer(200, {"output": {"task_id": "x"} | failed, "request_id": EVIL})

        def answer(self, status, body):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", f"http://127.0.0.1:{server.server_port}/api/v1")
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-a-key-of-no-importance")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def pipeline(work):
    (work.folder / "rows.csv").write_text(f'name,"=c{EVIL}"\n"kite {EVIL}",-2\n', encoding="utf-8")
    steps = f"""
description: {json.dumps(EVIL)}
steps:
  s:
    operation: wanx-v1
    matrix:
      subject: {json.dumps(PROMPTS)}
      number: [-5]
      product: {{file: rows.csv}}
    input: {{prompt: "{{{{ subject }}}} {{{{ number }}}} {{{{ product.name }}}}"}}
    filename: "{{{{ job.index }}}}"
"""
    return work.pipeline(steps, max_attempts=1)


def harmless(text):
    assert not HIDDEN.findall(text)
    assert not COMMAND.findall(text)
    return text


COMMANDS = [
    ["plan", "demo.yaml"],
    ["plan", "demo.yaml", "--full"],
    ["run", "demo.yaml", "--retry-failed"],
    ["run", "demo.yaml", "--retry-failed", "-v"],
    ["run", "demo.yaml", "--emulate", "--no-cache"],
    ["status", "demo.yaml"],
    ["explain", "s/0", "demo.yaml"],
    ["explain", "s/1", "demo.yaml"],
    ["explain", EVIL, "demo.yaml"],
    ["ledger", "demo.yaml"],
    ["ledger", "demo.yaml", "--errors"],
    ["ledger", "demo.yaml", "--where", f"'{EVIL}'"],
    ["history"],
    ["cost"],
    ["verify", "outputs/demo"],
    ["report", "outputs/demo"],
    ["validate", "demo.yaml"],
    ["run", "demo.yaml", "--set", f"a{EVIL}=b"],
    ["run", "demo.yaml", "--limit", EVIL],
    ["run", "demo.yaml", "--only", EVIL],
    ["run", f"{EVIL}.yaml"],
    [f"no{EVIL}"],
    [f"--no{EVIL}"],
    ["cron", f"{EVIL}.yaml"],
    ["status", EVIL],
    ["init", EVIL],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: ascii(" ".join(words))[1:40])
def test_no_command_says_what_a_terminal_or_a_log_obeys(work, service, command):
    pipeline(work)
    assert work.dsrun("demo.yaml").code == 1
    outcome = work.dsrun(*command)
    harmless(outcome.out + outcome.err)


def test_what_people_write_stays_readable(work, service):
    pipeline(work)
    work.dsrun("demo.yaml")
    for command in (["plan", "demo.yaml", "--full"], ["explain", "s/1", "demo.yaml"]):
        assert PROMPTS[1] in work.dsrun(*command).out
    told = work.dsrun("status", "demo.yaml").out
    assert (
        r"x Invalid\x1b]0;owned\x07\x1b[2J\x9b31m \u202etxet\u2066 \u2028\U000e0041\nwarn" in told
    )


@pytest.mark.parametrize(
    "command",
    [
        ["plan", "demo.yaml", "--json", "--full"],
        ["explain", "s/0", "demo.yaml", "--json"],
        ["ledger", "demo.yaml", "--format", "json"],
        ["validate", "demo.yaml", "--json"],
        ["status", "demo.yaml", "--json"],
        ["history", "--json"],
    ],
    ids=" ".join,
)
def test_json_is_true_to_each_sign_and_hides_none(work, service, command):
    pipeline(work)
    work.dsrun("demo.yaml")
    outcome = work.dsrun(*command)
    harmless(outcome.out)
    if command[0] in ("plan", "explain", "ledger"):
        assert PROMPTS[0] in list(_texts(outcome.answer))


def _texts(value):
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def test_the_results_are_the_very_words(work, service):
    pipeline(work)
    work.dsrun("demo.yaml")
    first, _ = (work.run_dir() / "results.jsonl").read_text(encoding="utf-8").split("\n", 1)
    assert json.loads(first)["matrix"]["subject"] == PROMPTS[0]
    assert json.loads(first)["error"]["message"] == EVIL
    assert "\u202e" in first


def test_a_spreadsheet_computes_no_cell_and_negative_numbers_stay_numbers(work, service):
    pipeline(work)
    work.dsrun("demo.yaml")
    out = work.dsrun("ledger", "demo.yaml", "--format", "csv").out
    head, *rows = csv.reader(io.StringIO(harmless(out)))
    assert [dict(zip(head, row, strict=True))["subject"] for row in rows][2:] \
        == ["'=1+1", "-1", "'@x", r"'\tx"]  # fmt: skip
    assert {dict(zip(head, row, strict=True))["number"] for row in rows} == {"-5"}
    cells = [cell for row in [head, *rows] for cell in row]
    assert not [cell for cell in cells if re.match(r"[=+@]|-(?!\d+$)", cell)]
    column = work.dsrun("ledger", "demo.yaml", "--columns", f"product.=c{EVIL}", "--format", "csv")
    assert (column.code, "'-2" in column.out) == (0, False)


def test_files_for_machines_hold_what_their_form_can_hold(work, service, monkeypatch):
    path = pipeline(work)
    summary = work.folder / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    work.dsrun(path, "--junit", "j.xml", "--textfile", "m.prom", "--log-file", "text.log", "-v")
    work.dsrun(path, "--retry-failed", "--log-file", "json.log", "--log-format", "json", "-v")
    for name in ("j.xml", "m.prom", "summary.md", "text.log", "json.log"):
        text = (work.folder / name).read_text(encoding="utf-8")
        assert not HIDDEN.findall(text)
        assert not re.findall("^(::|warning: fake)", text, re.MULTILINE)
    assert r"\|" in summary.read_text()
    assert "<b>" not in summary.read_text().replace(r"\<b\>", "")
    messages = [f.get("message") for f in ET.parse("j.xml").getroot().iter("failure")]
    assert len(messages) == len(PROMPTS)
    assert all(r"\x1b]0;owned" in message for message in messages)
    lines = (work.folder / "json.log").read_text(encoding="utf-8").splitlines()
    said = [json.loads(line)["message"] for line in lines]
    assert any(EVIL in message for message in said)
    page = (work.run_dir() / "report.html").read_text(encoding="utf-8")
    assert not HIDDEN.findall(page)
    data = re.search(r'(?s)id="data">(.+?)</script>', page)[1]
    assert EVIL in json.loads(data)["entries"][0]["error"]["message"]


def test_a_problem_shows_its_line_and_the_caret_stands_right(work):
    path = work.pipeline('steps: {s: {operation: wanx-v1, input: {prompt: "x"}, "k\u202e": 1}}')
    for form in ("text", "github"):
        outcome = work.dsrun("validate", path, "--format", form)
        assert outcome.code == 2
        assert not HIDDEN.findall(outcome.out + outcome.err)
    line, caret = outcome.err.splitlines()[1:3]
    assert line[caret.index("^") :].startswith('"k\\u202e')


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "gbk", "utf-16"])
def test_what_an_encoding_cannot_show_is_spelled_out(work, service, encoding):
    pipeline(work)
    done = subprocess.run(
        [*work.command, "plan", "demo.yaml", "--full"], cwd=work.folder, capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding}, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert "to send" in done.stdout.decode(encoding)


def test_a_path_is_shown_like_any_words(work, service):
    folder = work.folder / "out\x1b[31m\u202e\nx"
    path = pipeline(work)
    assert work.dsrun(path, "--out", folder).code == 1
    for more in ([], ["--json"]):
        outcome = work.dsrun("status", path, "--out", folder, *more)
        assert outcome.code == 0
        assert not HIDDEN.findall(outcome.out + outcome.err)
