"""Templates that are filled without Jinja: which they are, and that nobody can tell."""

import jinja2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import nodes

from dsrun.common.digest import sha256_hex
from dsrun.common.user_files import Inputs
from dsrun.manifest.splicing import spliced_text, spliced_value
from dsrun.manifest.template_errors import TemplateProblem
from dsrun.manifest.templates import Templates

WORDS = {"slug": str.lower}
KEYS = st.sampled_from(["a", "b", "tone", "items"])
SCALARS = (
    st.text(max_size=80)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.none()
    | st.sampled_from(["", "%s", "{{ a }}", "灯 Ünï", 10**99, "x" * 65])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=4,
)
EXPRESSIONS = st.sampled_from(
    ["a", "b", "a.b", "a['b']", "a.b.tone", "a.items", "b[0]", "tone | slug", "a.b | slug",
     "a|slug", "self", "range", "missing", "a | upper", "a ~ b", "1", "a.b | slug | slug"]
)  # fmt: skip
PIECES = st.sampled_from(["", " ", "%", "%s, ", "灯", "{% raw %}{{{% endraw %}", "{# a note #}"])


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    return Templates(Inputs(tmp_path_factory.mktemp("empty")))


@given(expression=EXPRESSIONS, row=st.dictionaries(KEYS, VALUES))
@example(expression="a", row={"a": True})
@example(expression="a", row={"a": "x" * 1_000_001})
@example(expression="a | slug", row={"a": "Ein Wort, " * 7})
def test_an_expression_gives_what_jinja_gives(templates, expression, row):
    plain = outcome(templates, f"{{{{ {expression} }}}}", row)
    assert plain == outcome(templates, f"{{{{ ({expression}) if true }}}}", row)


@given(parts=st.lists(st.tuples(PIECES, EXPRESSIONS), min_size=2, max_size=3), row=...)
@example(parts=[("", "a"), ("", "a")], row={"a": 1.0})
@example(parts=[("", "a"), ("", "a")], row={"a": "x" * 500_000})
@example(parts=[("", "a"), ("%", "a")], row={"a": "x" * 500_000})
@example(parts=[(" ", "a"), ("%", "a.b")], row={"a": {"b": 1e-5}})
def test_a_text_gives_what_jinja_gives(templates, parts, row: dict[str, str | int | float | None]):
    plain = "".join(f"{piece}{{{{ {one} }}}}" for piece, one in parts)
    by_jinja = "".join(f"{piece}{{{{ ({one}) if true }}}}" for piece, one in parts)
    assert outcome(templates, plain, row) == outcome(templates, by_jinja, row)


def test_a_number_of_too_many_digits_for_a_text_is_told_as_jinja_tells_it(templates):
    row = {"a": 10**5000}
    plain = outcome(templates, "No. {{ a }}", row)
    assert plain == outcome(templates, "No. {{ a if true }}", row)
    assert "4300 digits" in plain


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("{{ a }}", "Lamp"),
        ("{{ row.n }}", 7),
        ("{{ row['n'] }}", 7),
        ("{{ a | slug }}", "lamp"),
    ],
)
def test_a_name_needs_no_rendering(source, result):
    expression = parsed(source).body[0].nodes[0]
    splice = spliced_value(expression, unwanted, filters=WORDS)
    assert splice({"a": "Lamp", "row": {"n": 7}}) == result


def test_a_text_of_names_needs_no_rendering():
    splice = spliced_text(parsed("{{ a }}, 5% of {{ row.n }}"), unwanted, filters=WORDS)
    assert splice({"a": "Lamp", "row": {"n": 7}}) == "Lamp, 5% of 7"


@pytest.mark.parametrize(
    "source",
    ["words", "{% if a %}{{ a }}{% endif %}", "{{ a }}{% set a = 1 %}", "{{ a ~ a }} {{ a }}",
     "{{ a | slug(1) }} ", "{{ a | slug(*b) }} ", "{{ a | upper }} ", "{{ a() }} "],
)  # fmt: skip
def test_all_else_is_left_to_jinja(source):
    assert spliced_text(parsed(source), unwanted, filters=WORDS) is unwanted


def parsed(source) -> nodes.Template:
    return jinja2.Environment(autoescape=False).parse(source)


def unwanted(variables):
    raise AssertionError(f"Jinja was asked about {variables}")


def outcome(templates, source, row):
    """The value with its type, or the words of the problem."""
    try:
        value = templates.compile(source).render(templates.variables(row))
    except TemplateProblem as problem:
        return str(problem)
    return type(value), sha256_hex(repr(value).encode())
