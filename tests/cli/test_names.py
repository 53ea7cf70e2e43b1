"""Names and texts where the locale is not UTF-8, where a name is not, and where nobody is at home.

Names on disk are UTF-8 whatever the locale says, and what cannot be is told before anything is
sent. Real locales are made with localedef where it is there; Python's own switches do for the rest.
"""

import getpass
import json
import os
import pty
import pwd
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LOCALES = {
    "zh_CN.GBK": ("zh_CN", "GBK"),
    "en_US.ISO-8859-1": ("en_US", "ISO-8859-1"),
    "zh_TW.BIG5": ("zh_TW", "BIG5"),  # whose bytes Python and the C library read differently
}
LAMP = "灯🏮"
LAMPS = f"""
params: {{tone: soft}}
steps:
  posters:
    operation: wanx-v1
    input: {{prompt: "a lamp {LAMP}, {{{{ params.tone }}}}"}}
    filename: "{LAMP}"
"""
CAT = "steps: {posters: {operation: wanx-v1, input: {prompt: a cat}}}"
BAD = "海".encode("gbk")  # no UTF-8
GBK = {"LC_ALL": "zh_CN.GBK"}
API = """
import dsrun, sys
result = dsrun.run_sync("demo.yaml")
sys.exit(result.exit_code)
"""


@pytest.fixture(scope="session")
def locales(tmp_path_factory):
    """A folder of locales that are not UTF-8."""
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") is None:
        pytest.skip("no localedef to make a locale with")
    for name, (language, charmap) in LOCALES.items():
        command = ["localedef", "--no-archive", "-i", language, "-f", charmap, folder / name]
        subprocess.run(command, capture_output=True, check=False)  # warnings have an exit code
        if not (folder / name / "LC_CTYPE").exists():
            pytest.skip(f"localedef has no {name}")
    return folder


@pytest.fixture(params=["C", "zh_CN.GBK"])
def foreign(request):
    """The environment of a locale that is not UTF-8."""
    if request.param == "C":
        return ASCII
    return {"LC_ALL": request.param, "LOCPATH": str(request.getfixturevalue("locales"))}


every_locale = pytest.mark.parametrize("foreign", ["C", *LOCALES], indirect=True)


@pytest.fixture
def gbk(locales):
    return GBK | {"LOCPATH": str(locales)}


def started(work, *words, program=("-m", "dsrun"), folder=None, **env):
    """A Python of its own; no variable of ours says how it reads and writes."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LC_", "LANG", "PYTHONIO", "PYTHONUTF8", "PYTHONCOERCE"))
    }
    done = subprocess.run(
        [sys.executable, *program, *words],
        cwd=folder or work.folder, env=ours | env, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr
    assert b"this is a bug" not in done.stderr
    return done


def names_below(folder):
    """Every name, in bytes."""
    return {name for _, folders, files in os.walk(os.fsencode(folder)) for name in folders + files}


class TestLocale:
    @every_locale
    def test_a_name_on_disk_is_utf8_whatever_the_locale_says(self, work, emulator, foreign):
        work.pipeline(LAMPS)
        for _ in range(2):
            done = started(work, "demo.yaml", **foreign)
            assert done.returncode == 0, done.stderr
        assert f"{LAMP}.png".encode() in names_below(work.run_dir())
        assert work.results()[0]["artifacts"][0]["path"] == f"artifacts/posters/{LAMP}.png"
        assert emulator.paid() == 1
        assert started(work, "verify", "outputs/demo/latest", **foreign).returncode == 0
        assert started(work, "report", "outputs/demo/latest", **foreign).returncode == 0

    def test_files_that_a_pipeline_names_are_found_and_copied(self, work, emulator, foreign):
        for name in (f"{LAMP}.txt", f"{LAMP}.j2", f"refs/{LAMP}.md"):
            path = work.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"a {LAMP}\n", encoding="utf-8")
        steps = f"""
steps:
  posters:
    operation: wanx-v1
    matrix: {{thing: {{file: {LAMP}.txt}}, ref: {{glob: "refs/*.md"}}}}
    input: {{prompt: {{file: {LAMP}.j2}}}}
    filename: "{{{{ thing }}}} {{{{ ref | replace('/', '-') }}}}"
"""
        work.pipeline(steps)
        done = started(work, "demo.yaml", **foreign)
        assert done.returncode == 0, done.stderr
        found = names_below(work.run_dir())
        assert f"a {LAMP} refs-{LAMP}.md.png".encode() in found
        assert f"{LAMP}.j2".encode() in names_below(work.run_dir() / "inputs")

    def test_a_folder_and_an_output_directory_of_such_a_name_do(self, work, emulator, foreign):
        folder = work.folder / LAMP
        folder.mkdir()
        shutil.move(work.pipeline(LAMPS), folder)
        done = started(work, "demo.yaml", "-o", LAMP, folder=folder, **foreign)
        assert done.returncode == 0, done.stderr
        assert LAMP.encode() in names_below(folder)
        lock = folder / LAMP / "demo" / "latest" / "manifest.lock.json"
        assert json.loads(lock.read_bytes())["root"] == str(folder)

    def test_it_stays_the_same_process(self, work, emulator):
        work.pipeline(LAMPS)
        child = work.spawn_command([*work.command, "demo.yaml"], env=os.environ | ASCII)
        assert child.end().code == 0
        assert work.query("SELECT pid FROM run")[0]["pid"] == child.process.pid

    def test_a_command_of_notify_is_in_the_users_own_mode(self, work, emulator):
        script = work.folder / "told.py"
        script.write_text(
            "import pathlib, sys; pathlib.Path('mode').write_text(str(sys.flags.utf8_mode))"
        )
        notify = f"notify: {{on: always, command: [{sys.executable}, {script}]}}\n"
        work.pipeline(notify + LAMPS)
        assert started(work, "demo.yaml", "--allow-notify", **ASCII).returncode == 0
        assert (work.folder / "mode").read_text() == "0"

    @pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
    def test_a_typed_text_is_utf8_or_what_the_locale_writes(self, work, gbk, encoding):
        work.pipeline(LAMPS)
        typed = "tone=红色的".encode(encoding)
        done = started(work, "plan", "demo.yaml", "--json", "--full", "--set", typed, **gbk)
        assert done.returncode == 0, done.stderr
        prompt = json.loads(done.stdout)["job_list"][0]["request"]["input"]["prompt"]
        assert prompt == f"a lamp {LAMP}, 红色的"

    def test_a_typed_name_is_the_file_of_this_name(self, work, gbk):
        work.pipeline(LAMPS, path="海报.yaml")
        done = started(work, "validate", "海报.yaml".encode("gbk"), **gbk)
        assert done.returncode == 0, done.stderr

    def test_bytes_that_are_no_text_there_either_are_told(self, work, gbk):
        work.pipeline(LAMPS)
        done = started(work, "plan", "demo.yaml", "--set", b"tone=\xa2\xa1\xff", **gbk)
        assert done.returncode == 2
        assert b"--set tone: found bytes that are no UTF-8" in done.stderr


class TestApi:
    """The process is somebody else's: there nothing begins again."""

    @every_locale
    def test_a_name_that_would_not_be_utf8_is_refused_before_anything_is_sent(
        self, work, emulator, foreign
    ):
        work.pipeline(LAMPS)
        code = "import dsrun\ntry: dsrun.run_sync('demo.yaml')\nexcept dsrun.ManifestError as e:"
        done = started(work, program=("-c", f"{code} print(ascii(str(e)))"), **foreign)
        assert b"steps.posters.filename" in done.stdout
        assert b"PYTHONUTF8=1" in done.stdout
        assert emulator.requests() == []
        assert not Path("outputs").exists()

    def test_with_its_advice_the_name_is_utf8(self, work, emulator, foreign):
        work.pipeline(LAMPS)
        done = started(work, program=("-c", API), **foreign | {"PYTHONUTF8": "1"})
        assert done.returncode == 0, done.stderr
        assert f"{LAMP}.png".encode() in names_below(work.run_dir())

    def test_a_pipeline_of_plain_names_runs_in_any_folder(self, work, emulator, foreign):
        folder = work.folder / LAMP
        folder.mkdir()
        shutil.move(work.pipeline(CAT), folder)
        done = started(work, program=("-c", API), folder=folder, **foreign)
        assert done.returncode == 0, done.stderr
        run_dir = folder / "outputs" / "demo" / "latest"
        assert json.loads((run_dir / "manifest.lock.json").read_bytes())["root"] == str(folder)
        again = API.replace("demo.yaml", "outputs/demo/latest/manifest.lock.json")
        assert started(work, program=("-c", again), folder=folder, **foreign).returncode == 0
        assert emulator.paid() == 1

    @pytest.mark.parametrize(
        "axis", [f"{{file: {LAMP}.txt}}", '{glob: "*.txt"}'], ids=["a data file", "a glob"]
    )
    def test_a_file_that_it_would_look_for_elsewhere_is_told(self, work, emulator, foreign, axis):
        (work.folder / f"{LAMP}.txt").write_text("x\n")
        work.pipeline(CAT.replace("input:", f"matrix: {{thing: {axis}}}, input:"))
        code = "import dsrun\ntry: dsrun.plan('demo.yaml')\nexcept dsrun.ManifestError as e:"
        done = started(work, program=("-c", f"{code} print(ascii(str(e)))"), **foreign)
        assert b"PYTHONUTF8=1" in done.stdout

    def test_an_output_directory_that_is_named_otherwise_is_told(self, work, emulator, gbk):
        work.pipeline(CAT)
        code = "import dsrun\ntry: dsrun.run_sync('demo.yaml', out='\\u6d77')\n"
        code += "except dsrun.UsageError as e: print(ascii(str(e)))"
        done = started(work, program=("-c", code), **gbk)
        assert b"the output directory" in done.stdout
        assert emulator.requests() == []

    def test_a_user_who_forbids_the_mode_is_told_too(self, work, emulator):
        work.pipeline(LAMPS)
        done = started(work, "demo.yaml", program=("-X", "utf8=0", "-m", "dsrun"), **ASCII)
        assert done.returncode == 2
        assert b"this Python names files in ascii" in done.stderr
        assert emulator.requests() == []


def on_terminal(work, *words, typed=b"", **env):
    """Exit code, and what a terminal was given."""
    ours, theirs = pty.openpty()
    ours_env = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))}
    command = [sys.executable, "-m", "dsrun", *words]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=work.folder, env=ours_env | env
    )
    os.close(theirs)
    os.write(ours, typed)
    parts = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return process.wait(60), b"".join(parts)


class TestOutput:
    @pytest.mark.parametrize("encoding", ["ascii", "gbk", "latin-1:strict", "big5"])
    def test_json_is_the_same_json_where_the_stream_lacks_characters(self, work, encoding):
        work.pipeline(LAMPS.replace("a lamp", "é 灯"))
        words = ("plan", "demo.yaml", "--json", "--full")
        done = started(work, *words, PYTHONIOENCODING=encoding)
        told = json.loads(done.stdout.decode(encoding.partition(":")[0]))
        assert told["job_list"] == json.loads(started(work, *words).stdout)["job_list"]
        assert told["job_list"][0]["request"]["input"]["prompt"] == f"é 灯 {LAMP}, soft"

    def test_so_is_each_line_of_the_log(self, work):
        words = (f"{LAMP}é.yaml", "--log-format", "json")
        done = started(work, *words, PYTHONIOENCODING="ascii")
        assert done.returncode == 2
        assert f"{LAMP}é.yaml" in json.loads(done.stderr)["message"]

    def test_files_and_pipes_get_utf8(self, work, foreign):
        work.pipeline(LAMPS)
        done = started(work, "plan", "demo.yaml", "--json", "--full", **foreign)
        assert LAMP.encode() in done.stdout
        assert f"{LAMP}.yaml".encode() in started(work, f"{LAMP}.yaml", **foreign).stderr

    @pytest.mark.parametrize(
        ("name", "seen"),
        [("zh_CN.GBK", "灯".encode("gbk") + rb"\ud83c\udfee"),
         ("en_US.ISO-8859-1", rb"\u706f\ud83c\udfee")],
    )  # fmt: skip
    def test_a_terminal_gets_what_its_locale_can_show(self, work, locales, name, seen):
        env = {"LC_ALL": name, "LOCPATH": str(locales)}
        code, told = on_terminal(work, "validate", f"{LAMP}.yaml", **env)
        assert code == 2
        assert seen + b".yaml" in told

    def test_keys_that_are_no_text_are_no_answer(self, work, emulator):
        work.pipeline(CAT, confirm_above="0.01 CNY")
        code, told = on_terminal(work, "demo.yaml", typed=b"\xe9\xff\nn\n", LC_ALL="C.UTF-8")
        assert code == 3
        assert b"please answer y or n" in told
        assert emulator.requests() == []


class TestNamesThatAreNotUtf8:
    """As an archive from a Windows machine leaves them."""

    @pytest.fixture(autouse=True)
    def _takes_them(self, work):
        try:
            (work.folder / os.fsdecode(BAD)).mkdir()
        except OSError:
            pytest.skip("this file system takes names of UTF-8 only")

    def told(self, work, *words, **options):
        done = started(work, *words, LC_ALL="C.UTF-8", **options)
        assert done.returncode == 2
        assert rb"\udcba\udca3" in done.stderr
        return done.stderr

    @pytest.mark.parametrize("command", ["run", "plan", "validate", "status", "cron"])
    @pytest.mark.parametrize("place", ["manifest", "folder", "current folder", "link to a folder"])
    def test_a_pipeline_of_such_a_name_is_told(self, work, emulator, command, place):
        folder = os.fsencode(work.folder)
        manifest = work.pipeline(f'schedule: "0 3 * * *"\n{CAT}').read_bytes()
        words, cwd = [command, b"demo.yaml"], None
        if place == "manifest":
            words = [command, BAD + b".yaml"]
            Path(os.fsdecode(folder + b"/" + BAD + b".yaml")).write_bytes(manifest)
        else:
            Path(os.fsdecode(folder + b"/" + BAD + b"/demo.yaml")).write_bytes(manifest)
            if place == "folder":
                words = [command, BAD + b"/demo.yaml"]
            elif place == "current folder":
                cwd = folder + b"/" + BAD
            else:
                (work.folder / "link").symlink_to(os.fsdecode(BAD))
                words = [command, b"link/demo.yaml"]
        assert b"is not UTF-8" in self.told(work, *words, folder=cwd)
        assert emulator.requests() == []
        assert b"outputs" not in names_below(work.folder)

    @pytest.mark.parametrize("pattern", ["**/*.txt", "*/*.txt", "*.txt"])
    def test_a_match_of_a_glob_is_told_by_its_name(self, work, emulator, pattern):
        folder = os.fsencode(work.folder)
        name = BAD + b".txt" if pattern == "*.txt" else BAD + b"/x.txt"
        Path(os.fsdecode(folder + b"/" + name)).write_text("x")
        work.pipeline(CAT.replace("input:", f'matrix: {{f: {{glob: "{pattern}"}}}}, input:'))
        told = self.told(work, "demo.yaml")
        assert b"demo.yaml:3:" in told
        assert b"matches \\udcba\\udca3" in told
        assert emulator.requests() == []

    def test_one_that_a_glob_does_not_match_is_in_nobodys_way(self, work, emulator):
        (work.folder / "x.txt").write_text("x")
        work.pipeline(CAT.replace("input:", 'matrix: {f: {glob: "*.txt"}}, input:'))
        assert started(work, "demo.yaml", LC_ALL="C.UTF-8").returncode == 0

    @pytest.mark.parametrize(
        "words",
        [["demo.yaml"], ["plan", "demo.yaml"], ["status", "demo.yaml"], ["cron", "demo.yaml"],
         ["cron", "demo.yaml", "--systemd"], ["cron", "demo.yaml", "--kubernetes", "--image", "i"]],
        ids=" ".join,
    )  # fmt: skip
    def test_such_an_output_directory_is_told(self, work, emulator, words):
        work.pipeline(f'schedule: "0 3 * * *"\n{CAT}')
        assert b"output directory" in self.told(work, *words, "-o", BAD)
        assert emulator.requests() == []
        assert names_below(work.folder) == {BAD, b"demo.yaml"}

    def test_values_and_names_of_params_are_told(self, work):
        work.pipeline(LAMPS)
        done = started(work, "plan", "demo.yaml", "--set", b"tone=" + BAD, LC_ALL="C.UTF-8")
        assert done.returncode == 2
        assert b"--set tone: found bytes that are no UTF-8" in done.stderr
        assert b"unknown param" in self.told(work, "plan", "demo.yaml", "--set", BAD + b"=x")

    @pytest.mark.parametrize("kind", ["--allow-files", "--env-file"])
    def test_what_a_crontab_cannot_hold_is_told(self, work, kind):
        work.pipeline(f'schedule: "0 3 * * *"\n{CAT}')
        assert b"hidden character" in self.told(work, "cron", "demo.yaml", kind, BAD)
        words = ("cron", "demo.yaml", "--systemd", kind, BAD)
        done = started(work, *words, LC_ALL="C.UTF-8")
        assert done.returncode == 2
        assert b"hidden character" in done.stderr

    def test_an_operation_file_is_told(self, work):
        (work.folder / "operations").mkdir()
        (work.folder / "operations" / os.fsdecode(BAD + b".json")).write_text("{}")
        work.pipeline(CAT)
        assert b"is not UTF-8" in self.told(work, "plan", "demo.yaml")

    def test_half_of_a_sign_that_a_template_spells_is_no_file_name(self, work):
        work.pipeline(LAMPS.replace(f'filename: "{LAMP}"', "filename: \"{{ '\\\\ud83c' }}\""))
        done = started(work, "plan", "demo.yaml", LC_ALL="C.UTF-8")
        assert done.returncode == 2
        assert b"steps.posters.filename" in done.stderr

    def test_a_base_url_and_a_host_are_told(self, work, monkeypatch):
        work.pipeline(CAT)
        monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-1234567890123")
        url = os.fsdecode(b"http://localhost/" + BAD)
        done = started(work, "demo.yaml", DASHSCOPE_HTTP_BASE_URL=url, LC_ALL="C.UTF-8")
        assert done.returncode == 3
        assert b"is no http address" in done.stderr
        assert b"--host" in self.told(work, "emulate", "--host", BAD)

    def test_a_current_folder_that_is_only_shown_is_in_nobodys_way(self, work, emulator):
        folder = os.fsencode(work.folder) + b"/" + BAD
        pipeline = work.pipeline(f"notify: {{on: always, command: [/bin/true]}}\n{CAT}")
        words = (pipeline, "--allow-notify", "--junit", "junit.xml")
        done = started(work, *words, folder=folder, LC_ALL="C.UTF-8")
        assert done.returncode == 0, done.stderr
        assert b"was not written" not in done.stderr
        assert b"notify" not in done.stderr
        told = started(work, "history", "--json", folder=folder, LC_ALL="C.UTF-8").stdout
        assert len(json.loads(told)) == emulator.paid() == 1

    def test_a_run_whose_folder_got_such_a_name_can_still_be_read(self, work, emulator):
        work.pipeline(CAT)
        assert started(work, "demo.yaml").returncode == 0
        (work.folder / "outputs").rename(work.folder / os.fsdecode(BAD) / "outputs")
        run = BAD + b"/outputs/demo/latest"
        for command in ("status", "ledger", "verify", "report"):
            done = started(work, command, run, LC_ALL="C.UTF-8")
            assert done.returncode == 0, done.stderr
        for command in ("history", "cost"):
            done = started(work, command, "-o", BAD + b"/outputs", "--json", LC_ALL="C.UTF-8")
            assert json.loads(done.stdout)


@pytest.fixture
def nobody(monkeypatch):
    """A user without home, name and entry in passwd, as in many containers."""
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.mark.usefixtures("nobody")
class TestNoHome:
    def test_a_run_says_that_there_is_no_key(self, work):
        outcome = work.dsrun(work.pipeline(CAT))
        assert outcome.code == 3
        assert "no API key" in outcome.err

    def test_a_run_with_a_key_needs_no_home(self, work, emulator):
        pipeline = work.pipeline(f"notify: {{on: failure, command: [/bin/true]}}\n{CAT}")
        outcome = work.dsrun(pipeline, "--allow-notify")
        assert outcome.code == 0
        assert emulator.paid() == 1

    @pytest.mark.parametrize(
        "form", [[], ["--systemd"], ["--kubernetes", "--image", "i"], ["--next", "2"],
                 ["--systemd", "--to", "units"]],
        ids=" ".join,
    )  # fmt: skip
    def test_every_form_of_cron_is_given(self, work, form):
        pipeline = work.pipeline(f'schedule: "0 3 * * *"\n{CAT}')
        assert work.dsrun("cron", pipeline, *form).code == 0

    def test_a_unit_has_the_number_of_a_user_who_has_no_name(self, work):
        with pytest.raises(KeyError):
            getpass.getuser()
        outcome = work.dsrun("cron", work.pipeline(f'schedule: "0 3 * * *"\n{CAT}'), "--systemd")
        assert f"User={os.getuid()}\n" in outcome.out

    @pytest.mark.parametrize(
        "words", [["init"], ["operations"], ["schema", "manifest"], ["history"], ["cost"], ["gc"]],
        ids=" ".join,
    )  # fmt: skip
    def test_every_other_command_works(self, work, words):
        assert work.dsrun(*words).code == 0

    def test_an_empty_environment_is_enough(self, work):
        work.pipeline(CAT)
        command = [sys.executable, "-m", "dsrun", "demo.yaml", "--emulate"]
        done = subprocess.run(command, cwd=work.folder, env={}, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


class TestReadOnlyCheckout:
    """A pipeline below a mount that takes nothing, as a checkout in a container is."""

    SCRIPT = """
set -e
mount --bind checkout checkout
mount -o remount,bind,ro checkout
cd checkout
! touch probe 2>/dev/null
set +e
"$@" demo.yaml -o ../elsewhere; echo "elsewhere: $?"
"$@" demo.yaml; echo "here: $?"
"$@" plan demo.yaml -o ../elsewhere; echo "plan: $?"
"$@" status demo.yaml -o ../elsewhere; echo "status: $?"
"""

    def test_a_run_writes_where_it_is_told_to_and_says_where_it_cannot(self, work, emulator):
        shell = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
        (work.folder / "checkout").mkdir()
        probe = [*shell, "mount --bind checkout checkout && mount -o remount,bind,ro checkout"]
        if subprocess.run(probe, cwd=work.folder, capture_output=True, check=False).returncode:
            pytest.skip("no mount namespace here")
        shutil.move(work.pipeline(CAT), work.folder / "checkout")
        done = subprocess.run(
            [*shell, self.SCRIPT, "sh", *work.command],
            cwd=work.folder, capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip
        for words in ("elsewhere: 0", "here: 3", "plan: 0", "status: 0"):
            assert words in done.stdout, done.stderr
        assert "cannot write outputs/demo/" in done.stderr
        assert "Traceback" not in done.stderr
        assert emulator.paid() == 1
        ledger = work.folder / "elsewhere" / "demo" / "latest" / "ledger.sqlite3"
        with closing(sqlite3.connect(ledger)) as db:
            assert db.execute("SELECT status FROM job").fetchall() == [("succeeded",)]
