"""The task models that draw, edit and translate pictures: prices, rates and limits."""

import copy

import orjson
import pytest

from dsrun.common.json_schema import SchemaValidator
from dsrun.common.pointer import put_at
from dsrun.common.resources import iter_operation_files, read_schema
from dsrun.service.catalog import load_catalog
from dsrun.service.families import models_of

CATALOG = load_catalog()
ADDRESS = "https://pictures.example/a.png"
REQUESTS = {
    "qwen-image": {"input": {"prompt": "a lamp"}, "parameters": {}},
    "qwen-image-plus": {"input": {"prompt": "a lamp"}, "parameters": {}},
    "wanx2.1-imageedit": {
        "input": {"function": "description_edit", "prompt": "in red", "base_image_url": ADDRESS},
        "parameters": {},
    },
    "wan2.5-i2i-preview": {"input": {"prompt": "in oil", "images": [ADDRESS]}, "parameters": {}},
    "qwen-mt-image": {
        "input": {"image_url": ADDRESS, "source_lang": "zh", "target_lang": "en"},
    },
}
MASK = {"function": "description_edit_with_mask", "mask_image_url": ADDRESS}
ONLY_WITH = {
    "strength": (0.5, {"stylization_all", "description_edit"}),
    "top_scale": (1.5, {"expand"}),
    "bottom_scale": (1.5, {"expand"}),
    "left_scale": (1.5, {"expand"}),
    "right_scale": (1.5, {"expand"}),
    "upscale_factor": (2, {"super_resolution"}),
    "is_sketch": (True, {"doodle"}),
}
FUNCTIONS = {
    "stylization_all", "stylization_local", "description_edit", "description_edit_with_mask",
    "remove_watermark", "expand", "super_resolution", "colorization", "doodle",
    "control_cartoon_feature",
}  # fmt: skip


def broken(model, changes):
    """The places of a request that are refused, once values are put at some of its places."""
    request = copy.deepcopy({"model": model} | REQUESTS[model])
    for at, value in changes.items():
        put_at(request, tuple(at.split(".")), value)
    problems = CATALOG.validator(model).problems(request)
    assert CATALOG.validator(model).is_valid(request) is not bool(problems)
    return [".".join(map(str, problem.path)) for problem in problems]


@pytest.mark.parametrize(
    ("model", "amount", "requests", "running"),
    [
        ("qwen-image", "0.25", 2, 2),
        ("qwen-image-plus", "0.20", 2, 2),
        ("wanx2.1-imageedit", "0.14", 2, 2),
        ("wan2.5-i2i-preview", "0.20", 5, 5),
        ("qwen-mt-image", "0.003", 1, 2),
    ],
)
def test_each_has_its_price_and_its_rate_and_is_found_in_the_list_of_tasks(
    model, amount, requests, running
):
    operation = CATALOG[model]
    assert (str(operation.price.amount), operation.price.unit) == (amount, "image")
    assert (operation.limits.rate.requests, operation.limits.rate.per_s) == (requests, 1)
    assert operation.limits.running_tasks == running
    assert operation.recovery.model_name == model


def test_every_bundled_file_has_the_form_of_operation_files():
    frame = SchemaValidator(orjson.loads(read_schema("operation.json")))
    for name, raw in iter_operation_files():
        assert frame.problems(orjson.loads(raw)) == [], name


def test_a_name_means_one_operation():
    """A file of one model is called by the file's name, so two files may share such a model."""
    models, named = [], {}
    for name, raw in iter_operation_files():
        schema = orjson.loads(raw)
        assert schema["title"] == name
        own = models_of(schema) or (name,)
        models += own
        named[name] = {*own, *schema["x-dsrun"].get("also", ())}
    assert len(models) == len({*models})
    for name, of_file in named.items():
        assert name in of_file or name not in models, "a name must not mean two things"


def test_a_ratio_is_a_pair_of_numbers():
    frame = SchemaValidator(orjson.loads(read_schema("operation.json")))
    schema = orjson.loads(dict(iter_operation_files())["qwen-mt-image"])
    [field] = schema["x-dsrun"]["uploads"]["fields"]
    for wrong in (0.5, "10", 0, [1], [0, 1], [1, 2, 3], ["1", 2]):
        field["ratio"] = wrong
        assert {"ratio" in problem.path for problem in frame.problems(schema)} == {True}
    field["ratio"] = [1, 1]
    assert frame.problems(schema) == []


@pytest.mark.parametrize("model", REQUESTS)
def test_the_least_that_a_model_needs_is_enough(model):
    assert broken(model, {}) == []


@pytest.mark.parametrize("model", REQUESTS)
def test_every_key_that_a_model_needs_is_asked_for(model):
    for key in REQUESTS[model]["input"]:
        request = copy.deepcopy({"model": model} | REQUESTS[model])
        del request["input"][key]
        problems = CATALOG.validator(model).problems(request)
        assert [problem.rule for problem in problems] == [f"required {key}"]


@pytest.mark.parametrize(
    ("model", "at", "most"),
    [
        ("qwen-image", "input.prompt", 800),
        ("qwen-image", "input.negative_prompt", 500),
        ("qwen-image", "parameters.negative_prompt", 500),
        ("qwen-image-plus", "input.prompt", 800),
        ("wanx2.1-imageedit", "input.prompt", 800),
        ("wan2.5-i2i-preview", "input.prompt", 2000),
        ("wan2.5-i2i-preview", "input.negative_prompt", 500),
    ],
)
def test_a_text_may_have_so_many_characters_and_no_more(model, at, most):
    assert broken(model, {at: "灯" * most}) == []
    assert broken(model, {at: "灯" * (most + 1)}) == [at]


@pytest.mark.parametrize(
    ("model", "at", "good", "bad"),
    [
        ("qwen-image", "parameters.n", [1], [0, 2, True, "1"]),
        (
            "qwen-image",
            "parameters.size",
            ["1664*928", "1472*1104", "1328*1328", "1104*1472", "928*1664"],
            ["1024*1024", "1472*1140", "1664x928"],
        ),
        ("wanx2.1-imageedit", "parameters.n", [1, 4], [0, 5, 1.5]),
        ("wanx2.1-imageedit", "parameters.strength", [0, 0.5, 1], [-0.01, 1.01, "0.5"]),
        ("wan2.5-i2i-preview", "parameters.n", [1, 4], [0, 5]),
        (
            "wan2.5-i2i-preview",
            "parameters.size",
            ["768*768", "1280*1280", "2560*640", "640*2560", "384*1536"],
            ["767*768", "1281*1280", "2564*639", "383*1536", "1K"],
        ),
        *[(m, "parameters.seed", [0, 2**31 - 1], [-1, 2**31]) for m in list(REQUESTS)[:4]],
        *[(m, "parameters.watermark", [True, False], ["false", 0]) for m in list(REQUESTS)[:4]],
    ],
)
def test_a_value_is_good_up_to_its_bounds(model, at, good, bad):
    for value in good:
        assert broken(model, {at: value}) == [], value
    for value in bad:
        assert broken(model, {at: value}) == [at], value


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_last_of_n_pictures_has_a_seed_too(n):
    last = 2**31 - n
    assert broken("wan2.5-i2i-preview", {"parameters.n": n, "parameters.seed": last}) == []
    over = {"parameters.n": n, "parameters.seed": last + 1}
    assert broken("wan2.5-i2i-preview", over) == ["parameters.seed"]


def test_one_to_three_pictures_are_worked_from():
    model = "wan2.5-i2i-preview"
    for count in (1, 2, 3):
        assert broken(model, {"input.images": [ADDRESS] * count}) == []
    for count in (0, 4):
        assert broken(model, {"input.images": [ADDRESS] * count}) == ["input.images"]


@pytest.mark.parametrize(
    ("model", "at"),
    [
        ("wanx2.1-imageedit", "input.base_image_url"),
        ("wan2.5-i2i-preview", "input.images.0"),
        ("qwen-mt-image", "input.image_url"),
    ],
)
def test_a_picture_is_named_by_an_address(model, at):
    for good in ("http://a.example/a.png", "https://a.example/%E7%81%AF.png", "oss://a/b.png"):
        assert broken(model, {at: good}) == [], good
    for bad in ("a.png", "data:image/png;base64,AA==", "https://a.example/灯.png", "https://a b"):
        assert broken(model, {at: bad}) == [at], bad


def test_a_negative_prompt_stands_in_one_place():
    both = {"input.negative_prompt": "dust", "parameters.negative_prompt": "dust"}
    assert broken("qwen-image", both) == ["input.negative_prompt"]


class TestFunctions:
    """What wanx2.1-imageedit takes hangs on what it is to do."""

    MODEL = "wanx2.1-imageedit"

    @pytest.mark.parametrize("function", sorted(FUNCTIONS))
    @pytest.mark.parametrize("key", ONLY_WITH)
    def test_a_parameter_goes_with_its_functions_only(self, key, function):
        value, functions = ONLY_WITH[key]
        mask = MASK if function == MASK["function"] else {}
        changes = {"input.function": function, f"parameters.{key}": value}
        changes |= {f"input.{name}": given for name, given in mask.items()}
        wrong = [] if function in functions else [f"parameters.{key}"]
        assert broken(self.MODEL, changes) == wrong

    @pytest.mark.parametrize(
        ("function", "key", "good", "bad"),
        [
            *[("expand", f"{side}_scale", [1, 1.5, 2], [0.99, 2.01]) for side in
              ("top", "bottom", "left", "right")],
            ("super_resolution", "upscale_factor", [1, 4], [0, 5, 1.5]),
            ("doodle", "is_sketch", [True, False], ["true", 1]),
        ],
    )  # fmt: skip
    def test_a_parameter_is_good_up_to_its_bounds(self, function, key, good, bad):
        at = f"parameters.{key}"
        for value in good:
            assert broken(self.MODEL, {"input.function": function, at: value}) == [], value
        for value in bad:
            assert broken(self.MODEL, {"input.function": function, at: value}) == [at], value

    def test_the_function_is_one_of_ten(self):
        assert broken(self.MODEL, {"input.function": "inpaint"}) == ["input.function"]

    @pytest.mark.parametrize("function", sorted(FUNCTIONS - {MASK["function"]}))
    def test_a_mask_goes_with_its_own_function_only(self, function):
        changes = {"input.function": function, "input.mask_image_url": ADDRESS}
        assert broken(self.MODEL, changes) == ["input.mask_image_url"]

    def test_its_own_function_needs_a_mask(self):
        assert broken(self.MODEL, {"input.function": MASK["function"]}) == ["input.mask_image_url"]
        given = {f"input.{name}": value for name, value in MASK.items()}
        assert broken(self.MODEL, given) == []

    @pytest.mark.parametrize("function", sorted(FUNCTIONS))
    def test_a_prompt_may_be_empty_where_the_guide_leaves_it_so(self, function):
        mask = MASK if function == MASK["function"] else {}
        changes = {"input.prompt": "", "input.function": function}
        changes |= {f"input.{name}": given for name, given in mask.items()}
        may_be = function in (MASK["function"], "colorization")
        assert broken(self.MODEL, changes) == ([] if may_be else ["input.prompt"])


class TestLanguages:
    """One of the two languages of qwen-mt-image is Chinese or English, and they differ."""

    MODEL = "qwen-mt-image"

    @pytest.mark.parametrize(
        ("source", "target"),
        [
            ("zh", "en"), ("Chinese", "ar"), ("en", "Chinese"), ("English", "ms"), ("ja", "zh"),
            ("de", "English"), ("Korean", "en"), ("auto", "th"), ("auto", "Arabian"), ("zh", "id"),
        ],
    )  # fmt: skip
    def test_these_two_are_good(self, source, target):
        assert broken(self.MODEL, {"input.source_lang": source, "input.target_lang": target}) == []

    @pytest.mark.parametrize(
        ("source", "target"),
        [
            ("zh", "zh"), ("zh", "Chinese"), ("English", "en"), ("ja", "ko"), ("ja", "ja"),
            ("Japanese", "fr"), ("de", "it"), ("zh", "de"), ("auto", "auto"), ("en", "German"),
        ],
    )  # fmt: skip
    def test_the_target_of_these_two_is_refused(self, source, target):
        changes = {"input.source_lang": source, "input.target_lang": target}
        assert set(broken(self.MODEL, changes)) == {"input.target_lang"}

    @pytest.mark.parametrize("source", ["ms", "Thai", "id", "Arabian", "ZH", "", "klingon"])
    def test_not_every_language_can_be_read(self, source):
        assert broken(self.MODEL, {"input.source_lang": source}) == ["input.source_lang"]

    def test_a_hint_has_at_most_two_hundred_words(self):
        at = "input.ext.domainHint"
        for hint in ("", "a shop", "word " * 200, "  word\n" * 200):
            assert broken(self.MODEL, {at: hint}) == [], hint[:20]
        for hint in ("word " * 201, "  word\n" * 201):
            assert broken(self.MODEL, {at: hint}) == [at], hint[:20]

    def test_at_most_fifty_texts_are_left_out(self):
        at = "input.ext.sensitives"
        assert broken(self.MODEL, {at: ["灯"] * 50}) == []
        assert broken(self.MODEL, {at: ["灯"] * 51}) == [at]

    def test_a_term_has_a_source_and_a_target(self):
        at = "input.ext.terminologies"
        assert broken(self.MODEL, {at: [{"src": "壶", "tgt": "pot"}]}) == []
        assert broken(self.MODEL, {at: [{"src": "壶"}]}) == [f"{at}.0.tgt"]
        assert broken(self.MODEL, {"input.ext.config.imageSegment": True}) == []
