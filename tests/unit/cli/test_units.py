"""systemd units and CronJobs, held to systemd's own tool and to Kubernetes' own schema."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from dsrun.cli.crontab import Scheduled
from dsrun.cli.kubernetes import as_yaml, cronjob
from dsrun.cli.systemd import on_calendar, systemd_units
from dsrun.common.errors import UsageError
from dsrun.manifest.schedule import Schedule, read_schedule

ROOT = Path("/srv")


def scheduled(folder=ROOT, **given):
    pipeline = folder / "posters.yaml"
    usual = {
        "name": "posters",
        "pipeline": pipeline,
        "schedule": Schedule(cron="30 2 * * 1-5", timezone="Asia/Shanghai", jitter_s=60.0),
        "program": ("/bin/true",),
        "arguments": ("run", str(pipeline), "--set", 'tone=50% "noon" $un \\'),
        "environment": {"DASHSCOPE_WORKSPACE": "a b%", "DASHSCOPE_API_KEY_FILE_PATH": "/srv/key"},
        "out": folder / "outputs",
        "key_file": Path("/srv/key"),
    }
    return Scheduled(**(usual | given))


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("@daily", ["*-*-* 00:00:00"]),
        ("*/15 * * * *", ["*-*-* *:00,15,30,45:00"]),
        ("30 2 * * 1-5", ["Mon,Tue,Wed,Thu,Fri *-*-* 02:30:00"]),
        ("0 0 * * 7", ["Sun *-*-* 00:00:00"]),
        ("0 3 1,15 feb *", ["*-02-01,15 03:00:00"]),
        pytest.param(
            "0 0 13 * 5", ["*-*-13 00:00:00", "Fri *-*-* 00:00:00"], id="cron's either or"
        ),
        pytest.param("0 0 1-7/1 * *", ["*-*-01,02,03,04,05,06,07 00:00:00"], id="range"),
        pytest.param("0 0 */2 * 1", None, id="cron's star: both must hold"),
    ],
)
def test_systemd_has_the_same_times(cron, expected):
    found = on_calendar(read_schedule(cron))
    if expected is None:
        (line,) = found
        assert line.startswith("Mon *-*-01,03,05,")
    else:
        assert found == expected


def test_the_zone_is_part_of_the_time():
    assert on_calendar(Schedule(cron="0 3 * * *", timezone="Asia/Shanghai")) == [
        "*-*-* 03:00:00 Asia/Shanghai"
    ]


def test_the_key_comes_by_systemd_and_stands_in_no_unit():
    service = systemd_units(scheduled(), user="me")["dsrun-posters.service"]
    assert "LoadCredential=api_key:/srv/key\n" in service
    assert "Environment=DASHSCOPE_API_KEY_FILE_PATH=%d/api_key\n" in service
    assert service.count("DASHSCOPE_API_KEY_FILE_PATH") == 1


@pytest.mark.parametrize(
    "given",
    [
        {"pipeline": Path("/srv/a\nExecStartPre=x/p.yaml")},
        {"pipeline": Path("/srv/a\\/p.yaml")},
        {"key_file": Path("/srv/a\n[Service]")},
        {"out": Path("/srv/\u202e")},
        {"arguments": ("run", "\x1b[31m")},
        {"environment": {"DSRUN_ONLY": "a\x00"}},
    ],
    ids=lambda given: next(iter(given)),
)
def test_a_word_that_would_end_its_line_is_refused(given):
    with pytest.raises(UsageError, match="hidden character"):
        systemd_units(scheduled(**given), user="me")


def test_the_user_is_a_word_too():
    with pytest.raises(UsageError, match="hidden character"):
        systemd_units(scheduled(), user="me\nExecStartPre=x")


def test_line_ends_of_a_value_are_spelled_out():
    item = scheduled(arguments=("run", "--set", "tone=a\nExecStartPre=x\tb"))
    service = systemd_units(item, user="me")["dsrun-posters.service"]
    assert r'"tone=a\nExecStartPre=x\tb"' in service
    assert "\nExecStartPre" not in service


def test_a_cronjob_spells_out_what_is_hidden():
    item = scheduled(arguments=("run", "tone=\u202e灯"))
    text = as_yaml(cronjob(item, image="i", root=ROOT, zone="UTC"))
    assert "\u202e" not in text
    (words,) = (c["args"] for c in _containers(yaml.safe_load(text)))
    assert words[1] == "tone=\u202e灯"


def _containers(document):
    return document["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]


def test_words_are_spelled_as_unit_files_want_them():
    service = systemd_units(scheduled(), user="me")["dsrun-posters.service"]
    assert 'Environment="DASHSCOPE_WORKSPACE=a b%%"' in service
    assert r'--set "tone=50%% \"noon\" $$un \\"' in service


@pytest.mark.skipif(
    not (os.environ.get("CI") or shutil.which("systemd-analyze")), reason="no systemd here"
)
def test_systemd_accepts_the_units(tmp_path):
    folder = tmp_path / "with space"
    folder.mkdir()
    words = ("run", "tone=a\nb\tc", '50% "noon" $un \\')
    units = systemd_units(scheduled(folder, arguments=words), user="root")
    files = [tmp_path / name for name in units]
    for file in files:
        file.write_text(units[file.name])
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    about_us = [line for line in done.stderr.splitlines() if "posters" in line]
    assert (done.returncode, about_us) == (0, [])


def made(**given):
    return cronjob(scheduled(**given), image="registry.example/dsrun:1", root=ROOT, zone="UTC")


def test_a_cronjob_sees_the_volume_instead_of_this_machine():
    (container,) = made()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["workingDir"] == "/pipelines"
    assert container["args"][:2] == ["run", "/pipelines/posters.yaml"]
    assert container["args"][-1] == "--jitter=60s"
    environment = {item["name"]: item["value"] for item in container["env"]}
    assert environment["DASHSCOPE_API_KEY_FILE_PATH"] == "/run/secrets/dashscope/api_key"


def test_a_cronjob_does_not_overlap_and_is_not_repeated_blindly():
    spec = made()["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert (spec["schedule"], spec["timeZone"]) == ("30 2 * * 1-5", "UTC")


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("0 0 13 * 1-7", "0 0 13 * 0,1,2,3,4,5,6"),
        ("7 7 7 7 sun", "7 7 7 7 sun"),
        ("0 0 */2 * *", "0 0 */2 * *"),
    ],
)
def test_a_week_of_kubernetes_has_no_day_7(cron, expected):
    """Its parser refuses one, which no schema tells."""
    assert made(schedule=Schedule(cron=cron))["spec"]["schedule"] == expected


def test_days_that_must_both_hold_are_refused_for_kubernetes():
    with pytest.raises(UsageError, match="of the month and of the week at once"):
        made(schedule=Schedule(cron="0 0 */2 * 1"))


def test_kubernetes_accepts_the_cronjob():
    if os.environ.get("CI"):
        import kubernetes_validate  # noqa: PLC0415  # CI installs it
    else:
        kubernetes_validate = pytest.importorskip("kubernetes_validate")
    document = yaml.safe_load(as_yaml(made()))
    kubernetes_validate.validate(document, "1.31", strict=True)
    document["spec"]["when"] = document["spec"].pop("schedule")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, "1.31", strict=True)
