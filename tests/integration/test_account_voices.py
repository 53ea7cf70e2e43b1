"""`dsrun voices`: the voices of the account, over all services that the operation files know."""

import json
import os
import pty
import subprocess

import pytest
import requests

CAST = """
steps:
  designed:
    operation: qwen-voice-design
    matrix: {who: [a tall man, a small cat]}
    input: {target_model: qwen3-tts-vd-2026-01-26, voice_prompt: "{{ who }}", preview_text: Hello.,
            language: en}
  newer:
    operation: cosyvoice-design
    input: {target_model: cosyvoice-v3.5-flash, voice_prompt: a sailor, preview_text: Hello.}
  cloned:
    operation: qwen-voice-clone
    input: {target_model: qwen3-tts-vc-2026-01-22, audio: {data: "https://sounds.example/a.wav"}}
  enrolled:
    operation: cosyvoice-clone
    input: {target_model: cosyvoice-v3-flash, url: "https://sounds.example/b.wav"}
"""
FILES = ["cosyvoice-clone", "cosyvoice-design", "qwen-voice-clone", "qwen-voice-design"]


@pytest.fixture
def cast(work, emulator):
    """A run that has made five voices, and their names by step and index."""
    assert work.dsrun(work.pipeline(CAST)).code == 0
    return {f"{row['step']}/{row['index']}": row["output"]["voice"] for row in work.results()}


def listed(work):
    return json.loads(work.dsrun("voices", "--json").out)


def names(work):
    return {voice["voice"] for voice in listed(work)["voices"]}


def make(emulator, **words):
    """A voice that no run of this machine has made."""
    said = {
        "action": "create", "target_model": "qwen3-tts-vd-2026-01-26", "voice_prompt": "a bird",
        "preview_text": "Hello.", "preferred_name": "bird", "language": "en",
    } | words  # fmt: skip
    answer = requests.post(
        f"{os.environ['DASHSCOPE_HTTP_BASE_URL']}/services/audio/tts/customization",
        headers={"Authorization": f"Bearer {os.environ['DASHSCOPE_API_KEY']}"},
        json={"model": "qwen-voice-design", "input": said}, timeout=30,
    )  # fmt: skip
    return answer.json()["output"]["voice"]


def test_every_service_is_listed_once_with_the_job_that_made_each_voice(work, cast):
    told = listed(work)
    assert {voice["voice"]: voice["made_by"][0]["step"] for voice in told["voices"]} == {
        name: row.partition("/")[0] for row, name in cast.items()
    }
    assert sorted({one for voice in told["voices"] for one in voice["operations"]}) == FILES
    for voice in told["voices"]:
        [made] = voice["made_by"]
        assert made["directory"] == str(work.run_dir().resolve())
        assert cast[f"{made['step']}/{made['index']}"] == voice["voice"]
    models = {voice["made_by"][0]["step"]: voice["target_model"] for voice in told["voices"]}
    assert models == {  # the newer services list no model, but the ledgers have it
        "designed": "qwen3-tts-vd-2026-01-26", "newer": "cosyvoice-v3.5-flash",
        "cloned": "qwen3-tts-vc-2026-01-22", "enrolled": "cosyvoice-v3-flash",
    }  # fmt: skip
    assert (told["used"], told["most"], told["not_listed"]) == (5, 1000, {})


def test_the_table_says_how_many_of_the_account_are_used(work, cast):
    said = work.dsrun("voices", "list")
    assert said.out.endswith("5 of the account's 1000 voices are used\n")
    assert all(name in said.out for name in cast.values())
    assert "outputs/demo/" in said.out
    assert work.dsrun("voices").out == said.out


def test_an_account_without_voices(work, emulator):
    said = work.dsrun("voices")
    assert (said.code, said.out) == (0, "0 of the account's 1000 voices are used\n")
    assert listed(work)["voices"] == []


def test_a_voice_that_no_ledger_knows_has_no_maker(work, cast, emulator):
    bird = make(emulator)
    [voice] = [one for one in listed(work)["voices"] if one["voice"] == bird]
    assert (voice["made_by"], voice["operations"]) == ([], ["qwen-voice-design"])


def test_a_maker_below_another_output_directory_is_found(work, cast):
    told = json.loads(work.dsrun("voices", "--json", "-o", "elsewhere").out)
    assert all(voice["made_by"] for voice in told["voices"])


def test_the_job_that_made_a_voice_comes_before_those_that_took_it_from_the_cache(work, cast):
    assert work.dsrun(work.pipeline(CAST.replace("Hello", "Hello"), name="again")).code == 0
    [voice] = [one for one in listed(work)["voices"] if one["voice"] == cast["cloned/0"]]
    assert [made["cached"] for made in voice["made_by"]] == [False, True]
    assert "/demo/" in voice["made_by"][0]["directory"]


def test_a_damaged_ledger_is_told_and_the_voices_are_listed(work, cast):
    other = work.run_dir().parent / "0123456789ab"
    other.mkdir()
    (other / "ledger.sqlite3").write_bytes(b"no ledger" * 1000)
    said = work.dsrun("voices", "--json")
    assert said.code == 0
    assert "warning" in said.err
    assert "0123456789ab" in said.err
    assert {voice["voice"] for voice in said.answer["voices"]} == set(cast.values())
    assert all(voice["made_by"] for voice in said.answer["voices"])


def test_an_emulated_run_makes_no_voice_of_the_account(work, cast):
    assert work.dsrun(work.pipeline(CAST), "--emulate").code == 0
    directories = {made["directory"] for one in listed(work)["voices"] for made in one["made_by"]}
    assert directories == {str(work.run_dir().resolve())}


def test_more_voices_than_a_page_are_all_listed(work, emulator):
    made = {make(emulator, preferred_name=f"bird{number}") for number in range(103)}
    assert names(work) == made


def test_show_tells_what_the_service_says_of_one_alone(work, cast):
    told = json.loads(work.dsrun("voices", "show", cast["enrolled/0"], "--json").out)
    assert told["said"]["target_model"] == told["target_model"] == "cosyvoice-v3-flash"
    assert told["said"]["resource_link"] == "https://sounds.example/b.wav"
    assert told["made_by"][0]["step"] == "enrolled"
    lines = work.dsrun("voices", "show", cast["designed/1"]).out
    assert "a small cat" in lines
    assert "designed/1" in lines


def test_delete_deletes_those_that_are_named_and_no_other(work, cast):
    gone = [cast["designed/0"], cast["newer/0"], cast["cloned/0"]]
    said = work.dsrun("voices", "delete", *gone, gone[0], "--yes")
    assert (said.code, said.out) == (0, "".join(f"deleted {name}\n" for name in gone))
    assert names(work) == set(cast.values()) - set(gone)
    assert listed(work)["used"] == 2


def test_delete_answers_as_json(work, cast):
    said = work.dsrun("voices", "--yes", "delete", cast["cloned/0"], "--json")
    assert said.answer == {"deleted": [cast["cloned/0"]], "used": 4}


def test_a_name_that_is_not_there_is_refused_and_nothing_is_deleted(work, cast):
    near = cast["cloned/0"][:-1] + "x"
    said = work.dsrun("voices", "delete", cast["designed/0"], near, "--yes")
    assert said.code == 2
    assert f"no voice {near} (did you mean {cast['cloned/0']}?)" in said.err
    assert names(work) == set(cast.values())
    assert work.dsrun("voices", "show", "nobody").code == 2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("remove", "a"), "allowed: list, show NAME, delete NAME..."),
        (("delet", "a"), "did you mean delete?"),
        (("list", "a"), "takes no name"),
        (("show",), "takes one name"),
        (("show", "a", "b"), "takes one name"),
        (("delete",), "wants the names"),
    ],
)
def test_words_that_are_no_verb_are_refused_before_anything_is_asked(work, emulator, words, named):
    said = work.dsrun("voices", *words)
    assert said.code == 2
    assert named in said.err
    assert emulator.requests() == []


def test_without_a_terminal_and_without_yes_nothing_is_deleted(work, cast):
    said = work.dsrun("voices", "delete", cast["designed/0"])
    assert said.code == 2
    assert "1 voice would be deleted for good; add --yes to agree" in said.err
    assert names(work) == set(cast.values())


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 4), ("n\n", 3, 5), ("\n", 3, 5)])
def test_a_terminal_is_asked(work, cast, answer, code, left):
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer.encode())
        child = subprocess.run(
            [*work.command, "voices", "delete", cast["designed/0"]], stdin=theirs,
            capture_output=True, text=True, timeout=60, check=False, cwd=work.folder,
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert child.returncode == code, child.stderr
    assert "designed/0" in child.stderr
    assert "Go on? [y/N]" in child.stderr
    assert len(names(work)) == left


def test_a_service_that_throttles_and_errs_is_asked_again(work, cast, emulator):
    emulator.suffer("throttle", "server-error")
    emulator.strike_only(2)
    assert names(work) == set(cast.values())


def test_a_deletion_whose_answer_is_lost_is_none_that_failed(work, cast, emulator):
    """It is asked for again, refused since the voice is gone, and the list shows that it is."""
    emulator.suffer("lost-answer")
    emulator.strike_only(1)
    said = work.dsrun("voices", "delete", cast["designed/0"], "--yes")
    assert said.code == 0, said.err
    assert names(work) == set(cast.values()) - {cast["designed/0"]}


def test_a_bad_key_and_a_service_that_is_away_are_told(work, cast, closed_port, monkeypatch):
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-bad")
    said = work.dsrun("voices")
    assert said.code == 3
    assert "InvalidApiKey" in said.err
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", f"http://127.0.0.1:{closed_port}/api/v1")
    said = work.dsrun("voices", "--json")
    assert said.code == 3
    assert "does not answer" in said.answer["error"]


def test_without_a_key_nothing_is_asked(work, emulator, monkeypatch):
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    said = work.dsrun("voices")
    assert said.code == 3
    assert "DASHSCOPE_API_KEY" in said.err
    assert emulator.requests() == []


def test_a_service_that_only_an_own_operation_file_knows_is_asked_too(work, cast, emulator):
    folder = work.folder / "operations"
    folder.mkdir()
    bundled = json.loads(work.dsrun("schema", "qwen-voice-design").out)
    text = json.dumps(bundled).replace('"qwen-voice-design"', '"my-voices"')
    (folder / "my-voices.json").write_text(text, encoding="utf-8")
    said = work.dsrun("voices")
    assert said.code == 3  # the emulator knows no such model
    assert "the voices of my-voices are left out: the list is refused" in said.err
    assert all(name in said.out for name in cast.values())
    refused = work.dsrun("voices", "delete", "nobody", "--yes")
    assert refused.code == 3
    assert "not among the voices that could be listed" in refused.err
