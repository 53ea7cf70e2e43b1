"""Steps that build on steps in a plan: who is whose parent, and what makes a job another."""

import orjson
import pytest

from dsrun.common.errors import ManifestError
from dsrun.common.resources import read_schema
from tests.pipelines import jobs_of, plan_of, write

HEAD = "version: 1\nname: book\nsteps:\n"
SHOTS = """\
  shots:
    operation: wanx-v1
    matrix: {beat: [a fox, an owl], n: [1, 2]}
    input: {prompt: "{{ beat }}"}
    parameters: {n: "{{ n }}"}
"""
EDIT = """\
  edit:
    operation: wan2.5-i2i-preview
    matrix: {still: {step: shots, each: artifact}}
    input: {prompt: "{{ still.beat }}", images: ["{{ still.artifact }}"]}
"""
CAST = """\
  cast:
    operation: qwen-voice-design
    matrix: {who: [{name: Mia, says: warm}, {name: Mira, says: cold}]}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: "{{ who.says }}"
      preview_text: Good evening.
      language: en
"""
LINES = """\
  lines:
    operation: wanx-v1
    matrix:
      line: [{by: Mira, text: Hello}, {by: Mia, text: Bye}, {by: Mira, text: Now}]
      voice: {step: cast}
      where: voice.who.name == line.by
    input: {prompt: "{{ line.text }} by {{ voice.output.voice }}"}
"""
AUDIOBOOK = HEAD + CAST + LINES


def by_step(folder, text):
    steps = {}
    for job in jobs_of(folder, text):
        steps.setdefault(job.step, []).append(job)
    return steps


def ids(jobs):
    return [job.job_id for job in jobs]


def problems(folder, text):
    with pytest.raises(ManifestError) as caught:
        plan_of(folder, text).check()
    return [f"{problem.where}: {problem.message}" for problem in caught.value.problems]


def test_a_step_gives_one_value_for_each_file_of_its_rows(tmp_path):
    steps = by_step(tmp_path, HEAD + SHOTS + EDIT)
    shots, edit = steps["shots"], steps["edit"]
    taken = [(job.parents[0].job_id, job.parents[0].takes) for job in edit]
    assert taken == [
        (shots[0].job_id, "file:0"),
        (shots[1].job_id, "file:0"),
        (shots[1].job_id, "file:1"),
        (shots[2].job_id, "file:0"),
        (shots[3].job_id, "file:0"),
        (shots[3].job_id, "file:1"),
    ]
    assert edit[2].request["input"]["images"] == [{"from": shots[1].job_id, "file": 1}]
    assert edit[2].matrix["still"]["artifact"]["index"] == 1
    assert [job.depth for job in (*shots, *edit)] == [0] * 4 + [1] * 6


def test_lines_find_the_voice_of_their_speaker(tmp_path):
    steps = by_step(tmp_path, AUDIOBOOK)
    mia, mira = ids(steps["cast"])
    assert [job.parents[0].job_id for job in steps["lines"]] == [mira, mia, mira]
    prompt = steps["lines"][0].request["input"]["prompt"]
    assert prompt == {"parts": ["Hello by ", {"from": mira, "at": "/output/voice"}]}


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("cast", "people"),
        ("lines", "speech"),
        ("voice", "speaker"),
        ("{{ voice.output.voice }}", "{{voice['output'].voice}}"),
        ("where: voice.who.name == line.by", "where: (line.by == voice.who.name)"),
    ],
)
def test_names_and_spelling_are_no_part_of_a_job(tmp_path, was, now):
    kept = AUDIOBOOK.replace("output.voice }}", "output.VOICE }}") if was == "voice" else AUDIOBOOK
    renamed = kept.replace(was, now).replace("output.VOICE", "output.voice")
    assert renamed != AUDIOBOOK
    renamed = renamed.replace(f"qwen-{now}-design", "qwen-voice-design")
    renamed = renamed.replace(f"{now}_prompt", "voice_prompt")
    assert ids(jobs_of(tmp_path, renamed)) == ids(jobs_of(tmp_path, AUDIOBOOK))


def test_an_edited_row_changes_its_job_and_what_builds_on_it_alone(tmp_path):
    before = by_step(tmp_path, AUDIOBOOK)
    after = by_step(tmp_path, AUDIOBOOK.replace("says: cold", "says: icy"))
    changed = {
        name: [a != b for a, b in zip(ids(before[name]), ids(after[name]), strict=True)]
        for name in before
    }
    assert changed == {"cast": [False, True], "lines": [True, False, True]}


def test_two_rows_that_make_one_job_are_two_values_and_their_equal_children_one_job(tmp_path):
    cast = CAST.replace("name: Mia, says: warm", "name: Mia, says: cold")
    steps = by_step(tmp_path, HEAD + cast + LINES.replace("text: Bye", "text: Hello"))
    assert len(set(ids(steps["cast"]))) == 1
    assert [job.parents[0].index for job in steps["lines"]] == [1, 0, 1]
    assert steps["lines"][0].job_id == steps["lines"][1].job_id != steps["lines"][2].job_id


def test_each_replica_is_a_parent_of_its_own(tmp_path):
    steps = by_step(tmp_path, HEAD + SHOTS.replace("    input", "    repeat: 2\n    input") + EDIT)
    assert len({job.parents[0].job_id for job in steps["edit"]}) == 8


def test_picks_are_no_part_of_ids_or_the_digest(tmp_path):
    picked = EDIT.replace("each: artifact", "each: artifact, only: picks.txt")
    plan, other = (plan_of(tmp_path, HEAD + SHOTS + edit) for edit in (EDIT, picked))
    assert plan.digest == other.digest
    assert ids(plan.jobs()) == ids(other.jobs())


def test_another_take_changes_the_job_and_all_below_it_and_nothing_beside(tmp_path):
    cast = CAST.replace(
        "    input:\n", "    take: \"{{ 2 if who.name == 'Mira' else 1 }}\"\n    input:\n"
    )
    before, after = by_step(tmp_path, AUDIOBOOK), by_step(tmp_path, HEAD + cast + LINES)
    assert [a == b for a, b in zip(ids(before["cast"]), ids(after["cast"]), strict=True)] == [
        True, False,
    ]  # fmt: skip
    same = zip(ids(before["lines"]), ids(after["lines"]), strict=True)
    assert [a == b for a, b in same] == [False, True, False]


def test_the_first_take_is_the_request_as_it_is(tmp_path):
    cast = CAST.replace("    input:\n", "    take: 1\n    input:\n")
    assert ids(jobs_of(tmp_path, HEAD + cast)) == ids(jobs_of(tmp_path, HEAD + CAST))


def test_a_parent_of_which_nothing_late_is_read_delays_nothing(tmp_path):
    lines = LINES.replace("{{ voice.output.voice }}", "{{ voice.who.says }}")
    alone = LINES.replace("by {{ voice.output.voice }}", "by cold").replace(
        "      voice: {step: cast}\n      where: voice.who.name == line.by\n", ""
    )
    steps = by_step(tmp_path, HEAD + CAST + lines)
    first = steps["lines"][0]
    assert (first.late, first.depth, first.parents[0].takes) == ((), 0, None)
    assert first.job_id == by_step(tmp_path, HEAD + CAST + alone)["lines"][0].job_id


def test_three_generations(tmp_path):
    third = """\
  third:
    operation: wan2.5-i2i-preview
    matrix: {pic: {step: edit}}
    input:
      prompt: "{{ pic.still.beat }}"
      images: ["{{ pic.artifact }}", "{{ pic.still.artifact }}"]
"""
    jobs = by_step(tmp_path, HEAD + SHOTS + EDIT + third)["third"]
    assert jobs[0].depth == 2
    assert [parent.axis for parent in jobs[0].parents] == ["pic", "pic.still"]
    assert jobs[0].request["input"]["prompt"] == "a fox"


def test_a_group_has_the_files_of_all_its_members(tmp_path):
    group = """\
  group:
    operation: wan2.5-i2i-preview
    matrix: {all: {step: shots, group_by: beat}, where: all.key == 'a fox'}
    input: {prompt: "{{ all.key }}", images: "{{ all.artifacts }}"}
"""
    steps = by_step(tmp_path, HEAD + SHOTS + group)
    shots = ids(steps["shots"])
    assert [job.request["input"]["images"] for job in steps["group"]] == [
        [
            {"from": shots[0], "file": 0},
            {"from": shots[1], "file": 0},
            {"from": shots[1], "file": 1},
        ]
    ]


def test_six_files_do_not_go_into_three_places(tmp_path):
    group = """\
  group:
    operation: wan2.5-i2i-preview
    matrix: {all: {step: shots, group_by: "'all'"}}
    input: {prompt: many, images: "{{ all.artifacts }}"}
"""
    told = problems(tmp_path, HEAD + SHOTS + group)
    assert any("steps.group.input.images" in words and "3" in words for words in told), told


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("voice.output.voice", "voice.output.voise", "no output voise (did you mean voice"),
        ("voice.output.voice", "voice.artifacts[1]", "artifacts[1]: allowed: 0"),
        ("{step: cast}", "{step: cats}", "did you mean cast?"),
        ("{step: cast}", "{step: lines}", "a step that stands above: cast"),
        ("voice.who.name ==", "voice.output.voice ==", "is known only once cast has run"),
        ("voice.who.name == line.by", "voice.who.nam == line.by", "nam is undefined"),
        ("voice.who.name == line.by", "voice.who.name ==", "cannot be read"),
        ("    input", '    filename: "{{ voice.output.voice }}"\n    input',
         "and the filename before"),
        ("    input", '    parameters: {n: "{{ voice.output.voice }}"}\n    input',
         "allowed: integer, known before the run"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_told_with_its_place(tmp_path, was, now, words):
    told = problems(tmp_path, HEAD + CAST + LINES.replace(was, now))
    assert any(words in each for each in told), told


def test_a_text_that_is_too_long_without_what_is_late_is_a_problem(tmp_path):
    lines = LINES.replace("by {{", "x" * 900 + " {{")
    told = problems(tmp_path, HEAD + CAST + lines)
    assert any("steps.lines.input.prompt" in each and "800" in each for each in told), told


def test_a_sample_uses_the_parent_s_row(tmp_path):
    sampled = LINES.replace("      where", "      sample: {count: 2, seed: 1}\n      where")
    first = [job.index for job in by_step(tmp_path, HEAD + CAST + sampled)["lines"]]
    other = HEAD + CAST.replace("Good evening", "Good morning") + sampled
    assert [job.matrix for job in by_step(tmp_path, HEAD + CAST + sampled)["lines"]] == [
        job.matrix for job in by_step(tmp_path, other)["lines"]
    ]
    assert len(first) == 2


SPEECH = """\
  speech:
    operation: qwen3-tts
    model: qwen3-tts-vd-2026-01-26
    matrix:
      line: [{by: Mira, text: Hello}, {by: Mia, text: Bye}]
      voice: {step: cast}
      where: voice.who.name == line.by
    input: {text: "{{ line.text }}", voice: "{{ voice.output.voice }}"}
"""


def test_a_voice_that_is_made_for_the_model_fits(tmp_path):
    assert len(by_step(tmp_path, HEAD + CAST + SPEECH)["speech"]) == 2


@pytest.mark.parametrize(
    ("model", "target"),
    [
        ("qwen3-tts-vd-2026-01-26", "qwen3-tts-vd-realtime-2026-01-15"),
        ("qwen3-tts-flash", "qwen3-tts-vd-2026-01-26"),
        ("qwen3-tts-vc-2026-01-22", "qwen3-tts-vd-2026-01-26"),
    ],
)
def test_a_voice_with_another_model_is_a_problem_before_the_first_byte(tmp_path, model, target):
    cast = CAST.replace("qwen3-tts-vd-2026-01-26", target)
    speech = SPEECH.replace("qwen3-tts-vd-2026-01-26", model)
    told = problems(tmp_path, HEAD + cast + speech)
    words = f'voice of cast belongs to input.target_model "{target}", and model is "{model}" here'
    assert any(each.startswith("steps.speech.input.voice") and words in each for each in told), told


def test_each_row_is_held_to_the_model_of_its_own_voice(tmp_path):
    cast = CAST.replace(
        "qwen3-tts-vd-2026-01-26",
        "\"{{ 'qwen3-tts-vd-2026-01-26' if who.name == 'Mia' "
        "else 'qwen3-tts-vd-realtime-2026-01-15' }}\"",
    )
    told = problems(tmp_path, HEAD + cast + SPEECH)
    assert len(told) == 1
    assert "in 1 of 2 jobs, job 0" in told[0]


def test_what_a_voice_belongs_to_must_be_known_before_the_run(tmp_path):
    again = CAST.replace("cast:", "again:").replace(
        "who: [{name: Mia, says: warm}, {name: Mira, says: cold}]", "old: {step: cast}"
    )
    again = again.replace("{{ who.says }}", "soft").replace(
        "qwen3-tts-vd-2026-01-26", "{{ old.output.target_model }}"
    )
    again = again.replace("target_model: {{", 'target_model: "{{').replace("model }}", 'model }}"')
    told = problems(tmp_path, HEAD + CAST + again)
    assert any("target_model" in each and "known before the run" in each for each in told), told


def test_a_text_that_is_late_counts_at_the_limit_of_its_field(tmp_path):
    speech = SPEECH.replace("{{ line.text }}", "{{ line.text }} {{ voice.output.voice }}")
    plan = plan_of(tmp_path, HEAD + CAST + speech)
    jobs = [job for job in plan.jobs() if job.step == "speech"]
    price = plan.catalog["qwen3-tts-vd-2026-01-26"].price
    assert [job.is_bound for job in jobs] == [True, True]
    costs = [price.of(job.units).amount for job in jobs]
    characters = [len("Hello ") + 2 * (600 - len("Hello ")), len("Bye ") + 2 * (600 - len("Bye "))]
    each = price.items[0].amount / price.items[0].per
    assert costs == [each * count for count in characters]


def test_what_truncate_leaves_is_a_limit_too(tmp_path):
    speech = SPEECH.replace(
        "{{ line.text }}", "ab {{ voice.output.voice | truncate(10, true, '', 0) | trim }}"
    )
    plan = plan_of(tmp_path, HEAD + CAST + speech)
    job = next(job for job in plan.jobs() if job.step == "speech")
    price = plan.catalog["qwen3-tts-vd-2026-01-26"].price
    assert price.of(job.units).amount == 23 * price.items[0].amount / price.items[0].per


@pytest.mark.parametrize(
    "text", ["{{ line.text }}", "{{ voice.who.says }}", "{{ voice.request.input.preview_text }}"]
)
def test_a_price_that_counts_nothing_late_is_as_sure_as_ever(tmp_path, text):
    jobs = jobs_of(tmp_path, HEAD + CAST + SPEECH.replace("{{ line.text }}", text))
    assert not any(job.is_bound for job in jobs)
    assert all(job.units for job in jobs)


def test_another_take_makes_another_digest_and_the_first_does_not(tmp_path):
    plain, first, second = (
        plan_of(tmp_path, AUDIOBOOK.replace("    input:\n", f"{take}    input:\n", 1)).digest
        for take in ("", "    take: 1\n", "    take: 2\n")
    )
    assert plain == first != second


FRAMES = """\
  film:
    operation: wan2.5-i2i-preview
    matrix:
      first: {step: shots}
      last: {step: shots}
      where: last.index == first.index + 1 and last.beat[:2] == first.beat[:2]
    input: {prompt: x, images: ["{{ first.artifact }}", "{{ last.artifact }}"]}
"""


def test_a_frame_finds_the_next_one_and_the_last_without_partner_is_no_problem(tmp_path):
    shots = SHOTS.replace("n: [1, 2]", "n: [1]")
    shots = shots.replace("a fox, an owl", "a fox, a hen, an owl, an ape")
    plan = plan_of(tmp_path, HEAD + shots + FRAMES)
    pairs = [[parent.index for parent in job.parents] for job in plan.jobs() if job.step == "film"]
    assert pairs == [[0, 1], [2, 3]]
    assert plan.check() == 6
    assert not any(word.where.startswith("steps.film") and word.rows for word in plan.warnings)


SCRIPTED = CAST + SPEECH.replace(
    "[{by: Mira, text: Hello}, {by: Mia, text: Bye}]", "{file: script.csv}"
)


def test_a_speaker_without_a_voice_is_a_problem_in_the_script_with_the_nearest_name(tmp_path):
    script = "by,text\n" + "Mia,Hello\n" * 12 + "Miro,Bye\n"
    plan = plan_of(tmp_path, HEAD + SCRIPTED, files={"script.csv": script})
    with pytest.raises(ManifestError) as caught:
        plan.check()
    told = caught.value.problems
    assert [(problem.file.rpartition("/")[2], problem.line) for problem in told] == [
        ("script.csv", 14)
    ]
    assert "(did you mean Mira?)" in told[0].message


def test_a_voice_that_nobody_speaks_with_is_a_warning(tmp_path):
    plan = plan_of(tmp_path, HEAD + SCRIPTED, files={"script.csv": "by,text\nMia,Hello\n"})
    plan.check()
    words = [(one.where, one.message) for one in plan.warnings if "join" in one.message]
    assert words == [("steps.speech.matrix.voice", "1 of 2 values join nothing, by `where`")]


BY_NUMBER = """\
  edit:
    operation: wan2.5-i2i-preview
    matrix: {row: {file: rows.csv}, still: {step: shots}, where: still.n == row.n}
    input: {prompt: "{{ row.n }}", images: ["{{ still.artifacts[0] }}"]}
"""


def test_a_text_is_no_number_and_the_problem_says_how_to_make_one_of_it(tmp_path):
    files = {"rows.csv": "n\n1\n2\n"}
    with pytest.raises(ManifestError, match=r"the text \"1\", and still has the number 1.*\| int"):
        plan_of(tmp_path, HEAD + SHOTS + BY_NUMBER, files=files).check()
    cast = BY_NUMBER.replace("== row.n", "== row.n | int")
    assert plan_of(tmp_path, HEAD + SHOTS + cast, files=files).check() == 8


def test_a_key_that_is_null_is_a_problem(tmp_path):
    listed = BY_NUMBER.replace("{file: rows.csv}", "[{n: 1}, {n: null}, {n: 2}]")
    told = problems(tmp_path, HEAD + SHOTS + listed)
    assert any("matrix.row[1]: found null" in each for each in told), told


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("    input: {text", '    take: "{{ voice.output.voice }}"\n    input: {text',
         "and the take before"),
        ("model: qwen3-tts-vd-2026-01-26\n    matrix",
         'model: "{{ voice.output.target_model }}"\n    matrix', "and the model before"),
        ("{step: cast}", "{step: cast, group_by: output.voice}",
         "output is known only once cast has run"),
    ],
)  # fmt: skip
def test_what_decides_about_jobs_cannot_be_late(tmp_path, was, now, words):
    text = HEAD + CAST + SPEECH.replace(was, now)
    assert any(words in each for each in problems(tmp_path, text))


@pytest.mark.parametrize("place", ["seed", "n"])
def test_counts_and_seeds_cannot_be_late(tmp_path, place):
    lines = LINES.replace(
        "    input", f'    parameters: {{{place}: "{{{{ voice.output.voice }}}}"}}\n    input'
    )
    told = problems(tmp_path, HEAD + CAST + lines)
    assert any(
        each.startswith(f"steps.lines.parameters.{place}: found what another step makes")
        and "known before the run" in each
        for each in told
    ), told


EXTENDED = EDIT.replace("each: artifact}", "each: artifact}, tone: [dark, light], RULES").replace(
    '"{{ still.beat }}"', '"{{ still.beat }} {{ tone }} {{ mood }}"'
)


def test_a_rule_adds_keys_to_the_rows_of_a_step_that_it_agrees_with(tmp_path):
    rules = "include: [{mood: calm}, {still: {beat: a fox, n: 2}, tone: dark, mood: wild}]"
    jobs = by_step(tmp_path, HEAD + SHOTS + EXTENDED.replace("RULES", rules))["edit"]
    wild = [job.request["input"]["prompt"] for job in jobs if "wild" in str(job.request["input"])]
    assert len(jobs) == 12
    assert wild == ["a fox dark wild"] * 2


def test_a_rule_makes_no_row_where_an_axis_runs_through_a_step(tmp_path):
    rules = "include: [{mood: calm}, {still: {beat: a cow}, tone: dark, mood: wild}]"
    told = problems(tmp_path, HEAD + SHOTS + EXTENDED.replace("RULES", rules))
    assert len(told) == 1
    assert "steps.edit.matrix.include[1]: this rule agrees with no row, and it can make" in told[0]
    assert "still runs through shots" in told[0]


def test_exclude_names_known_parts_of_a_row(tmp_path):
    rules = (
        "include: [{mood: calm}], exclude: [{still: {beat: a fox}}, "
        "{still: {artifact: {index: 1}}, tone: dark}]"
    )
    jobs = by_step(tmp_path, HEAD + SHOTS + EXTENDED.replace("RULES", rules))["edit"]
    assert [job.request["input"]["prompt"] for job in jobs] == [
        "an owl dark calm", "an owl light calm", "an owl dark calm", "an owl light calm",
        "an owl light calm",
    ]  # fmt: skip


@pytest.mark.parametrize("rule", ["{still: {artifacts: 2}}", "{still: [{output: {a: 1}}]}"])
@pytest.mark.parametrize("kind", ["exclude", "include"])
def test_a_rule_cannot_name_what_is_late(tmp_path, rule, kind):
    rules = f"{kind}: [{rule}]" + ("" if kind == "include" else ", include: [{mood: calm}]")
    told = problems(tmp_path, HEAD + SHOTS + EXTENDED.replace("RULES", rules))
    assert any(f"{kind}[0].still: still." in each and "once shots has run" in each for each in told)


def test_the_limit_on_rows_counts_what_where_leaves(tmp_path):
    wide = """\
  wide:
    operation: wanx-v1
    matrix: {a: {range: [1, 4000]}, b: {range: [3999, 8000]}, WHERE}
    input: {prompt: "{{ a }} of {{ b }}"}
"""
    told = problems(tmp_path, HEAD + wide.replace(", WHERE", ""))
    assert len(told) == 1
    assert "the axes give 16,008,000 jobs; allowed: at most 10,000,000 jobs a step" in told[0]
    joined = wide.replace("WHERE", "where: a == b")
    told = problems(tmp_path, HEAD + joined)  # 7,998 values have no partner, and 2 rows are made
    assert not any("10,000,000" in each for each in told)
    assert len([*jobs_of(tmp_path, HEAD + joined)]) == 2


def own_cast(folder, type_):
    """A voice design of the user's own, whose voice is of some type."""
    schema = orjson.loads(read_schema("operations/qwen-voice-design.json"))
    schema["x-dsrun"]["outputs"]["voice"] = {"at": "/output/voice", "schema": {"type": type_}}
    schema["x-dsrun"].pop("sample")
    text = orjson.dumps(schema).decode().replace("operation:qwen-voice-design", "operation:mine")
    write(folder, {"operations/mine.json": text})
    return CAST.replace("qwen-voice-design", "mine")


@pytest.mark.parametrize("type_", ["string", ["string", "array"]])
def test_a_value_of_the_right_type_may_stand_alone(tmp_path, type_):
    cast = own_cast(tmp_path, type_)
    assert len(jobs_of(tmp_path, HEAD + cast + SPEECH)) == 4


@pytest.mark.parametrize("type_", ["array", "integer", ["array", "object"]])
def test_a_value_of_another_type_is_a_problem_at_its_place(tmp_path, type_):
    told = problems(tmp_path, HEAD + own_cast(tmp_path, type_) + SPEECH)
    words = "steps.speech.input.voice: found what another step makes"
    assert any(each.startswith(words) and "allowed: string" in each for each in told), told


def test_picks_are_no_part_of_file_names_or_numbers(tmp_path):
    picked = EDIT.replace("each: artifact", "each: artifact, only: picks.txt")
    kept, other = (
        [(job.index, job.stems, job.matrix) for job in jobs_of(tmp_path, HEAD + SHOTS + edit)]
        for edit in (EDIT, picked)
    )
    assert kept == other


def test_a_step_of_very_many_rows_gives_all_of_them_in_order(tmp_path):
    shots = SHOTS.replace("[a fox, an owl], n: [1, 2]", "{range: [1, 20001]}, n: [1]")
    shots = shots.replace("{{ beat }}", "beat {{ beat }}")
    edit = EDIT.replace("shots, each: artifact}", "shots}, where: still.index >= 19999")
    edit = edit.replace("{{ still.beat }}", "beat {{ still.beat }}")
    jobs = [job for job in jobs_of(tmp_path, HEAD + shots + edit) if job.step == "edit"]
    assert [job.request["input"]["prompt"] for job in jobs] == ["beat 20000", "beat 20001"]


@pytest.mark.parametrize(
    ("axis", "read", "words"),
    [
        ("{step: shots}", "artefact", "(did you mean artifact?); defined there: artifact, artifa"),
        ("{step: shots, each: artifact}", "outputs", "(did you mean output?); defined there"),
        ("{step: shots, group_by: beat}", "artefacts", "(did you mean artifacts?); defined there"),
    ],
)
def test_a_misspelt_late_word_is_told_with_the_nearest(tmp_path, axis, read, words):
    edit = EDIT.replace(FILE_AXIS, f"{{still: {axis}}}").replace("still.artifact", f"still.{read}")
    told = problems(tmp_path, HEAD + SHOTS + edit.replace("{{ still.beat }}", "again"))
    assert len(told) == 1
    assert f"{read} is undefined {words}" in told[0]


def test_a_part_of_a_file_is_told_with_what_stands_for_the_file(tmp_path):
    told = problems(tmp_path, HEAD + SHOTS + EDIT.replace("still.artifact", "still.artifact.path"))
    assert len(told) == 1
    assert "before it is there; still.artifact is the file itself" in told[0]


FILE_AXIS = "{still: {step: shots, each: artifact}}"


def test_a_text_takes_no_file_since_its_signed_address_would_be_sent(tmp_path):
    edit = EDIT.replace('prompt: "{{ still.beat }}"', 'prompt: "{{ still.artifact }}"')
    told = problems(tmp_path, HEAD + SHOTS + edit)
    assert len(told) == 1
    assert "steps.edit.input.prompt: found a file that another step makes" in told[0]
    assert "takes no file" in told[0]


@pytest.mark.parametrize(
    "upload",
    [
        '{upload: "{{ still.artifact }}"}',
        '{upload: ["{{ still.artifact }}"]}',
        '{upload: "refs/{{ voice.output.voice }}.png"}',
        '{upload: "{{ voice.output.voice }}"}',  # x stands for it, and there is a file x
        '{image: "{{ still.artifact }}"}',
    ],
)
def test_an_upload_is_a_file_that_is_there_before_the_run(tmp_path, upload):
    write(tmp_path, {"x": "no picture"})
    edit = EDIT.replace('"{{ still.artifact }}"', upload)
    edit = edit.replace(FILE_AXIS, FILE_AXIS[:-1] + ", voice: {step: cast}}")
    told = problems(tmp_path, HEAD + CAST + SHOTS + edit)
    assert len(told) == 1
    assert "steps.edit.input.images[0]" in told[0]
    assert "found what another step makes" in told[0]
    assert "stands without upload" in told[0]


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ('"{{ still.beat }}"', '"see {{ still.artifact }}"'),
        ('"{{ still.artifact }}"', '"{{ still.artifact | upper }}"'),
    ],
)
def test_a_file_is_no_part_of_a_text(tmp_path, was, now):
    told = problems(tmp_path, HEAD + SHOTS + EDIT.replace(was, now))
    assert len(told) == 1
    assert "a file stands alone, where a request takes one" in told[0]


def test_where_a_picture_is_taken_a_sound_is_a_problem(tmp_path):
    edit = EDIT.replace(FILE_AXIS, "{still: {step: cast}}").replace("still.beat", "still.who.name")
    told = problems(tmp_path, HEAD + CAST + edit)
    assert len(told) == 1
    assert "steps.edit.input.images[0]: cast makes files of kind audio" in told[0]
    assert "allowed: image" in told[0]


@pytest.mark.parametrize(
    "text",
    [
        HEAD + SHOTS + EDIT.replace("still.beat", "still.nope"),
        HEAD + CAST + LINES.replace("{prompt", '{negative_prompt: "{{ line.nope }}", prompt'),
        HEAD + SHOTS.replace("{{ beat }}", "{{ nope }}") + EDIT,
    ],
    ids=["beside a file", "beside a late text", "in the step above"],
)
def test_one_mistake_is_one_problem(tmp_path, text):
    told = problems(tmp_path, text)
    assert len(told) == 1
    assert "nope is undefined" in told[0]


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        ("{still: [{step: shots}]}", "matrix.still[0]: a step cannot stand in a list"),
        ("{zip: [{still: {step: shots}}]}", "matrix.zip[0].still: a step cannot stand in zip"),
    ],
)
def test_a_step_in_a_list_or_in_zip_is_refused_in_its_own_words(tmp_path, axis, words):
    told = problems(tmp_path, HEAD + SHOTS + EDIT.replace(FILE_AXIS, axis))
    assert any(words in each for each in told), told


def test_rows_with_a_key_named_step_are_rows(tmp_path):
    edit = EDIT.replace(FILE_AXIS, "{still: [{step: shots, of: a}, {step: other, of: b}]}")
    edit = edit.replace("{{ still.artifact }}", "https://a.example/{{ still.step }}.png")
    assert len(jobs_of(tmp_path, HEAD + SHOTS + edit.replace("still.beat", "still.of"))) == 6
