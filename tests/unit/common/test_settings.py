"""Environment and key files, read once; the key shows nowhere."""

import os

import pytest

from dsrun.common.errors import SetupError, UsageError
from dsrun.common.settings import (
    DEFAULT_BASE_URL,
    Settings,
    emulated_settings,
    load_env_file,
    read_settings,
    wants_color,
)

KEY = "sk-0123456789abcdef"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("environ", "base_url"),
    [
        pytest.param({}, DEFAULT_BASE_URL, id="the default"),
        pytest.param({"DASHSCOPE_BASE_URL": "https://b/api/v1"}, "https://b/api/v1", id="base"),
        pytest.param(
            {"DASHSCOPE_HTTP_BASE_URL": "https://a/api/v1", "DASHSCOPE_BASE_URL": "https://b"},
            "https://a/api/v1",
            id="the official package's own name first",
        ),
        pytest.param({"DASHSCOPE_HTTP_BASE_URL": ""}, DEFAULT_BASE_URL, id="empty is not set"),
        pytest.param(
            {"DASHSCOPE_HTTP_BASE_URL": "http://127.0.0.1:9/api/v1"},
            "http://127.0.0.1:9/api/v1",
            id="http",
        ),
    ],
)
def test_the_base_url(home, environ, base_url):
    assert read_settings({"DASHSCOPE_API_KEY": KEY, **environ}).base_url == base_url


@pytest.mark.parametrize(
    "url",
    [
        *("https://a.example./api/v1", "http://[::1]:9/", "http://localhost/", "http://1.2.3.4/x"),
        *("http://\u706f.example/api/v1", "http://a_b.example:65535/"),
    ],
)
def test_what_is_an_address_is_taken(home, url):
    assert read_settings({"DASHSCOPE_API_KEY": KEY, "DASHSCOPE_HTTP_BASE_URL": url}).base_url == url


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://[::1",
            "http://",
            "http:///x",
            "//a",
            "ftp://a",
            "file:///etc/passwd",
            "http://[x]",
        ),
        *("http://a:99999/", "http://a:0/", "http://a:b/", "http://a:/", "http://a:-1/"),
        *("http://a b/", "http://a\x01b/", "http://a\\b/", "http://a/\nb", "http://a/ b"),
        *(
            "http://..",
            "http://a..b/",
            "http://-a/",
            "http://%41/",
            "http://1.2.3.4.5/",
            "http://300.1/",
        ),
        *("http://" + "b" * 64 + ".example/", "http://" + "b." * 130 + "example/", "http://.a/"),
    ],
)
def test_what_is_no_address_is_told(home, url):
    with pytest.raises(SetupError, match="is no http address"):
        read_settings({"DASHSCOPE_API_KEY": KEY, "DASHSCOPE_HTTP_BASE_URL": url})


def test_a_key_file_is_a_regular_file_of_bounded_size(home, tmp_path):
    for path in ("/dev/zero", "/proc/self/environ", str(tmp_path)):
        with pytest.raises(SetupError, match="cannot be read"):
            read_settings({"DASHSCOPE_API_KEY_FILE_PATH": path})


def test_a_pipe_that_gives_no_key_is_not_waited_for_long(home, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SetupError, match="the pipe gave nothing"):
        read_settings({"DASHSCOPE_API_KEY_FILE_PATH": str(tmp_path / "pipe")})


def test_the_default_is_the_beijing_host():
    assert DEFAULT_BASE_URL == "https://dashscope.aliyuncs.com/api/v1"


@pytest.mark.parametrize(
    "url",
    ["https://me:secret@proxy.example/api/v1", "https://a/api/v1?token=secret", "http://a/#x"],
)
def test_a_base_url_that_no_path_can_follow_is_refused_and_not_shown(home, url):
    with pytest.raises(SetupError, match="holds a user, a password, a query") as caught:
        read_settings({"DASHSCOPE_API_KEY": KEY, "DASHSCOPE_HTTP_BASE_URL": url})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["dashscope.aliyuncs.com", "ftp://a/api/v1", "https://", "file:///etc"]
)
def test_a_base_url_that_is_no_http_address_is_refused(home, url):
    with pytest.raises(SetupError, match="is no http address"):
        read_settings({"DASHSCOPE_API_KEY": KEY, "DASHSCOPE_HTTP_BASE_URL": url})


@pytest.mark.parametrize(
    ("environ", "workspace"),
    [
        ({}, None),
        ({"DASHSCOPE_WORKSPACE": "ws_1"}, "ws_1"),
        ({"DASHSCOPE_WORKSPACE_ID": "llm-1"}, "llm-1"),
        ({"DASHSCOPE_WORKSPACE": "ws_1", "DASHSCOPE_WORKSPACE_ID": "x"}, "ws_1"),
    ],
)
def test_the_workspace_is_passed_on_as_it_is(home, environ, workspace):
    assert read_settings({"DASHSCOPE_API_KEY": KEY, **environ}).workspace == workspace


def test_the_key_of_the_environment_comes_first(home):
    save(home / ".dashscope" / "api_key", "sk-of-the-home")
    save(home / "named", "sk-of-the-named-file")
    environ = {"DASHSCOPE_API_KEY": KEY, "DASHSCOPE_API_KEY_FILE_PATH": str(home / "named")}
    assert read_settings(environ).api_key == KEY


def test_a_named_key_file_comes_before_the_one_of_the_home(home):
    save(home / ".dashscope" / "api_key", "sk-of-the-home")
    save(home / "named", f"{KEY}\n")
    settings = read_settings({"DASHSCOPE_API_KEY_FILE_PATH": str(home / "named")})
    assert settings.api_key == KEY


def test_the_key_file_of_the_home_is_the_last(home):
    save(home / ".dashscope" / "api_key", f"  {KEY}\r\n")
    assert read_settings({}).api_key == KEY


def test_without_a_key_both_ways_out_are_named(home):
    with pytest.raises(SetupError) as caught:
        read_settings({})
    assert "DASHSCOPE_API_KEY" in str(caught.value)
    assert "--emulate" in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_named_key_file_that_is_missing_is_told_by_name(home):
    with pytest.raises(SetupError, match=r"DASHSCOPE_API_KEY_FILE_PATH names .*none, which cannot"):
        read_settings({"DASHSCOPE_API_KEY_FILE_PATH": str(home / "none")})


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("sk-a b", id="a space"),
        pytest.param("sk-a\nsk-b", id="two lines"),
        pytest.param("sk-灯", id="Chinese"),
        pytest.param("sk-\u201cquoted\u201d", id="curly quotes"),
        pytest.param("sk-a\x00", id="nul"),
    ],
)
def test_a_key_that_no_header_can_hold_is_refused_without_being_shown(home, key):
    with pytest.raises(SetupError) as caught:
        read_settings({"DASHSCOPE_API_KEY": key})
    assert key not in str(caught.value)
    assert "sk-" not in str(caught.value)


def test_a_key_file_of_bytes_is_refused(home):
    (home / "named").write_bytes(b"\xff\xfe")
    with pytest.raises(SetupError, match="holds no text"):
        read_settings({"DASHSCOPE_API_KEY_FILE_PATH": str(home / "named")})


def test_the_key_shows_in_no_repr(home):
    settings = read_settings({"DASHSCOPE_API_KEY": KEY})
    assert KEY not in repr(settings)
    assert KEY not in str(settings)
    assert settings.bearer() == f"Bearer {KEY}"


def test_the_emulator_gets_a_key_of_its_own():
    settings = emulated_settings("http://127.0.0.1:1/api/v1")
    assert settings == Settings(base_url="http://127.0.0.1:1/api/v1", api_key="sk-emulated")


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        pytest.param({}, True, id="nothing said"),
        pytest.param({"NO_COLOR": ""}, True, id="empty says nothing"),
        pytest.param({"NO_COLOR": "0"}, False, id="any word says no"),
        pytest.param({"TERM": "dumb"}, False, id="a terminal without colours"),
    ],
)
def test_colours_can_be_declined(environment, wanted):
    assert wants_color(environment) is wanted


def save(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


class TestEnvFile:
    @pytest.fixture(autouse=True)
    def own_environment(self, monkeypatch):
        monkeypatch.setattr("os.environ", dict(os.environ))

    def test_sets_what_the_environment_does_not_have(self, tmp_path):
        os.environ["DASHSCOPE_WORKSPACE"] = "from-outside"
        path = tmp_path / "a.env"
        path.write_text(
            "# comment\nexport DASHSCOPE_API_KEY='sk-$x'\nDASHSCOPE_WORKSPACE=from-file\nEMPTY=\n"
        )
        load_env_file(path)
        settings = read_settings()
        assert settings.api_key == "sk-$x"
        assert settings.workspace == "from-outside"
        assert os.environ["EMPTY"] == ""

    @pytest.mark.parametrize("line", ["DASHSCOPE_API_KEY", "what is this", "A='open"])
    def test_a_line_that_sets_nothing_is_told_and_never_shown(self, tmp_path, line):
        path = tmp_path / "a.env"
        path.write_text(f"FINE=1\n{line}\n")
        with pytest.raises(UsageError, match="line 2 is not NAME=VALUE") as caught:
            load_env_file(path)
        assert line not in str(caught.value).replace(str(path), "")
        assert "FINE" not in os.environ

    def test_a_file_that_cannot_be_read_is_told(self, tmp_path):
        with pytest.raises(UsageError, match="cannot be read: No such file"):
            load_env_file(tmp_path / "none.env")
        (tmp_path / "b.env").write_bytes(b"\xff\xfe")
        with pytest.raises(UsageError, match="no UTF-8 text"):
            load_env_file(tmp_path / "b.env")


def test_a_key_from_a_pipe_is_there_for_every_run_of_the_process(home):
    """`--catch-up` asks once a day that it runs, and a pipe is read only once."""
    reading, writing = os.pipe()
    os.write(writing, f"{KEY}\n".encode())
    os.close(writing)
    environ = {"DASHSCOPE_API_KEY_FILE_PATH": f"/dev/fd/{reading}"}
    assert [read_settings(environ).api_key for _ in range(2)] == [KEY, KEY]
    os.close(reading)
