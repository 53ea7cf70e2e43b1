"""What a server does to a request means the same on both transports."""

import asyncio
import contextlib
import re
import socket
import ssl
import threading
from collections import Counter

import pytest

from dsrun.common.errors import AnswerLost, NotSent
from dsrun.common.settings import read_proxies
from dsrun.service.bodies import Patience
from dsrun.service.connection import Unanswered
from dsrun.service.fast_transport import FastTransport, Origin, _Translated
from dsrun.service.transport import Transport
from tests.proxying import certificates

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

    def __init__(self, script, tls=None):
        self.script = script
        self.tls = tls
        self.asked = Counter()
        self.heads = []
        self.connections = []
        self.first = asyncio.Event()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{port}/x?Signature=secret"
        self._open = {}
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open)

    async def _serve(self, reader, writer):
        self._open[asyncio.current_task()] = writer
        self.connections.append(writer)
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
            self.first.set()
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


async def test_a_post_without_a_body_is_not_asked_twice_either(transport):
    async with Scripted([CLOSES]) as server:
        with pytest.raises(AnswerLost):
            await transport.request("POST", server.url, headers={}, body=None, timeout_s=1.0)
        assert server.asked == {"POST": 1}


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


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError("reset"), BrokenPipeError("no reader"), TimeoutError(),
        OSError(5, "io"), ValueError("no HTTP"), UnicodeError("no text"), Unanswered("closed"),
    ],
    ids=repr,
)  # fmt: skip
def test_an_error_after_a_create_was_handed_over_leaves_open_what_became_of_it(error):
    with pytest.raises(AnswerLost), _Translated("http://a/b", only_asks=False):
        raise error


async def test_a_system_without_certificates_can_still_ask_over_http(monkeypatch, tmp_path):
    """Such as a slim container."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    async with Scripted([EMPTY]) as server, FastTransport() as transport:
        assert (await create(transport, server.url)).status == 200


async def test_a_question_goes_over_a_connection_that_is_there():
    async with Scripted([EMPTY]) as server, FastTransport() as transport:
        for _ in range(20):
            await transport.request("GET", server.url, headers={}, body=None, timeout_s=5.0)
        assert (server.asked, len(server.connections)) == ({"GET": 20}, 1)


SPOILED = {
    "it says that it closes": OPENING + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}",
    "it is of an older kind": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "more stands behind the answer": EMPTY + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n[",
}


@pytest.mark.parametrize("answer", SPOILED.values(), ids=SPOILED)
async def test_a_connection_is_not_used_again_where(answer):
    async with Scripted([answer]) as server, FastTransport() as transport:
        for _ in range(3):
            reply = await transport.request("GET", server.url, headers={}, body=None, timeout_s=5.0)
            assert reply.body == b"{}"
        assert (server.asked, len(server.connections)) == ({"GET": 3}, 3)


async def test_an_answer_that_nobody_has_read_to_its_end_closes_its_connection():
    refusal = b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot there"
    async with Scripted([refusal]) as server, FastTransport() as transport:
        for _ in range(2):
            got = await transport.download(server.url, lambda _: None, most=1000)
            assert (got.status, got.length) == (404, None)
        assert len(server.connections) == 2


async def test_a_body_without_a_length_ends_with_its_connection(transport):
    async with Scripted([OPENING + b"\r\n", b"{", b"}", CLOSES]) as server:
        reply = await transport.request("GET", server.url, headers={}, body=None, timeout_s=5.0)
    assert reply.body == b"{}"


async def test_answers_before_the_final_one_are_passed_over(transport):
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with Scripted([early, EMPTY]) as server:
        reply = await create(transport, server.url)
    assert (reply.status, reply.body) == (200, b"{}")


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_an_answer_without_a_body_ends_with_its_head(transport, status):
    async with Scripted([b"HTTP/1.1 " + status + b"\r\n\r\n"]) as server:
        reply = await transport.request("GET", server.url, headers={}, body=None, timeout_s=5.0)
    assert (str(reply.status).encode(), reply.body) == (status[:3], b"")


async def test_an_answer_that_changes_the_protocol_is_lost():
    away = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    async with Scripted([away, WAITS]) as server, FastTransport() as transport:
        with pytest.raises(AnswerLost):
            await create(transport, server.url)


ENDLESS = {
    "its headers": (OPENING, b"X-More: and more\r\n"),
    "a header": (OPENING + b"X-More: ", b"and more " * 100),
    "its first line": (b"HTTP/1.1 200 ", b"very OK " * 100),
    "its trailers": (
        OPENING + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
        b"X-More: and more\r\n",
    ),
    "what stands beside a chunk's length": (
        OPENING + b"Transfer-Encoding: chunked\r\n\r\n2;",
        b"more=more;" * 100,
    ),
}


@pytest.mark.parametrize(("begin", "more"), ENDLESS.values(), ids=ENDLESS)
async def test_an_answer_is_lost_as_soon_as_there_is_too_much_of(begin, more):
    async with Scripted([begin, *[more] * 100_000]) as server, FastTransport() as transport:
        with pytest.raises(AnswerLost) as caught:
            await transport.request("POST", server.url, headers={}, body=b"{}", timeout_s=60.0)
    assert "took too long" not in str(caught.value)


async def test_a_stop_in_the_middle_of_an_answer_gives_its_connection_up():
    async with Scripted([OPENING, WAITS]) as server, FastTransport() as transport:
        asking = asyncio.ensure_future(create(transport, server.url))
        await server.first.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        server.script = [EMPTY]
        assert (await create(transport, server.url)).status == 200
        assert len(server.connections) == 2


async def test_a_create_that_is_answered_before_it_is_whole_takes_its_connection_along():
    """Else the rest of its body would be read as the next request."""
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}"

    async def refuse(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(refusal)
        await writer.drain()
        await held.wait()
        writer.close()

    heads, held = [], asyncio.Event()
    server = await asyncio.start_server(refuse, "127.0.0.1", 0, limit=1 << 10)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    async with server, FastTransport(fresh_creates=False) as transport:
        large = b"x" * (32 << 20)
        reply = await transport.request("POST", url, headers={}, body=large, timeout_s=5.0)
        assert reply.status == 413
        reply = await transport.request("GET", url, headers={}, body=None, timeout_s=5.0)
        assert [head.split()[0] for head in heads] == [b"POST", b"GET"]
        held.set()


@pytest.mark.parametrize(
    "early",
    [b"HTTP/1.1 408 x\r\nContent-Length: 0\r\n\r\n", b"220 hello\r\n"],
    ids=["408", "banner"],
)
async def test_a_server_that_speaks_first_does_no_harm(transport, early):
    async def speak(reader, writer):
        writer.write(early)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            await reader.read()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    async with server:
        for _ in range(5):
            with contextlib.suppress(AnswerLost, NotSent):
                await create(transport, url)


class Late(threading.Thread):
    """Answers each request, and then says more when it is told to."""

    def __init__(self, more):
        super().__init__(daemon=True)
        self.more, self.asked = more, 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/x"
        self.says_more, self.has_said = threading.Event(), threading.Event()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                opened, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(opened,), daemon=True).start()

    def _serve(self, opened):
        with opened, contextlib.suppress(OSError):
            while opened.recv(1 << 16):
                self.asked += 1
                body = b"%d" % self.asked
                opened.sendall(OPENING + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
                if self.asked == 1:
                    self.says_more.wait(10)
                    if self.more:
                        opened.sendall(self.more)
                    else:
                        opened.shutdown(socket.SHUT_WR)
                    self.has_said.set()

    def close(self):
        self._listening.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "more",
    [b"", OPENING + b"Content-Length: 4\r\n\r\nlate", b"HTTP/1.1 408 x\r\n\r\n"],
    ids=["its end", "an answer", "an answer without a length"],
)
async def test_what_came_while_nobody_asked_is_no_answer_to_the_next_request(method, more):
    """It lies in the system's buffer, and the loop has not seen it yet."""
    late = Late(more)
    late.start()
    body = b"{}" if method == "POST" else None
    async with FastTransport(fresh_creates=False) as transport:
        for number in (b"1", b"2", b"3"):
            reply = await transport.request(method, late.url, headers={}, body=body, timeout_s=5.0)
            assert reply.body == number
            if number == b"1":
                late.says_more.set()
                late.has_said.wait(10)  # and the loop does not run meanwhile
    late.close()


async def test_trailers_are_no_headers(transport):
    chunked = OPENING + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    async with Scripted([chunked + b"Content-Encoding: br\r\n\r\n"]) as server:
        reply = await create(transport, server.url)
    assert (reply.body, "content-encoding" in reply.headers) == (b"{}", False)


LENIENT = {
    "lines that end with a line feed": b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    "a control character in a header": OPENING + b"X-A: a\x01b\r\nContent-Length: 2\r\n\r\n{}",
    "blanks behind the size of a chunk": (
        OPENING + b"Transfer-Encoding: chunked\r\n\r\n2  \r\n{}\r\n0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("answer", LENIENT.values(), ids=LENIENT)
async def test_an_answer_is_read_where_aiohttp_reads_it(transport, answer):
    async with Scripted([answer]) as server:
        assert (await create(transport, server.url)).body == b"{}"


async def test_a_burst_leaves_no_connections_behind(monkeypatch):
    monkeypatch.setattr("dsrun.service.fast_transport.KEEPALIVE_S", 0.2)
    async with Scripted([EMPTY]) as server, FastTransport() as transport:
        asked = [
            transport.request("GET", server.url, headers={}, body=None, timeout_s=5.0)
            for _ in range(50)
        ]
        await asyncio.gather(*asked)
        assert len(server.connections) > 10
        async with asyncio.timeout(10):
            for writer in server.connections:
                await writer.wait_closed()


@pytest.mark.parametrize("ticks", range(8))
async def test_a_connect_that_is_given_up_harms_no_other(ticks, tmp_path):
    """Over TLS the loop still has a socket in hand that is only being opened."""
    context, authority = certificates(tmp_path)
    async with Scripted([EMPTY], tls=context) as server, FastTransport() as transport:
        port = int(server.url.rpartition(":")[2].partition("/")[0])
        transport._straight[Origin("https", "127.0.0.1", port)] = True  # whatever is set here
        transport._pool._trust = ssl.create_default_context(cafile=authority)
        for _ in range(20):
            given_up = asyncio.ensure_future(create(transport, server.url))
            for _ in range(ticks):
                await asyncio.sleep(0)
            given_up.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await given_up
            assert (await create(transport, server.url)).status == 200


async def test_a_header_of_other_letters_is_aiohttp_s():
    async with Scripted([EMPTY]) as server, FastTransport() as transport:
        headers = {"X-Name": "\u00e4"}
        await transport.request("GET", server.url, headers=headers, body=None, timeout_s=5.0)
        assert b"X-Name: \xc3\xa4\r\n" in server.heads[0]


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
