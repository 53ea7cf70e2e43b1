"""Every manifest in examples/ and pipelines/ is valid and runs; what it writes is as promised."""

import json
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest

from dsrun.cli.main import main
from dsrun.common.models import JobStatus
from dsrun.common.resources import read_schema
from dsrun.service.catalog import load_catalog
from dsrun.service.request import artifact_count

ROOT = Path(__file__).resolve().parent.parent
CATALOG = load_catalog()

# Manifest: the first jobs to run (None: all), and the files below artifacts/ that they make.
SPEAKERS = (
    "1-narrator 2-ada 3-tom 4-ada 5-tom 6-narrator",
    ("1-narrator 2-keeper 3-ada 4-keeper 5-tom 6-narrator"),
)
DRAFTS = ("a-cat-asleep-on-a-garden-wall", "a-paper-lantern-over-a-quiet-river",
          "a-tea-house-in-the-rain")  # fmt: skip
CLIPS = ("fold", "light", "welcome")
SKUS = ("lmp-201", "mug-014", "vas-032")
BOOK = [f"cast/{who}.wav" for who in ("ada", "keeper", "narrator", "tom")] + [
    f"speech/{chapter}/000{line}.wav"
    for chapter, lines in enumerate(SPEAKERS, 1)
    for line in lines.split()
]
EXPECTED = {
    "examples/audiobook/audiobook.yaml": (None, BOOK),
    "examples/storyboard/storyboard.yaml": (
        None,
        [
            f"{kind}/0{shot}.{ending}"
            for kind, ending in (("films", "mp4"), ("shots", "png"))
            for shot in (1, 2, 3, 4)
        ],
    ),
    "pipelines/audiobook/pipeline.yaml": (None, BOOK),
    "examples/compare-models.yaml": (
        None,
        [
            f"compare/{subject}/{light}/{model}.png"
            for subject in (
                "a-paper-lantern-over-a-quiet-river",
                "a-shop-sign-that-reads-open-on-a-brick-wall",
            )
            for light in ("at-dusk", "in-morning-fog")
            for model in (
                "qwen-image-2.0",
                "wan2.2-t2i-flash",
                "wan2.6-t2i",
                "wanx-v1",
                "z-image-turbo",
            )
        ],
    ),
    "examples/draft-pick-enlarge/pipeline.yaml": (
        3,
        [f"drafts/{subject}-{index}.png" for subject in DRAFTS for index in range(4)],
    ),
    "examples/matrix-from-csv/pipeline.yaml": (
        2,
        ["postcards/lisbon/oil-painting-1.png", "postcards/lisbon/oil-painting-2.png"],
    ),
    "examples/python/posters.yaml": (
        None,
        ["posters/a-paper-lantern.png", "posters/a-tea-house-in-the-rain.png"],
    ),
    "examples/quickstart.yaml": (
        None,
        [
            f"posters/{subject}/{style}.png"
            for subject in (
                "a-cat-asleep-on-a-garden-wall",
                "a-paper-lantern-over-a-quiet-river",
                "a-tea-house-in-the-rain",
            )
            for style in ("flat-illustration", "watercolor")
        ],
    ),
    "examples/reference-pictures/pipeline.yaml": (
        None,
        [
            f"products/{product}/{style}.png"
            for product in ("a-paper-lantern", "a-teapot")
            for style in ("sketch", "watercolor")
        ],
    ),
    "pipelines/storyboard/pipeline.yaml": (
        None,
        [
            f"{kind}/0{shot}.{ending}"
            for kind, ending in (("briefs", "txt"), ("films", "mp4"), ("shots", "png"))
            for shot in (1, 2, 3, 4)
        ],
    ),
    "examples/voices.yaml": (
        None,
        [
            "voices/hotline.pcm",
            "voices/narrator.wav",
            "voices/newsreader.mp3",
            "voices/storyteller.opus",
        ],
    ),
    "pipelines/dub/pipeline.yaml": (
        None,
        [
            f"captions/{clip}{ending}"
            for clip in CLIPS
            for ending in ("-captions.srt", "-text.txt", ".json")
        ]
        + [f"speech/{language}/{clip}.wav" for language in ("german", "japanese") for clip in CLIPS]
        + [f"transcripts/{clip}.txt" for clip in CLIPS]
        + [
            f"translations/{language}/{clip}.txt"
            for language in ("german", "japanese")
            for clip in CLIPS
        ],
    ),
    "pipelines/model-shootout/pipeline.yaml": (
        None,
        [
            f"pictures/{prompt}/{model}.png"
            for prompt in ("crowd", "hands", "lettering")
            for model in (
                "qwen-image-plus",
                "wan2.2-t2i-flash",
                "wan2.5-t2i-preview",
                "wan2.6-t2i",
                "wanx2.1-t2i-turbo",
            )
        ],
    ),
    "pipelines/product-set/pipeline.yaml": (
        None,
        [f"pictures/{sku}/0.png" for sku in SKUS]
        + [
            f"texts/{sku}/{language}.txt"
            for sku in SKUS
            for language in ("chinese", "french", "german", "japanese", "spanish")
        ],
    ),
    "pipelines/product-shots.yaml": (
        2,
        ["shots/mug-014/1024-1024-0.png", "shots/mug-014/768-1152-0.png"],
    ),
    "pipelines/starter.yaml": (
        2,
        [
            "posters/a-paper-lantern/photography-0.png",
            "posters/a-paper-lantern/watercolor-0.png",
        ],
    ),
    "pipelines/style-sheet.yaml": (2, ["styles/1-auto.png", "styles/2-photography.png"]),
    "pipelines/voice-casting.yaml": (
        4,
        [
            "casting/captain-reed/1.wav",
            "casting/captain-reed/2.wav",
            "casting/captain-reed/3.wav",
            "casting/pip/1.wav",
        ],
    ),
}
MANIFESTS = sorted(EXPECTED)
DRAFT = "examples/draft-pick-enlarge/pipeline.yaml"
# Folders with a README, whose comments tell the cost of each step.
FOLDERS = [
    "examples/audiobook/audiobook.yaml",
    DRAFT,
    "examples/storyboard/storyboard.yaml",
    *(name for name in MANIFESTS if re.fullmatch("pipelines/.+/pipeline.yaml", name)),
]
LARGEST_PICTURE = 150_000

# Fault of the emulator: the status that it leads to.
TROUBLE = {
    "lost-answer no-list": JobStatus.UNKNOWN,
    "failed-task": JobStatus.FAILED,
    "bad-size": JobStatus.FAILED,
    "moderation": JobStatus.FAILED,
    "partial-task": JobStatus.PARTIAL,
    "arrears": JobStatus.PENDING,
}


@pytest.fixture(scope="module")
def results_schema() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(read_schema("results.json")))


def read_results(out: Path) -> list[dict[str, object]]:
    (path,) = out.glob("*/latest/results.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_manifest_is_tried_here():
    found = [*ROOT.glob("examples/**/*.yaml"), *ROOT.glob("pipelines/**/*.yaml")]
    assert sorted(path.relative_to(ROOT).as_posix() for path in found) == MANIFESTS


@pytest.mark.parametrize("name", MANIFESTS)
def test_it_is_valid_without_a_warning(name, capsys):
    assert main(["validate", str(ROOT / name)]) == 0
    warnings = re.findall("warning: (.*)", capsys.readouterr().err)
    assert len(warnings) == (name == DRAFT)
    assert all("picks.txt is not there, so nothing is picked" in words for words in warnings)


@pytest.mark.parametrize("name", MANIFESTS)
def test_it_runs_with_the_emulator(name, tmp_path, results_schema):
    limit, files = EXPECTED[name]
    some = [] if limit is None else ["--limit", str(limit)]
    assert main(["run", str(ROOT / name), "--emulate", "-o", str(tmp_path / "out"), *some]) == 0
    run_dir = next((tmp_path / "out").glob("*/emulated-*"))
    assert run_dir.parent.name == _name_of(name)
    made = run_dir / "artifacts"
    assert sorted(p.relative_to(made).as_posix() for p in made.rglob("*") if p.is_file()) == files
    lines = read_results(tmp_path / "out")
    for line in lines:
        results_schema.validate(line)
    done = [line for line in lines if line["status"] == "succeeded"]
    assert len(done) == (limit or len(lines))
    assert [item["path"] for line in done for item in line["artifacts"]] == [
        f"artifacts/{file}" for file in _in_plan_order(files, lines)
    ]


@pytest.mark.parametrize("name", sorted({*MANIFESTS} - {*FOLDERS, "pipelines/starter.yaml"}))
def test_its_comment_tells_the_true_cost(name, capsys):
    assert main(["plan", str(ROOT / name), "--json", "--full"]) == 0
    plan = json.loads(capsys.readouterr().out)
    made: Counter[str] = Counter()
    for job in plan["job_list"]:
        made[job["step"]] += artifact_count(job["request"], CATALOG[job["request"]["model"]])
    text = (ROOT / name).read_text(encoding="utf-8")
    found = re.search(
        r"Costs for real: (\d+) (?:picture|voice)s x CNY ([\d.]+) = CNY ([\d.]+)\.", text
    )
    assert found is not None
    units, price, total = found.groups()
    assert int(units) == made.total()
    for step, told in plan["steps"].items():
        assert told["units"] in (made[step], None)  # None: they cost this or that
    assert float(total) == plan["cost"]["amount"] == pytest.approx(int(units) * float(price))


@pytest.mark.parametrize("name", FOLDERS)
def test_its_comment_tells_the_true_cost_of_each_step_rounded_up(name, capsys):
    assert main(["plan", str(ROOT / name), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    text = (ROOT / name).read_text(encoding="utf-8").replace("\n#", "")
    found = re.search(r"Costs for real: (.+?) = CNY ([\d.]+)\.\s", text)
    assert found is not None
    told = [Decimal(amount) for amount in re.findall(r"CNY ([\d.]+)", found[1])]
    steps = [step for step in plan["steps"].values() if step["to_send"]]
    for amount, step in zip(told, steps, strict=True):
        assert Decimal(0) <= amount - Decimal(str(step["cost"]["amount"])) < Decimal("0.01")
    assert Decimal(found[2]) == sum(told)


@pytest.mark.parametrize("name", FOLDERS)
def test_its_readme_names_the_commands_and_every_file(name, capsys):
    folder = (ROOT / name).parent
    text = (folder / "README.md").read_text(encoding="utf-8")
    manifest = name if name.startswith("examples/") else "pipeline.yaml"
    assert f"dsrun {manifest} --emulate" in text
    for file in folder.glob("*.csv"):
        assert f"`{file.name}`" in text
    assert main(["plan", str(ROOT / name), "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert {*re.findall(r"--step (\w+)", text)} <= steps.keys()


@pytest.mark.parametrize("name", [name for name in FOLDERS if name.startswith("pipelines/")])
def test_its_readme_shows_its_result_and_tells_its_cost(name):
    folder = (ROOT / name).parent
    text = (folder / "README.md").read_text(encoding="utf-8")
    (picture,) = re.findall(r"!\[.+\]\((.+)\)", text)
    assert (folder / picture).stat().st_size < LARGEST_PICTURE
    total = re.search(r" = CNY ([\d.]+)\.\s", (ROOT / name).read_text(encoding="utf-8"))
    told = re.search(r"costs CNY ([\d.]+\d)", text)
    assert abs(float(told[1]) - float(total[1])) < 0.005


def test_the_quickstart_has_six_jobs(capsys):
    assert main(["plan", str(ROOT / "examples/quickstart.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["to_send"] == 6


def test_the_results_schema_is_one(results_schema):
    results_schema.check_schema(results_schema.schema)


def test_the_results_schema_describes_everything_and_allows_nothing_else(results_schema):
    schema = results_schema.schema
    for part in (schema, *_objects(schema["properties"]), *_objects(schema["$defs"])):
        assert part["additionalProperties"] is False
        for key, inner in part["properties"].items():
            assert inner.get("description"), key


def test_two_rows_of_one_request_are_one_line_with_a_twin(tmp_path, results_schema):
    manifest = tmp_path / "twins.yaml"
    manifest.write_text(
        "version: 1\nname: twins\nsteps:\n  pictures:\n    operation: wanx-v1\n"
        "    matrix: {copy: [a, b]}\n    input: {prompt: a pine}\n    filename: '{{ copy }}'\n",
        encoding="utf-8",
    )
    assert main([str(manifest), "--emulate", "-o", str(tmp_path / "out")]) == 0
    (line,) = read_results(tmp_path / "out")
    results_schema.validate(line)
    assert line["twins"] == [{"step": "pictures", "index": 1, "matrix": {"copy": "b"}}]
    assert [item["path"] for item in line["artifacts"]] == [
        "artifacts/pictures/a.png",
        "artifacts/pictures/b.png",
    ]


@pytest.mark.parametrize("fault", sorted(TROUBLE))
def test_results_of_jobs_that_did_not_succeed_meet_the_schema(
    fault, tmp_path, serve, results_schema
):
    serve(*fault.split())
    pipeline = str(ROOT / "pipelines/product-shots.yaml")
    options = ["--limit", "1", "--set", "per_size=2", "-o", str(tmp_path / "out")]
    assert main([pipeline, *options]) in (1, 3)
    lines = read_results(tmp_path / "out")
    for line in lines:
        results_schema.validate(line)
    assert lines[0]["status"] == TROUBLE[fault]


def _name_of(manifest: str) -> str:
    text = (ROOT / manifest).read_text(encoding="utf-8")
    return re.search(r"^name: (\S+)", text, re.MULTILINE)[1]


def _in_plan_order(files: list[str], lines: list[dict[str, object]]) -> list[str]:
    order = [item["path"] for line in lines for item in line["artifacts"]]
    return sorted(files, key=lambda file: order.index(f"artifacts/{file}"))


def _objects(schemas: dict[str, dict[str, object]]) -> list[dict[str, object]]:
    """Those of the schemas that describe an object with keys, and such inside an array."""
    inner = [schema.get("items", schema) for schema in schemas.values()]
    return [schema for schema in inner if "properties" in schema]
