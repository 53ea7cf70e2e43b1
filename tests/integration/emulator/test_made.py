"""Lists of what was made, as the `recovery` of a file describes them: no two look alike."""

import json

import pytest

from tests.integration.emulator.families import KEY, PATH, operation

CLONE = {
    "by": "made-list",
    "body": {"model": "clone-1", "input": {"action": "list"}},
    "page": "/input/page_index",
    "page_size": "/input/page_size",
    "items": "/output/voice_list",
    "total": "/output/total_count",
    "match": {"/input/target_model": "/target_model"},
    "holds": {"/input/preferred_name": "/voice"},
    "made_at": "/gmt_create",
    "outputs": {"voice": "/voice", "target_model": "/target_model"},
}
WORDS = {
    "by": "made-list",
    "body": {"model": "words-1", "input": {"action": "list_vocabulary"}},
    "page": "/input/page_index",
    "page_size": "/input/page_size",
    "items": "/output/vocabulary_list",
    "match": {},
    "holds": {"/input/prefix": "/vocabulary_id"},
    "filter": {"/input/prefix": "/input/prefix"},
    "made_at": "/gmt_create",
    "outputs": {"vocabulary_id": "/vocabulary_id"},
}


def _file(model, action, recovery, outputs, sample=None):
    text = operation(
        [{"media": "json", "at": "/output/made", "as": "value"}],
        models=(model,),
        recovery=recovery,
        outputs=outputs,
        **({"sample": sample} if sample else {}),
    )
    schema = json.loads(text)
    schema["properties"]["input"]["properties"]["action"] = {"const": action}
    return json.dumps(schema)


@pytest.fixture
async def account(launch):
    sample = {
        "request": {"input": {"preferred_name": "guanyu"}},
        "answer": {
            "output": {"voice": "qwen-tts-vc-guanyu-voice-2025-838b"},
            "usage": {"count": 1},
        },
    }
    return await launch(
        limits=False,
        operations=(
            _file("clone-1", "create", CLONE, {"voice": "/output/voice"}, sample),
            _file(
                "words-1", "create_vocabulary", WORDS, {"vocabulary_id": "/output/vocabulary_id"}
            ),
        ),
    )


async def _ask(remote, model, action, **words):
    body = {"model": model, "input": {"action": action} | words}
    return await remote.call("POST", PATH, json=body, headers=KEY)


async def test_a_name_is_made_as_in_the_sample_and_holds_the_name_of_the_request(account):
    made = await _ask(account, "clone-1", "create", preferred_name="host", target_model="vc-1")
    name = made.json["output"]["voice"]
    listed = (await _ask(account, "clone-1", "list", page_index=0, page_size=10)).json["output"]
    assert name.startswith("qwen-tts-vc-host-voice-")
    assert listed["total_count"] == 1
    assert listed["voice_list"] == [
        {
            "voice": name,
            "target_model": "vc-1",
            "gmt_create": "2027-01-15 16:00:00",
            "gmt_modified": "2027-01-15 16:00:00",
        }
    ]


async def test_a_list_without_a_total_ends_with_a_short_page(account):
    for number in range(3):
        await _ask(account, "words-1", "create_vocabulary", prefix=f"p{number}")
    pages = [
        (await _ask(account, "words-1", "list_vocabulary", page_index=at, page_size=2)).json
        for at in range(2)
    ]
    assert [len(page["output"]["vocabulary_list"]) for page in pages] == [2, 1]
    assert "total_count" not in pages[0]["output"]


async def test_a_filter_narrows_the_list(account):
    for prefix in ("one", "other", "one"):
        await _ask(account, "words-1", "create_vocabulary", prefix=prefix)
    counts = [
        len(
            (await _ask(account, "words-1", "list_vocabulary", **words)).json["output"][
                "vocabulary_list"
            ]
        )
        for words in ({}, {"prefix": "one"}, {"prefix": "other"}, {"prefix": "none"})
    ]
    assert counts == [3, 2, 1, 0]


async def test_one_model_does_not_list_what_another_made(account):
    await _ask(account, "words-1", "create_vocabulary", prefix="one")
    listed = await _ask(account, "clone-1", "list")
    assert listed.json["output"]["voice_list"] == []


async def test_actions_have_the_ending_of_their_create(account):
    made = await _ask(account, "words-1", "create_vocabulary", prefix="one")
    name = made.json["output"]["vocabulary_id"]
    found = await _ask(account, "words-1", "query_vocabulary", vocabulary_id=name)
    gone = await _ask(account, "words-1", "delete_vocabulary", vocabulary_id=name)
    again = await _ask(account, "words-1", "query_vocabulary", vocabulary_id=name)
    wrong = await _ask(account, "words-1", "list")
    assert found.json["output"]["vocabulary_id"] == name
    assert (gone.status, again.error) == (200, (400, "VoiceNotFound"))
    assert wrong.error == (400, "InvalidParameter")
    assert "list_vocabulary" in wrong.json["message"]
    assert account.paid == 1
