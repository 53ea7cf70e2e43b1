"""Which proxy a request goes through, and which addresses never see one."""

import sys

import pytest

from dsrun.common.errors import SetupError
from dsrun.common.proxies import NoProxy, Proxies, is_loopback, parse_proxy
from dsrun.common.redaction import mask
from dsrun.common.settings import read_proxies, read_settings

KEY = "sk-never-to-be-written-down"
PROXY = "http://proxy.example:3128"


def of(url, **environ):
    proxy = Proxies(environ).of(url)
    return proxy and proxy.address


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST", "localhost.", "api.localhost", "127.0.0.1", "127.8.9.10",
        "::1", "[::1]", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1", "127.1", "0x7f000001", "2130706433",
        "0.0.0.0", "::", "ip6-localhost", "localhost.localdomain",
    ],
)  # fmt: skip
def test_this_machine_is_never_proxied(host):
    assert is_loopback(host)
    shown = f"[{host}]" if ":" in host and "[" not in host else host
    assert of(f"http://{shown}:8080/x", http_proxy=PROXY, ALL_PROXY=PROXY) is None


@pytest.mark.parametrize(
    "host", ["localhost.example", "notlocalhost", "128.0.0.1", "10.0.0.1", "::2", "face", "1.2.3.4"]
)
def test_another_machine_is(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("listed", "host", "port"),
    [
        ("*", "any.example", 443),
        ("a.example, *", "any.example", 443),
        ("api.example", "api.example", 443),
        ("API.Example", "api.EXAMPLE.", 443),
        ("example", "api.example", 443),
        (".example", "api.example", 443),
        (".api.example", "api.example", 443),
        ("*.example", "api.example", 443),
        ("api.example:8443", "api.example", 8443),
        ("other api.example", "api.example", 443),
        ("bücher.example", "xn--bcher-kva.example", 443),
        ("10.1.2.3", "10.1.2.3", 80),
        ("10.0.0.0/8", "10.1.2.3", 80),
        ("10.1.2.3/8", "10.200.0.1", 80),
        ("10.0.0.0/8", "::ffff:10.1.2.3", 80),
        ("10.0.0.0/8", "10.66051", 80),
        ("10.1.*", "10.1.2.3", 80),
        ("10.1.2.3:80", "10.1.2.3", 80),
        ("fd00::/8", "fd12::1", 80),
        ("[fd12::1]", "fd12::1", 80),
        ("[fd12::1]:80", "FD12:0::1", 80),
    ],
)
def test_what_no_proxy_lists_is_reached_directly(listed, host, port):
    assert NoProxy(listed).has(host, port)


@pytest.mark.parametrize(
    ("listed", "host", "port"),
    [
        ("", "api.example", 443),
        ("api.example", "notapi.example", 443),
        ("api.example", "example", 443),
        ("api.example:8443", "api.example", 443),
        ("10.0.0.0/8", "11.0.0.1", 80),
        ("10.0.0.0/8", "ten.example", 80),
        ("10.0.0.0/99", "10.0.0.1", 80),
        ("10.1.2.3:80", "10.1.2.3", 81),
        ("fd00::/8", "fe80::1", 80),
        (".", "api.example", 443),
        (",, ,", "api.example", 443),
    ],
)
def test_nothing_else_is(listed, host, port):
    assert not NoProxy(listed).has(host, port)


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({"https_proxy": PROXY}, PROXY),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, PROXY),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, None),
        ({"ALL_PROXY": PROXY}, PROXY),
        ({"all_proxy": PROXY}, PROXY),
        ({"https_proxy": PROXY, "ALL_PROXY": "socks5://other:1"}, PROXY),
        ({"https_proxy": "", "all_proxy": PROXY}, PROXY),
        ({"http_proxy": PROXY}, None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "api.example"}, None),
        ({"ALL_PROXY": PROXY, "no_proxy": "", "NO_PROXY": "api.example"}, PROXY),
        ({"https_proxy": "proxy.example:3128"}, PROXY),
        ({"https_proxy": "proxy.example"}, "http://proxy.example:80"),
        ({"https_proxy": "HTTPS://proxy.example"}, "https://proxy.example:443"),
        ({"https_proxy": "http://[fd00::1]:3128/"}, "http://[fd00::1]:3128"),
        ({"https_proxy": "http://me:p@ss@proxy.example:3128"}, PROXY),
        ({}, None),
    ],
)
def test_variables_are_read_as_curl_and_requests_read_them(environ, address):
    assert of("https://api.example/api/v1", **environ) == address


def test_a_web_server_s_header_is_no_proxy():
    environ = {"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}
    assert of("http://api.example/", **environ) is None


def test_the_system_s_settings_count_where_no_variable_is_set():
    def proxies(**environ):
        return Proxies(
            environ,
            of_system=lambda: {"https": PROXY, "ftp": "http://other:1"},
            is_spared_by_system=lambda host: host == "near.example",
        )

    assert str(proxies().of("https://api.example/")).endswith("of the system's settings")
    assert proxies().of("https://near.example/") is None
    assert proxies(http_proxy="http://a:1").of("https://api.example/") is None


@pytest.mark.parametrize(
    "text",
    [
        "http://", "http://:3128", "http://proxy:x", "http://proxy:99999", "http://proxy:0",
        "http://me:pass#word@proxy:1", "http://me:pass/word@proxy:1", "http://me:pass?word@proxy:1",
        "http://a b:1", "ftp://me:pass@proxy:1", "direct://", "sock5://me:pass@proxy:1", "[::1:80",
        "http://proxy.example:3128/path",
    ],
)  # fmt: skip
def test_what_is_no_proxy_is_told_by_its_variable_and_without_its_password(text):
    with pytest.raises(SetupError, match=r"^https_proxy names the proxy ") as caught:
        parse_proxy(text, variable="https_proxy")
    assert "pass/" not in str(caught.value)
    assert "pass#" not in str(caught.value)
    assert "me:" not in str(caught.value)


def test_user_and_password_are_unescaped_and_never_shown():
    proxy = parse_proxy("http://me%40work:p%2Fss%25@proxy.example:3128", variable="http_proxy")
    assert (proxy.user, proxy.password) == ("me@work", "p/ss%")
    assert "work" not in repr(proxy)
    assert "p/ss" not in repr(proxy)
    assert str(proxy) == "the proxy http://***@proxy.example:3128 of http_proxy"


def test_passwords_of_proxies_are_secrets_everywhere():
    read_proxies({"http_proxy": "http://me:tale%2Fteller@proxy.example:3128"})
    assert mask("a tale/teller, a tale%2Fteller") == "a ***, a ***"


def without_socks(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp_socks", None)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "socks4a", "socks"])
@pytest.mark.parametrize("variable", ["https_proxy", "ALL_PROXY", "http_proxy"])
def test_a_socks_proxy_without_the_extra_is_refused_before_anything_is_sent(
    monkeypatch, scheme, variable
):
    without_socks(monkeypatch)
    environ = {"DASHSCOPE_API_KEY": KEY, variable: f"{scheme}://me:secret@127.0.0.1:1080"}
    with pytest.raises(SetupError, match=rf"^{variable} names the SOCKS proxy .*dsrun\[socks\]"):
        read_settings(environ)


@pytest.mark.parametrize(
    "environ",
    [
        {"no_proxy": "*"},
        {"DASHSCOPE_HTTP_BASE_URL": "http://127.0.0.1:8765/api/v1"},
        {"https_proxy": PROXY, "http_proxy": PROXY},  # what many a desktop sets beside it
    ],
)
def test_one_that_is_never_used_is_no_matter(monkeypatch, environ):
    without_socks(monkeypatch)
    common = {"DASHSCOPE_API_KEY": KEY, "ALL_PROXY": "socks5://127.0.0.1:1080"}
    assert read_settings(common | environ).warnings == ()


def test_one_that_only_files_may_need_is_a_warning(monkeypatch):
    without_socks(monkeypatch)
    environ = {
        "DASHSCOPE_API_KEY": KEY,
        "ALL_PROXY": "socks5://127.0.0.1:1080",
        "no_proxy": "dashscope.aliyuncs.com",
    }
    (warning,) = read_settings(environ).warnings
    assert "ALL_PROXY" in warning
    assert "no_proxy" in warning


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("kind", ["absent", "empty", "text"])
def test_certificates_that_cannot_be_read_are_told_before_anything_is_sent(tmp_path, name, kind):
    file = tmp_path / "trusted.pem"
    if kind != "absent":
        file.write_text("" if kind == "empty" else "no certificates")
    with pytest.raises(SetupError, match=f"^{name} names {file}"):
        read_settings({"DASHSCOPE_API_KEY": KEY, name: str(file)})
