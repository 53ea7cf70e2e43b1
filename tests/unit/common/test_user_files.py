"""Files of the user: which are opened, and where they must lie."""

import os
import socket

import pytest

from dsrun.common.user_files import Inputs, Unreadable, open_file, read_file
from dsrun.manifest.files import files_matching


def test_a_regular_file_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    assert read_file(tmp_path / "a", most=7) == b"content"
    with open_file(tmp_path / "a", most=7, folders=[tmp_path]) as file:
        assert file.read(3) + file.read() == b"content"


def special(folder, kind):
    path = folder / "special"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pipe", "this is a pipe; allowed: a regular file"),
        ("folder", "Is a directory"),
        ("device", "this is a device"),
        ("socket", "this is a socket"),
        ("loop", "Too many levels of symbolic links"),
        ("nothing", "No such file"),
    ],
)
def test_what_is_no_regular_file_is_not_waited_for(tmp_path, kind, words):
    with pytest.raises(Unreadable, match=words):
        read_file(special(tmp_path, kind), most=1000)


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "a" * 5000, "", "."])
def test_what_is_no_name_of_a_file_is_told(tmp_path, name):
    with pytest.raises(Unreadable):
        read_file(tmp_path / name, most=1000, folders=[tmp_path])


def test_no_more_is_read_than_is_allowed(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 1000)
    with pytest.raises(Unreadable, match="allowed: at most"):
        read_file(tmp_path / "a", most=999)


@pytest.mark.skipif(not os.path.exists("/proc/self/environ"), reason="there is no /proc")  # noqa: PTH110  # at import
def test_a_file_that_gives_more_than_its_size_is_refused():
    with pytest.raises(Unreadable, match="more than its size"):
        read_file(__import__("pathlib").Path("/proc/self/status"), most=10**6)


@pytest.fixture
def inside(tmp_path):
    """A folder with a file, and ways out of it."""
    folder, outside = tmp_path / "inside", tmp_path / "outside"
    (folder / "sub").mkdir(parents=True)
    (outside / "sub").mkdir(parents=True)
    for path in (folder / "a.txt", folder / "sub/a.txt", outside / "secret.txt"):
        path.write_text("x", encoding="utf-8")
    (tmp_path / "inside-too").mkdir()
    (tmp_path / "inside-too/secret.txt").write_text("x", encoding="utf-8")
    (folder / "link.txt").symlink_to(outside / "secret.txt")
    (folder / "linked").symlink_to(outside)
    (folder / "own").symlink_to(folder / "a.txt")
    return folder


WAYS_OUT = [
    "../outside/secret.txt",
    "sub/../../outside/secret.txt",
    "link.txt",
    "linked/secret.txt",
    "linked/sub/../secret.txt",
    "../inside-too/secret.txt",
    "/etc/hostname",
    "/proc/self/environ",
    "/proc/self/cwd",
    "../none",
]


@pytest.mark.parametrize("name", WAYS_OUT)
def test_nothing_outside_is_read_and_all_is_told_alike(inside, name):
    with pytest.raises(Unreadable) as caught:
        read_file(inside / name, most=1000, folders=Inputs(inside).folders)
    assert caught.value.kind == "outside"
    assert "--allow-files" in str(caught.value)


@pytest.mark.parametrize("name", ["a.txt", "sub/../a.txt", "own", "../inside/a.txt"])
def test_what_lies_inside_is_read_however_it_is_spelled(inside, name):
    assert read_file(inside / name, most=1000, folders=Inputs(inside).folders) == b"x"


@pytest.mark.parametrize("name", ["../outside/secret.txt", "link.txt", "linked/secret.txt"])
def test_what_the_user_allows_is_read(inside, name):
    folders = Inputs(inside, allowed=(inside.parent / "outside",)).folders
    assert read_file(inside / name, most=1000, folders=folders) == b"x"


def test_a_link_to_the_folder_itself_leads_to_the_same_folder(inside, tmp_path):
    (tmp_path / "shortcut").symlink_to(inside)
    folders = Inputs(tmp_path / "shortcut").folders
    assert read_file(tmp_path / "shortcut/a.txt", most=9, folders=folders) == b"x"


def test_a_lock_file_reads_what_its_run_has_read_and_nothing_else(inside, tmp_path):
    lock = Inputs(tmp_path, kept=inside, pinned={"outside/secret.txt": "aa"})
    lock.check("outside/secret.txt", tmp_path / "outside/secret.txt", "aa")
    lock.check("a.txt", inside / "a.txt", "bb")  # a copy that the run has kept
    for name, sha256 in (("outside/secret.txt", "bb"), ("outside/other.txt", "aa")):
        with pytest.raises(Unreadable, match="changed since"):
            lock.check(name, tmp_path / name, sha256)


class TestPatterns:
    """`glob` looks below the folder, in a bounded number of places."""

    @pytest.mark.parametrize(
        ("pattern", "names"),
        [
            ("*.txt", ["a.txt"]),
            ("**/*.txt", ["a.txt", "sub/a.txt"]),
            ("**/**/**/a.txt", ["a.txt", "sub/a.txt"]),
            ("s?b/[a-c].txt", ["sub/a.txt"]),
            ("./sub//a.txt", ["sub/a.txt"]),
            ("sub", []),
            ("none/*", []),
            ("ow[n]", ["own"]),
        ],
    )
    def test_it_gives_names_in_order(self, inside, pattern, names):
        (inside / "link.txt").unlink()
        assert files_matching(inside, pattern) == names

    @pytest.mark.parametrize(
        "pattern",
        ["*.txt", "linked/*", "linked/secret.txt", "../outside/*", "/etc/*", "a\0*", "a**"],
    )
    def test_it_leads_nowhere_else(self, inside, pattern):
        with pytest.raises(ValueError) as caught:  # noqa: PT011  # the words differ
            files_matching(inside, pattern)
        assert "secret" not in str(caught.value) or "secret" in pattern

    def test_it_may_look_where_the_user_allows(self, inside):
        allowed = [inside.parent / "outside"]
        assert files_matching(inside, "../outside/*.txt", allowed) == ["../outside/secret.txt"]
        assert files_matching(inside, "linked/*.txt", allowed) == ["linked/secret.txt"]
        with pytest.raises(ValueError, match="leads out"):
            files_matching(inside, "../inside-too/*", allowed)

    def test_it_gives_up_in_a_huge_tree(self, tmp_path):
        for number in range(30):
            (tmp_path / f"{number}.txt").touch()
        with pytest.raises(ValueError, match="looks through more than 20 files"):
            files_matching(tmp_path, "*.txt", most=20)
