# ruff: noqa: E501  # an attack a line, as it would be written
"""No template takes long or much memory, whatever it computes: what it does is charged first."""

import subprocess
import sys

import pytest

from dsrun.common.user_files import Inputs
from dsrun.manifest.charges import MAX_TEXT
from dsrun.manifest.template_errors import TemplateProblem
from dsrun.manifest.templates import Templates

DOUBLED = "{% set n = namespace(x=['ab']) %}{% for i in range(200) %}{% set n.x = [n.x, n.x] %}"
GROWN = DOUBLED.replace("200", "15")
MANY = "{% for i in range(9000) %}"
# Each makes much of little. The first word of a pair is what it does.
ATTACKS = {
    "a list doubled, then joined by ~": DOUBLED + "{% endfor %}{{ n.x ~ '' }}",
    "a list doubled, then printed": DOUBLED + "{% endfor %}a {{ n.x }}",
    "a list doubled, then given": "{{ [[[[['a' * 900000] * 99] * 99] * 99] * 99] * 99 }}",
    "a doubled list printed often": GROWN + "{% endfor %}" + MANY + "{{ n.x | string }}{% endfor %}",
    "doubled lists compared": GROWN + "{% endfor %}" + MANY + "{{ n.x == n.x[:] }}{% endfor %}",
    "doubled lists compared by a test": GROWN + "{% endfor %}" + MANY + "{{ n.x is eq(n.x[:]) }}{% endfor %}",
    "a mapping doubled": DOUBLED.replace("[n.x, n.x]", "{'a': n.x, 'b': n.x}") + "{% endfor %}",
    "a tuple doubled": DOUBLED.replace("[n.x, n.x]", "(n.x, n.x)") + "{% endfor %}",
    "dict() doubled": DOUBLED.replace("[n.x, n.x]", "dict(a=n.x, b=n.x)") + "{% endfor %}",
    "namespaces doubled": DOUBLED.replace("[n.x, n.x]", "namespace(a=n.x, b=n.x)") + "{% endfor %}{{ n.x | string }}",
    "a namespace in itself": "{% set n = namespace(x=1) %}{% set n.x = n %}{{ n | string }}",
    "a tuple as a key": DOUBLED.replace("[n.x, n.x]", "(n.x, n.x)").replace("200", "14") + "{% endfor %}" + MANY + "{{ {}[n.x] is defined }}{% endfor %}",
    "in a list": "{% set l = range(90000) | list %}" + MANY + "{{ 'a' in l }}{% endfor %}",
    "in a range": MANY + "{{ 'a' in range(99999) }}{% endfor %}",
    "pprint": "{{ range(99999) | list | pprint }}",
    "sort": MANY + "{{ range(9999) | sort | length }}{% endfor %}",
    "unique numbers with one hash": "{{ range(0, 10**23, 2**61 - 1) | unique | list | length }}",
    "unique products with one hash": "{% set n = namespace(x=[]) %}{% for i in range(5000) %}{% set n.x = n.x + [i * (2**61 - 1)] %}{% endfor %}{{ n.x | unique | list }}",
    "sum of lists": "{{ ([[1] * 1000] * 900) | sum(start=[]) | length }}",
    "batch": "{{ [1] | batch(10**9, 'x') | list }}",
    "slice": "{{ [1] | slice(10**9, 'x') | list }}",
    "lazy filters": MANY + "{{ range(99999) | select('none') | first is defined }}{% endfor %}",
    "a long path of attributes": "{{ [{}] * 9000 | map(attribute='x.' * 9999 ~ 'x') | list }}",
    "a recursive loop": "{% for x in range(99) recursive %}{% if loop.depth < 9 %}{{ loop(range(99)) }}{% endif %}{% endfor %}",
    "loop.changed": MANY + "{{ loop.changed(range(9999) | list) }}{% endfor %}",
    "loop.cycle": MANY + "{{ loop.cycle(*range(9999)) }}{% endfor %}",
    "a macro with a long body": "{% macro m() %}" + "{% set x = 1 %}" * 3000 + "{% endmacro %}" + MANY + "{{ m() }}{% endfor %}",
    "a block with a long body": MANY + "{{ self.b() }}{% endfor %}{% block b %}" + "{% set x = 1 %}" * 3000 + "{% endblock %}",
    "a loop with a long body": MANY + "{% set x = 1 %}" * 3000 + "{% endfor %}",
    "callers of callers": "{% macro m() %}{% for i in range(99) %}{{ caller() }}{% endfor %}{% endmacro %}" + "{% call m() %}" * 5 + "x" + "{% endcall %}" * 5,
    "%d": "{{ '%1000000000d' % 1 }}",
    "%.f": "{{ '%.999999999f' % 1.5 }}",
    "%*d": "{{ '%*d' % (10**9, 1) }}",
    "%(name)s": "{{ ('%(a)s' * 1000) % {'a': 'x' * 99999} }}",
    "%((name))d": "{{ '%((a))1000000000d' % {'(a)': 1} }}",
    "format filter": "{{ '%1000000000d' | format(1) }}",
    "format": "{{ '{:>1000000000}'.format(1) }}",
    "format with a computed width": "{{ '{:>{}}'.format(1, 10**9) }}",
    "format with a computed specification": "{{ '{:{}}'.format(1, '>1000000000') }}",
    "format of an item": "{{ ('{0[0]}' * 999).format(['x' * 99999]) }}",
    "format_map": "{{ '{a:>1000000000}'.format_map({'a': 1}) }}",
    "format by attr": "{{ ('{:>1000000000}' | attr('format'))(1) }}",
    "expandtabs": "{{ ('\\t' * 9999).expandtabs(9999) }}",
    "translate": "{{ ('a' * 9999).translate({97: 'x' * 9999}) }}",
    "indent": "{{ ('a\\n' * 9999) | indent('x' * 9999) }}",
    "indent by a number": "{{ 'a\\nb' | indent(10**9) }}",
    "center": "{{ 'a' | center(10**9) }}",
    "center by attr": "{{ ('x' | attr('center'))(10**9) }}",
    "replace": "{{ ('a' * 9999).replace('', 'x' * 9999) }}",
    "wordwrap": "{{ ('a' * 999999) | wordwrap(1) }}",
    "wordwrap with a long string": "{{ ('- ' * 9000) | wordwrap(1, wrapstring='x' * 99999) }}",
    "striptags": "{{ ('<!--' * 99999) | striptags }}",
    "urlize": "{{ ('www.a.b ' * 50000) | urlize }}",
    "urlize with a target": "{{ ('www.a.b ' * 900) | urlize(target='x' * 99999) }}",
    "xmlattr": "{{ {'a': '<' * 999999} | xmlattr }}",
    "urlencode": "{{ ('/' * 999999) | urlencode }}",
    "tojson": "{{ [[1]] | tojson(indent=10**9) }}",
    "escape": "{{ ('<' * 999999) | e }}",
    "slug": "{{ ('\ufdfa' * 300000) | slug }}",
    "digest": "{% set l = range(99999) | list %}" + MANY + "{{ l | digest }}{% endfor %}",
    "round": "{{ 1.5 | round(10**9, 'ceil') }}",
    "power": "{{ 10 ** 10**7 ** 2 }}",
    "power of a power": "{{ 2 ** 63 ** 64 ** 64 }}",
    "power of a number with a point": "{{ 2.0 ** 10000000 }}",
    "large products": "{% set b = (2**63) ** 64 %}{% for i in range(90000) %}{% set x = b * b % (b + 1) %}{% endfor %}",
    "large numbers printed": "{% set b = (2**63) ** 64 %}{% for i in range(90000) %}{{ b | string | length }}{% endfor %}",
    "to_bytes": "{{ (1).to_bytes(10**9, 'big') }}",
    "bytes": "{{ 'a'.encode() * 10**9 }}",
    "a text block": "{% set x %}{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}{% endset %}",
    "a filter block": "{% filter upper %}{% for i in range(99999) %}" + "a" * 5000 + "{% endfor %}{% endfilter %}",
    "many long texts": "".join(f"{{% set x{i} = '\U0001f3ee' * 900000 %}}" for i in range(99)),
    "a long list of letters": "{% set a = ('灯' * 999999) | list %}",
    "split": "{% for i in range(99) %}{% set x = ('a ' * 499999).split() %}{% endfor %}",
    "slices": "{% set l = range(99999) | list %}" + MANY + "{% set x = l[1:] %}{% endfor %}",
    "fromkeys": "{% for i in range(99) %}{% set x = {}.fromkeys(range(99999), 1) %}{% endfor %}",
    "a loop that keeps nothing": "{% for i in range(99999) if range(99999) | sum %}{% endfor %}",
    "many tags": "{{ x }}" * 30000,
    "many braces": "{{ [" + "1," * 60000 + "] }}",
    "a long sum": "{{ " + "+".join(["1"] * 20000) + " }}",
    "a long chain of filters": "{{ x" + " | string" * 200 + " }}",
    "many loops in each other": "{% for i in [1] %}" * 60 + "{% endfor %}" * 60,
    "many conditions in each other": "{% if 1 %}" * 99 + "{% endif %}" * 99,
    "a number of 5000 digits": "{{ " + "9" * 5000 + " }}",
    "a number of 5000 hex digits": "a {{ 0x" + "f" * 5000 + " }}",
    "a long template": "a" * (MAX_TEXT + 1),
    "an included file read often": MANY + "{% include 'long.j2' %}{% endfor %}",
    "an imported file printed often": "{% import 'long.j2' as m %}" + MANY + "{{ m | string }}{% endfor %}",
}  # fmt: skip
ORDINARY = {
    "a list of three hundred lines": ("{% for i in range(300) %}{{ i }}. {{ 'abc'.replace('a', 'b').upper() }} {{ '%03d' % i }} {{ '{:>5}'.format(i) }}\n{% endfor %}", 5590),
    "a list that grows by a line": ("{% set n = namespace(x=[]) %}{% for i in range(500) %}{% set n.x = n.x + [i] %}{% endfor %}{{ n.x | join(', ') }}", 2388),
    "a long text cut and wrapped": ("{{ ('lantern ' * 500) | truncate(1000) | wordwrap(72) }}", 994),
    "a table sorted and grouped": ("{% for k, g in range(200) | groupby('real') %}{{ k }}{% endfor %}{{ range(5000) | sort(reverse=true) | first }}", 494),
    "a text of a hundred thousand letters": ("{{ 'a' * 100000 }}{{ ('b' * 5000) | upper }}", 105000),
}  # fmt: skip


@pytest.fixture
def templates(tmp_path):
    (tmp_path / "long.j2").write_text("{% set x = 1 %}x" * 3000, encoding="utf-8")
    return Templates(Inputs(tmp_path))


@pytest.mark.parametrize("name", ATTACKS)
def test_what_would_take_long_or_much_memory_is_refused_with_its_place(templates, name):
    with pytest.raises(TemplateProblem) as caught:
        templates.compile(ATTACKS[name]).render(templates.variables({"x": 1}))
    assert caught.value.line >= 1


@pytest.mark.parametrize("name", ORDINARY)
def test_what_people_write_is_rendered(templates, name):
    source, length = ORDINARY[name]
    assert len(templates.compile(source).render(templates.variables({}))) == length


def test_a_template_that_took_all_it_may_is_not_rendered_for_other_rows(templates):
    template = templates.compile(
        "{% for i in range(n) %}{% for j in range(n) %}{% endfor %}{% endfor %}"
    )
    with pytest.raises(TemplateProblem, match="did not end"):
        template.render(templates.variables({"n": 9000}))
    with pytest.raises(TemplateProblem, match="did not end"):
        template.render(templates.variables({"n": 1}))


def test_a_failing_row_says_nothing_of_the_others(templates):
    template = templates.compile("{{ 1 // n }}")
    with pytest.raises(TemplateProblem):
        template.render(templates.variables({"n": 0}))
    assert template.render(templates.variables({"n": 1})) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a child's peak is its parent's too")
def test_all_of_them_one_after_the_other_stay_below_200_mb(tmp_path):
    program = """
import runpy, sys
from pathlib import Path
from dsrun.common.user_files import Inputs
from dsrun.manifest.template_errors import TemplateProblem
from dsrun.manifest.templates import Templates
attacks = runpy.run_path(sys.argv[1])["ATTACKS"]
templates = Templates(Inputs(Path(sys.argv[2])))
for source in attacks.values():
    try:
        templates.compile(source).render(templates.variables({"x": 1}))
    except TemplateProblem:
        pass
[peak] = [line for line in Path("/proc/self/status").open() if line.startswith("VmHWM")]
print(int(peak.split()[1]) * 1024 // 10**6)
"""
    (tmp_path / "long.j2").write_text("{% set x = 1 %}x" * 3000, encoding="utf-8")
    given = [sys.executable, "-c", program, __file__, str(tmp_path)]
    done = subprocess.run(given, capture_output=True, text=True, timeout=100, check=True)
    assert int(done.stdout) < 200
