"""The example that `dsrun operations NAME` gives can be sent."""

import pytest
import yaml

from dsrun.cli.operations import example_manifest
from dsrun.service.catalog import load_catalog
from tests.pipelines import plan_of

CATALOG = load_catalog()


@pytest.mark.parametrize("name", CATALOG.names)
def test_the_example_of_every_operation_is_a_valid_pipeline(tmp_path, name):
    text = example_manifest(CATALOG[name])
    assert plan_of(tmp_path, text).check() == 1
    assert yaml.safe_load(text)["steps"]["one"]["operation"] == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("qwen-voice-clone", "data: https://example.com/recording.wav"),
        ("qwen3-tts-flash", "voice: Cherry"),
        ("qwen-mt-image", "image_url: https://example.com/picture.png"),
    ],
)
def test_an_example_names_what_the_field_takes(name, words):
    assert words in example_manifest(CATALOG[name])
