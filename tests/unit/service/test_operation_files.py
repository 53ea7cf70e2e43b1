"""Every bundled operation file proves itself, model by model: request, limits, answer and price."""

import pytest

from dsrun.emulator.operations import load_operations
from dsrun.emulator.wire import Refusal
from dsrun.service.catalog import load_catalog
from dsrun.service.proof import prove
from dsrun.service.request import artifact_count, planned_units

CATALOG = load_catalog()
PROOFS = [prove(CATALOG[name]) for name in CATALOG.names]
# Where the documented request shows only one way of several: the others' limits are not reached.
MEDIA = "input.media: max"  # lists in which each kind has its own number
UNSEEN = {
    "wan2.6-t2i": ("parameters.size: x-size",),  # of pictures made from pictures
    "wan2.7-i2v": (MEDIA,),
    "wan2.7-i2v-2026-04-25": (MEDIA,),
    "wan2.7-r2v": (MEDIA,),
    "kling/kling-v3-video-generation": (MEDIA, "parameters.duration: maximum 10"),
    "kling/kling-v3-omni-video-generation": (MEDIA,),
    "wanx2.1-vace-plus": ("input.function: value video_repainting", "parameters"),
    "Tripo/Tripo-H3.1": ("input.image", "input.images"),  # from a text, or from pictures
    "Tripo/Tripo-P1.0": ("input.image", "input.images"),
    "tongyi-embedding-vision-flash": ("input.contents.*.multi_images",),
    "tongyi-embedding-vision-flash-2026-03-06": ("input.contents.*.multi_images",),
    "tongyi-embedding-vision-plus": ("input.contents.*.multi_images",),
    "tongyi-embedding-vision-plus-2026-03-06": ("input.contents.*.multi_images",),
    **dict.fromkeys(
        ["qwen-plus", "qwen-plus-latest", "qwen-flash", "qwen-turbo", "qwen-max", "qwen3-max",
         "qwen3.7-max"], ("parameters.stop: type",),
    ),
}  # fmt: skip


@pytest.fixture(params=PROOFS, ids=lambda proof: proof.operation.name)
def proof(request):
    return request.param


@pytest.fixture(scope="module")
def emulated():
    return load_operations()


def test_the_documented_request_and_answer_agree_with_the_file(proof):
    assert proof.faults == ()


def test_every_limit_holds_at_its_edge_and_not_beyond(proof):
    known = UNSEEN.get(proof.operation.name, ())
    unseen = [str(limit) for limit in proof.unseen]
    assert [limit for limit in unseen if not limit.startswith(known)] == []
    assert [start for start in known if not any(limit.startswith(start) for limit in unseen)] == []
    assert len(proof.edges) > 10


def test_the_emulator_draws_the_same_line(proof, emulated):
    path = "/api/v1" + proof.operation.path.rstrip("/")  # the service takes both forms alike
    for edge in proof.edges:
        if not isinstance(edge.bad, dict):
            continue  # its parser refuses a body that is no mapping, before any operation is known
        emulated.find(path, edge.good).check(edge.good)
        with pytest.raises(Refusal):
            emulated.find(path, edge.bad).check(edge.bad)


def test_the_documented_request_has_a_price(proof):
    assert planned_units(proof.request, proof.operation) > 0
    assert artifact_count(proof.request, proof.operation) >= 1
