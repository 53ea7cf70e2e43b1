"""How values are written inside a text, by whatever road they come there."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.common.user_files import Inputs
from dsrun.manifest.spelling import spelled
from dsrun.manifest.template_errors import TemplateProblem
from dsrun.manifest.templates import Templates

VALUES = {
    "row": {"prompt": "a cat", "count": 2},
    "words": ["red", "blue"],
    "nothing": None,
    "yes": True,
    "tiny": 1e-05,
    "huge": 1e16,
    "half": 0.5,
    "endless": math.inf,
    "text": "a cat",
}


@pytest.fixture(scope="module")
def render(tmp_path_factory):
    templates = Templates(Inputs(tmp_path_factory.mktemp("empty")))
    return lambda source: templates.compile(source).render(templates.variables(VALUES))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        pytest.param("a {{ yes }}", "a true", id="a boolean"),
        pytest.param("a {{ text is defined }} {{ 1 > 2 }}", "a true false", id="tests"),
        pytest.param("a {{ half }} {{ 1.0 }}", "a 0.5 1.0", id="numbers as they were"),
        pytest.param("a {{ tiny }} {{ huge }}", "a 0.00001 10000000000000000", id="exponents"),
        pytest.param("{{ text ~ yes ~ tiny }}", "a cattrue0.00001", id="joined by ~"),
        pytest.param("{{ [text, yes, 1, tiny] | join(' ') }}", "a cat true 1 0.00001", id="join"),
        pytest.param("{{ yes | string }} {{ yes | upper }}", "true TRUE", id="filters"),
        pytest.param("{{ [yes] | map('string') | join }}", "true", id="map"),
        pytest.param("{{ text | replace('a', yes) }}", "true ctruet", id="what is put in"),
        pytest.param("{{ '%s %d %r %.1f' % (yes, yes, yes, half) }}", "true 1 true 0.5", id="%"),
        pytest.param("{{ '%(prompt)s' % row }}", "a cat", id="% by name"),
        pytest.param("{{ '%s' | format(yes) }}", "true", id="format filter"),
        pytest.param("{{ '{} {:d} {:>6}|'.format(yes, yes, yes) }}", "true 1   true|", id="format"),
        pytest.param("{{ '{0[prompt]} {0.count}'.format(row) }}", "a cat 2", id="format of a part"),
        pytest.param("{{ '{:>8} {:.2f}'.format(tiny, half) }}", " 0.00001 0.50", id="widths"),
        pytest.param("{{ '{prompt}'.format_map(row) }}", "a cat", id="format_map"),
        pytest.param("{% macro m(a) %}-{{ a }}{% endmacro %}{{ m(yes) }}", "-true", id="macro"),
        pytest.param("{% set x %}{{ yes }}{% endset %}{{ x }}", "true", id="set"),
        pytest.param("{% for k, v in row.items() %}{{ k }}={{ v }} {% endfor %}",
                     "prompt=a cat count=2 ", id="loop"),
        pytest.param("{{ {'a': yes} | urlencode }}", "a=true", id="urlencode"),
        pytest.param("{{ {'a': yes, 'b': none} | xmlattr }}", ' a="true"', id="xmlattr"),
        pytest.param("{{ {'灯': \"it's <b>\", 'a': yes} | tojson }}",
                     '{"a": true, "灯": "it\'s <b>"}', id="JSON as a person writes it"),
        pytest.param("a {{ nothing | default('cat', true) }}", "a cat", id="a default"),
    ],
)  # fmt: skip
def test_what_has_a_spelling_is_written_as_json_writes_it(render, source, text):
    assert render(source) == text


ROADS = [
    "a {{ @ }}", "{{ 'a' ~ @ }}", "{{ ['a', @] | join }}", "{{ [{'k': @}] | join('', 'k') }}",
    "{{ @ | string }}", "{{ @ | upper }}", "{{ @ | trim }}", "{{ @ | replace('a', 'b') }}",
    "{{ 'a' | replace('a', @) }}", "{{ 'a' | replace('a', new=@) }}", "{{ @ | e }}",
    "{{ @ | safe }}", "{{ @ | center(9) }}", "{{ @ | pprint }}", "{{ @ | indent }}",
    "{{ @ | truncate(1) }}", "{{ @ | wordwrap }}", "{{ @ | urlize }}", "{{ @ | striptags }}",
    "{{ '%s' % [@] }}", "{{ '%s %s' % ('a', @) }}", "{{ '%r' % {'k': @} }}",
    "{{ '%(k)s' % {'k': @} }}", "{{ '%s' | format(@) }}", "{{ '%(k)s' | format(k=@) }}",
    "{{ '{}'.format(@) }}", "{{ '{!r}'.format(@) }}", "{{ '{k}'.format(k=@) }}",
    "{{ '{0[0]}'.format([@]) }}", "{{ '{k:>9}'.format_map({'k': @}) }}",
    "{{ ('{}' | e).format(@) }}",
    "{{ {'k': @} | urlencode }}", "{{ [@] | map('string') | first }}",
    "{% for x in [@] %}{{ x }}{% endfor %}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(@) }}",
    "{% set x %}{{ @ }}{% endset %}{{ x }}", "{% filter upper %}{{ @ }}{% endfilter %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ @ }}{% endcall %}",
    "{{ ('a', @) }}.", "{{ {'k': @} }}.", "a {{ @ if true else '' }}",
]  # fmt: skip


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("value", ["nothing", "words", "row", "row | dictsort"])
def test_what_has_none_reaches_a_text_by_no_road(render, road, value):
    with pytest.raises(TemplateProblem, match=r"^found .* inside a text; allowed: texts, numbers"):
        render(road.replace("@", f"({value})"))


@pytest.mark.parametrize(
    "road", ["a {{ endless }}", "{{ '%.1f' % endless }}", "{{ -endless ~ 1 }}"]
)
def test_a_number_that_is_not_finite_is_no_text(render, road):
    with pytest.raises(TemplateProblem, match=r"^found -?inf inside a text"):
        render(road)


def test_a_key_of_a_mapping_is_spelled_too(render):
    assert render("{{ {true: 1, 2: 3} }}") == {"true": 1, "2": 3}
    with pytest.raises(TemplateProblem, match="found null"):
        render("{{ {none: 1} }}")


def test_the_keys_of_a_mapping_are_named_where_it_cannot_stand(render):
    with pytest.raises(TemplateProblem, match=r"found a mapping \(prompt, count\) inside a text"):
        render("a {{ row }}")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_spelled_so_that_it_reads_back_the_same(number):
    text = spelled(number)
    assert float(text) == number
    assert "e-0" not in text
    assert text == repr(number) or "e" in repr(number)
