"""Runs behind proxies: who sees what, what a proxy's failure does, and whom TLS trusts."""

import base64
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from PIL import Image

import dsrun
from dsrun.common.errors import NotSent
from dsrun.service.transports import open_transport

sys.path.insert(0, str(Path(__file__).parents[1]))

from proxying import API, FILES, HOOK, certificates, saying, world_of

LOGIN = "me:pass%2Fword"
SHOWN = "Basic " + base64.b64encode(b"me:pass/word").decode()
STEPS = """
steps:
  posters:
    operation: wanx-v1
    matrix: {number: {range: [0, 1]}}
    input: {prompt: "a cat {{ number }}", ref_img: {upload: ref.png}}
    filename: "{{ number }}"
"""


@pytest.fixture
def world(emulator, monkeypatch):
    """The emulator as `http://api.example`, which only a proxy reaches."""
    place = urlsplit(emulator.base_url).netloc
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", f"http://{API}/api/v1")
    with world_of(place) as world:
        yield world


@pytest.fixture
def tls_world(emulator, monkeypatch, tmp_path):
    """The same at `https://api.example`; the authority of its certificate comes with it."""
    place = urlsplit(emulator.base_url).netloc
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", f"https://{API}/api/v1")
    context, authority = certificates(tmp_path)
    with world_of(place, tls=context) as world:
        yield world, authority


@pytest.fixture
def posters(work):
    """Two jobs that upload a file, and a notice."""
    Image.new("RGB", (300, 300)).save(work.folder / "ref.png")
    pipeline = work.pipeline(STEPS)
    with pipeline.open("a") as file:
        file.write(f"notify: {{on: always, url: 'http://{HOOK}/told'}}\n")
    return pipeline


class TestLoopback:
    @pytest.fixture(autouse=True)
    def dead_proxies(self, monkeypatch, closed_port):
        for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")

    def test_the_emulator_of_a_run_is_reached_directly(self, work):
        assert work.dsrun(work.posters(2), "--emulate").code == 0

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost"])
    def test_so_is_one_that_is_served(self, work, emulator, monkeypatch, host):
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", emulator.base_url.replace("127.0.0.1", host))
        outcome = work.dsrun(work.posters(2))
        assert (outcome.code, emulator.paid()) == (0, 2)

    def test_and_one_at_the_other_loopback(self, work, serve, monkeypatch):
        assert "[::1]" in serve(host="::1").base_url
        assert work.dsrun(work.posters(2)).code == 0

    def test_from_a_program_too(self, work):
        assert dsrun.run_sync(dsrun.load(work.posters(2)), emulate=True).exit_code == 0

    def test_a_kind_that_is_not_known_and_certificates_that_are_not_there_do_not_matter(
        self, work, emulator, monkeypatch
    ):
        monkeypatch.setenv("http_proxy", "gopher://nowhere")
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
        assert work.dsrun(work.posters(1)).code == 0
        assert work.dsrun(work.posters(1), "--emulate").code == 0

    def test_one_that_is_served_tells_other_clients_to_spare_it(self, work):
        """The official package sends requests to loopback through a proxy."""
        child = work.spawn("emulate")
        child.wait_for_answer('export no_proxy="127.0.0.1${no_proxy:+,$no_proxy}"')

    def test_a_notice_to_this_machine_goes_there(self, work, world, monkeypatch):
        pipeline = work.posters(1)
        with pipeline.open("a") as file:
            file.write(f"notify: {{on: always, url: 'http://{world.address}/told'}}\n")
        monkeypatch.setenv("http_proxy", f"http://{world.address}")
        assert work.dsrun(pipeline, "--allow-notify").code == 0
        told = [item for item in world.asked if item.path == "/told"]
        assert [item.host for item in told] == ["127.0.0.1"]

    async def test_a_file_that_a_host_beyond_redirects_to_comes_directly(
        self, world, emulator, monkeypatch
    ):
        monkeypatch.setenv("http_proxy", f"http://{world.address}")
        near = emulator.base_url + "/tasks/x"
        world.spoil = lambda _: web.Response(status=302, headers={"Location": near})
        async with open_transport() as transport:
            got = await transport.download(f"http://{FILES}/a.png", len, most=1000)
        assert got.status == 401  # as the emulator answers who has no key
        assert [item.host for item in world.asked] == [FILES]


class TestThroughAProxy:
    def test_everything_goes_and_only_it_is_shown_the_login(
        self, work, posters, world, monkeypatch
    ):
        monkeypatch.setenv("HTTP_PROXY", f"http://{LOGIN}@{world.address}")
        outcome = work.dsrun(posters, "--allow-notify")
        assert outcome.code == 0
        assert world.hosts() == {API, FILES, HOOK}
        kinds = {(item.host, item.method) for item in world.asked}
        assert kinds >= {
            (API, "POST"),
            (API, "GET"),
            (FILES, "GET"),
            (FILES, "POST"),
            (HOOK, "POST"),
        }
        assert {item.login for item in world.asked} == {SHOWN}

    def test_what_no_proxy_lists_does_not(self, work, world, emulator, monkeypatch):
        monkeypatch.setenv("http_proxy", f"http://{world.address}")
        monkeypatch.setenv("no_proxy", "localhost, 10.0.0.0/8, .example")
        outcome = work.dsrun(work.posters(1, max_attempts=1))
        assert outcome.code == 3
        assert "cannot connect to api.example" in outcome.err
        assert (world.asked, work.statuses()) == ([], {"pending": 1})

    def test_a_proxy_without_a_scheme_is_one_of_http(self, work, world, monkeypatch):
        monkeypatch.setenv("ALL_PROXY", world.address)
        assert work.dsrun(work.posters(2)).code == 0
        assert API in world.hosts()

    @pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    def test_a_tunnel_is_made_and_the_certificates_that_are_named_are_trusted(
        self, work, tls_world, monkeypatch, name
    ):
        world, authority = tls_world
        tunnel = world.open_door(world.tunnel)
        monkeypatch.setenv("https_proxy", f"http://{LOGIN}@{tunnel}")
        monkeypatch.setenv("http_proxy", f"http://{world.address}")  # of the files
        monkeypatch.setenv(name, str(authority))
        assert work.dsrun(work.posters(2)).code == 0
        assert set(world.connects) == {f"{API}:443"}
        assert {item.login for item in world.asked} == {None}

    def test_a_proxy_may_itself_be_reached_over_tls(self, work, tls_world, monkeypatch):
        world, authority = tls_world
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        tunnel = world.open_door(world.tunnel, tls=world.tls)
        monkeypatch.setenv("https_proxy", f"https://{LOGIN}@{tunnel}")
        monkeypatch.setenv("http_proxy", f"https://{LOGIN}@127.0.0.1:{world.tls_port}")
        assert work.dsrun(work.posters(2)).code == 0
        assert set(world.connects) == {f"{API}:443"}
        assert {item.login for item in world.asked if item.host == FILES} == {SHOWN}

    def test_an_env_file_may_name_it(self, work, world):
        (work.folder / "proxy.env").write_text(f"http_proxy=http://{world.address}\n")
        assert work.spawn(work.posters(1), "--env-file", "proxy.env").end().code == 0
        assert API in world.hosts()

    def test_a_certificate_that_nobody_signed_is_told(self, work, tls_world, monkeypatch):
        world, _ = tls_world
        tunnel = world.open_door(world.tunnel)
        monkeypatch.setenv("https_proxy", f"http://{tunnel}")
        outcome = work.dsrun(work.posters(2, max_attempts=1))
        assert outcome.code == 3
        assert "SSL_CERT_FILE" in outcome.err
        assert tunnel in outcome.err
        assert work.statuses() == {"pending": 2}


class TestSocks:
    @pytest.fixture(autouse=True)
    def extra(self):
        pytest.importorskip("aiohttp_socks", reason="of the extra dsrun[socks]")

    @pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4a", "socks"])
    def test_everything_goes_through_it_and_it_looks_up_the_names(
        self, work, posters, world, monkeypatch, scheme
    ):
        proxy = world.open_door(world.socks)
        login = f"{LOGIN}@" if scheme == "socks5" else ""
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://{login}{proxy}")
        assert work.dsrun(posters, "--allow-notify").code == 0
        assert set(world.connects) == {f"{host}:80" for host in (API, FILES, HOOK)}

    def test_over_tls_too(self, work, tls_world, monkeypatch):
        world, authority = tls_world
        proxy = world.open_door(world.socks)
        monkeypatch.setenv("all_proxy", f"socks5://{proxy}")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        assert work.dsrun(work.posters(2)).code == 0
        assert set(world.connects) == {f"{API}:443", f"{FILES}:80"}

    @pytest.mark.parametrize(
        "answer",
        [b"", b"\x05\xff", b"\x05\x00\x05\x05\x00\x01" + bytes(6), b"HTTP/1.1 400 Bad\r\n\r\n"],
        ids=["hangs up", "wants a login", "refuses", "speaks HTTP"],
    )
    def test_one_that_fails_leaves_nothing_in_doubt(self, work, world, monkeypatch, answer):
        proxy = world.open_door(saying(answer))
        monkeypatch.setenv("ALL_PROXY", f"socks5://{LOGIN}@{proxy}")
        outcome = work.dsrun(work.posters(2, max_attempts=1))
        assert outcome.code == 3
        assert proxy in outcome.err
        assert work.statuses() == {"pending": 2}


def test_a_socks_proxy_without_the_extra_ends_the_run_before_its_directory(
    work, world, monkeypatch
):
    monkeypatch.setitem(sys.modules, "aiohttp_socks", None)
    monkeypatch.setenv("http_proxy", "socks5://me:hidden-word@127.0.0.1:1080")
    outcome = work.dsrun(work.posters(2))
    assert outcome.code == 3
    assert "pip install 'dsrun[socks]'" in outcome.err
    assert "hidden-word" not in outcome.err
    assert not (work.folder / "outputs").exists()


BAD = b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n"
FAILURES = {
    "wants a login": BAD % b"407 Proxy Authentication Required",
    "does not reach the host": BAD % b"502 Bad Gateway",
    "has nobody behind it": BAD % b"503 Service Unavailable",
    "waits in vain": BAD % b"504 Gateway Timeout",
    "forbids the host": BAD % b"403 Forbidden",
    "hangs up": b"",
    "speaks SOCKS": b"\x05\xff",
    "speaks at length": b"x" * 100_000,
}


class TestAProxyThatFails:
    """None of it is a failure of jobs, and none of them is left in doubt."""

    def check(self, work, proxy, *, tries=1):
        outcome = work.dsrun(work.posters(2, max_attempts=tries))
        assert outcome.code == 3
        assert f"***@{proxy}" in outcome.err
        assert "http_proxy" in outcome.err or "https_proxy" in outcome.err
        assert work.statuses() == {"pending": 2}
        told = outcome.err + json.dumps(work.query("SELECT * FROM attempt"))
        assert "pass/word" not in told
        assert "pass%2Fword" not in told
        return outcome

    @pytest.mark.parametrize(
        ("scheme", "failure"),
        [
            (scheme, failure)
            for scheme in ("http", "https")
            for failure in FAILURES
            if (scheme, failure) != ("http", "forbids the host")  # it may be the API that does
        ],
    )
    def test_is_told_by_its_name(self, work, world, monkeypatch, scheme, failure):
        proxy = world.open_door(saying(FAILURES[failure]))
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", f"{scheme}://{API}/api/v1")
        monkeypatch.setenv(f"{scheme}_proxy", f"http://{LOGIN}@{proxy}")
        outcome = self.check(work, proxy, tries=2)
        if failure == "wants a login":
            assert "USER:PASSWORD" in outcome.err
            (row,) = work.query("SELECT count(*) AS tries FROM attempt")
            assert row["tries"] == 1  # asked again, it may lock the account

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_is_not_there(self, work, world, monkeypatch, closed_port, scheme):
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", f"{scheme}://{API}/api/v1")
        monkeypatch.setenv(f"{scheme}_proxy", f"http://{LOGIN}@127.0.0.1:{closed_port}")
        self.check(work, f"127.0.0.1:{closed_port}")

    def test_has_a_name_that_nobody_knows(self, work, world, monkeypatch):
        monkeypatch.setenv("http_proxy", f"http://{LOGIN}@proxy.invalid:3128")
        self.check(work, "proxy.invalid:3128")

    def test_the_next_run_goes_on_behind_a_proxy_that_works(
        self, work, world, emulator, monkeypatch
    ):
        dead = world.open_door(saying(FAILURES["does not reach the host"]))
        monkeypatch.setenv("http_proxy", f"http://{LOGIN}@{dead}")
        self.check(work, dead)
        monkeypatch.setenv("http_proxy", f"http://{world.address}")
        assert work.dsrun(work.posters(2, max_attempts=2)).code == 0
        assert emulator.paid() == 2

    def test_one_that_breaks_on_a_create_leaves_it_to_be_found(
        self, work, world, emulator, monkeypatch
    ):
        """Nobody can tell what a relay has passed on: it is looked for, and never paid twice."""
        monkeypatch.setenv("http_proxy", f"http://{world.address}")
        broken = []

        def spoil(asked):
            broken.extend([asked] * (asked.method == "POST"))
            return web.Response(status=502, text="<h1>Bad Gateway</h1>") if broken else None

        world.spoil = spoil
        outcome = work.dsrun(work.posters(2, max_attempts=2))
        assert outcome.code == 3
        assert world.address in outcome.err
        assert work.statuses() == {"submitting": 1, "pending": 1}
        world.spoil = lambda _: None
        assert work.dsrun(work.posters(2, max_attempts=2)).code == 0
        assert emulator.paid() == 2

    def test_one_that_fails_between_leaves_paid_results_for_the_next_run(
        self, work, world, emulator, monkeypatch
    ):
        monkeypatch.setenv("http_proxy", f"http://{world.address}")
        world.spoil = lambda asked: web.Response(status=407) if asked.host == FILES else None
        outcome = work.dsrun(work.posters(1, max_attempts=2))
        assert outcome.code == 3
        assert world.address in outcome.err
        assert work.statuses() == {"submitted": 1}
        world.spoil = lambda _: None
        assert work.dsrun(work.posters(1, max_attempts=2)).code == 0
        assert emulator.paid() == 1

    def test_one_that_wants_a_login_in_the_midst_ends_the_run(
        self, work, world, emulator, monkeypatch
    ):
        monkeypatch.setenv("http_proxy", f"http://{world.address}")
        world.spoil = lambda asked: web.Response(status=407) if "/tasks/" in asked.path else None
        outcome = work.dsrun(work.posters(1))
        assert outcome.code == 3
        assert f"the proxy http://{world.address} of http_proxy" in outcome.err
        assert (work.statuses(), emulator.paid()) == ({"submitted": 1}, 1)

    async def test_its_own_answers_are_no_answers_of_the_host(self, world, monkeypatch):
        monkeypatch.setenv("http_proxy", f"http://{world.address}")
        world.spoil = lambda _: web.Response(status=407)
        async with open_transport() as transport:
            with pytest.raises(NotSent, match="407"):
                await transport.request(
                    "GET", f"http://{API}/", headers={}, body=None, timeout_s=20.0
                )
