"""What a server does to a request means the same on both transports."""

import asyncio
import contextlib
import re
import socket
from collections import Counter

import pytest
from pyreqwest import exceptions
from pyreqwest.exceptions import PyreqwestError

from dsrun.common.errors import AnswerLost, NotSent
from dsrun.common.settings import read_proxies
from dsrun.service.bodies import Patience
from dsrun.service.fast_transport import FastTransport, _Again, _Translated
from dsrun.service.transport import Transport
from dsrun.service.transports import open_transport

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
OPENING = b"HTTP/1.1 200 OK\r\n"
CLOSES, RESETS, WAITS = b"closes", b"resets", b"waits"

# What follows a whole request; None: the connection ends before one.
LOST = {
    "it closes": [CLOSES],
    "it resets": [RESETS],
    "it says nothing": [WAITS],
    "half a head": [b"HTTP/1.1 200 OK\r\nContent-", CLOSES],
    "half a head, reset": [b"HTTP/1.1 200 OK\r\nContent-", RESETS],
    "half a body": [OPENING + b"Content-Length: 10\r\n\r\n{}", CLOSES],
    "half a body, reset": [OPENING + b"Content-Length: 10\r\n\r\n{}", RESETS],
    "half a body, and no more": [OPENING + b"Content-Length: 10\r\n\r\n{}", WAITS],
    "half a chunk": [OPENING + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{}", CLOSES],
    "no HTTP": [b"\0" * 2000, CLOSES],
    "words of another protocol": [b"SSH-2.0-OpenSSH_9.2\r\n", CLOSES],
    "words that speak of connecting": [b"client error (Connect)\r\n\r\n", CLOSES],
    "a length that is none": [OPENING + b"Content-Length: x\r\n\r\n{}", CLOSES],
    "two lengths": [OPENING + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", CLOSES],
    "a coding that nobody asked for": [OPENING + b"Content-Encoding: br\r\n\r\n{}", CLOSES],
}


class Scripted:
    """A server that does the same to each request, and counts them by method."""

    def __init__(self, script):
        self.script = script
        self.asked = Counter()
        self.heads = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/x?Signature=secret"
        self._open = {}
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open)

    async def _serve(self, reader, writer):
        self._open[asyncio.current_task()] = writer
        # A handler that is cancelled as the server closes has nobody to tell.
        gone = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*gone):
            await self._answer(reader, writer)
        writer.close()
        with contextlib.suppress(*gone):
            await writer.wait_closed()

    async def _answer(self, reader, writer):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            self.asked[head.split()[0].decode()] += 1
            self.heads.append(head)
            for step in self.script:
                if step == WAITS:
                    await asyncio.sleep(60)
                elif step == RESETS:
                    linger = b"\1\0\0\0\0\0\0\0"
                    writer.get_extra_info("socket").setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, linger
                    )
                    writer.transport.abort()
                    return
                elif step == CLOSES:
                    return
                else:
                    writer.write(step)
                    await writer.drain()


@pytest.fixture(params=[Transport, FastTransport], ids=["aiohttp", "fast"])
async def transport(request):
    async with request.param(patience=Patience(connect_s=0.5, window_s=0.5)) as opened:
        yield opened


async def create(transport, url):
    return await transport.request("POST", url, headers={}, body=b"{}", timeout_s=1.0)


@pytest.mark.parametrize("script", LOST.values(), ids=LOST)
async def test_a_create_that_was_read_is_lost_and_never_sent_twice(transport, script):
    async with Scripted(script) as server:
        with pytest.raises(AnswerLost) as caught:
            await create(transport, server.url)
        assert type(caught.value) is not NotSent
        assert server.asked == {"POST": 1}
    assert "127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("script", LOST.values(), ids=LOST)
async def test_a_query_or_a_file_that_does_not_come_is_lost(transport, script):
    async with Scripted(script) as server:
        with pytest.raises(AnswerLost):
            await transport.request("GET", server.url, headers={}, body=None, timeout_s=1.0)
        with pytest.raises(AnswerLost):
            await transport.download(server.url, lambda _: None, most=1000)
        assert server.asked["GET"] <= 6  # aiohttp too asks once more where a connection closed


@contextlib.contextmanager
def nobody(kind):
    """Addresses at which nothing reads a request."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        if kind == "refused":
            yield f"http://127.0.0.1:{port}/x?Signature=secret"
            return
        held.listen(0)
        with contextlib.ExitStack() as stack:
            if kind == "full":
                for _ in range(4):
                    one = stack.enter_context(socket.socket())
                    one.setblocking(False)
                    one.connect_ex(("127.0.0.1", port))
            scheme = "http" if kind == "full" else "https"
            yield f"{scheme}://127.0.0.1:{port}/x?Signature=secret"


@pytest.mark.parametrize("kind", ["refused", "full", "no TLS"])
async def test_what_found_no_connection_was_not_sent(transport, kind):
    with nobody(kind) as url, pytest.raises(NotSent) as caught:
        await transport.request("POST", url, headers={}, body=b"{}", timeout_s=20.0)
    assert "cannot connect to 127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_host_without_a_name_was_not_sent(transport):
    with pytest.raises(NotSent, match=r"cannot connect to no-such-host\.invalid"):
        await create(transport, "http://no-such-host.invalid/x")


async def test_each_create_has_a_connection_of_its_own(transport):
    async with Scripted([EMPTY, CLOSES]) as server:
        for _ in range(20):
            assert (await create(transport, server.url)).body == b"{}"
        assert server.asked == {"POST": 20}


async def test_both_say_the_same_of_themselves_and_send_an_address_letter_by_letter():
    told = []
    for kind in (Transport, FastTransport):
        async with Scripted([EMPTY]) as server, kind() as transport:
            headers = {"Authorization": "Bearer key"}
            url = server.url.replace("/x?", "/a%2fb+c;d/{e}?p=%7E&q='|^`&")
            await transport.request("GET", url, headers=headers, body=None, timeout_s=5.0)
            await transport.download(url.replace("'|^`", "~*!(),$:@"), lambda _: None, most=9)
            told.append([_comparable(head) for head in server.heads])
    assert told[0] == told[1]


def _comparable(head):
    lines = head.decode().strip().splitlines()
    names = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:]}
    return lines[0], sorted(item for item in names.items() if item[0] != "host")


async def test_a_cookie_is_not_kept_and_a_redirect_of_the_api_not_followed(transport):
    away = b"HTTP/1.1 302 Found\r\nSet-Cookie: a=b\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n"
    async with Scripted([away]) as server:
        for _ in range(2):
            reply = await create(transport, server.url)
        assert reply.status == 302
        assert reply.headers["LOCATION"] == "/y"
        assert not any(b"ookie" in head for head in server.heads)
        assert server.asked == {"POST": 2}


async def test_a_file_may_lie_where_a_redirect_leads(transport):
    file = OPENING + b"Content-Length: 4\r\n\r\nfile"
    async with Scripted([file]) as target:
        away = f"HTTP/1.1 307 x\r\nLocation: {target.url}\r\nContent-Length: 0\r\n\r\n".encode()
        async with Scripted([away]) as server:
            came = bytearray()
            got = await transport.download(server.url, came.extend, most=1000)
    assert (got.status, got.length, bytes(came)) == (200, 4, b"file")


def test_a_name_that_pyreqwest_gives_an_error_proves_nothing():
    """It calls a lost answer a ConnectError too; only the library below it knows."""
    for name in ("ConnectError", "ConnectTimeoutError", "NetworkError", "RequestError"):
        error = getattr(exceptions, name)("connection error", _causes("client error (SendRequest)"))
        with pytest.raises(AnswerLost), _Translated("http://a/b", only_asks=False):
            raise error
        error = getattr(exceptions, name)("connection error", _causes("client error (Connect)"))
        with pytest.raises(_Again), _Translated("http://a/b", only_asks=False):
            raise error


def test_every_other_error_of_pyreqwest_leaves_open_what_was_sent():
    for kind in _below(PyreqwestError):
        details = {"causes": None, "status": 400, "doc": "", "pos": 0}
        bare = kind is PyreqwestError
        error = kind("words") if bare else kind("words", details)
        with pytest.raises(AnswerLost), _Translated("http://a/b", only_asks=False):
            raise error


def _causes(kind):
    found = ["error sending request for url (http://a/b)", kind, "connection reset"]
    return {"causes": [{"message": message} for message in found]}


def _below(kind):
    return {kind}.union(*(_below(one) for one in kind.__subclasses__()))


async def test_a_system_without_certificates_has_aiohttp(monkeypatch, tmp_path):
    """Such as a slim container; pyreqwest wants some even where nothing is encrypted."""
    monkeypatch.setenv("DSRUN_TRANSPORT", "fast")
    async with open_transport() as transport:
        assert isinstance(transport, FastTransport)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    async with Scripted([EMPTY]) as server, open_transport() as transport:
        assert isinstance(transport, Transport)
        assert (await create(transport, server.url)).status == 200


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY"])
async def test_certificates_and_proxies_of_the_environment_are_aiohttp_s(
    monkeypatch, tmp_path, variable
):
    (tmp_path / "own.pem").write_text("")
    value = "http://proxy.example" if variable == "HTTPS_PROXY" else str(tmp_path / "own.pem")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    async with FastTransport() as transport:
        assert transport._plain_address("https://api.example/x")
    async with FastTransport() as transport:
        monkeypatch.setenv(variable, value)
        transport._proxies = read_proxies()
        assert not transport._plain_address("https://api.example/x")
        assert transport._plain_address("http://api.example/x")


@pytest.mark.parametrize(
    "address",
    [
        "http://user:password@host/a", "http://HOST/a", "http://host:80/a", "http://host/a b",
        "http://host/a/../b", "http://host/a/%2e%2e/b", "http://host/\u00e4", 'http://host/a"b',
        "http://host", "http://1.2/a", "http://host\\a", "ftp://host/a", "http://", "", "host/a",
        "http://[::1/a", "http://host:99999/a", "http://h\u00f6st/a", "HTTP://host/a",
    ],
)  # fmt: skip
async def test_an_address_that_would_be_sent_in_other_letters_is_aiohttp_s(address):
    async with FastTransport() as transport:
        assert transport._plain_address(address) is None


async def test_headers_that_are_no_text_do_no_harm(transport):
    head = OPENING + b"X-Request-Id: a\xff\xe9\r\nRetry-After: \xff\r\nContent-Length: 2\r\n\r\n{}"
    async with Scripted([head]) as server:
        reply = await create(transport, server.url)
    assert isinstance(reply.headers.get("x-request-id", ""), str)
    assert isinstance(reply.headers.get("retry-after", ""), str)
    assert reply.headers.get("x-none", "") == ""
    assert reply.headers["CONTENT-LENGTH"] == "2"
    assert {name.lower() for name in reply.headers} >= {"content-length"}
