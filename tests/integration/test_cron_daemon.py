"""The real cron daemon runs what `dsrun cron --install` wrote: every minute, without overlap."""

import json
import os
import subprocess
import time

import pytest

TICKS_S = 200  # three minutes and some
STEPS = """
schedule: "* * * * *"
steps:
  posters:
    operation: wanx-v1
    input: {prompt: "a lantern of {{ run.datetime }}"}
"""
NOTICE = "notify: {on: always, command: [sh, -c, 'cat >> told; echo >> told']}"
pytestmark = [
    # It changes the crontab of the account, so only a machine that is made for tests may run it;
    # there it insists on cron.
    pytest.mark.skipif(
        not os.environ.get("CI") or os.geteuid() != 0, reason="only for root of a machine of CI"
    ),
    pytest.mark.timeout(TICKS_S + 60),
]


@pytest.fixture
def daemon():
    """cron in the foreground, unless one runs here already."""
    process = subprocess.Popen(["cron", "-f"], stdin=subprocess.DEVNULL)
    yield
    process.terminate()
    process.wait()


@pytest.mark.usefixtures("daemon")
def test_cron_runs_what_was_installed_tells_of_it_and_runs_do_not_overlap(
    work, serve, standing_clock, monkeypatch, key
):
    key_file = work.folder / "key"
    key_file.write_text(key)
    key_file.chmod(0o600)
    quick = work.pipeline(NOTICE + STEPS, path="quick.yaml", name="quick")
    slow = work.pipeline(STEPS.replace("{{ run.datetime }}", "old"), path="slow.yaml", name="slow")

    def install(file):
        monkeypatch.delenv("DASHSCOPE_API_KEY")
        monkeypatch.setenv("DASHSCOPE_API_KEY_FILE_PATH", str(key_file))
        assert work.dsrun("cron", file, "--install", "--yes").code == 0

    try:
        service = serve()
        install(quick)
        serve(clock=standing_clock)  # its tasks never end
        install(slow)
        logs = [work.folder / f"outputs/{name}/cron.log" for name in ("quick", "slow")]
        deadline = time.monotonic() + TICKS_S
        while not (_said(logs[0], "1 succeeded", 2) and _said(logs[1], "; skipped", 1)):
            assert time.monotonic() < deadline, [log.read_text() for log in logs if log.exists()]
            time.sleep(0.2)
        assert service.paid() == 2
        notices = work.folder / "told"  # comes after the summary
        work.until(lambda: _said(notices, '"outcome"', 2), what="the second notice")
        told = [json.loads(line) for line in notices.read_text().splitlines()]
        assert [notice["outcome"] for notice in told] == ["success", "success"]
        assert told[-1]["directory"] == str(work.run_dir("quick"))
    finally:
        assert work.dsrun("cron", quick, slow, "--remove", "--yes").code == 0
        standing_clock.release()
    work.until(lambda: _said(logs[1], "1 succeeded", 1), what="the end of the slow run")
    left = subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False).stdout
    assert "dsrun" not in left


def _said(log, words, times):
    return log.exists() and log.read_text().count(words) >= times
