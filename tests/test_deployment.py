"""The hook, the workflow and the image that others use: valid, and at one with the code."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from dsrun.cli.crontab import Scheduled
from dsrun.cli.kubernetes import cronjob
from dsrun.cli.main import cli, main
from dsrun.manifest.schedule import read_schedule

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = (ROOT / "examples/ci/pipelines.yml").read_text(encoding="utf-8")
GUIDES = {
    name: (ROOT / f"docs/guides/{name}.md").read_text(encoding="utf-8")
    for name in ("ci", "containers")
}
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
FINAL = re.sub(r"\\\n", " ", DOCKERFILE).rpartition("\nFROM ")[2]
PIPELINE = """\
version: 1
name: posters
steps:
  one: {operation: wanx-v1, input: {prompt: a lamp}}
"""


def tool(name):
    """A program that lints what is here; with CI=true the tests insist on it."""
    found = shutil.which(
        name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    if found is None and os.environ.get("CI") != "true":
        pytest.skip(f"{name} is not installed (group lint)")
    return found or name


def instructions(word):
    return re.findall(rf"^{word} (.+)$", FINAL, re.MULTILINE)


def git(folder, *words):
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    """A repository with a good pipeline whose hooks come from a repository with ours."""
    hooks, own = tmp_path / "dsrun", tmp_path / "own"
    for folder in (hooks, own / "pipelines"):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / ".pre-commit-hooks.yaml", hooks)
    for folder in (hooks, own):
        git(folder, "init", "-q", "-b", "main")
    git(hooks, "add", "-A")
    git(hooks, "commit", "-q", "-m", "hooks")
    git(hooks, "tag", "v0.1.0")
    (own / "pipelines/posters.yaml").write_text(PIPELINE, encoding="utf-8")
    return own


def configured(text, repository):
    """A configuration of the guide, with our hooks, and dsrun as it is installed here."""
    config = yaml.safe_load(text)
    (source,) = config["repos"]
    source["repo"] = str(repository.parent / "dsrun")
    source["hooks"][0]["language"] = "system"
    (repository / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    git(repository, "add", "-A")


def pre_commit(repository, tmp_path):
    bin_folder = Path(sys.executable).parent
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [tool("pre-commit"), "run", "--all-files"],
        cwd=repository,
        env={**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "home"), "PATH": path},
        check=False,
        capture_output=True,
        text=True,
    )


CONFIGS = re.findall(r"^```yaml\n(repos:.*?)^```$", GUIDES["ci"], re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("config", CONFIGS, ids=["changed files", "named pipelines"])
def test_the_hook_lets_a_good_pipeline_pass_and_stops_a_bad_one(config, repository, tmp_path):
    (repository / "pipelines/voices.yaml").write_text(PIPELINE, encoding="utf-8")
    (repository / "other.yaml").write_text("no: pipeline\n", encoding="utf-8")
    configured(config, repository)
    passed = pre_commit(repository, tmp_path)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "Passed" in passed.stdout
    bad = PIPELINE.replace("wanx-v1", "wanx-v0")
    (repository / "pipelines/posters.yaml").write_text(bad, encoding="utf-8")
    git(repository, "add", "-A")
    stopped = pre_commit(repository, tmp_path)
    assert stopped.returncode == 1
    assert "pipelines/posters.yaml:4:20: steps.one.operation" in stopped.stdout


def test_a_changed_table_is_checked_where_the_pipelines_are_named(repository, tmp_path):
    reading = PIPELINE.replace("a lamp}}", "'{{ p }}'}, matrix: {p: {file: p.txt}}}")
    for name in ("posters", "voices"):
        (repository / f"pipelines/{name}.yaml").write_text(reading, encoding="utf-8")
    (repository / "pipelines/p.txt").write_text("x" * 801, encoding="utf-8")
    configured(CONFIGS[1], repository)
    assert "at most 800" in pre_commit(repository, tmp_path).stdout


def test_the_guide_shows_two_configurations():
    assert len(CONFIGS) == 2


def test_the_workflow_is_one_of_github():
    subprocess.run(
        [tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows",
         ROOT / "examples/ci/pipelines.yml"],
        check=True,
    )  # fmt: skip


def commands():
    """Command lines of dsrun in the workflow, and in the blocks of the guides."""
    pages = "\n".join(GUIDES.values())
    blocks = re.findall(r"^```sh\n(.*?)^```$", pages, re.MULTILINE | re.DOTALL)
    joined = "\n".join([WORKFLOW, *blocks]).replace("\\\n", " ")
    runs = re.findall(r"^(?: *(?:- )?run: )?(dsrun [^\n]+)$", joined, re.MULTILINE)
    inside = re.findall(r"^docker run .*? (dsrun [^\n]+)$", joined, re.MULTILINE)
    return [line.replace("$PIPELINE", "posters.yaml") for line in runs + inside]


@pytest.mark.parametrize("line", commands())
def test_every_command_line_can_be_read(line):
    words = shlex.split(line)[1:]
    context = cli.make_context("dsrun", words)
    name, command, rest = cli.resolve_command(context, [*context._protected_args, *context.args])
    command.make_context(name, rest, parent=context)


def test_what_the_workflow_does_in_a_pull_request_needs_no_key(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    Path("posters.yaml").write_text(PIPELINE, encoding="utf-8")
    steps = yaml.safe_load(WORKFLOW)["jobs"]["validate"]["steps"]
    lines = [step["run"] for step in steps if step.get("run", "").startswith("dsrun")]
    assert len(lines) == 3
    for line in lines:
        words = line.replace('"$PIPELINE"', "posters.yaml").replace("pipelines/*", "posters")
        assert main(words.split()[1:]) == 0
    assert Path("junit.xml").exists()


def test_only_the_step_that_runs_has_the_key():
    jobs = yaml.safe_load(WORKFLOW)["jobs"]
    keyed = [
        (job, step["name"])
        for job, about in jobs.items()
        for step in about["steps"]
        if "secrets." in str(step)
    ]
    assert keyed == [("run", "Run, or go on")]
    assert "secrets." not in str({name: {**job, "steps": None} for name, job in jobs.items()})


def test_the_outputs_are_kept_whatever_has_happened():
    steps = yaml.safe_load(WORKFLOW)["jobs"]["run"]["steps"]
    kept = {step["uses"].partition("@")[0]: step for step in steps if "uses" in step}
    assert kept["actions/cache/save"]["if"] == "always()"
    paths = {kept[f"actions/cache/{verb}"]["with"]["path"] for verb in ("restore", "save")}
    assert paths == {"outputs"}


def test_the_image_fits_the_cronjob(tmp_path):
    item = Scheduled(
        name="posters", pipeline=tmp_path / "posters.yaml", schedule=read_schedule("@daily"),
        program=("dsrun",), arguments=("run",), environment={}, out=tmp_path / "outputs",
        key_file=None,
    )  # fmt: skip
    pod = cronjob(item, image="dsrun", root=tmp_path, zone="UTC")
    pod = pod["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,), rights = pod["containers"], pod["securityContext"]
    assert instructions("USER") == [f"{rights['runAsUser']}:{rights['runAsGroup']}"]
    (work,) = [m["mountPath"] for m in container["volumeMounts"] if m["name"] == "work"]
    assert instructions("WORKDIR") == [work]
    assert instructions("VOLUME") == [f'["{work}"]'], "below it, it would hide a part of the claim"
    assert instructions("ENTRYPOINT") == [f'["{container["command"][0]}"]']
    (env,) = instructions("ENV")
    told = {each["name"]: each["value"] for each in container["env"]}
    assert f"HOME={told['HOME']}" in env.split()


def test_the_image_is_made_of_what_the_wheel_is_made_of():
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {name for line in copied for name in line.split()}
    assert sources == {"pyproject.toml", "README.md", "LICENSE", "dsrun", "pipelines", "schemas"}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line.strip("!/") for line in ignored if line.startswith("!")} == sources


def test_the_extras_that_the_guide_names_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = GUIDES["containers"].partition("--build-arg EXTRAS=")[2].partition("\n\n")[0]
    named = {*re.search(r"\[(.+?)\]", told)[1].split(","), *re.findall(r"\(`(\w+)`\)", told)}
    assert {"video", "socks"} < named <= project["optional-dependencies"].keys()


def test_no_image_holds_a_secret_or_runs_as_root():
    assert "KEY" not in DOCKERFILE
    assert FINAL.index("USER 10001") < FINAL.index("ENTRYPOINT")


def test_the_dockerfile_has_no_fault_that_its_linter_knows():
    subprocess.run([tool("hadolint"), ROOT / "Dockerfile"], check=True)
