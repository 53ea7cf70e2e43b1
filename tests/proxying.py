"""Proxies of every kind on loopback, and behind them hosts that no resolver knows."""

import asyncio
import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

API, FILES, HOOK = "api.example", "files.example", "hook.example"


@dataclass(frozen=True, kw_only=True)
class Asked:
    method: str
    host: str
    path: str
    login: str | None


@dataclass
class World:
    """Hosts that all lead to one emulator, which is told to be `files.example` for its files.

    It answers a proxy's requests too, with the whole address in their first line, so that it is
    the relaying proxy of http addresses. `spoil` may give an answer in place of the emulator's.
    """

    emulator: str  # host:port
    asked: list[Asked] = field(default_factory=list)
    connects: list[str] = field(default_factory=list)  # asked of a tunnel or a SOCKS proxy
    spoil: Callable[[Asked], web.Response | None] = lambda _: None
    is_heard: bool = True  # whether the emulator sees what is spoiled
    address: str = ""  # of the relaying proxy, host:port
    tls_port: int = 0
    tls: ssl.SSLContext | None = None
    doors: ExitStack = field(default_factory=ExitStack)

    def open_door(self, talk: Callable, *, tls: ssl.SSLContext | None = None) -> str:
        """Where `talk(reader, writer)` is spoken from now on, as host:port."""
        return self.doors.enter_context(_door(talk, tls))

    def hosts(self) -> set[str]:
        return {item.host for item in self.asked}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        # aiohttp takes the first line apart; what it calls the host may be that of the header.
        target = request._message.path
        host = (urlsplit(target).hostname if "://" in target else request.host) or ""
        login = request.headers.get("Proxy-Authorization")
        asked = Asked(
            method=request.method, host=host.split(":")[0], path=request.path, login=login
        )
        self.asked.append(asked)
        spoiled = self.spoil(asked)
        if spoiled is not None and not self.is_heard:
            return spoiled
        answer = await self._forward(request)
        return spoiled or answer

    async def _forward(self, request: web.BaseRequest) -> web.Response:
        if HOOK in (request.host, request.url.host):
            return web.Response(status=204)
        own = ("host", "proxy-authorization", "transfer-encoding", "content-length")
        headers = {name: text for name, text in request.headers.items() if name.lower() not in own}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                f"http://{self.emulator}{request.url.raw_path_qs}",
                headers=headers | {"Accept-Encoding": "identity"},
                data=await request.read(),
                allow_redirects=False,
            ) as reply,
        ):
            body = (await reply.read()).replace(self.emulator.encode(), FILES.encode())
            kept = {name: reply.headers.get(name, "") for name in ("Content-Type", "Date")}
            return web.Response(status=reply.status, body=body, headers=kept)

    async def tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """An HTTP proxy that is asked to CONNECT."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.connects.append(head.split()[1].decode())
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await _join(reader, writer, self.tls_port)

    async def socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A SOCKS5 proxy that takes any user, and a SOCKS4a one."""
        if (await reader.readexactly(1)) == b"\x04":
            port = int.from_bytes((await reader.readexactly(7))[1:3])
            await reader.readuntil(b"\0")
            host = (await reader.readuntil(b"\0"))[:-1].decode()
            writer.write(b"\0\x5a" + bytes(6))
        else:
            methods = await reader.readexactly((await reader.readexactly(1))[0])
            if 2 in methods:
                writer.write(b"\x05\x02")
                await reader.readexactly((await reader.readexactly(2))[1])
                await reader.readexactly((await reader.readexactly(1))[0])
                writer.write(b"\x01\x00")
            else:
                writer.write(b"\x05\x00")
            await reader.readexactly(4)  # with a name: it was not looked up before
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
            port = int.from_bytes(await reader.readexactly(2))
            writer.write(b"\x05\x00\x00\x01" + bytes(6))
        self.connects.append(f"{host}:{port}")
        plain = int(self.address.rpartition(":")[2])
        await _join(reader, writer, self.tls_port if port == 443 else plain)


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while chunk := await source.read(65536):
                    sink.write(chunk)
                    await sink.drain()
        finally:
            sink.close()  # also where the loop ends in the middle of it

    await asyncio.gather(pump(reader, other_writer), pump(other_reader, writer))


@contextmanager
def own_loop() -> Iterator[Callable[[Awaitable], object]]:
    """A loop on a thread of its own, as a function that runs something there to its end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result()
    finally:

        async def end() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def world_of(emulator: str, *, tls: ssl.SSLContext | None = None) -> Iterator[World]:
    world = World(emulator, tls=tls)
    with own_loop() as run, world.doors:

        async def begin() -> web.ServerRunner:
            runner = web.ServerRunner(web.Server(world.answer), shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            if tls is not None:
                await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            return runner

        runner = run(begin())
        ports = [port for _, port, *_ in runner.addresses]
        world.address = f"127.0.0.1:{ports[0]}"
        world.tls_port = ports[-1]
        try:
            yield world
        finally:
            run(runner.cleanup())


@contextmanager
def _door(talk: Callable, tls: ssl.SSLContext | None) -> Iterator[str]:
    with own_loop() as run:

        async def begin() -> asyncio.Server:
            return await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)

        async def end() -> None:
            server.close()

        server = run(begin())
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            run(end())  # on its own thread


def saying(answer: bytes) -> Callable:
    """A talk that gives this answer to whatever is asked, and hangs up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(answer)
        writer.close()

    return talk


def certificates(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """What TLS servers of these hosts show, and the file of the authority that signed it."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)

    def signed(name: str, names: x509.GeneralName, *, is_authority: bool) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, hashes.SHA256())
        )

    names = [*map(x509.DNSName, (API, FILES)), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    authority = signed("authority", [x509.DNSName("authority")], is_authority=True)
    server = signed("server", names, is_authority=False)
    authority_file, server_file = folder / "authority.pem", folder / "server.pem"
    pem = serialization.Encoding.PEM
    authority_file.write_bytes(authority.public_bytes(pem))
    server_file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + server.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_file)
    return context, authority_file
