"""What a pipeline may not say as its writer means it: a warning at its place, and no more."""

import pytest

from tests.pipelines import jobs_of, one_step, plan_of

INPUT = "    input: {prompt: a fox}\n"


def warned(folder, text, **kwargs):
    plan = plan_of(folder, text, **kwargs)
    plan.check()
    return [(problem.line, problem.column, problem.where) for problem in plan.warnings]


@pytest.mark.parametrize(
    ("line", "column"),
    [
        pytest.param("prompt: brand colour #ff6600, flat style", 28, id="a colour"),
        pytest.param("prompt: fox # two", 19, id="one blank before, one behind"),
        pytest.param("prompt: fox   #two", 21, id="no blank behind"),
        pytest.param("prompt: fox\t#two", 19, id="a tab"),
        pytest.param("prompt: 一只猫 #可爱", 19, id="Chinese"),
        pytest.param("{prompt: fox #two\n      }", 20, id="in braces"),
    ],
)
def test_a_text_that_a_comment_cuts_is_warned_of_at_the_sign(tmp_path, line, column):
    text = one_step(f"    input:\n      {line}\n")
    assert warned(tmp_path, text) == [(7, column, "steps.s.input.prompt")]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("prompt: fox  # a comment", id="two blanks before"),
        pytest.param("prompt: fox\t# a comment", id="a tab before"),
        pytest.param('prompt: "fox" #comment', id="double quotes"),
        pytest.param("prompt: 'fox #1' # comment", id="single quotes"),
        pytest.param("prompt: |  #comment\n        fox #1", id="a block"),
        pytest.param("prompt: fox#1", id="no blank"),
        pytest.param("prompt: fox\n      # a line of its own", id="a line of its own"),
        pytest.param("prompt: fox\n    parameters:\n      n: 2 #two", id="a number"),
        pytest.param("prompt: fox\n    parameters:\n      style: <anime> # x", id="one of a list"),
        pytest.param("prompt: fox\n    repeat: 2 #two", id="no text that is sent"),
    ],
)
def test_what_is_meant_as_a_comment_is_not(tmp_path, line):
    assert warned(tmp_path, one_step(f"    input:\n      {line}\n")) == []


def test_texts_are_looked_at_wherever_requests_are_made_of_them(tmp_path):
    text = one_step(
        "    matrix:\n      a: [x]\n      include:\n        - {a: y, b: z #1\n          }\n"
        "      r: {file: rows.yml}\n"
        '    input: {prompt: "{{ a }} {{ r | default(0) }}"}\n    filename: f{{ job.index }} #x\n',
        head="params:\n  tone: soft #1\n  other: null\n",
    )
    files = {"rows.yml": "- red #1\n- blue #2\n"}
    found = warned(tmp_path, text, files=files, set_params={"other": "a #b"})
    assert found == [
        (4, 14, "params.tone"),
        (1, 3, ""),
        (12, 23, "steps.s.matrix.include[0].b"),
        (16, 32, "steps.s.filename"),
        (1, 7, "[0]"),
    ]


def test_a_hundred_cut_texts_are_enough(tmp_path):
    rows = "".join(f"        - fox {n} #x\n" for n in range(300))
    text = one_step(f'    matrix:\n      a:\n{rows}    input: {{prompt: "{{{{ a }}}}"}}\n')
    assert len(warned(tmp_path, text)) == 100


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        pytest.param("1.10", "1.1", id="a zero at the end"),
        pytest.param("007", "7", id="zeros in front"),
        pytest.param("1e3", "1000.0", id="an exponent"),
        pytest.param("0x1F", "31", id="hexadecimal"),
        pytest.param("0o17", "15", id="octal"),
        pytest.param("+5", "5", id="a sign"),
        pytest.param(".5", "0.5", id="no zero in front"),
        pytest.param("-0", "0", id="minus zero"),
        pytest.param("0.12345678901234567890", "0.12345678901234568", id="too many digits"),
    ],
)
@pytest.mark.parametrize("where", ["axis", "zip", "include", "params", "yaml", "--set"])
def test_a_number_that_is_sent_in_another_spelling_is_warned_of(tmp_path, written, sent, where):
    matrix = {
        "axis": f"    matrix: {{v: [{written}, ok]}}\n",
        "zip": f"    matrix: {{zip: [{{v: {written}}}]}}\n",
        "include": f"    matrix: {{include: [{{v: {written}}}]}}\n",
        "yaml": "    matrix: {v: {file: v.yaml}}\n",
    }
    head = {"params": f"params: {{v: {written}}}\n", "--set": "params: {v: 12.5}\n"}.get(where, "")
    name = "params.v" if head else "v"
    text = one_step(
        f'{matrix.get(where, "")}    input: {{prompt: "a {{{{ {name} }}}}"}}\n', head=head
    )
    given = {"v": written} if where == "--set" else {}
    plan = plan_of(tmp_path, text, files={"v.yaml": f"- {written}\n"}, set_params=given)
    (warning,) = plan.warnings
    assert warning.message.startswith(f"within a text {written} is sent as {sent}, ")
    assert next(plan.jobs()).request["input"]["prompt"] == f"a {sent}"


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("    matrix: {v: ['1.10', '007']}\n" + '    input: {prompt: "{{ v }}"}\n',
                     id="in quotes"),
        pytest.param("    matrix: {v: [1.5, 7, 1.0, true]}\n"
                      '    input: {prompt: "a {{ v }}"}\n', id="the same spelling"),
        pytest.param("    matrix: {v: [007, 0x10]}\n" + INPUT
                     + '    parameters: {seed: "{{ v }}"}\n', id="sent as a number"),
        pytest.param("    matrix: {r: [{a: 1.10, b: x}]}\n"
                      '    input: {prompt: "a {{ r.b }}"}\n', id="a key that no text shows"),
        pytest.param("    matrix: {v: [1.10, 2], exclude: [{v: 1.10}]}\n"
                      '    input: {prompt: "a"}\n    parameters: {n: "{{ v }}"}\n',
                     id="excluded"),
    ],
)  # fmt: skip
def test_what_keeps_its_spelling_or_has_none_is_not(tmp_path, step):
    assert warned(tmp_path, one_step(step)) == []


def test_a_file_name_shows_a_number_too(tmp_path):
    text = one_step(
        "    matrix: {seed: [007]}\n" + INPUT + '    parameters: {seed: "{{ seed }}"}\n'
        '    filename: "{{ seed }}"\n'
    )
    assert warned(tmp_path, text) == [(6, 21, "steps.s.matrix.seed[0]")]


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_json_has_spellings_too(tmp_path, kind):
    rows = ['{"p": 2.50, "q": 1.50, "t": "3.10, 1.10, x"}', '{"p": 2, "q": 1.50, "t": ""}']
    content = f"[{', '.join(rows)}]" if kind == "json" else "\n".join(rows)
    text = one_step(
        f'    matrix: {{r: {{file: rows.{kind}}}}}\n    input: {{prompt: "a {{{{ r.p }}}}"}}\n'
    )
    plan = plan_of(tmp_path, text, files={f"rows.{kind}": content})
    (warning,) = plan.warnings
    assert (warning.line, warning.column) == (1, 7 + (kind == "json"))
    assert warning.message.startswith("within a text 2.50 is sent as 2.5, since")


@pytest.mark.parametrize("kind", ["json", "jsonl", "ndjson"])
@pytest.mark.parametrize(
    "number",
    ["18446744073709551616", "-9223372036854775809", "12345678901234567890123456789"],
)
def test_integers_of_json_keep_their_digits(tmp_path, kind, number):
    row = f'{{"id": {number}, "t": "{number}"}}'
    content = f"[{row}]" if kind == "json" else row
    text = one_step(
        f"    matrix: {{r: {{file: rows.{kind}}}}}\n"
        '    input: {prompt: "{{ r.id }} {{ r.t }}"}\n'
    )
    (job,) = jobs_of(tmp_path, text, files={f"rows.{kind}": content})
    assert job.request["input"]["prompt"] == f"{number} {number}"
