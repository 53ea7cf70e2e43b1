"""Prices of any kind, from the plan to the ledger: reserved, billed and summed."""

import copy
import json
import sqlite3
import wave
from contextlib import closing

import orjson
import pytest

from dsrun.common.resources import iter_operation_files
from tests.files_of_kinds import FILES

WANX = orjson.loads(dict(iter_operation_files())["wanx-v1"])
CHARS = {
    "unit": "10k characters", "amount": "0.8", "per": 10000,
    "units": {"chars": ["/input/prompt"], "wide": 2}, "billed": ["/usage/characters"],
}  # fmt: skip
SECONDS = {
    "unit": "second", "amount": {"by": ["/parameters/size"], "table": {"*": "0.6"}},
    "units": {"value": "/parameters/duration"}, "billed": ["/usage/zero", "/usage/duration"],
}  # fmt: skip
BY_CHANNEL = {
    "unit": "second", "amount": "0.00008", "billed": ["/usage/duration"],
    "units": {"media_seconds": "/input/sound", "times": {"items": "/parameters/channels"}},
}  # fmt: skip


@pytest.fixture
def film(work):
    """Write `operations/film.json`: wanx-v1 with a duration, at a price of these items."""

    def writer(*items, currency="CNY"):
        schema = copy.deepcopy(WANX)
        schema["properties"]["parameters"]["properties"]["duration"] = {"type": "number"}
        about = schema["x-dsrun"]
        about["price"] = {"currency": currency, "as_of": "2026-05", "items": list(items)}
        folder = work.folder / "operations"
        folder.mkdir(exist_ok=True)
        (folder / "film.json").write_text(json.dumps(schema, indent=1), encoding="utf-8")

    return writer


def pipeline(work, prompts=("灯 a!",), durations=(5,), **execution):
    steps = (
        "steps:\n  s:\n    operation: film\n"
        f"    matrix: {{p: {json.dumps(list(prompts))}, d: {json.dumps(list(durations))}}}\n"
        "    input: {prompt: '{{ p }}'}\n    parameters: {duration: '{{ d }}'}\n"
    )
    return work.pipeline(steps, **execution)


def costs(work):
    return [line["cost"]["amount"] for line in work.results()]


def rows(work, sql):
    (ledger,) = work.folder.glob("outputs/demo/emulated-*/ledger.sqlite3")
    with closing(sqlite3.connect(ledger)) as db:
        return db.execute(sql).fetchall()


def test_characters_are_paid_for_by_ten_thousand(work, film):
    film(CHARS)
    plan = work.dsrun("plan", pipeline(work, ["灯 a!", "ab"]), "--json").answer
    assert plan["cost"] == {"amount": 0.00056, "currency": "CNY"}
    assert (plan["cost_is"], plan["steps"]["s"]["units"]) == ("exact", 7)
    assert "= 0.00056 CNY" in work.dsrun("plan", "demo.yaml").out
    assert work.dsrun("demo.yaml", "--emulate").code == 0
    assert costs(work) == [0.0004, 0.00016]
    assert rows(work, "SELECT cost FROM results ORDER BY position") == [(0.0004,), (0.00016,)]
    assert rows(work, "SELECT amount, currency FROM spend") == [(0.00056, "CNY")]


def test_seconds_are_paid_for_in_parts_too(work, film):
    film(SECONDS)
    assert work.dsrun(pipeline(work, durations=[5, 2.5]), "--emulate").code == 0
    assert costs(work) == [3.0, 1.5]
    assert rows(work, "SELECT amount FROM spend") == [(4.5,)]


def test_two_items_add_up(work, film):
    film(CHARS, {**SECONDS, "sure": "at_most"})
    plan = work.dsrun("plan", pipeline(work), "--json").answer
    assert plan["cost"]["amount"] == 3.0004
    assert plan["cost_is"] == plan["steps"]["s"]["cost_is"] == "at_most"
    assert "cost ≤ 3.0004 CNY" in work.dsrun("plan", "demo.yaml").out
    assert work.dsrun("demo.yaml", "--emulate").code == 0
    assert costs(work) == [3.0004]


def test_max_cost_reserves_what_is_planned(work, film):
    film(SECONDS)
    outcome = work.dsrun(pipeline(work, durations=[5, 4, 3]), "--emulate", "--max-cost", "5.4 CNY")
    assert (outcome.code, work.statuses()) == (3, {"succeeded": 2, "pending": 1})
    assert "max_cost of 5.4 CNY would be passed" in outcome.err
    assert work.dsrun("demo.yaml", "--emulate", "--max-cost", "7.2 CNY").code == 0


@pytest.mark.parametrize("how", ["manifest", "option", "budget"])
def test_a_limit_refuses_what_nobody_can_tell(work, film, how):
    film({**SECONDS, "units": {"value": "/parameters/seconds"}})
    schema = json.loads((work.folder / "operations/film.json").read_text())
    parameters = schema["properties"]["parameters"]["properties"]
    parameters["seconds"] = {"type": "number"}
    (work.folder / "operations/film.json").write_text(json.dumps(schema))
    budget = {"budget": {"amount": "9 CNY", "per": "month"}}
    more = {"manifest": {"max_cost": "9 CNY"}, "budget": budget}.get(how, {})
    option = ["--max-cost", "9 CNY"] if how == "option" else []
    limit = "budget is 9 CNY per month" if how == "budget" else "max_cost is 9 CNY"
    outcome = work.dsrun(pipeline(work, **more), "--emulate", *option)
    assert outcome.code == 2
    assert f"{limit}, but nobody can tell what it costs to send 1 job of s" in outcome.err
    assert not (work.folder / "outputs").exists()
    plan = work.dsrun("plan", "demo.yaml", *option)
    assert plan.code == 0
    assert "unknown" in plan.out
    assert "nobody can tell" in plan.err
    assert work.dsrun("plan", "demo.yaml", "--json").answer["cost_is"] == "unknown"
    assert work.dsrun(pipeline(work), "--emulate").code == 0


def test_sums_never_cross_currencies(work, film):
    film(SECONDS, currency="USD")
    steps = (
        "steps:\n  s: {operation: film, input: {prompt: a}, parameters: {duration: 2}}\n"
        "  t: {operation: wanx-v1, input: {prompt: a}}\n"
    )
    plan = work.dsrun("plan", work.pipeline(steps), "--json").answer
    assert plan["costs"] == [
        {"amount": 1.2, "currency": "USD"}, {"amount": 0.16, "currency": "CNY"},
    ]  # fmt: skip
    assert "cost 1.2 USD, 0.16 CNY" in work.dsrun("plan", "demo.yaml").out
    assert work.dsrun(work.pipeline(steps, max_cost="9 CNY"), "--emulate").code == 2


class TestOwnPrices:
    STEPS = "steps:\n  s: {operation: wanx-v1, input: {prompt: a lantern}, parameters: {n: 2}}\n"

    def test_they_replace_the_published_one_and_are_no_part_of_the_digest(self, work):
        published = work.dsrun("plan", work.pipeline(self.STEPS), "--json").answer
        own = {"wanx-v1": {"currency": "USD", "amount": 0.025}}
        plan = work.dsrun("plan", work.pipeline(self.STEPS, prices=own), "--json").answer
        assert plan["cost"] == {"amount": 0.05, "currency": "USD"}
        assert plan["digest"] == published["digest"]
        assert "price of the manifest" in work.dsrun("plan", "demo.yaml").out
        assert work.dsrun("demo.yaml", "--emulate", "--max-cost", "1 USD").code == 0
        assert [line["cost"] for line in work.results()] == [{"amount": 0.05, "currency": "USD"}]

    def test_they_may_have_items_and_tables(self, work):
        amount = {"by": ["/parameters/size"], "table": {"1024*1024": "0.01", "*": 0.02}}
        items = [{"unit": "image", "amount": amount, "units": {"count": True}}]
        own = {"wanx-v1": {"currency": "CNY", "items": items}}
        plan = work.dsrun("plan", work.pipeline(self.STEPS, prices=own), "--json").answer
        assert plan["cost"]["amount"] == 0.04
        own = {"wanx-v1": {"currency": "CNY", "amount": amount}}
        plan = work.dsrun("plan", work.pipeline(self.STEPS, prices=own), "--json").answer
        assert plan["cost"]["amount"] == 0.04

    @pytest.mark.parametrize(
        ("own", "where", "words"),
        [
            ({"wanx-v2": {"currency": "CNY", "amount": 1}}, "wanx-v2", "did you mean wanx-v1?"),
            ({"wan-t2i": {"currency": "CNY", "amount": 1}}, "wan-t2i", "several models"),
            ({"wanx-v1": {"currency": "yuan", "amount": 1}}, "wanx-v1.currency", "capital letters"),
            ({"wanx-v1": {"currency": "CNY"}}, "wanx-v1", "either amount or items"),
            ({"wanx-v1": {"amount": 1}}, "wanx-v1", "currency"),
            ({"wanx-v1": {"currency": "CNY", "amount": -1}}, "wanx-v1.amount", "an amount"),
            ({"wanx-v1": "0.1 CNY"}, "wanx-v1", 'such as {currency: CNY, amount: "0.16"}'),
            ({"wanx-v1": {"currency": "CNY", "amuont": 1}}, "wanx-v1.amuont", "amount"),
            (
                {"wanx-v1": {"currency": "CNY", "items": [{"unit": "a", "units": {"most": 1}}]}},
                "items[0]", "amount",
            ),
            (
                {"wanx-v1": {"currency": "CNY", "items": [
                    {"unit": "image", "amount": "1", "units": {"value": "/parameters/m"}}]}},
                "items[0].units.value", "which no request can have",
            ),
        ],
    )  # fmt: skip
    def test_a_wrong_one_is_told_at_its_place(self, work, own, where, words):
        outcome = work.dsrun("validate", work.pipeline(self.STEPS, prices=own))
        assert outcome.code == 2
        (line,) = (line for line in outcome.err.splitlines() if "execution.prices" in line)
        assert where in line
        assert words in line

    def test_a_price_that_changes_counts_for_what_is_not_paid_yet(self, work, emulator):
        both = "steps:\n  s:\n    operation: wanx-v1\n    matrix: {p: [a, b, c]}\n"
        both += "    input: {prompt: '{{ p }}'}\n"
        assert work.dsrun(work.pipeline(both), "--limit", "1").code == 0
        own = {"wanx-v1": {"currency": "CNY", "amount": "0.1"}}
        assert work.dsrun(work.pipeline(both, prices=own)).code == 0
        assert costs(work) == [0.16, 0.1, 0.1]
        assert work.dsrun("status", "demo.yaml", "--json").answer["cost"]["amount"] == 0.36

    def test_so_does_one_whose_amounts_have_the_same_grain(self, work, emulator):
        steps = "steps:\n  s:\n    operation: wanx-v1\n    matrix: {p: [a, b]}\n"
        steps += "    input: {prompt: '{{ p }}'}\n"

        def at(amount):
            table = {"by": ["/parameters/n"], "table": {"1": amount, "*": "0.1"}}
            return work.pipeline(steps, prices={"wanx-v1": {"currency": "CNY", "amount": table}})

        assert work.dsrun(at("0.2"), "--limit", "1").code == 0
        assert work.dsrun(at("0.4"), "--limit", "1").code == 0
        assert work.query("SELECT planned FROM job ORDER BY position") == [
            {"planned": 2}, {"planned": 4}
        ]  # fmt: skip


class TestRecordings:
    @pytest.fixture
    def plan(self, work, film):
        """Plan one request with this sound; the file `a.wav` plays 1.5 s."""
        film(BY_CHANNEL)
        path = work.folder / "operations/film.json"
        schema = json.loads(path.read_text())
        properties = schema["properties"]
        properties["input"]["properties"]["sound"] = {"type": "string"}
        channels = {"type": "array", "items": {"type": "integer"}}
        properties["parameters"]["properties"]["channels"] = channels
        field = {"at": "/input/sound", "media": "audio", "formats": ["wav"], "max_bytes": 10**6}
        schema["x-dsrun"]["uploads"]["fields"] = [field]
        path.write_text(json.dumps(schema))
        with wave.open(str(work.folder / "a.wav"), "wb") as sound:
            sound.setparams((1, 2, 8000, 0, "NONE", ""))
            sound.writeframes(bytes(2 * 12000))

        def planner(sound, parameters="{}"):
            words = f"input: {{prompt: a, sound: {sound}}}, parameters: {parameters}"
            pipeline = work.pipeline(f"steps:\n  s: {{operation: film, {words}}}\n")
            return work.dsrun("plan", pipeline, "--json").answer

        return planner

    def test_a_local_file_is_measured(self, plan):
        answer = plan("{upload: a.wav}")
        assert (answer["cost"]["amount"], answer["cost_is"]) == (0.00012, "exact")

    def test_max_cost_reserves_what_was_measured_and_not_the_longest_that_an_address_may_have(
        self, work
    ):
        (work.folder / "a.wav").write_bytes(FILES["audio"][0])
        words = "operation: paraformer-v2, input: {file_urls: [{upload: a.wav}]}"
        pipeline = work.pipeline(f"steps:\n  s: {{{words}}}\n", max_cost="0.01 CNY")
        assert work.dsrun("plan", pipeline, "--json").answer["cost"]["amount"] < 0.01
        assert work.dsrun(pipeline, "--emulate").code == 0

    def test_each_channel_is_paid_for(self, plan):
        assert plan("{upload: a.wav}", "{channels: [0, 1]}")["cost"]["amount"] == 0.00024

    def test_nobody_can_tell_of_an_address(self, plan):
        assert plan("https://example.com/a.wav")["cost_is"] == "unknown"
