"""A server that is not our emulator: what the published API allows, and what proxies do to it."""

import asyncio
import base64
import gzip
import io
import threading

import pytest
from aiohttp import web
from PIL import Image

DRAW = "/api/v1/services/aigc/text2image/image-synthesis"
SPEAK = "/api/v1/services/audio/tts/customization"


VOICE = """
steps:
  voices:
    operation: qwen-voice-design
    input: {target_model: qwen3-tts-vd-2026-01-26, voice_prompt: calm, preview_text: hello}
    parameters: {response_format: mp3, sample_rate: 8000}
    filename: a
"""


def picture(kind="PNG"):
    file = io.BytesIO()
    Image.effect_noise((64, 64), 90).convert("RGB").save(file, kind)
    return file.getvalue()


class Foreign:
    """The published API, with the parts that a test replaces."""

    def __init__(self):
        self.creates = []
        self.queries = 0
        self.ended = {"task_status": "SUCCEEDED"}
        self.top = {}
        self.file = lambda _: web.Response(body=picture(), content_type="application/octet-stream")
        self.audio = {"data": base64.b64encode(b"\xff\xe3" + bytes(400)).decode()}

    def app(self):
        app = web.Application()
        app.router.add_post(DRAW, self.draw)
        app.router.add_post(SPEAK, self.speak)
        app.router.add_get("/api/v1/tasks/{id}", self.task)
        app.router.add_get("/file", self.serve_file)
        return app

    async def draw(self, request):
        self.creates.append(await request.json())
        number = len(self.creates)
        return web.json_response({"output": {"task_id": f"t{number}", "task_status": "PENDING"}})

    async def speak(self, request):
        self.creates.append(await request.json())
        output = {"voice": "qwen-tts-vd-x", "preview_audio": self.audio}
        return web.json_response({"output": output, "usage": {"count": 1}, "request_id": "r"})

    async def task(self, request):
        self.queries += 1
        url = f"http://{request.host}/file?Signature=a%2Bb%2Fc+d%3D%7E"
        output = {"task_id": request.match_info["id"], "results": [{"url": url}], **self.ended}
        return web.json_response({"output": output, **self.top})

    async def serve_file(self, request):
        assert "Authorization" not in request.headers
        assert request.raw_path.endswith("?Signature=a%2Bb%2Fc+d%3D%7E")
        return self.file(request)


@pytest.fixture
def foreign(monkeypatch, key):
    """Served from a thread of its own, found by dsrun through the environment."""
    server = Foreign()
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(server.app())
    loop.run_until_complete(runner.setup())
    site = web.TCPSite(runner, "127.0.0.1", 0)
    loop.run_until_complete(site.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    port = runner.addresses[0][1]
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", f"http://127.0.0.1:{port}/api/v1")
    monkeypatch.setenv("DASHSCOPE_API_KEY", key)
    yield server
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_picture_of_any_kind_gets_the_extension_of_its_bytes(work, foreign):
    foreign.file = lambda _: web.Response(body=picture("WEBP"), content_type="image/png")
    assert work.dsrun(work.posters(1)).code == 0
    assert [name.rpartition(".")[2] for name in work.files()] == ["webp"]


def test_a_task_that_failed_with_its_error_at_the_top_has_failed(work, foreign):
    foreign.ended = {"task_status": "FAILED", "results": []}
    foreign.top = {"code": "DataInspectionFailed", "message": "refused"}
    assert work.dsrun(work.posters(1)).code == 1
    [line] = work.results()
    assert (line["status"], line["error"]["code"]) == ("failed", "DataInspectionFailed")
    assert foreign.queries == 1


def test_a_service_that_quotes_the_key_does_not_bring_it_to_disk(work, foreign, key):
    """Neither in the error of a task nor in that of one of its pictures."""
    quoted = {"code": "InvalidParameter", "message": f"bad header: Bearer {key}, {key}"}
    foreign.ended = {"task_status": "FAILED", **quoted}
    outcome = work.dsrun(work.posters(1))
    foreign.ended = {"task_status": "SUCCEEDED", "results": [quoted]}
    more = work.dsrun(work.posters(1, subject="moon"))
    assert (outcome.code, more.code) == (1, 1)
    assert "bad header" in work.results()[0]["error"]["message"]
    said = outcome.err + more.err + work.dsrun("ledger", "demo.yaml", "--errors").out
    assert key not in said
    files = [path for path in (work.folder / "outputs").rglob("*") if path.is_file()]
    assert [path for path in files if key.encode() in path.read_bytes()] == []


def test_a_host_that_packs_a_picture_is_no_trouble(work, foreign):
    packed = gzip.compress(picture())
    foreign.file = lambda _: web.Response(body=packed, headers={"Content-Encoding": "gzip"})
    assert work.dsrun(work.posters(1)).code == 0


def test_a_cut_picture_without_a_length_is_no_success(work, foreign):
    foreign.file = lambda _: _streamed_cut()
    outcome = work.dsrun(work.posters(1, max_attempts=1))
    assert outcome.code == 3
    assert work.statuses() == {"submitted": 1}


def test_a_picture_that_comes_cut_with_the_length_of_its_part_is_asked_for_again(work, foreign):
    bodies = [picture()[:-40], picture()]
    foreign.file = lambda _: web.Response(body=bodies.pop(0))
    assert work.dsrun(work.posters(1, max_attempts=2)).code == 0
    assert bodies == []
    assert work.files()


def test_a_picture_that_comes_so_each_time_is_kept(work, foreign):
    foreign.file = lambda _: web.Response(body=picture()[:-40])
    assert work.dsrun(work.posters(1, max_attempts=2)).code == 0


def test_what_stands_behind_the_end_of_a_picture_is_no_harm(work, foreign):
    served = []
    foreign.file = lambda _: served.append(1) or web.Response(body=picture() + bytes(500))
    assert work.dsrun(work.posters(1, max_attempts=3)).code == 0
    assert served == [1]


def test_a_cancelled_task_says_so(work, foreign):
    foreign.ended = {"task_status": "CANCELED", "results": []}
    assert work.dsrun(work.posters(1)).code == 1
    [line] = work.results()
    assert (line["status"], line["error"]["code"]) == ("cancelled", "Cancelled")


def _streamed_cut():
    """A chunked body that ends too early, which HTTP itself does not tell."""

    async def body():
        yield picture()[:-40]

    return web.Response(body=body())


@pytest.mark.parametrize("declared", [{"response_format": "mp3"}, {}], ids=["named", "not named"])
def test_audio_that_cannot_be_had_again_is_kept_under_the_format_that_was_asked(
    work, foreign, declared
):
    foreign.audio = {**foreign.audio, **declared}
    pipeline = work.pipeline(VOICE)
    assert work.dsrun(pipeline).code == 0
    assert list(work.files()) == ["artifacts/voices/a.mp3"]
    assert work.results()[0]["output"]["voice"] == "qwen-tts-vd-x"
