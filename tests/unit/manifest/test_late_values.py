"""What a template may take of a step above, and what it may do with that before it is there."""

import pytest

from dsrun.common.late import Late, LateFilter, LateText
from dsrun.common.user_files import Inputs
from dsrun.manifest.late_values import StepAxis
from dsrun.manifest.step_rows import StepRow
from dsrun.manifest.template_errors import TemplateProblem
from dsrun.manifest.templates import Templates

HEARD = StepAxis(step="listen", axes={"clip": None}, outputs={"text": {}})
AXES = {
    "voice": StepAxis(step="cast", axes={"who": None}, outputs={"voice": {}}),
    "still": StepAxis(step="shots", axes={}, files=4),
    "pick": StepAxis(step="drafts", kind="file", axes={}, files=4),
    "group": StepAxis(step="portraits", kind="group", axes={"who": None}),
    "said": StepAxis(step="speak", axes={"heard": HEARD, "output": None}),
    "free": StepAxis(step="chosen", files=None, is_open=True),
    "some": StepAxis(step="counted", files=None),
    "typed": StepAxis(
        step="heard",
        axes={},
        outputs={
            "words": {"type": ["array"]},
            "text": {"type": ["string"]},
            "count": {"type": ["integer"]},
            "either": {"type": ["string", "array"]},
        },
    ),
}


def row(job_id, files=1, **values):
    values = {"job_id": job_id, **values}
    return StepRow(values, plain=None, parent=None, files=files, depth=0)


ROW = {
    "voice": row("v", who={"name": "Mia"}, request={"input": {"model": "m"}}),
    "still": row("s", files=4),
    "pick": row("p", files=4, artifact={"index": 2, "seed": 9}),
    "group": row("", key=3, members=[row("g1"), row("g2", files=2)]),
    "said": row("d", heard=row("h", clip="a.wav"), matrix={"output": 5, "heard": row("h")}),
    "some": row("t", files=2),
    "typed": row("y"),
    "line": {"text": "Hello"},
    "flag": True,
}


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    return Templates(Inputs(tmp_path_factory.mktemp("empty")))


def rendered(templates, source):
    values = templates.variables({**ROW, "matrix": ROW})
    return templates.compile(source, axes=AXES).render(values)


VOICE = Late(job_id="v", at="/output/voice")


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ voice.output.voice }}", VOICE),
        ("{{ voice['output']['voice'] }}", VOICE),
        ("{{ matrix.voice.output.voice }}", VOICE),
        ("{{ voice.artifact }}", Late(job_id="v", file=0)),
        ("{{ still.artifacts[3] }}", Late(job_id="s", file=3)),
        ("{{ pick.artifact }}", Late(job_id="p", file=2)),
        ("{{ said.heard.output.text }}", Late(job_id="h", at="/output/text")),
        ("{{ said.matrix.heard.artifact }}", Late(job_id="h", file=0)),
        ("{{ voice.artifacts }}", [Late(job_id="v", file=0)]),
        (
            "{{ group.artifacts }}",
            [Late(job_id="g1", file=0), Late(job_id="g2", file=0), Late(job_id="g2", file=1)],
        ),
        ("{{ some.artifacts }}", [Late(job_id="t", file=0), Late(job_id="t", file=1)]),
        ("{{ some.artifacts[1] }}", Late(job_id="t", file=1)),
        ("{{ free.artifacts[7] }}", "KeyError"),
    ],
)
def test_a_late_value_that_stands_alone_is_that_value(templates, source, value):
    if value == "KeyError":  # the model chooses how many there are, so any number may be named
        assert templates.compile(source, axes=AXES).late[0].number == 7
        return
    assert rendered(templates, source) == value


def test_filters_wait_for_the_value(templates):
    source = "{{ said.heard.output.text | trim | truncate(440, true, '') }}"
    filters = (LateFilter("trim"), LateFilter("truncate", (440, True, "")))
    assert rendered(templates, source) == Late(job_id="h", at="/output/text", filters=filters)


def test_the_arguments_of_a_filter_may_be_named(templates):
    source = "{{ said.heard.output.text | truncate(length=9, killwords=true) }}"
    assert rendered(templates, source).filters == (LateFilter("truncate", (9, True)),)


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("{{ line.text }}: {{ voice.output.voice }}!", ("Hello: ", VOICE, "!")),
        ("{% if flag %}{{ voice.output.voice }}{% endif %}", (VOICE,)),
        ("{{ voice.output.voice }}{{ voice.output.voice | upper }}",
         (VOICE, Late(job_id="v", at="/output/voice", filters=(LateFilter("upper"),)))),
        ("{% for _ in range(2) %}{{ voice.output.voice }},{% endfor %}", (VOICE, ",", VOICE, ",")),
    ],
)  # fmt: skip
def test_a_late_value_within_a_text_makes_a_text_of_parts(templates, source, parts):
    assert rendered(templates, source) == LateText(parts)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ voice.who.name }}", "Mia"),
        ("{{ voice.request.input.model | upper }}", "M"),
        ("{{ pick.artifact.index + 1 }}", 3),
        ("{{ group.members | length }}", 2),
        ("{{ said.matrix.output }}", 5),
    ],
)
def test_what_a_row_is_made_of_is_known_before(templates, source, value):
    template = templates.compile(source, axes=AXES)
    assert rendered(templates, source) == value
    assert template.late == ()


@pytest.mark.parametrize(
    "use",
    [
        "{% if voice.output.voice %}a{% endif %}",
        "{% if voice.output.voice == 'x' %}a{% endif %}",
        "{{ 'a' if voice.artifact else 'b' }}",
        "{% for x in voice.output.voice %}{{ x }}{% endfor %}",
        "{% set v = voice.output.voice %}{{ v }}",
        "{% set v %}{{ voice.output.voice }}{% endset %}{{ v | length }}",
        "{% macro m() %}{{ voice.output.voice }}{% endmacro %}{{ m() | upper }}",
        "{% filter upper %}{{ voice.output.voice }}{% endfilter %}",
        "{{ (voice.output.voice ~ '') | length }}",
        "{{ voice.output.voice ~ 'x' }}",
        "{{ voice.output.voice + 'x' }}",
        "{{ voice.output.voice | slug }}",
        "{{ voice.output.voice | digest }}",
        "{{ voice.output.voice | truncate(line.n) }}",
        "{{ [voice.output.voice] }}",
        "{{ voice.output.voice is defined }}",
        "{{ voice.output.voice | default('x') }}",
        "{{ line[voice.output.voice] }}",
        "{{ range(voice.output.voice) }}",
        "{% with v = voice.output.voice %}{{ v }}{% endwith %}",
    ],
)
def test_a_late_value_is_never_tested_counted_looped_over_or_set(templates, use):
    with pytest.raises(TemplateProblem, match="known only once cast has run"):
        templates.compile(use, axes=AXES)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("replace('a', 'b', 99999999999999999999)", "count of the filter replace: found 9999"),
        ("replace('a')", "the filter replace lacks new"),
        ("replace(1, 2)", "old of the filter replace: found 1; allowed: a text"),
        ("truncate('5')", "length of the filter truncate: found '5'; allowed: a whole number"),
        ("truncate(2)", "length of the filter truncate: found 2; allowed: at least 3"),
        ("trim(5)", "chars of the filter trim: found 5; allowed: a text"),
    ],
)
def test_what_a_filter_cannot_take_is_told_before_the_value_is_known(templates, call, words):
    with pytest.raises(TemplateProblem, match=words) as caught:
        templates.compile(f"a {{{{ voice.output.voice | {call} }}}}", axes=AXES)
    assert caught.value.offset == len("a {{ ")


@pytest.mark.parametrize(
    "source",
    [
        "{% set x = voice %}{{ x.output.voice }}",
        "{{ (voice | attr('output')).voice }}",
        "{% for m in group.members %}{{ m.artifact }}{% endfor %}",
    ],
)
def test_a_late_value_that_is_reached_another_way_is_not_there(templates, source):
    with pytest.raises(TemplateProblem, match=r"output|artifact"):
        rendered(templates, source)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ voice.output.voise }}", r"cast has no output voise \(did you mean voice\?\)"),
        ("{{ voice.output.voice[0] }}", "parts of the output voice cannot be read"),
        ("{{ voice.output.voice.upper() }}", "parts of the output voice cannot be read"),
        ("{{ voice.output }}", r"an output is named: voice\.output\.NAME; cast gives voice"),
        ("{{ still.artifact }}", r"still has 4 files; name one, still\.artifacts\[0\].*each: art"),
        ("{{ still.artifacts[4] }}", r"still\.artifacts\[4\]: allowed: 0 to 3"),
        ("{{ still.artifacts[-1] }}", "allowed: 0 to 3|known only once"),
        ("a {{ still.artifacts }}", r"a file stands alone"),
        ("{{ group.artifact }}", r"group is a group: group\.artifacts"),
        ("{{ pick.artifacts }}", r"one file of a row: pick\.artifact"),
        ("{{ free.artifacts }}", "the model chooses how many files free has"),
        ("{{ pick.artifact.sha256 }}", "sha256 of a file is not known"),
        (
            "a {{ typed.output.words }}",
            "words is of type array, and a text takes",
        ),
        ("{{ typed.output.words | trim }}", "words is of type array, and the filter trim takes"),
        ("{{ typed.output.count | upper }}", "count is of type integer, and the filter upper"),
        ("{% set voice = 1 %}{{ voice }}", "voice is an axis of this step"),
        ("{% for voice in line %}{{ voice }}{% endfor %}", "voice is an axis of this step"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(templates, source, words):
    with pytest.raises(TemplateProblem, match=words):
        templates.compile(source, axes=AXES)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ some.artifacts[2] }}", r"found artifacts\[2\] of a row with 2; allowed: up to 1"),
        ("{{ some.artifact }}", r"the row has 2 files; name one: artifacts\[0\]"),
    ],
)
def test_where_the_number_of_files_differs_by_row_each_row_is_asked(templates, source, words):
    with pytest.raises(TemplateProblem, match=words):
        rendered(templates, source)


def test_a_problem_is_told_at_its_place(templates):
    source = "one\n{% if voice.output.voice %}a{% endif %}"
    with pytest.raises(TemplateProblem) as caught:
        templates.compile(source, axes=AXES)
    assert (caught.value.line, caught.value.column) == (2, 7)


def test_a_late_value_in_an_included_file_is_refused_there(tmp_path):
    (tmp_path / "part.j2").write_text("Say\n{{ voice.output.voice }}")
    templates = Templates(Inputs(tmp_path))
    with pytest.raises(TemplateProblem, match="cannot stand in an included file") as caught:
        templates.compile("{% include 'part.j2' %}", axes=AXES)
    assert (caught.value.file, caught.value.line) == ("part.j2", 2)


def test_no_text_of_a_row_can_pass_for_a_mark(templates):
    first = templates.compile("x{{ voice.output.voice }}", axes=AXES)
    values = templates.variables({**ROW, "matrix": ROW})
    mark_like = "\x02" + "0" * 16 + ":0\x03"
    source = templates.compile("{{ line.text }}{{ voice.output.voice }}", axes=AXES)
    value = source.render({**values, "line": {"text": mark_like}})
    assert first.render(values) == LateText(("x", VOICE))
    assert value == LateText((mark_like, VOICE))


def test_without_axes_of_steps_nothing_is_late(templates):
    values = templates.variables({"voice": {"output": {"voice": "Cherry"}}})
    assert templates.compile("{{ voice.output.voice }}").render(values) == "Cherry"


@pytest.mark.parametrize(
    ("source", "types"),
    [
        ("{{ typed.output.words }}", ("array",)),
        ("{{ typed.output.either }}", ("string", "array")),
        ("{{ typed.output.text | trim }}", ("string",)),
        ("{{ voice.output.voice }}", ()),
    ],
)
def test_a_late_value_knows_its_types_which_are_no_part_of_its_identity(templates, source, types):
    value = templates.compile(source, axes=AXES).render(ROW)
    assert value.types == types
    assert "types" not in value.as_json()


@pytest.mark.parametrize("name", ["text", "count", "either"])
def test_texts_and_numbers_may_stand_in_a_text(templates, name):
    assert templates.compile(f"a {{{{ typed.output.{name} }}}}", axes=AXES).late


@pytest.mark.parametrize(
    ("source", "filters"),
    [
        ("{{ typed.output.text | from_json }}", [("from_json",)]),
        ("{{ (typed.output.text | from_json).prompt }}", [("from_json", "prompt")]),
        ("{{ (typed.output.text|from_json)['a b'][0].c }}", [("from_json", "a b", 0, "c")]),
        (
            "{{ (typed.output.text | trim | from_json).prompt | upper }}",
            [("trim",), ("from_json", "prompt"), ("upper",)],
        ),
        (
            "{{ ((typed.output.text | from_json).a | from_json).b }}",
            [("from_json", "a"), ("from_json", "b")],
        ),
        ("{{ (typed.output.text | from_json).items }}", [("from_json", "items")]),
    ],
)
def test_a_part_of_late_json_is_taken_once_it_is_there(templates, source, filters):
    late = rendered(templates, source)
    assert late.filters == tuple(LateFilter(name, tuple(args)) for name, *args in filters)
    assert late.at == "/output/text"
    text = rendered(templates, f"A lamp, {source}.")
    assert text == LateText(("A lamp, ", late, "."))


def test_a_part_of_late_json_may_be_of_any_type_and_a_filter_after_it_gives_a_text(templates):
    assert rendered(templates, "{{ (typed.output.text | from_json).n }}").given == ()
    assert rendered(templates, "{{ (typed.output.text | from_json).n | trim }}").given == (
        "string",
    )


@pytest.mark.parametrize(
    "source",
    [
        "{% if (typed.output.text | from_json).ok %}a{% endif %}",
        "{{ (typed.output.text | from_json).n + 1 }}",
        "{{ (typed.output.text | from_json).scenes | length }}",
        "{{ (typed.output.text | from_json)[line.text] }}",
        "{{ (typed.output.text | from_json)[-1] }}",
        "{{ (typed.output.text | from_json)[0:2] }}",
        "{{ (typed.output.text | from_json(3)).n }}",
        "{{ (typed.output.text | from_json).get('n') }}",
        "{% for scene in typed.output.text | from_json %}a{% endfor %}",
        "{{ (typed.output.text | trim).prompt }}",
        "{% set idea = typed.output.text | from_json %}{{ idea.prompt }}",
    ],
)
def test_nothing_is_computed_from_late_json(templates, source):
    with pytest.raises(TemplateProblem, match="known only once heard has run") as caught:
        rendered(templates, source)
    assert "`(… | from_json).KEY` is a part of it" in str(caught.value)


def test_what_is_no_text_is_no_late_json(templates):
    with pytest.raises(TemplateProblem, match="the filter from_json takes a text"):
        rendered(templates, "{{ (typed.output.count | from_json).a }}")


def test_json_that_is_known_is_read_at_once(templates):
    values = templates.variables({"line": {"facts": '{"price": 3, "names": ["a", "b"]}'}})
    compiled = templates.compile("{{ (line.facts | from_json).price }}")
    assert compiled.render(values) == 3
    assert templates.compile("{{ (line.facts | from_json).names[1] }}").render(values) == "b"
    for source, words in [
        ("{{ (line.facts | from_json).prize }}", "prize is undefined"),
        ("{{ ('no' | from_json).a }}", 'from_json takes JSON, and this is "no"'),
        ("{{ (line.text | from_json).a }}", "text is undefined"),
    ]:
        with pytest.raises(TemplateProblem, match=words):
            templates.compile(source).render(values)
