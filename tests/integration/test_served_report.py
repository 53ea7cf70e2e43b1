"""`dsrun report --serve`: the page of a run, on this machine alone, with its marks kept."""

import http.client
import json
import os
import re
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import expect, sync_playwright

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
in_browser = pytest.mark.skipif(
    BROWSER is None and os.environ.get("CI") != "true", reason="Chromium is not installed"
)
NONE = {"stars": [], "rejects": [], "notes": {}}
STAR = {
    "stars": ["posters/0/0"],
    "rejects": ["posters/1/0"],
    "notes": {"posters/1/0": "nicht schön"},
}


class Served:
    """A `dsrun report --serve` of its own process, and questions to it byte by byte."""

    def __init__(self, work, where="outputs/demo"):
        self.child = work.spawn("report", where, "--serve")
        self.child.wait_for_answer("Ctrl-C ends it")
        self.address = self.child.answered().split()[0]
        self.port = int(self.address.rsplit(":", 1)[1].strip("/"))
        self.host = f"127.0.0.1:{self.port}"

    def ask(self, path="/", *, method="GET", body=None, **headers):
        names = {"Host": self.host} | {key.replace("_", "-"): text for key, text in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, text in names.items():
                if text is not None:
                    connection.putheader(name, text)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def token(self):
        about = re.search(rb'id="served">(.+?)</script>', self.ask()[2])[1]
        return json.loads(about)["token"]

    def put(self, marks, *, tag='"none"', token=None, **headers):
        body = marks if isinstance(marks, bytes) else json.dumps(marks).encode()
        headers = {"Content_Type": "application/json"} | headers
        return self.ask(
            "/marks", method="PUT", body=body, If_Match=tag,
            X_Dsrun_Token=token or self.token(), **headers,
        )  # fmt: skip


@pytest.fixture
def served(work, emulator):
    assert work.dsrun(work.posters(3)).code == 0
    site = Served(work)
    yield site
    if site.child.process.poll() is None:
        site.child.kill()


def entries(page):
    return json.loads(re.search(rb'id="data">(.+?)</script>', page)[1])["entries"]


class TestWhoMayAsk:
    def test_the_page_itself_and_what_it_shows(self, served, work):
        status, headers, page = served.ask()
        assert (status, len(entries(page))) == (200, 3)
        assert "connect-src 'self'" in headers["Content-Security-Policy"]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert b"http-equiv" not in page
        for path in work.files():
            assert served.ask(f"/{path}")[2] == work.files()[path]
        assert served.ask(Host=f"localhost:{served.port}")[0] == 200

    @pytest.mark.parametrize(
        "host",
        [
            None, "", "evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1",
            "0.0.0.0:{port}", "127.0.0.1.evil.example:{port}", "localhost.:{port}",
            "[::1]:{port}", "2130706433:{port}",
        ],
    )  # fmt: skip
    def test_only_under_this_address(self, served, host):
        name = host and host.format(port=served.port)
        for path in ("/", "/marks", "/version", "/artifacts/x"):
            assert served.ask(path, Host=name)[0] in (400, 403), path

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": "https://127.0.0.1:{port}"},
            {"Origin": "http://127.0.0.1:1"},
            {"Origin": "http://127.0.0.1"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
            {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "image"},
        ],
        ids=str,
    )
    def test_no_other_site(self, served, work, headers):
        headers = {name: text.format(port=served.port) for name, text in headers.items()}
        picture = next(iter(work.files()))
        for path in ("/", "/marks", f"/{picture}"):
            assert served.ask(path, **headers)[0] == 403
        assert served.put(STAR, **headers)[0] == 403
        assert not (work.run_dir() / "picks.json").exists()

    def test_a_link_in_a_mail_opens_the_page(self, served):
        visit = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "document"}
        assert served.ask("/", **visit)[0] == 200
        assert served.ask("/marks", **visit)[0] == 403

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
    @pytest.mark.parametrize("path", ["/", "/artifacts/x", "/version"])
    def test_nothing_is_written_but_marks(self, served, method, path):
        token = served.token()
        assert served.ask(path, method=method, body=b"x", X_Dsrun_Token=token)[0] == 405

    @pytest.mark.parametrize(
        "path",
        [
            "/ledger.sqlite3", "/manifest.yaml", "/results.jsonl", "/picks.json", "/artifacts",
            "/artifacts/", "/artifacts/..", "/artifacts/../manifest.yaml",
            "/artifacts/%2e%2e/manifest.yaml", "/artifacts/..%2fmanifest.yaml",
            "/artifacts/%2e%2e%2fmanifest.yaml", "/artifacts/..%5cmanifest.yaml",
            "/artifacts//etc/passwd", "/artifacts/%2fetc%2fpasswd", "/artifacts/x%00y",
            "/.thumbs/../ledger.sqlite3", "/.orders/x", "/.lock", "//etc/passwd",
            "/artifacts/link", "/artifacts/folder/manifest.yaml", "/artifacts/loop",
            "/artifacts/" + "x" * 5000,
        ],
    )  # fmt: skip
    def test_no_path_leads_out(self, served, work, path):
        folder = work.run_dir() / "artifacts"
        (folder / "link").symlink_to("../manifest.yaml")
        (folder / "folder").symlink_to("..")
        (folder / "loop").symlink_to("loop")
        status, _, body = served.ask(path)
        assert status in (400, 404)
        assert b"posters" not in body
        assert b"root:" not in body

    def test_a_file_that_was_made_is_no_page_of_this_origin(self, served, work):
        (work.run_dir() / "artifacts/evil.html").write_text("<script>alert(1)</script>")
        status, headers, _ = served.ask("/artifacts/evil.html")
        assert status == 200
        assert "sandbox" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


class TestMarks:
    def test_are_kept_in_the_run_directory(self, served, work):
        token = served.token()
        asked = served.ask("/marks", X_Dsrun_Token=token)
        assert (asked[0], json.loads(asked[2])) == (200, NONE)
        status, headers, _ = served.put(STAR)
        assert status == 204
        assert json.loads((work.run_dir() / "picks.json").read_text()) == STAR
        asked = served.ask("/marks", X_Dsrun_Token=token)
        assert (asked[1]["Etag"], json.loads(asked[2])) == (headers["Etag"], STAR)

    @pytest.mark.parametrize("token", ["", "x", "0" * 43])
    def test_want_the_token_of_the_page(self, served, work, token):
        assert served.ask("/marks", X_Dsrun_Token=token)[0] == 403
        assert served.put(STAR, token=token or "y")[0] == 403
        assert not (work.run_dir() / "picks.json").exists()

    @pytest.mark.parametrize(
        "marks",
        [
            b"", b"{", b"\xff", b"[]", b"null", b"[" * 100_000, {"stars": []}, NONE | {"more": 1},
            NONE | {"stars": "all"}, NONE | {"stars": [1]}, NONE | {"stars": [""]},
            NONE | {"stars": ["x" * 501]}, NONE | {"stars": [str(n) for n in range(20_001)]},
            NONE | {"notes": {"a": 1}}, NONE | {"notes": {"a": "x" * 10_001}},
            NONE | {"notes": {"": "x"}}, NONE | {"notes": []},
        ],
        ids=lambda marks: str(marks)[:30],
    )  # fmt: skip
    def test_that_are_none_change_nothing(self, served, work, marks):
        status, headers, _ = served.put(STAR)
        assert status == 204
        status, _, words = served.put(marks, tag=headers["Etag"])
        assert (status, words[:20]) == (400, b"these are no marks: ")
        assert json.loads((work.run_dir() / "picks.json").read_text()) == STAR

    def test_have_a_size_limit(self, served, work):
        assert served.put(b"x" * (2 << 20) + b"x")[0] == 413
        assert served.put(STAR, Content_Type="text/plain")[0] == 415
        assert not (work.run_dir() / "picks.json").exists()

    def test_of_two_windows_at_once_one_is_asked_to_look_again(self, served):
        token = served.token()
        with ThreadPoolExecutor(8) as pool:
            ends = list(pool.map(lambda _: served.put(STAR, token=token)[0], range(8)))
        assert sorted(ends) == [204] + [412] * 7

    def test_that_cannot_be_written_are_told(self, served, work):
        (work.run_dir() / "picks.json").mkdir()
        status, _, words = served.put(STAR)
        assert status == 503
        assert b"Move away what is in its place" in words

    def test_that_somebody_spoiled_do_not_hide_the_page(self, served, work):
        (work.run_dir() / "picks.json").write_bytes(b'{"stars": </script>')
        assert served.ask()[0] == 200
        assert served.put(STAR)[0] == 204


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_its_normal_end(served, number):
    served.child.send(number)
    outcome = served.child.end()
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize(
    "words", [["--port", "1"], ["--serve", "--sheet", "x.png"], ["--serve", "--port", "70000"]]
)
def test_what_cannot_be_is_refused(work, emulator, words):
    work.dsrun(work.posters(1))
    assert work.dsrun("report", "outputs/demo", *words).code == 2


def test_a_port_in_use_is_told(served, work):
    outcome = work.dsrun("report", "outputs/demo", "--serve", "--port", str(served.port))
    assert outcome.code == 3
    assert "--port 0 takes any free one" in outcome.err


def test_a_run_that_goes_on_is_served_as_it_is_now_and_ends_whole(work, emulator):
    child = work.spawn(work.posters(12, rate="6/s"), "--no-progress")
    work.until(lambda: emulator.paid() > 0, what="a job is sent")
    site = Served(work)
    try:
        token = site.token()
        versions = set()

        def has_ended():
            versions.add(site.ask("/version", X_Dsrun_Token=token)[2])
            return child.process.poll() is not None

        work.until(has_ended, what="the run ends")
        assert child.end().code == 0
        assert len(versions) > 3
        assert {entry["status"] for entry in entries(site.ask()[2])} == {"succeeded"}
        assert work.dsrun("verify", work.run_dir()).code == 0
    finally:
        site.child.kill()


@pytest.fixture(scope="module")
def chromium():
    assert BROWSER is not None, "CI runs these tests; install Debian's package chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


def visit(chromium, site):
    context = chromium.new_context()
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(site.address)
    return page


def stars_in(work):
    try:
        return json.loads((work.run_dir() / "picks.json").read_text())["stars"]
    except FileNotFoundError:
        return None


@in_browser
@pytest.mark.timeout(180)
class TestInABrowser:
    """Playwright holds this thread's loop, so dsrun runs in processes of its own."""

    @pytest.fixture
    def site(self, work, emulator):
        assert work.spawn(work.posters(3)).end().code == 0
        site = Served(work)
        yield site
        site.child.kill()

    def test_stars_are_kept_and_come_back_in_another_browser(self, chromium, work, site):
        page = visit(chromium, site)
        page.locator(".card .pick").first.click()
        work.until(lambda: stars_in(work), what="the star is stored")
        (star,) = stars_in(work)
        other = visit(chromium, site)
        expect(other.locator(".card .pick[aria-pressed=true]")).to_have_count(1)
        other.locator(".card .pick[aria-pressed=false]").first.click()
        work.until(lambda: len(stars_in(work)) == 2, what="the second star is stored")
        assert star in stars_in(work)
        assert page.complaints == other.complaints == []

    def test_two_windows_do_not_take_each_others_stars_away(self, chromium, work, site):
        one, two = visit(chromium, site), visit(chromium, site)
        one.locator(".card .pick").nth(0).click()
        work.until(lambda: stars_in(work), what="the first star is stored")
        two.locator(".card .pick").nth(1).click()
        work.until(lambda: len(stars_in(work)) == 2, what="both stars are stored")
        one.locator(".card .pick").nth(0).click()
        work.until(lambda: len(stars_in(work)) == 1, what="one is taken back")

    def test_a_page_of_a_run_that_goes_on_refreshes_itself(self, chromium, work, emulator):
        child = work.spawn(work.posters(20, rate="2/s"), "--no-progress")
        work.until(lambda: emulator.paid() > 0, what="a job is sent")
        site = Served(work)
        try:
            page = visit(chromium, site)
            assert page.locator(".card img").count() < 20
            expect(page.locator(".card img")).to_have_count(20, timeout=60_000)
            assert child.end().code == 0
            assert page.complaints == []
        finally:
            site.child.kill()
            if child.process.poll() is None:
                child.kill()
