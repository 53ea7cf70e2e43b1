"""Every bundled operation file proves itself, model by model: request, limits, answer and price."""

import pytest

from dsrun.emulator.operations import load_operations
from dsrun.emulator.wire import Refusal
from dsrun.service.catalog import load_catalog
from dsrun.service.proof import prove
from dsrun.service.request import artifact_count, planned_units

CATALOG = load_catalog()
PROOFS = [prove(CATALOG[name]) for name in CATALOG.names]
# What only a request with pictures can reach, for a model that takes none.
UNSEEN = {
    "wan2.6-t2i": {
        "parameters.size: x-size name 1K",
        "parameters.size: x-size name 2K",
        "parameters.size: x-size pixels 589824",
        "parameters.size: x-size pixels 4.1943e+06",
    }
}


@pytest.fixture(params=PROOFS, ids=lambda proof: proof.operation.name)
def proof(request):
    return request.param


@pytest.fixture(scope="module")
def emulated():
    return load_operations()


def test_the_documented_request_and_answer_agree_with_the_file(proof):
    assert proof.faults == ()


def test_every_limit_holds_at_its_edge_and_not_beyond(proof):
    assert {str(limit) for limit in proof.unseen} == UNSEEN.get(proof.operation.name, set())
    assert len(proof.edges) > 20


def test_the_emulator_draws_the_same_line(proof, emulated):
    path = f"/api/v1{proof.operation.path}"
    for edge in proof.edges:
        if not isinstance(edge.bad, dict):
            continue  # its parser refuses a body that is no mapping, before any operation is known
        emulated.find(path, edge.good).check(edge.good)
        with pytest.raises(Refusal):
            emulated.find(path, edge.bad).check(edge.bad)


def test_the_documented_request_has_a_price(proof):
    assert planned_units(proof.request, proof.operation) > 0
    assert artifact_count(proof.request, proof.operation) >= 1
