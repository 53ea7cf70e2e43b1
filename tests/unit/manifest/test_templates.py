"""Templates: what they give, with which type, and that they end and reach nothing outside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.common.user_files import Inputs
from dsrun.manifest.matrix import same
from dsrun.manifest.template_errors import TemplateProblem
from dsrun.manifest.templates import Templates, digest_filter, slug

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="session")
def templates(tmp_path_factory):
    return Templates(Inputs(tmp_path_factory.mktemp("empty")))


@given(value=VALUES)
def test_a_single_expression_keeps_the_value_and_its_type(templates, value):
    result = render(templates, "{{ value }}", value=value)
    assert (type(result), same(result, value)) == (type(value), True)


@given(
    value=st.integers() | st.text(),
    before=st.text("ab \n灯", max_size=3),
    after=st.text("ab 灯", max_size=3),
)
def test_an_expression_with_anything_beside_it_is_text(templates, value, before, after):
    result = render(templates, f"{before}{{{{ value }}}}{after}", value=value)
    if before or after:
        assert result == f"{before}{value}{after}"


@given(value=st.integers(-5, 5))
def test_two_expressions_are_text(templates, value):
    assert render(templates, "{{ value }}{{ value }}", value=value) == f"{value}{value}"


@given(text=st.text(st.characters(exclude_characters="{", exclude_categories=("Cs",))))
def test_text_without_a_brace_is_itself_but_for_line_ends(templates, text):
    normal = text.replace("\r\n", "\n").replace("\r", "\n")
    assert render(templates, text) == normal.removesuffix("\n")


@pytest.mark.parametrize(
    ("source", "result"),
    [
        pytest.param("{{ 1 + 1 }}", 2, id="integer"),
        pytest.param("{{ 3 / 2 }}", 1.5, id="number"),
        pytest.param("{{ 1 < 2 }}", True, id="boolean"),
        pytest.param("{{ none }}", None, id="null"),
        pytest.param("{{ [1, 'a'] }}", [1, "a"], id="list"),
        pytest.param("{{ (1, 2) }}", [1, 2], id="a tuple is a list"),
        pytest.param("{{ {'a': 1} }}", {"a": 1}, id="mapping"),
        pytest.param("{{ range(3) | list }}", [0, 1, 2], id="a range made a list"),
        pytest.param("{{ '2' }}", "2", id="text stays text"),
        pytest.param("{{ 2 | string }}", "2", id="made text"),
        pytest.param("{{- 2 -}}", 2, id="with white space control"),
        pytest.param("{{ 2 }}\n", 2, id="with the line end of a block"),
        pytest.param(" {{ 2 }}", " 2", id="a space makes text"),
        pytest.param("{% if true %}{{ 2 }}{% endif %}", "2", id="a statement makes text"),
        pytest.param("{% set x = 2 %}{{ x }}", "2", id="an assignment makes text"),
        pytest.param("{% raw %}{{ 2 }}{% endraw %}", "{{ 2 }}", id="raw"),
        pytest.param("", "", id="empty"),
        pytest.param("{# note #}", "", id="a comment alone"),
    ],
)
def test_what_a_template_gives(templates, source, result):
    given_back = render(templates, source)
    assert (type(given_back), given_back) == (type(result), result)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param("{{ missing }}", "'missing' is undefined", id="name"),
        pytest.param("a {{ missing }}", "'missing' is undefined", id="name in a text"),
        pytest.param("{{ missing | default(missing) }}", "'missing' is undefined", id="default"),
        pytest.param("{{ missing.part }}", "'missing' is undefined", id="part of a name"),
        pytest.param("{% for x in missing %}{% endfor %}", "'missing' is undefined", id="loop"),
        pytest.param("{% if missing %}a{% endif %}", "'missing' is undefined", id="condition"),
        pytest.param("{{ 1 / 0 }}", "the expression fails: division by zero", id="division"),
        pytest.param("{{ 'a' + 1 }}", "the expression fails: can only concatenate", id="types"),
        pytest.param("{{ range(3) }}", "gives a range, which is no JSON value", id="no JSON"),
        pytest.param("{{ slug }}", "'slug' is undefined", id="a filter is no variable"),
        pytest.param("{{ {'a': missing} }}", "'missing' is undefined", id="inside a mapping"),
    ],
)
def test_what_cannot_be_rendered_is_a_problem(templates, source, words):
    with pytest.raises(TemplateProblem, match=words):
        render(templates, source)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{ ", id="open expression"),
        pytest.param("{% if %}", id="no condition"),
        pytest.param("{% for x in y %}", id="open loop"),
        pytest.param("{{ 1 + }}", id="half an expression"),
        pytest.param("{% nothing %}", id="unknown tag"),
        pytest.param("{{ x | nothing }}", id="unknown filter"),
        pytest.param("{{ x is nothing }}", id="unknown test"),
        pytest.param("{# open", id="open comment"),
        pytest.param("{{ " + "(" * 5000 + ")" * 5000 + " }}", id="nested without end"),
        pytest.param("{% include name %}", id="computed include"),
        pytest.param("{% include 'none.j2' %}", id="missing include"),
        pytest.param("{% import 'none.j2' as x %}", id="missing import"),
        pytest.param("{% extends 'none.j2' %}", id="missing parent"),
    ],
)
def test_what_cannot_be_read_is_a_problem(templates, source):
    with pytest.raises(TemplateProblem):
        templates.compile(source)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param(
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "did not end within 200000 steps",
            id="nested loops",
        ),
        pytest.param(
            "{% for a in range(400) %}{% for b in range(400) %}{{ [1, 2] | map('upper') | join }}"
            "{% for c in range(9) %}{% endfor %}{% endfor %}{% endfor %}",
            "did not end within 200000 steps",
            id="loops around filters",
        ),
        pytest.param(
            "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
            "calls itself without end",
            id="a macro of itself",
        ),
        pytest.param(
            "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}"
            "{{ f(60) }}",
            "did not end within 200000 steps",
            id="a macro that doubles",
        ),
        pytest.param("{{ 'x' * 10**9 }}", "a repetition gives more than", id="repeated text"),
        pytest.param("{{ 10**9 * [1] }}", "a repetition gives more than", id="repeated list"),
        pytest.param("{{ 10**1000 }}", "is too large", id="a large power"),
        pytest.param("{{ 'x' * -1 }}{{ 'x' * 10**9 }}", "a repetition", id="in a text"),
        pytest.param(
            "{% for a in range(1000) %}{{ 'x' * 10000 }}{% endfor %}",
            "gives more than 1000000 characters",
            id="text in a loop",
        ),
    ],
)
def test_a_template_ends(templates, source, words):
    with pytest.raises(TemplateProblem, match=words):
        render(templates, source)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{ range(10**7) | list }}", id="a long range"),
        pytest.param("{{ range(10**7) | sum }}", id="a long sum"),
        pytest.param("{{ 'x' | center(10**7) }}", id="a wide centre"),
        pytest.param("{{ '%9999999d' | format(1) }}", id="a wide format"),
        pytest.param("{{ '{:9999999}'.format(1) }}", id="a wide format method"),
        pytest.param("{{ 'x'.ljust(10**7) }}", id="a wide line"),
        pytest.param("{{ 'x'.zfill(10**7) }}", id="a wide number"),
        pytest.param("{{ '\\t'.expandtabs(10**7) }}", id="a wide tab"),
        pytest.param("{{ ('x' * 3000).replace('x', 'y' * 3000) }}", id="a replacement"),
        pytest.param("{{ ('x' * 3000) | replace('x', 'y' * 3000) }}", id="a replacing filter"),
        pytest.param("{{ (['x'] * 3000) | join('y' * 3000) }}", id="a join"),
        pytest.param("{{ 'x' | indent(10**7, true) }}", id="an indent"),
        pytest.param("{{ [1] | batch(10**7, 0) | list }}", id="a padded batch"),
        pytest.param("{% set x = 'a' * 999999 %}{{ x ~ x ~ x }}", id="a joined text"),
        pytest.param(
            "{% set n = namespace(x='x') %}"
            "{% for i in range(24) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x | length }}",
            id="a text that doubles itself",
        ),
        pytest.param(
            "{% set n = namespace(x=[1]) %}"
            "{% for i in range(22) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x | length }}",
            id="a list that doubles itself",
        ),
        pytest.param(
            "{% set n = namespace(x=10**60) %}"
            "{% for i in range(15) %}{% set n.x = n.x * n.x %}{% endfor %}{{ n.x > 0 }}",
            id="a number that squares itself",
        ),
    ],
)
def test_a_template_makes_no_more_than_a_million_characters_or_items(templates, source):
    with pytest.raises(TemplateProblem):
        render(templates, source)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{ ''.__class__ }}", id="class"),
        pytest.param("{{ ''['__class__'] }}", id="class by item"),
        pytest.param("{{ '' | attr('__class__') }}", id="class by filter"),
        pytest.param("{{ range.__globals__ }}", id="globals"),
        pytest.param("{{ '{0.__class__}'.format(1) }}", id="class by format"),
        pytest.param("{{ ['a'] | map(attribute='__class__') | list }}", id="class by map"),
        pytest.param("{{ list.append(1) }}", id="a list changed"),
        pytest.param("{{ mapping.update({'a': 1}) }}", id="a mapping changed"),
        pytest.param("{{ mapping.clear() }}", id="a mapping cleared"),
        pytest.param("{{ lipsum() }}", id="random text"),
        pytest.param("{{ cycler(1) }}", id="a global left out"),
        pytest.param("{{ [1] | random }}", id="random choice"),
        pytest.param("{{ self.__init__ }}", id="the template itself"),
    ],
)
def test_the_sandbox_lets_nothing_out_and_nothing_change(templates, source):
    with pytest.raises(TemplateProblem):
        render(templates, source, list=[1], mapping={"b": 2})


def test_a_rendering_does_not_depend_on_the_one_before(templates):
    template = templates.compile(
        "{% set n = namespace(x=0) %}{% set n.x = n.x + 1 %}{{ n.x }}{{ v }}"
    )
    variables = templates.variables({"v": "a"})
    assert [template.render(variables) for _ in range(3)] == ["1a", "1a", "1a"]


def test_each_rendering_has_its_own_steps(templates):
    template = templates.compile("{% for a in range(90000) %}{% endfor %}x")
    assert [template.render(templates.variables({})) for _ in range(4)] == ["x"] * 4


@pytest.mark.parametrize(
    ("source", "line", "marked"),
    [
        pytest.param("one\ntwo\n{{ missing }}\nfour", 3, "missing", id="name"),
        pytest.param("{{ v }} {{ missing }} {{ v }}", 1, "missing", id="name among others"),
        pytest.param("{{ missing }}", 1, "missing", id="name alone"),
        pytest.param("{{ {'a': missing} }}", 1, "missing", id="name inside a mapping"),
        pytest.param("a {{ row.nmae }}", 1, "nmae", id="part of a mapping"),
        pytest.param("{{ row.nmae }}", 1, "nmae", id="part of a mapping, alone"),
        pytest.param("{{ v.__class__ }}", 1, "__class__", id="unsafe"),
        pytest.param("a\n {{- 1 / 0 -}}\n", 2, "1 / 0", id="failing expression"),
        pytest.param(
            "{% if v -%}\n  {%- set x = 1 / 0 %}{% endif %}", 2, "set x = 1 / 0", id="tag"
        ),
        pytest.param("{% raw %}{{ missing }}{% endraw %}{{ missing }}", 1, "missing", id="raw"),
        pytest.param("a {# missing #}\n{{ missing }}", 2, "missing", id="comment"),
        pytest.param("\n{{ v | upcase }}", 2, "upcase", id="filter"),
        pytest.param("{{ 1 + }}", 1, "}}", id="half an expression"),
        pytest.param("a\n{{ v ? }}", 2, "?", id="no sign of Jinja"),
        pytest.param("{{ v ) }}", 1, ")", id="bracket"),
        pytest.param("a {% if v %} b {% if v %} c {% endif %}", 1, "{% if", id="open block"),
        pytest.param("{% for x in v %}{% endif %}", 1, "endif", id="another block's end"),
        pytest.param("a {% include name %}", 1, "include name", id="computed include"),
        pytest.param("a {% include 'none.j2' %}", 1, "none.j2", id="missing include"),
        pytest.param("灯 {% include '../none.j2' %}", 1, "../none.j2", id="include outside"),
    ],
)
def test_a_problem_knows_its_place(templates, source, line, marked):
    with pytest.raises(TemplateProblem) as caught:
        render(templates, source, v="a", row={"name": "b"})
    problem = caught.value
    assert source[problem.offset : problem.offset + problem.width] == marked
    assert problem.line == line
    assert source.split("\n")[line - 1][problem.column - 1 :].startswith(marked)


def test_a_problem_knows_its_place_behind_a_line_end_of_windows(templates):
    with pytest.raises(TemplateProblem) as caught:
        render(templates, "one\r\ntwo {{ missing }}")
    assert (caught.value.line, caught.value.column) == (2, 8)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param(
            "{{ v | uper }}", "there is no filter named uper (did you mean upper?)", id="filter"
        ),
        pytest.param(
            "{{ v is strin }}", "there is no test named strin (did you mean string?)", id="test"
        ),
        pytest.param("{% inclde v %}", "there is no tag inclde (did you mean include?)", id="tag"),
        pytest.param("{% if v %}", "this {% if %} is never closed; add {% endif %}", id="open"),
        pytest.param(
            "{% for x in v %}{% endif %}",
            "found {% endif %} where the last open tag is {% for %}",
            id="crossed",
        ),
        pytest.param("{{ 1 + }}", "unexpected }}", id="half"),
        pytest.param("{{ v ? }}", "unexpected '?'", id="sign"),
    ],
)
def test_jinja_s_own_words_are_put_as_a_person_writes_them(templates, source, words):
    with pytest.raises(TemplateProblem) as caught:
        templates.compile(source)
    assert str(caught.value) == f"the template cannot be read: {words}"


@pytest.mark.parametrize(
    ("source", "uses", "run_values"),
    [
        pytest.param("{{ a }} {{ b.c }}", {"a", "b"}, set(), id="names"),
        pytest.param("{% set a = 1 %}{{ a }}", set(), set(), id="its own names"),
        pytest.param("{% for a in b %}{{ a }}{% endfor %}", {"b"}, set(), id="loop variables"),
        pytest.param("{{ run.date }}", {"run"}, {"date"}, id="a value of the run"),
        pytest.param("{{ run['id'] }} {{ run.date }}", {"run"}, {"id", "date"}, id="by item"),
        pytest.param("{{ run[x] }}", {"run", "x"}, {"*"}, id="a computed one is all"),
        pytest.param("{{ run }}", {"run"}, {"*"}, id="the mapping itself is all"),
        pytest.param("{% set r = run %}{{ r.date }}", {"run"}, {"*"}, id="another name is all"),
        pytest.param("plain", set(), set(), id="none"),
    ],
)
def test_a_template_tells_which_variables_it_reads(templates, source, uses, run_values):
    template = templates.compile(source)
    assert (template.uses, template.run_values) == (uses, run_values)


def test_an_included_file_sees_the_variables_and_counts_its_own(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.j2").write_text("a {{ x }} {% include 'b.j2' %}", encoding="utf-8")
    (tmp_path / "b.j2").write_bytes(b"\xef\xbb\xbfb\r\n{{ run.date }}\r\n")
    templates = Templates(Inputs(tmp_path))
    template = templates.compile("{% include 'sub/a.j2' %}!")
    assert (template.uses, template.run_values) == ({"x", "run"}, {"date"})
    assert template.render(templates.variables({"x": 1, "run": {"date": "D"}})) == "a 1 b\nD!"
    assert templates.files == {
        "sub/a.j2": "a {{ x }} {% include 'b.j2' %}",
        "b.j2": "b\n{{ run.date }}\n",
    }


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("../secret.j2", id="above"),
        pytest.param("sub/../../secret.j2", id="above through a folder"),
        pytest.param("link.j2", id="a link that leads out"),
        pytest.param("folder/secret.j2", id="a linked folder that leads out"),
        pytest.param("{outside}/secret.j2", id="absolute"),
    ],
)
def test_an_include_outside_the_folder_is_refused(tmp_path, name):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "sub").mkdir(parents=True)
    outside.mkdir()
    for folder in (tmp_path, outside):
        (folder / "secret.j2").write_text("secret", encoding="utf-8")
    (inside / "link.j2").symlink_to(outside / "secret.j2")
    (inside / "folder").symlink_to(outside)
    with pytest.raises(TemplateProblem, match="lies outside the folder of the manifest"):
        Templates(Inputs(inside)).compile(f"{{% include '{name.format(outside=outside)}' %}}")


def test_a_file_that_includes_itself_ends(tmp_path):
    (tmp_path / "a.j2").write_text("{% include 'b.j2' %}", encoding="utf-8")
    (tmp_path / "b.j2").write_text("{% include 'a.j2' %}", encoding="utf-8")
    templates = Templates(Inputs(tmp_path))
    with pytest.raises(TemplateProblem, match="calls itself without end"):
        render(templates, "{% include 'a.j2' %}")


@pytest.mark.parametrize(
    ("value", "word"),
    [
        pytest.param("A Paper Lantern!", "a-paper-lantern", id="letters"),
        pytest.param("  --a__b--  ", "a-b", id="no edges"),
        pytest.param("<oil painting>", "oil-painting", id="brackets"),
        pytest.param("灯笼 \uff0c 河灯", "灯笼-河灯", id="Chinese"),
        pytest.param("Cafe\u0301", "café", id="composed"),
        pytest.param("\uff21\uff11", "a1", id="full width"),
        pytest.param("../../etc/passwd", "etc-passwd", id="a path"),
        pytest.param("a\\b", "a-b", id="a backslash"),
        pytest.param("???", "", id="nothing left"),
        pytest.param(7, "7", id="a number"),
        pytest.param(None, "none", id="null"),
    ],
)
def test_a_slug_fits_into_a_file_name(value, word):
    assert slug(value) == word


@given(st.text())
def test_a_slug_is_its_own_slug_and_has_no_separator(text):
    word = slug(text)
    assert slug(word) == word
    assert not set(word) & set("/\\. \n\t\x00-") - {"-"}


def test_the_digest_filter_tells_values_apart_and_not_their_key_order(templates):
    assert render(templates, "{{ {'a': 1, 'b': 2} | digest }}") == digest_filter({"b": 2, "a": 1})
    assert len(digest_filter("a")) == 12
    assert len(digest_filter("a", 4)) == 4
    assert digest_filter("a") != digest_filter("b")


def render(templates, source, **variables):
    return templates.compile(source).render(templates.variables(variables))


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("a {{ row.copy }}", id="a method"),
        pytest.param("a {{ [1] | map('string') }}", id="a generator"),
        pytest.param("a {{ range }}", id="a function"),
    ],
)
def test_what_prints_its_place_in_memory_is_no_text(templates, source):
    with pytest.raises(TemplateProblem, match="is no text"):
        render(templates, source, row={"name": "lamp"})


def test_a_column_comes_before_a_method_of_the_same_name(templates):
    row = {"items": "two", "copy": "first"}
    assert render(templates, "{{ row.items }}, {{ row.copy }}", row=row) == "two, first"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{ ('a' * 60000) | replace('a', 'b' * 30000) }}", id="replace"),
        pytest.param("{{ range(2000) | join('x' * 999999) }}", id="join"),
        pytest.param("{{ [['x' * 900000] * 2000] | tojson }}", id="tojson"),
        pytest.param("{{ [range(100000) | list] * 900000 }}", id="nested lists"),
    ],
)
def test_what_would_be_huge_is_refused_before_it_is_made(templates, source):
    with pytest.raises(TemplateProblem, match=r"characters or items|more than 1000000"):
        render(templates, source)


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        pytest.param("a sign {{your name here}}", True, id="words"),
        pytest.param("a sign {{ your name }}", True, id="words and blanks"),
        pytest.param('{"a": {{"b": 1}}}', True, id="JSON"),
        pytest.param("x{{a}^2}", True, id="TeX"),
        pytest.param("{{}}", True, id="nothing"),
        pytest.param("100 {% off", True, id="a percent sign"),
        pytest.param("a {# tag", True, id="a number sign"),
        pytest.param("{{ a | }}", False, id="half an expression"),
        pytest.param("{{ a | uper }}", False, id="a filter"),
        pytest.param("{% inclde 'x' %}", False, id="a tag misspelt"),
        pytest.param("{% if a %} b", False, id="a block without end"),
        pytest.param("{% endif %}", False, id="an end without block"),
    ],
)
def test_braces_that_look_literal_get_the_way_to_write_them(source, hint, tmp_path):
    with pytest.raises(TemplateProblem) as caught:
        Templates(Inputs(tmp_path)).compile(source)
    assert ("between {% raw %} and {% endraw %}" in str(caught.value)) == hint


def test_that_way_gives_the_braces(tmp_path):
    source = "{% raw %}a sign {{your name here}}{% endraw %}"
    assert Templates(Inputs(tmp_path)).compile(source).render({}) == "a sign {{your name here}}"
