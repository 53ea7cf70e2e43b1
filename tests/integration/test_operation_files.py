"""Every operation, by the sample of its file: planned, emulated, fetched, billed and shown."""

from functools import cache

import orjson
import pytest

from dsrun.cli.schema import manifest_text
from dsrun.common.json_schema import SchemaValidator
from dsrun.common.yaml_document import parse_yaml
from dsrun.service.catalog import load_catalog
from dsrun.service.proof import prove
from dsrun.service.request import artifact_count, planned_units

CATALOG = load_catalog()
SCHEMA = orjson.loads(manifest_text(CATALOG))
EDITOR = SchemaValidator(SCHEMA)
NAMES = CATALOG.names


@cache
def request_of(name):
    return prove(CATALOG[name]).request


def step_of(name):
    """The sample as a step of a manifest, written as the documentation has it."""
    body = {
        key: request_of(name)[key] for key in ("input", "parameters") if key in request_of(name)
    }
    return {"operation": name} | body


def pipeline(work, names):
    steps = {f"s{number}": step_of(name) for number, name in enumerate(names)}
    return work.pipeline("steps: " + orjson.dumps(steps).decode())


def test_every_operation_makes_what_its_sample_asks_for(work):
    path = pipeline(work, NAMES)
    plan = work.dsrun("plan", path, "--emulate", "--json", "--full").answer
    outcome = work.dsrun("run", path, "--emulate", "--no-progress", "--yes")
    assert outcome.code == 0, outcome.err
    rows = work.results()
    page = (work.run_dir() / "report.html").read_text(encoding="utf-8")
    assert [job["request"] for job in plan["job_list"]] == list(map(request_of, NAMES))
    for name, row in zip(NAMES, rows, strict=True):
        operation, request = CATALOG[name], request_of(name)
        assert row["status"] == "succeeded", name
        assert row["request"] == request, name
        files = [item for item in row["artifacts"] if not item.get("name")]
        assert len(files) == artifact_count(request, operation), name
        assert all(item["path"] in page for item in files), name
        planned = planned_units(request, operation)
        if operation.price.sure == "exact":
            assert row["cost"]["amount"] == float(operation.price.of(planned).amount), name
        if operation.outputs:
            assert row["output"].keys() == operation.outputs.keys(), name


@pytest.mark.parametrize("name", NAMES)
def test_the_editor_takes_the_sample_and_knows_its_keys(name):
    step = step_of(name)
    manifest = {"version": 1, "name": "demo", "steps": {"s": step}}
    assert EDITOR.problems(manifest) == []
    for section in ("input", "parameters"):
        part = f"{name.replace('/', '-')}.{section}"
        known = SCHEMA["$defs"].get(part, {}).get("properties", {})
        assert step.get(section, {}).keys() <= known.keys()
        if section in step:
            wrong = {**step, section: {**step[section], "no_such_key": 1}}
            assert not EDITOR.is_valid({**manifest, "steps": {"s": wrong}})


@pytest.mark.parametrize("family", sorted(CATALOG.families))
def test_a_model_may_be_named_with_its_file(work, family):
    models = CATALOG.families[family]
    steps = {
        f"s{number}": step_of(model) | {"operation": family, "model": model}
        for number, model in enumerate(models)
    }
    text = "version: 1\nname: demo\nsteps: " + orjson.dumps(steps).decode()
    assert EDITOR.problems(parse_yaml(text, file="demo.yaml").value) == []
    plan = work.dsrun("plan", work.pipeline("steps: " + orjson.dumps(steps).decode()), "--json",
                      "--full").answer  # fmt: skip
    assert [job["request"]["model"] for job in plan["job_list"]] == list(models)
