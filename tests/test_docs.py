"""docs/: every link leads somewhere, and every recipe is valid, runs and costs what it says."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from dsrun.cli.main import main

ROOT = Path(__file__).resolve().parent.parent
RECIPES = (ROOT / "docs/guides/recipes.md").read_text(encoding="utf-8")


class Recipe(NamedTuple):
    """A recipe: its files by name, what it says that it costs, and the files that it promises."""

    files: dict[str, str]
    jobs: int
    units: int
    cost: float
    makes: list[str]


def _recipe(text: str) -> Recipe:
    files, makes = {}, []
    for match in re.finditer(
        r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
    ):
        name, language, body = match.groups()
        if language == "text":
            makes = body.splitlines()
        else:
            files[name or "pipeline.yaml"] = body
    found = re.search(
        r"^(\d+) jobs?, (\d+) (?:image|voice|character)s?, CNY ([\d.]+)[.:]$", text, re.MULTILINE
    )
    assert found is not None, "a recipe says what it costs"
    return Recipe(files, int(found[1]), int(found[2]), float(found[3]), makes)


SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n)+)", RECIPES, re.MULTILINE))
COOKED = {title: _recipe(text) for title, text in SECTIONS.items()}
PROMISING = [title for title, recipe in COOKED.items() if recipe.makes]


@pytest.fixture
def kitchen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(title):
        for name, text in COOKED[title].files.items():
            path = Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return COOKED[title]

    return write


def test_no_yaml_stands_outside_of_a_recipe():
    assert RECIPES.count("```yaml\n") == len(COOKED) >= 10
    assert all("pipeline.yaml" in recipe.files for recipe in COOKED.values())


@pytest.mark.parametrize("title", COOKED)
def test_a_recipe_is_valid_without_a_warning(title, kitchen, capsys):
    recipe = kitchen(title)
    assert main(["validate", "pipeline.yaml"]) == 0
    count = f"{recipe.jobs} job{'s' * (recipe.jobs != 1)}"
    assert capsys.readouterr().err == f"pipeline.yaml: valid, {count}\n"


@pytest.mark.parametrize("title", COOKED)
def test_a_recipe_costs_what_it_says(title, kitchen, capsys):
    recipe = kitchen(title)
    assert main(["plan", "pipeline.yaml", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    units = sum(step["units"] for step in plan["steps"].values())
    assert (plan["to_send"], units) == (recipe.jobs, recipe.units)
    assert plan["cost"]["amount"] == pytest.approx(recipe.cost)


@pytest.mark.parametrize("title", PROMISING)
def test_a_recipe_makes_the_files_that_it_promises(title, kitchen):
    recipe = kitchen(title)
    assert main(["run", "pipeline.yaml", "--emulate", "--quiet"]) == 0
    (run,) = Path("outputs").glob("*/emulated-*")
    made = [path.relative_to(run).as_posix() for path in run.glob("artifacts/**/*.*")]
    assert sorted(made) == recipe.makes


def test_some_recipes_promise_files():
    assert len(PROMISING) >= 3
