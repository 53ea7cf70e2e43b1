"""Every error of aiohttp is one of ours: safe to repeat, or perhaps paid."""

import ssl

import aiohttp
import pytest
from aiohttp import client_exceptions
from aiohttp.client_reqrep import ConnectionKey, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from dsrun.common.errors import AnswerLost, NotSent
from dsrun.service.transport import Transport, _translated

ADDRESS = "https://files.example/a.png?Signature=secret"
REFUSED = ConnectionRefusedError(111, "Connection refused")
HOST = ConnectionKey(
    host="files.example",
    port=443,
    is_ssl=True,
    ssl=True,
    proxy=None,
    proxy_auth=None,
    proxy_headers_hash=None,
)
REQUEST = RequestInfo(URL(ADDRESS), "GET", CIMultiDictProxy(CIMultiDict()), URL(ADDRESS))
ERRORS = {
    NotSent: [
        aiohttp.ClientConnectorError(HOST, REFUSED),
        aiohttp.ClientConnectorDNSError(HOST, OSError(-2, "Name or service not known")),
        aiohttp.ClientProxyConnectionError(HOST, REFUSED),
        client_exceptions.UnixClientConnectorError("/run/proxy", HOST, REFUSED),
        aiohttp.ClientSSLError(HOST, REFUSED),
        aiohttp.ClientConnectorSSLError(HOST, ssl.SSLError(1, "wrong version number")),
        aiohttp.ClientConnectorCertificateError(HOST, ssl.CertificateError(1, "has expired")),
        aiohttp.ClientConnectionResetError("Cannot write to closing transport"),
        aiohttp.ClientHttpProxyError(REQUEST, (), status=407, message="Log in first"),
        aiohttp.ConnectionTimeoutError("Connection timeout"),
        aiohttp.InvalidURL("http://"),
        aiohttp.InvalidUrlClientError("http://"),
        aiohttp.InvalidUrlRedirectClientError("http://"),
        aiohttp.NonHttpUrlClientError("ftp://files.example"),
        aiohttp.NonHttpUrlRedirectClientError("ftp://files.example"),
    ],
    AnswerLost: [
        aiohttp.ClientError(),
        aiohttp.ClientConnectionError("Connection closed"),
        aiohttp.ClientOSError(104, "Connection reset by peer"),
        aiohttp.ClientPayloadError("Response payload is not completed"),
        aiohttp.ClientResponseError(REQUEST, (), status=400, message="Bad header"),
        aiohttp.ContentTypeError(REQUEST, ()),
        aiohttp.RedirectClientError("http://"),
        aiohttp.ServerConnectionError(),
        aiohttp.ServerDisconnectedError(),
        aiohttp.ServerFingerprintMismatch(b"a", b"b", "files.example", 443),
        aiohttp.ServerTimeoutError("Timeout on reading"),
        aiohttp.SocketTimeoutError("Timeout on reading data from socket"),
        aiohttp.TooManyRedirects(REQUEST, ()),
        aiohttp.WSServerHandshakeError(REQUEST, ()),
        ConnectionResetError(104, "Connection reset by peer"),
        TimeoutError(),
        BrokenPipeError(32, "Broken pipe"),
    ],
}
CASES = [
    pytest.param(error, ours, id=type(error).__name__)
    for ours, errors in ERRORS.items()
    for error in errors
]


@pytest.mark.parametrize(("error", "ours"), CASES)
def test_an_error_becomes_ours_with_the_host_and_a_reason(error, ours):
    with pytest.raises(ours) as caught, _translated(ADDRESS):
        raise error
    assert type(caught.value) is ours
    assert caught.value.__cause__ is error
    words = str(caught.value)
    assert "files.example" in words
    assert not words.endswith(": ")
    assert "secret" not in words


def test_the_table_knows_every_error_of_aiohttp():
    """A new one must be judged by a person: was anything sent?"""
    judged = {type(error) for errors in ERRORS.values() for error in errors}
    # Raised while a body is uploaded from a source that fails; ours is always whole.
    judged.add(getattr(client_exceptions, "UploadAbortedError", aiohttp.ClientError))
    assert _subclasses(aiohttp.ClientError) - judged == set()


@pytest.mark.parametrize(
    "address",
    ["http://", "http://host:99999/a.png", "http://[::1/a.png", "ftp://host/a.png", "a.png", ""],
)
async def test_an_address_that_is_none_was_not_sent(address):
    async with Transport() as transport:
        with pytest.raises(NotSent):
            await transport.request("GET", address, headers={}, body=None, timeout_s=5.0)
        with pytest.raises(NotSent):
            await transport.download(address, bytearray().extend, most=1000)


def _subclasses(kind):
    return {kind}.union(*(_subclasses(below) for below in kind.__subclasses__()))
