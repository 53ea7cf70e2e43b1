"""The official `dashscope` package against the emulator: vectors, rankings and texts.

Each verb with what its user sees: output and usage, and a refusal.
"""

import json
from typing import Any

import pytest
from dashscope import Generation, MultiModalEmbedding, TextEmbedding, TextReRank
from dashscope.v2 import DashScopeError
from PIL import Image

from tests import official
from tests.official import FILM, KEY, PICTURE, client_of, talk

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:dashscope"),
    pytest.mark.filterwarnings("ignore:dashscope 2.0:FutureWarning"),
]

launch = official.launch
emulator = official.emulator


class TestVectors:
    @pytest.mark.parametrize(
        ("texts", "words", "count", "length"),
        [
            pytest.param("a lantern", {}, 1, 1024, id="text"),
            pytest.param(["a lantern", "a river"], {"dimension": 64}, 2, 64, id="list"),
            pytest.param(["a"] * 10, {"dimension": 2048, "text_type": "query"}, 10, 2048, id="10"),
        ],
    )
    def test_each_text_gets_a_vector(self, emulator, texts, words, count, length):
        """An answer is bare dictionaries; the package has no class for it."""
        made = TextEmbedding.call("text-embedding-v4", texts, api_key=KEY, **words)
        vectors = made.output["embeddings"]
        assert (made.status_code, made.code) == (200, "")
        assert [one["text_index"] for one in vectors] == list(range(count))
        assert {len(one["embedding"]) for one in vectors} == {length}
        assert made.usage == {"total_tokens": len("".join(texts))}

    @pytest.mark.parametrize(
        ("model", "texts", "words"),
        [
            ("text-embedding-v4", ["a"] * 11, {}),
            ("text-embedding-v4", ["a"], {"dimension": 100}),
            ("text-embedding-v3", ["a"], {"dimension": 2048}),
            ("text-embedding-v2", ["a"] * 26, {}),
            ("text-embedding-v2", ["a"], {"dimension": 1536}),
        ],
    )
    def test_what_has_no_vector_is_refused(self, emulator, model, texts, words):
        refused = TextEmbedding.call(model, texts, api_key=KEY, **words)
        assert (refused.status_code, refused.code) == (400, "InvalidParameter")
        assert emulator.creates == {}

    @pytest.mark.parametrize(
        ("form", "names"),
        [
            ("dense", {"embedding"}),
            ("sparse", {"sparse_embedding"}),
            ("dense&sparse", {"embedding", "sparse_embedding"}),
        ],
    )
    def test_a_vector_may_tell_which_words_count(self, emulator, form, names):
        made = TextEmbedding.call("text-embedding-v4", "a lantern", api_key=KEY, output_type=form)
        (vector,) = made.output["embeddings"]
        assert vector.keys() == {"text_index"} | names
        tokens = [word["token"] for word in vector.get("sparse_embedding", ())]
        assert tokens == (["a", "lantern"] if "sparse" in form else [])

    def test_texts_pictures_and_films_get_vectors_of_their_kind(self, emulator, tmp_path):
        picture = tmp_path / "a.png"
        Image.new("RGB", (600, 600)).save(picture)
        contents = [{"text": "a lantern"}, {"image": str(picture)}, {"video": FILM}]
        made = MultiModalEmbedding.call("qwen3-vl-embedding", contents, KEY, dimension=256)
        vectors = made.output["embeddings"]
        assert [(one["index"], one["type"]) for one in vectors] == [
            (0, "text"), (1, "image"), (2, "video"),
        ]  # fmt: skip
        assert {len(one["embedding"]) for one in vectors} == {256}
        assert made.usage["input_tokens_details"]["text_tokens"] == len("a lantern")
        assert '"oss://' in next(iter(emulator.creates))

    def test_contents_that_are_fused_get_one_vector(self, emulator):
        contents = [{"text": "a lantern"}, {"image": PICTURE}]
        made = MultiModalEmbedding.call("qwen3-vl-embedding", contents, KEY, enable_fusion=True)
        assert len(made.output["embeddings"]) == 1

    @pytest.mark.parametrize(
        ("contents", "words"),
        [
            pytest.param([{"text": "a"}] * 21, {}, id="21"),
            pytest.param([{"text": "a"}], {"dimension": 3}, id="dimension"),
            pytest.param([{"text": "a"}], {"fps": 2.0}, id="fps"),
            # The item classes of the package demand a `factor`, which the API reference lacks.
            pytest.param([{"text": "a", "factor": 1}], {}, id="factor"),
        ],
    )
    def test_contents_beyond_a_limit_are_refused(self, emulator, contents, words):
        refused = MultiModalEmbedding.call("qwen3-vl-embedding", contents, KEY, **words)
        assert (refused.status_code, refused.code) == (400, "InvalidParameter")
        assert emulator.creates == {}


def _rank(documents: list[Any], model: str = "gte-rerank-v2", **words: Any) -> Any:
    query = {"text": "what floats?"} if model == "qwen3-vl-rerank" else "what floats?"
    return TextReRank.call(model, query, documents, api_key=KEY, **words)


class TestRankings:
    def test_all_documents_are_ranked_by_their_scores(self, emulator):
        ranked = _rank(["a lantern", "a stone", "a river"])
        scores = [one.relevance_score for one in ranked.output.results]
        assert sorted(one.index for one in ranked.output.results) == [0, 1, 2]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
        assert not any("document" in one and one["document"] for one in ranked.output.results)
        assert ranked.usage.total_tokens > 0

    @pytest.mark.parametrize(
        ("model", "documents"),
        [
            ("gte-rerank-v2", ["a lantern", "a stone", "a river"]),
            ("qwen3-vl-rerank", [{"text": "a lantern"}, {"image": PICTURE}, {"video": FILM}]),
        ],
    )
    def test_the_best_come_with_their_documents_on_demand(self, emulator, model, documents):
        """The class hides them: `.document` is its own None, and `["document"]` the answer's."""
        ranked = _rank(documents, model, top_n=2, return_documents=True)
        shown = [one if isinstance(one, dict) else {"text": one} for one in documents]
        assert len(ranked.output.results) == 2
        assert all(one["document"] == shown[one.index] for one in ranked.output.results)
        assert all(one.document is None for one in ranked.output.results)

    @pytest.mark.parametrize(
        ("documents", "words"),
        [
            (["a"] * 501, {}),
            (["a"], {"top_n": 0}),
            (["a"], {"instruct": "Find"}),  # which is for the models of Qwen
            (["a"], {"model": "qwen3-rerank"}),  # which has another address and a flat body
        ],
    )
    def test_what_cannot_be_ranked_is_refused(self, emulator, documents, words):
        refused = _rank(documents, **words)
        assert (refused.status_code, refused.code) == (400, "InvalidParameter")
        assert emulator.creates == {}


def _chat(text: str, model: str = "qwen-plus", **words: Any) -> Any:
    said = [{"role": "user", "content": text}]
    return Generation.call(model, api_key=KEY, messages=said, **words)


class TestTexts:
    def test_a_chat_answers_with_a_message_and_its_tokens(self, emulator):
        answer = _chat("A lantern", result_format="message", temperature=0.5, max_tokens=50)
        usage = answer.usage
        assert (answer.status_code, answer.code) == (200, "")
        assert "A lantern" in answer.output.choices[0].message.content
        assert answer.output.choices[0].finish_reason == "stop"
        assert usage.input_tokens + usage.output_tokens == usage["total_tokens"]

    def test_an_answer_is_json_on_demand(self, emulator):
        form = {"type": "json_object"}
        answer = _chat("A lantern as JSON", result_format="message", response_format=form)
        assert isinstance(json.loads(answer.output.choices[0].message.content), dict)

    def test_a_text_is_translated(self, emulator):
        options = {"source_lang": "auto", "target_lang": "German", "domains": "Radio."}
        answer = _chat("Good evening.", "qwen-mt-plus", translation_options=options)
        assert answer.output.choices[0].message.content
        assert answer.output["model_name"] == "qwen-mt-plus"
        assert answer.usage.input_tokens > 0

    @pytest.mark.parametrize(
        ("model", "words", "place"),
        [
            ("qwen-plus", {"temperature": 2.0}, "parameters.temperature"),
            ("qwen-plus", {"response_format": {"type": "yaml"}}, "response_format.type"),
            ("qwen-plus", {"response_format": {"type": "json_object"}}, "'json'"),
            # The service would take it; the emulator asks for what dsrun always sends.
            ("qwen-plus", {"result_format": None}, "result_format"),
            ("qwen-mt-plus", {"result_format": None}, "translation_options"),
        ],
    )
    def test_a_limit_of_a_chat_is_named_in_its_refusal(self, emulator, model, words, place):
        refused = _chat("A lantern", model, **({"result_format": "message"} | words))
        assert (refused.status_code, refused.code) == (400, "InvalidParameter")
        assert place in refused.message
        assert emulator.creates == {}

    def test_a_local_picture_is_uploaded_and_described(self, emulator, tmp_path):
        picture = tmp_path / "a.png"
        Image.new("RGB", (600, 600)).save(picture)
        parts = [{"image": f"file://{picture}"}, {"text": "What is it?"}]
        answer = talk("qwen3-vl-plus", *parts, max_tokens=500)
        usage = answer.usage
        assert "What is it?" in answer.output.choices[0].message.content[0]["text"]
        assert usage.input_tokens + usage.output_tokens == usage["total_tokens"]
        assert usage["image_tokens"] > 0
        assert '"oss://' in next(iter(emulator.creates))

    def test_fields_are_read_in_a_picture(self, emulator):
        schema = {"result_schema": {"total": "the sum"}}
        options = {"task": "key_information_extraction", "task_config": schema}
        page = {"image": PICTURE, "min_pixels": 3072, "max_pixels": 8388608}
        answer = talk("qwen-vl-ocr", page, ocr_options=options)
        (part,) = answer.output.choices[0].message.content
        assert part["text"]
        assert part["ocr_result"]["kv_result"].keys() == {"total"}
        assert answer.usage["image_tokens"] > 0

    @pytest.mark.parametrize(
        ("model", "words", "place"),
        [
            ("qwen3-vl-plus", {"temperature": 2.0}, "parameters.temperature"),
            ("qwen-vl-ocr", {"ocr_options": {"task": "poetry"}}, "parameters.ocr_options.task"),
        ],
    )
    def test_a_limit_of_a_picture_is_named_in_its_refusal(self, emulator, model, words, place):
        refused = talk(model, {"image": PICTURE}, **words)
        assert (refused.status_code, refused.code) == (400, "InvalidParameter")
        assert place in refused.message
        assert emulator.creates == {}


class TestThe20Client:
    def test_it_makes_vectors(self, emulator):
        """It calls the `text_index` of the API `index`."""
        with client_of(emulator) as client:
            made = client.embeddings.create(
                model="text-embedding-v4", input=["a", "b"], dimension=64
            )
        assert [(one.index, len(one.embedding)) for one in made.embeddings] == [(0, 64), (1, 64)]
        assert made.usage.total_tokens == 2

    def test_it_makes_vectors_of_several_kinds(self, emulator):
        with client_of(emulator) as client:
            made = client.multimodal.embeddings.create(
                model="qwen3-vl-embedding", input=[{"text": "a"}, {"image": PICTURE}], dimension=256
            )
        assert [one.type for one in made.embeddings] == ["text", "image"]

    def test_it_ranks_and_shows_the_documents(self, emulator):
        documents = ["a lantern", "a stone"]
        with client_of(emulator) as client:
            ranked = client.rerank.create(
                model="gte-rerank-v2",
                query="what floats?",
                documents=documents,
                top_n=1,
                return_documents=True,
            )
        (best,) = ranked.results
        assert best.document.text == documents[best.index]

    def test_it_raises_what_is_refused(self, emulator):
        with client_of(emulator) as client, pytest.raises(DashScopeError) as caught:
            client.embeddings.create(model="text-embedding-v4", input=["a"] * 11)
        assert (caught.value.status_code, caught.value.code) == (400, "InvalidParameter")
