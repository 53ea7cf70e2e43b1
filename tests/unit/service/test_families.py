"""An operation file of several models, and its tables by model."""

from decimal import Decimal

import orjson
import pytest

from dsrun.common.errors import ManifestError
from dsrun.common.json_schema import SchemaValidator
from dsrun.common.resources import iter_operation_files, read_schema
from dsrun.service.catalog import load_catalog
from dsrun.service.families import members, models_of
from dsrun.service.request import fill_request, planned_units
from dsrun.service.tables import specialised

WAN = orjson.loads(dict(iter_operation_files())["wan-t2i"])


PRICE = {
    "currency": "CNY",
    "as_of": "2026-05",
    "items": [{"unit": "image", "amount": "1", "units": {"count": True}}],
}


def family(**about):
    """A small file of two models, in the form of the bundled ones."""
    rules = {
        "protocol": "task",
        "endpoint": {"method": "POST", "path": "/services/a", "headers": {}, "timeout_s": 60},
        "fill": [],
        "artifacts": [{"media": "image", "each": "/output/results/*", "at": "/url"}],
        "outputs": {},
        "price": PRICE,
        "limits": {"requests": 1, "per_s": 1},
    }
    return {
        "description": "Draws.",
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            "model": {"type": "string", "enum": ["quick", "fine"]},
            "input": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"prompt": {"type": "string"}, "mood": {"type": "string"}},
            },
        },
        "x-dsrun": rules | about,
    }


def by_model(**rows):
    return {"by": ["/model"], "table": rows}


def test_every_model_is_an_operation_of_its_own():
    catalog = load_catalog()
    assert catalog.families["wan-t2i"] == models_of(WAN)
    assert {catalog[model].family for model in models_of(WAN)} == {"wan-t2i"}
    assert "wan-t2i" not in catalog


@pytest.mark.parametrize(
    ("model", "amount", "requests", "running"),
    [
        ("wan2.5-t2i-preview", "0.20", 5, 5),
        ("wan2.2-t2i-plus", "0.20", 2, 2),
        ("wan2.2-t2i-flash", "0.14", 2, 2),
        ("wanx2.1-t2i-plus", "0.20", 2, 2),
        ("wanx2.1-t2i-turbo", "0.14", 2, 2),
        ("wanx2.0-t2i-turbo", "0.04", 2, 2),
    ],
)
def test_a_model_has_its_own_price_and_limits(model, amount, requests, running):
    operation = load_catalog()[model]
    assert str(operation.price.amount) == amount
    assert (operation.limits.rate.requests, operation.limits.rate.per_s) == (requests, 1)
    assert operation.limits.running_tasks == running
    assert operation.recovery.model_name == model


@pytest.mark.parametrize(
    ("model", "most"),
    [("wan2.5-t2i-preview", 2000), ("wan2.2-t2i-flash", 500), ("wanx2.0-t2i-turbo", 800)],
)
def test_a_prompt_may_have_as_many_characters_as_its_model_reads(model, most):
    validator = load_catalog().validator(model)
    request = {"model": model, "input": {"prompt": "a" * most}}
    assert validator.is_valid(request)
    request["input"]["prompt"] += "a"
    assert [problem.path for problem in validator.problems(request)] == [("input", "prompt")]


@pytest.mark.parametrize(
    ("model", "good", "bad"),
    [
        ("wan2.2-t2i-flash", ["512*512", "1440*1440", "512*1440"], ["511*512", "1441*512"]),
        (
            "wan2.5-t2i-preview",
            ["1280*1280", "1440*1440", "2880*720"],
            ["1279*1280", "1441*1440", "2884*719", "1024*1024"],
        ),
    ],
)
def test_a_size_is_within_the_bounds_of_its_model(model, good, bad):
    validator = load_catalog().validator(model)

    def request(size):
        return {"model": model, "input": {"prompt": "a"}, "parameters": {"size": size}}

    for size in good:
        assert validator.is_valid(request(size)), size
        assert validator.problems(request(size)) == []
    for size in [*bad, "1280x1280", "1280*", "01280*1280", "1280*1280 "]:
        assert not validator.is_valid(request(size)), size
        assert [problem.rule for problem in validator.problems(request(size))] == ["x-size"], size


def test_a_request_names_its_own_model_only():
    validator = load_catalog().validator("wan2.2-t2i-flash")
    assert not validator.is_valid({"model": "wan2.2-t2i-plus", "input": {"prompt": "a"}})


def test_a_table_gives_each_model_its_row():
    value = {"a": by_model(quick=1, **{"*": 2}), "b": [by_model(**{"quick | fine": 3})]}
    assert specialised(value, "quick") == {"a": 1, "b": [3]}
    assert specialised(value, "fine") == {"a": 2, "b": [3]}


def test_vary_narrows_a_field_or_takes_it_away():
    rule = {"at": "/input/mood", **by_model(quick=False, fine={"maxLength": 5})}
    quick, fine = (own for _, own in members(family(vary=[rule])))
    assert list(quick["properties"]["input"]["properties"]) == ["prompt"]
    assert fine["properties"]["input"]["properties"]["mood"] == {"type": "string", "maxLength": 5}
    assert "vary" not in quick["x-dsrun"]


def test_the_file_itself_is_as_the_form_of_operation_files_wants_it():
    assert SchemaValidator(orjson.loads(read_schema("operation.json"))).problems(WAN) == []


class TestOwnFiles:
    """A user's file beside the manifest may serve several models too."""

    def write(self, folder, content):
        (folder / "mine.json").write_bytes(orjson.dumps(content))
        return folder

    def test_its_models_are_operations(self, tmp_path):
        own = family(
            limits=by_model(quick={"requests": 4, "per_s": 1}, fine={"requests": 1, "per_s": 2})
        )
        catalog = load_catalog(self.write(tmp_path, own))
        assert catalog.families["mine"] == ("quick", "fine")
        assert catalog["quick"].limits.rate.requests == 4
        assert catalog["fine"].limits.rate.per_s == 2
        assert len(catalog.own_schemas({"quick", "fine"})) == 2

    def test_it_may_be_named_with_models_of_other_files(self, tmp_path):
        own = family(also=["wanx-v1", "wan2.2-t2i-flash"])
        catalog = load_catalog(self.write(tmp_path, own))
        assert catalog.families["mine"] == ("quick", "fine", "wanx-v1", "wan2.2-t2i-flash")
        assert catalog["wanx-v1"].family == "wanx-v1"

    def test_one_of_its_models_may_have_its_own_name(self, tmp_path):
        own = family()
        own["properties"]["model"]["enum"] = ["mine", "fine"]
        catalog = load_catalog(self.write(tmp_path, own))
        assert catalog.families["mine"] == ("mine", "fine")
        assert catalog["mine"].name == "mine"

    @pytest.mark.parametrize(
        ("about", "words"),
        [
            ({"also": ["wanx-v2"]}, 'wanx-v2", which is no operation (did you mean wanx-v1'),
            ({"limits": by_model(quick={"requests": 1, "per_s": 1})}, "no row for fine"),
            ({"vary": [{"at": "/input/size", **by_model(**{"*": {}})}]}, "no place of the request"),
            (
                {"vary": [{"at": "/input/mood", **by_model(**{"*": {"pattern": "(?=a)"}})}]},
                "the pattern",
            ),
            (
                {"vary": [{"at": "/input/mood", **by_model(**{"*": {"maxLength": "x"}})}]},
                "not a JSON Schema",
            ),
            ({"limits": {"by": ["/input/mood"], "table": {"*": {}}}}, "limits"),
        ],
        ids=["also", "row", "place", "pattern", "schema", "by"],
    )
    def test_a_wrong_one_is_refused_by_name(self, tmp_path, about, words):
        with pytest.raises(ManifestError) as failed:
            load_catalog(self.write(tmp_path, family(**about)))
        told = "; ".join(map(str, failed.value.problems))
        assert "mine.json" in told
        assert words in told

    def test_a_model_that_dsrun_has_already_is_refused(self, tmp_path):
        own = family()
        own["properties"]["model"]["enum"] = ["quick", "wan2.2-t2i-flash"]
        with pytest.raises(ManifestError, match=r"wan2\.2-t2i-flash is an operation already"):
            load_catalog(self.write(tmp_path, own))


def film(**changes):
    """A family of which only `fine` has a mood; what its files say of it are the changes."""
    mood = {"at": "/input/mood", **by_model(fine={}, quick=False)}
    return family(vary=[mood], **changes)


def price(amount, units):
    return {**PRICE, "items": [{"unit": "second", "amount": amount, "units": units}]}


@pytest.mark.parametrize(
    ("by", "table", "left"),
    [
        (["/input/mood"], {"-": "1", "*": "2"}, "1"),
        (["/input/mood"], {"dark": "1", "*": "2"}, "2"),
        (["/input/mood", "/input/prompt"], {"dark": {"*": "1"}, "-": {"a": "3", "*": "2"}},
         {"by": ["/input/prompt"], "table": {"a": "3", "*": "2"}}),
        (["/input/prompt", "/input/mood"], {"a": {"dark": "3", "*": "4"}, "*": {"*": "2"}},
         {"by": ["/input/prompt"], "table": {"a": "4", "*": "2"}}),
        (["/input/mood", "/input/prompt", "/input/mood"], {"*": {"*": {"-": "5", "*": "6"}}},
         {"by": ["/input/prompt"], "table": {"*": "5"}}),
    ],
)  # fmt: skip
def test_a_price_by_a_place_that_a_model_has_not_is_that_of_no_value(by, table, left):
    about = film(price=price({"by": by, "table": table}, {"count": True}))
    models = dict(members(about))
    assert models["quick"]["x-dsrun"]["price"]["items"][0]["amount"] == left
    assert models["fine"]["x-dsrun"]["price"]["items"][0]["amount"] == {"by": by, "table": table}


@pytest.mark.parametrize(
    ("units", "left"),
    [
        ({"value": "/input/mood", "else": 5}, {"else": 5}),
        ({"count": True, "times": {"value": "/input/mood", "else": 5}},
         {"count": True, "times": {"else": 5}}),
        ({"items": "/input/mood", "else": 2}, {"else": 2}),
        ({"value": "/input/prompt", "else": 5}, {"value": "/input/prompt", "else": 5}),
        ({"value": "/input/mood"}, {"value": "/input/mood"}),  # which is told as a fault
    ],
)  # fmt: skip
def test_a_number_that_a_model_does_not_take_counts_as_if_it_were_absent(units, left):
    models = dict(members(film(price=price("1", units))))
    assert models["quick"]["x-dsrun"]["price"]["items"][0]["units"] == left
    assert models["fine"]["x-dsrun"]["price"]["items"][0]["units"] == units


def test_a_place_that_a_model_has_not_has_no_language():
    rules = [{"at": f"/input/{key}", "languages": ["en"]} for key in ("mood", "prompt")]
    models = dict(members(film(languages=rules)))
    assert models["quick"]["x-dsrun"]["languages"] == rules[1:]
    assert models["fine"]["x-dsrun"]["languages"] == rules


def test_a_price_without_a_row_for_no_value_is_told():
    table = {"by": ["/input/mood"], "table": {"dark": "1"}}
    with pytest.raises(ValueError, match="no row for quick"):
        list(members(film(price=price(table, {"count": True}))))


@pytest.mark.parametrize(
    ("model", "parameters", "cost"),
    [
        ("wan2.6-i2v", {}, "5"),
        ("wan2.6-i2v", {"resolution": "720P", "duration": 15}, "9"),
        ("wan2.6-i2v-flash", {}, "2.5"),
        ("wan2.6-i2v-flash", {"audio": False}, "1.25"),
        ("wan2.6-i2v-flash", {"resolution": "720P", "audio": False, "duration": 2}, "0.3"),
        ("wan2.5-i2v-preview", {"resolution": "480P", "duration": 10}, "3"),
        ("wan2.2-i2v-flash", {}, "1"),
        ("wan2.2-i2v-flash", {"resolution": "480P"}, "0.5"),
        ("wan2.2-i2v-plus", {"resolution": "480P"}, "0.7"),
        ("wanx2.1-i2v-turbo", {"duration": 3}, "0.72"),
        ("wanx2.1-i2v-plus", {}, "3.5"),
    ],
)
def test_a_film_costs_its_seconds_at_its_resolution_and_sound(model, parameters, cost):
    operation = load_catalog()[model]
    request = {
        "model": model,
        "input": {"img_url": "https://x.example/a.png"},
        "parameters": dict(parameters),
    }
    fill_request(request, operation=operation, replica=0)
    money = operation.price.of(planned_units(request, operation))
    assert money.amount == Decimal(cost)
