"""The `matrix` section: from YAML values to axes."""

import pytest

from dsrun.common.errors import ManifestError
from dsrun.manifest.matrix import RESERVED
from tests.pipelines import one_step, plan_of, read_manifest


@pytest.mark.parametrize(
    ("matrix", "rows"),
    [
        pytest.param("{a: [1, 2]}", [{"a": 1}, {"a": 2}], id="a list"),
        pytest.param("{a: [[1], {b: 2}]}", [{"a": [1]}, {"a": {"b": 2}}], id="any value"),
        pytest.param("{a: {range: [1, 3]}}", [{"a": 1}, {"a": 2}, {"a": 3}], id="a range"),
        pytest.param("{a: {range: [1, 6, 2]}}", [{"a": 1}, {"a": 3}, {"a": 5}], id="with a step"),
        pytest.param("{a: {range: [1, 5, 4]}}", [{"a": 1}, {"a": 5}], id="both ends included"),
        pytest.param("{a: {range: [2, 0, -1]}}", [{"a": 2}, {"a": 1}, {"a": 0}], id="downwards"),
        pytest.param("{a: {range: [7, 7]}}", [{"a": 7}], id="one number"),
        pytest.param("{a: {file: x.txt}}", [{"a": "one"}, {"a": "two"}], id="a file"),
        pytest.param(
            "{a: [1, 2], b: [x, y], zip: [a, b]}",
            [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
            id="zipped axes",
        ),
        pytest.param(
            "{zip: [a, b], a: {range: [1, 2]}, b: {file: x.txt}}",
            [{"a": 1, "b": "one"}, {"a": 2, "b": "two"}],
            id="a zipped range and file, zip written first",
        ),
        pytest.param(
            "{zip: [{a: 1, b: x}, {a: 2, b: y}]}",
            [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
            id="zipped rows",
        ),
        pytest.param(
            "{c: [0], zip: [{a: 1}, {a: 2}], d: [5, 6]}",
            [
                {"c": 0, "a": 1, "d": 5},
                {"c": 0, "a": 1, "d": 6},
                {"c": 0, "a": 2, "d": 5},
                {"c": 0, "a": 2, "d": 6},
            ],
            id="zipped rows have their place among the axes",
        ),
        pytest.param(
            "{a: [1, 2], c: [0], b: [3, 4], zip: [b, a]}",
            [{"a": 1, "b": 3, "c": 0}, {"a": 2, "b": 4, "c": 0}],
            id="zipped axes stand where the first of them stood",
        ),
        pytest.param("{include: [{a: 1}]}", [{"a": 1}], id="include alone"),
        pytest.param("{}", [{}], id="empty"),
    ],
)
def test_the_rows_of_a_section(tmp_path, matrix, rows):
    text = one_step(f"    matrix: {matrix}\n    input: {{prompt: a}}\n")
    manifest = read_manifest(tmp_path, text, files={"x.txt": "one\ntwo\n"})
    assert list(manifest.steps[0].matrix.rows()) == rows


@pytest.mark.parametrize("name", sorted(RESERVED - {"zip", "where", "exclude", "include"}))
def test_a_reserved_name_is_no_axis(tmp_path, name):
    text = one_step(f"    matrix:\n      {name}: [1]\n    input: {{prompt: a}}\n")
    with pytest.raises(ManifestError):
        read_manifest(tmp_path, text)


@pytest.mark.parametrize("name", ["matrix", "params", "run", "job", "steps", "index"])
@pytest.mark.parametrize("where", ["include: [{%s: 1}]", "zip: [{%s: 1}]"], ids=["include", "zip"])
def test_a_reserved_name_is_refused_in_every_place(tmp_path, name, where):
    text = one_step(f"    matrix: {{a: [1], {where % name}}}\n    input: {{prompt: a}}\n")
    with pytest.raises(ManifestError, match="this name is reserved"):
        read_manifest(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        pytest.param("seed", True, id="seed"),
        pytest.param("_x", True, id="underscore"),
        pytest.param("x9", True, id="digit behind"),
        pytest.param("9x", False, id="digit in front"),
        pytest.param("a-b", False, id="dash"),
        pytest.param("a b", False, id="space"),
        pytest.param("题材", False, id="Chinese"),
        pytest.param("for", True, id="a word of Python that Jinja takes"),
    ],
)
def test_an_axis_has_a_name_that_a_template_can_use(tmp_path, name, allowed):
    text = one_step(f'    matrix: {{"{name}": [x]}}\n    input: {{prompt: "a {{{{ {name} }}}}"}}\n')
    if allowed:
        assert read_manifest(tmp_path, text).steps[0].matrix.names == [name]
    else:
        with pytest.raises(ManifestError, match="no template can use this name"):
            read_manifest(tmp_path, text)


def test_a_file_that_two_axes_name_is_read_once(tmp_path):
    text = one_step("    matrix: {a: {file: x.txt}, b: {file: x.txt}}\n    input: {prompt: a}\n")
    axes = read_manifest(tmp_path, text, files={"x.txt": "one\n"}).steps[0].matrix.axes
    assert axes[0].values is axes[1].values


GLOB = "    matrix: {ref: {glob: 'refs/**/*.jpg'}}\n    input: {prompt: \"{{ ref }}\"}\n"


def test_a_glob_gives_the_names_of_files_sorted_with_forward_slashes(tmp_path):
    files = {"refs/b.jpg": "", "refs/B/c.jpg": "", "refs/a.jpg": "", "refs/a.png": "", "d.jpg": ""}
    (tmp_path / "refs" / "folder.jpg").mkdir(parents=True)
    matrix = read_manifest(tmp_path, one_step(GLOB), files=files).steps[0].matrix
    assert [row["ref"] for row in matrix.rows()] == ["refs/B/c.jpg", "refs/a.jpg", "refs/b.jpg"]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("refs/*.jpg", "matches no file below the manifest's folder"),
        ("/etc/*", "leads out of the manifest's folder; allowed: a pattern such as refs/*.jpg"),
        ("../*.yaml", "leads out of the manifest's folder"),
        ("refs/a**.jpg", "allowed: a pattern such as refs/*.jpg"),
        ("linked/*.txt", "is a link that leads out of the manifest's folder"),
    ],
)
def test_a_glob_that_gives_nothing_or_leads_out_is_an_error(tmp_path, pattern, words):
    folder, other = tmp_path / "here", tmp_path / "there"
    folder.mkdir()
    other.mkdir()
    (other / "secret.txt").touch()
    (folder / "linked").symlink_to(other)
    text = one_step(GLOB.replace("refs/**/*.jpg", pattern))
    with pytest.raises(ManifestError) as caught:
        read_manifest(folder, text)
    (problem,) = caught.value.problems
    assert (problem.line, problem.where) == (6, "steps.s.matrix.ref.glob")
    assert words in problem.message


def test_the_digest_counts_the_names_that_a_glob_finds(tmp_path):
    plan = plan_of(tmp_path, one_step(GLOB), files={"refs/a.jpg": "one"})
    assert plan_of(tmp_path, one_step(GLOB), files={"refs/a.jpg": "two"}).digest == plan.digest
    wider = one_step(GLOB.replace("refs/**/*.jpg", "refs/*.*"))
    assert plan_of(tmp_path, wider).digest == plan.digest
    assert plan_of(tmp_path, one_step(GLOB), files={"refs/b.jpg": ""}).digest != plan.digest
