"""A run directory is an RO-Crate, as the package of that name reads it."""

import json

from rocrate.rocrate import ROCrate

STEPS = """
steps:
  posters:
    operation: wanx-v1
    matrix: {name: [灯笼 one, "a #2"]}
    input: {prompt: "{{ name }}"}
    parameters: {n: 2}
    filename: "{{ name }}-{{ index }}"
"""


def test_its_actions_lead_from_requests_to_files(work, emulator):
    work.pipeline(STEPS)
    assert work.dsrun("demo.yaml").code == 0
    crate = ROCrate(work.run_dir())
    assert crate.root_dataset["conformsTo"].id == "https://w3id.org/ro/wfrun/process/0.5"
    assert {"name", "description", "datePublished", "license"} <= crate.root_dataset.keys()
    actions = crate.root_dataset["mentions"]
    assert {action.type for action in actions} == {"CreateAction"}
    for action, result in zip(actions, work.results(), strict=True):
        assert action["instrument"]["name"] == "dsrun"
        request = action["object"]
        assert json.loads(request["value"]) == result["request"]
        files = {file["name"]: file["sha256"] for file in action["result"]}
        assert files == {item["path"]: item["sha256"] for item in result["artifacts"]}
        assert action["actionStatus"] == "http://schema.org/CompletedActionStatus"


def test_every_file_that_it_names_is_there_and_is_part_of_it(work, emulator, tmp_path):
    work.pipeline(STEPS)
    assert work.dsrun("demo.yaml").code == 0
    crate = ROCrate(work.run_dir())
    parts = {part["@id"] for part in crate.root_dataset["hasPart"]}
    files = [entity for entity in crate.data_entities if entity.type == "File"]
    assert {file.id for file in files} == parts
    assert len(files) == 4 + 4  # pictures, and dsrun's own
    crate.write(tmp_path / "copy")
    for path, content in work.files().items():
        assert (tmp_path / "copy" / path).read_bytes() == content


def test_a_failed_job_says_why_and_has_no_files(work, serve):
    serve("failed-task=1")
    work.posters(1, max_attempts=1)
    assert work.dsrun("demo.yaml").code == 1
    action = ROCrate(work.run_dir()).root_dataset["mentions"]
    assert action["error"].startswith(work.results()[0]["error"]["code"])
    assert "result" not in action


def test_no_list_has_one_entry(work, emulator):
    """RO-Crate 1.1 recommends the entry itself."""
    work.posters(1)
    assert work.dsrun("demo.yaml").code == 0
    graph = json.loads((work.run_dir() / "ro-crate-metadata.json").read_bytes())["@graph"]
    lists = [v for entity in graph for v in entity.values() if isinstance(v, list)]
    assert all(len(entries) > 1 for entries in lists)
    (action,) = (entity for entity in graph if entity["@type"] == "CreateAction")
    assert action["result"] == {"@id": work.results()[0]["artifacts"][0]["path"]}


def test_its_context_has_every_term(work, emulator):
    """RO-Crate wants each key defined; that of 1.1 has all of schema.org, but no `sha256`."""
    work.posters(1)
    assert work.dsrun("demo.yaml").code == 0
    text = (work.run_dir() / "ro-crate-metadata.json").read_text(encoding="utf-8")
    context = json.loads(text)["@context"]
    assert context[0] == "https://w3id.org/ro/crate/1.1/context"
    assert context[1] == {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
    action = ROCrate(work.run_dir()).root_dataset["mentions"]
    assert action["result"]["sha256"] == work.results()[0]["artifacts"][0]["sha256"]
    assert action["endTime"] == work.results()[0]["ended_at"].replace("Z", "+00:00")
