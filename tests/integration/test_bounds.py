"""Whatever a server answers, a request comes to an end, and memory stays small."""

import asyncio
import gzip
import io
import json
import os
import subprocess
import sys
import zlib
from itertools import count
from pathlib import Path

import pytest
from PIL import Image

from dsrun.common.errors import AnswerLost, NotSent, TooLong
from dsrun.service.bodies import Patience
from dsrun.service.transports import open_transport

sys.path.insert(0, str(Path(__file__).parents[1]))

from hostile import ANSWERS, announced, endless, hostile, once

PROBE = Path(__file__).parents[1] / "hostile.py"
MOST_MB = 200
LONGEST_S = 20.0  # what only time ends has a second; the rest is a slow machine's

MEASURED = Path(__file__).parents[1] / "measured.py"

CREATE = "/api/v1/services/aigc/text2image/image-synthesis"
SPEAK = "/api/v1/services/audio/tts/customization"
ACCEPTED = {"output": {"task_id": "t1", "task_status": "PENDING"}, "request_id": "r1"}


@pytest.fixture(scope="module")
def server():
    with hostile() as running:
        yield running


@pytest.fixture
def service(server, monkeypatch, key):
    """The hostile server as the API that dsrun finds; tests put answers in by path."""
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", f"{server.url}/api/v1")
    monkeypatch.setenv("DASHSCOPE_API_KEY", key)
    server.answers = dict(ANSWERS)
    server.asked.clear()
    return server


def probe(kind, urls):
    command = [sys.executable, PROBE, kind, *urls]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("kind", ["answer", "file"])
def test_no_answer_holds_a_request_or_fills_the_memory(server, kind):
    paths = [path for path in ANSWERS if path]
    for path, end in zip(paths, probe(kind, [server.url + p for p in paths]), strict=True):
        assert end["took_s"] < LONGEST_S, (path, end)
        assert end["peak_mb"] < MOST_MB, (path, end)
        is_read = path == "/one-byte-chunks" or (
            # Nothing follows a redirect of the API, and nobody reads a file host's error.
            "redirects" in path if kind == "answer" else path == "/error-of-1-gb"
        )
        assert (end["came"] == "read") == is_read, (path, end)


@pytest.mark.parametrize("path", ["/unannounced", "/gzip", "/chunked"])
def test_many_large_answers_at_once_take_no_more_memory_than_a_few(server, path):
    [end] = probe("many", [server.url + path])
    assert end["came"].startswith("TooLong")
    assert end["peak_mb"] < MOST_MB


@pytest.mark.parametrize("through", ["TLS", "proxy"])
async def test_a_connection_that_is_never_made_was_not_sent(server, monkeypatch, through):
    url = server.url.replace("http", "https") + "/silent"
    if through == "proxy":
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        url = "https://example.com/"
    async with open_transport(patience=Patience(connect_s=0.5)) as transport:
        with pytest.raises(NotSent):
            await transport.request("POST", url, headers={}, body=b"{}", timeout_s=60.0)


async def test_an_answer_may_be_as_long_as_its_bound_and_no_longer(server):
    async with open_transport() as transport:
        for size, packed in ((1000, False), (1000, True), (1001, False), (1001, True)):
            body, headers = b" " * size, [b"Content-Encoding: gzip"] * packed
            server.answers["/some"] = once(
                announced(gzip.compress(body) if packed else body, *headers)
            )
            asking = transport.request(
                "GET", f"{server.url}/some", headers={}, body=None, timeout_s=20.0, most=1000
            )
            if size == 1000:
                assert (await asking).body == body
            else:
                with pytest.raises(TooLong):
                    await asking


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("X-GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data, wbits=-15)),
        ("identity", bytes),
        ("gzip, identity", gzip.compress),
        ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
    ],
)
async def test_a_packed_answer_and_a_packed_file_are_unpacked(server, coding, pack):
    data = os.urandom(300_000) + bytes(3_000_000)
    header = f"Content-Encoding: {coding}".encode()
    server.answers["/packed"] = once(announced(pack(data), header))
    url, came = f"{server.url}/packed", bytearray()
    async with open_transport() as transport:
        reply = await transport.request("GET", url, headers={}, body=None, timeout_s=20.0)
        await transport.download(url, came.extend, most=4_000_000)
    assert reply.body == data
    assert came == data


async def test_a_slow_but_steady_file_comes_whole_and_a_trickle_does_not(server):
    """A quarter of a second stands for a minute."""
    patience = Patience(window_s=0.25, least_rate=4000)
    chunk = bytes(2000)

    async def steady(_):
        yield announced(chunk * 20)[: -20 * len(chunk)]
        for _ in range(20):
            await asyncio.sleep(0.02)
            yield chunk

    server.answers |= {
        "/steady": steady,
        "/trickle": endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x", every_s=0.02),
    }
    async with open_transport(patience=patience) as transport:
        came = bytearray()
        await transport.download(f"{server.url}/steady", came.extend, most=1 << 20)
        assert came == chunk * 20
        with pytest.raises(AnswerLost, match="it took too long"):
            await transport.download(f"{server.url}/trickle", came.extend, most=1 << 20)


@pytest.mark.parametrize("says", [b"Content-Length: 100000\r\n", b"Connection: close\r\n"])
async def test_a_file_has_the_time_that_its_length_needs(server, says):
    """What crawls just above the least rate ends too: by the length told, else by the most."""
    server.answers["/crawl"] = endless(
        b"HTTP/1.1 200 OK\r\n" + says + b"\r\n", b"x" * 100, every_s=0.01
    )
    patience = Patience(window_s=0.25, least_rate=0, base_s=0.5, whole_rate=1_000_000)
    async with open_transport(patience=patience) as transport:
        with pytest.raises(AnswerLost, match="it took too long"):
            await transport.download(f"{server.url}/crawl", lambda _: None, most=100_000)


async def test_an_upload_that_nobody_takes_ends(server, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(bytes(1 << 20))
    with file.open("rb") as data:
        async with open_transport(patience=Patience(base_s=0.5)) as transport:
            with pytest.raises(AnswerLost, match="it took too long"):
                await transport.post_form(
                    f"{server.url}/silent", fields={}, file=data, size=1000, name="file",
                    media_type="image/png", most=1000,
                )  # fmt: skip


def dsrun_peak_mb(work, *arguments):
    """How a run of its own process ended, and its memory at most."""
    done = work.spawn_script(MEASURED, *arguments).end()
    assert "Traceback" not in done.err, done.err
    assert "Warning" not in done.err, done.err
    code, peak_mb = done.out.split()[-2:]
    return int(code), float(peak_mb)


def answered(payload, *, status=b"200 OK"):
    body = json.dumps(payload).encode()
    return once(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))


def accepting():
    """A task of its own for each create."""
    numbers = count(1)

    async def answer(head):
        output = {"task_id": f"t{next(numbers)}", "task_status": "PENDING"}
        async for piece in answered({"output": output, "request_id": "r1"})(head):
            yield piece

    return answer


def drawing(service, *, url, **more):
    """Every create becomes a task, and each has one file."""
    service.answers[CREATE] = accepting()
    output = {"task_id": "t1", "task_status": "SUCCEEDED", "results": [{"url": url}]} | more
    service.answers["/api/v1/tasks/"] = answered({"output": output, "request_id": "r2"})


@pytest.mark.parametrize("path", ["/gzip", "/chunked", "/announced"])
def test_a_create_whose_answer_is_past_the_bound_is_looked_for(work, service, path):
    service.answers[CREATE] = ANSWERS[path]
    service.answers["/api/v1/tasks/"] = answered({"data": [], "total": 0})
    code, peak = dsrun_peak_mb(work, "run", work.posters(1, grace="10ms", max_attempts=1))
    assert code in (1, 3)
    assert peak < MOST_MB
    assert service.asked.count(CREATE) == 1
    assert "/api/v1/tasks/" in service.asked


def test_answers_of_many_jobs_at_once_stay_small(work, service):
    """A task that is said to be done in a megabyte each, and files without end."""
    drawing(service, url=f"{service.url}/unannounced", junk="x" * 900_000)
    pipeline = work.posters(32, concurrency=32, submit_window=32, max_attempts=1)
    code, peak = dsrun_peak_mb(work, "run", pipeline)
    assert code == 3
    assert peak < MOST_MB
    assert "succeeded" not in work.statuses()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000 + b"]" * 1_000_000,
        b'{"output":' * 900 + b"1" + b"}" * 900,
        b"[" + b"[]," * 5_000_000 + b"[]]",
        b'{"output":{"task_id":"t1"' + b"".join(b',"%07d":0' % n for n in range(1_000_000)) + b"}}",
    ],
    ids=["brackets", "deep", "wide", "keys"],
)
def test_json_without_end_is_no_answer(work, service, body):
    service.answers[CREATE] = once(announced(body))
    service.answers["/api/v1/tasks/"] = answered({"data": [], "total": 0})
    code, peak = dsrun_peak_mb(work, "run", work.posters(1, grace="10ms", max_attempts=1))
    assert code in (1, 3)
    assert peak < MOST_MB
    assert service.asked.count(CREATE) == 1


def test_words_of_a_refusal_are_kept_short(work, service):
    long = "no " * 3_000_000
    service.answers[CREATE] = answered(
        {"code": "InvalidParameter", "message": long, "request_id": "r" * 1_000_000},
        status=b"400 Bad Request",
    )
    code, peak = dsrun_peak_mb(work, "run", work.posters(1))
    assert code == 1
    assert peak < MOST_MB
    [row] = work.results()
    assert row["error"]["code"] == "InvalidParameter"
    assert row["error"]["message"].startswith("no no no")
    assert (work.run_dir() / "ledger.sqlite3").stat().st_size < 1 << 20
    assert len((work.run_dir() / "report.html").read_bytes()) < 1 << 20


async def test_words_for_what_cannot_be_read_are_short(server):
    server.answers["/rubbish"] = once(b"\0" * 200_000)
    async with open_transport() as transport:
        with pytest.raises(AnswerLost) as caught:
            await transport.request(
                "GET", f"{server.url}/rubbish", headers={}, body=None, timeout_s=20.0
            )
    assert len(str(caught.value)) < 500


def test_words_of_a_failed_picture_are_kept_short(work, service):
    entry = {"code": "DataInspectionFailed", "message": "no " * 200_000}
    drawing(service, url="", results=[entry])
    assert work.dsrun("run", work.posters(1)).code == 1
    [row] = work.results()
    assert row["error"]["code"] == "DataInspectionFailed"
    assert len(row["error"]["message"]) < 3000


def picture(kind, side, **options):
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("side", "kind", "more"),
    [
        (8_000, "PNG", {}),
        (8_000, "GIF", {}),
        (8_000, "TIFF", {"compression": "tiff_adobe_deflate"}),
        (8_000, "JPEG", {"progressive": True}),
        (8_000, "WEBP", {"lossless": True}),
        (12_000, "PNG", {}),  # of which Pillow warns
    ],
)
def test_a_picture_that_unpacks_to_far_too_much_is_never_unpacked(work, service, side, kind, more):
    drawing(service, url=f"{service.url}/bomb")
    service.answers["/bomb"] = once(announced(picture(kind, side, **more)))
    code, peak = dsrun_peak_mb(work, "run", work.posters(1, max_attempts=1))
    assert code in (0, 3)
    assert peak < MOST_MB


@pytest.mark.parametrize("filler", ["A", "A \n", "\U0001f3ee"], ids=["plain", "spaces", "wide"])
def test_a_body_with_a_file_in_it_has_a_bound_too(work, service, filler):
    data = filler * (3_000_000 // len(filler.encode()) * 4)
    preview = {"data": data, "sample_rate": 24000, "response_format": "wav"}
    payload = {"output": {"voice": "v", "preview_audio": preview, "target_model": "t"}}
    service.answers[SPEAK] = once(announced(json.dumps(payload, ensure_ascii=False).encode()))
    steps = """
steps:
  voices:
    operation: qwen-voice-design
    input: {target_model: qwen3-tts-vd-2026-01-26, voice_prompt: calm, preview_text: hello}
"""
    code, peak = dsrun_peak_mb(work, "run", work.pipeline(steps))
    assert code in (0, 1)
    assert peak < MOST_MB
    assert service.asked.count(SPEAK) == 1


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 1 Jan 2024 9999999999999999999999:00:00 GMT",
        "01 Jan 99999 00:00:00 GMT",
        "Mon, 01 Jan 2024 00:00:00 +9999",
        "yesterday",
    ],
)
def test_a_date_of_no_calendar_does_not_end_a_run(work, service, date):
    """The answer of the create is lost, so the list is asked, whose Date tells the clock."""
    listed = b'{"data": [], "total": 0}'
    service.answers[CREATE] = ANSWERS["/announced"]
    service.answers["/api/v1/tasks/"] = once(announced(listed, f"Date: {date}".encode()))
    assert work.dsrun("run", work.posters(1, grace="10ms", max_attempts=1)).code in (1, 3)


def test_a_notice_is_delivered_whatever_its_host_says_then(work, emulator, server):
    server.answers |= {"/hook": ANSWERS["/unannounced"]}
    pipeline = work.posters(1)
    with pipeline.open("a") as file:
        file.write(f"notify: {{on: always, url: '{server.url}/hook'}}\n")
    code, peak = dsrun_peak_mb(work, "run", pipeline, "--allow-notify")
    assert code == 0
    assert peak < MOST_MB
    assert server.asked.count("/hook") == 1
