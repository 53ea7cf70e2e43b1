"""What is the key's: its values wherever they stand, its variables, its files by any way."""

import os
from pathlib import Path

import pytest

from dsrun.common.credential import holds_key, is_key_file, is_key_variable, keeps_key, names_key
from dsrun.common.errors import SetupError
from dsrun.common.settings import guard_key, key_file, state_folder
from dsrun.session.notify import _body

KEY = "sk-0123456789abcdef"


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    guard_key()
    yield
    monkeypatch.undo()
    guard_key()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("echo $DASHSCOPE_API_KEY", True),
        ("echo ${DASHSCOPE_API_KEY_FILE_PATH}", True),
        ("cat ~/.dashscope/api_key", True),
        ("cat .dashscope", True),
        (f"X: {KEY}", True),
        ("curl https://my.dashscope.aliyuncs.com/x", False),
        ("MY_DASHSCOPE_API_KEYS", False),
        ("tell.sh", False),
    ],
)
def test_a_command_speaks_of_the_key_or_it_does_not(word, expected):
    assert names_key(word) == expected


def test_a_short_key_is_looked_for_in_no_text(monkeypatch):
    monkeypatch.setenv("DASHSCOPE_API_KEY", "lamp")
    monkeypatch.setenv("ROOM", "a lamp")
    monkeypatch.setenv("LIGHT", "lamp")
    guard_key()
    assert not holds_key("a lamp")
    assert not is_key_variable("ROOM")
    assert is_key_variable("LIGHT")


def test_text_that_is_none_holds_no_key():
    assert not holds_key("\ud800")
    assert holds_key(f"\udcff{KEY}")


def test_a_variable_that_has_the_key_inside_is_the_keys(monkeypatch):
    monkeypatch.setenv("TOKEN", f"Bearer {KEY}")
    guard_key()
    assert is_key_variable("TOKEN")
    assert is_key_variable("dashscope_api_key")
    assert not is_key_variable("PATH")


def test_the_key_is_found_across_the_pieces_of_a_file(tmp_path):
    file = tmp_path / "large"
    file.write_bytes(b"x" * ((1 << 20) - 5) + KEY.encode() + b"x" * 100)
    assert keeps_key(file)
    file.write_bytes(b"x" * ((1 << 20) + 100))
    assert not keeps_key(file)


def test_what_is_no_file_keeps_nothing_and_holds_nobody_up(tmp_path):
    pipe, loop = tmp_path / "pipe", tmp_path / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    for path in (tmp_path, pipe, loop, tmp_path / "gone", Path("a\0b")):
        assert not keeps_key(path)


def test_a_file_of_the_folder_is_the_keys_by_any_way(tmp_path, monkeypatch):
    folder = Path(os.environ["HOME"]) / ".dashscope"
    folder.mkdir()
    (folder / "config").write_text("x")
    (tmp_path / "link").symlink_to(folder)
    assert is_key_file(tmp_path / "link" / "config")
    assert is_key_file(folder / "not-yet-there")
    assert not is_key_file(tmp_path / "config")


def test_without_a_home_there_are_no_files_and_no_failure(monkeypatch):
    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    guard_key()
    assert not is_key_file(Path("x"))
    assert not key_file().exists()
    monkeypatch.delenv("HOME")
    assert state_folder() is None
    assert state_folder({"XDG_STATE_HOME": "/s"}) == Path("/s/dsrun")


def test_a_notice_with_the_key_in_it_is_not_sent():
    with pytest.raises(SetupError, match="holds the API key"):
        _body({"text": f"a {KEY}"})
