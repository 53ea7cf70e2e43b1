"""What the project promises about itself: packages, names, version, sizes, schemas, start-up."""

import ast
import dataclasses
import inspect
import json
import re
import subprocess
import sys
import tomllib
import types
from importlib import metadata
from pathlib import Path
from types import NoneType
from typing import Union, get_args, get_origin, get_type_hints

import pytest
from jsonschema import Draft202012Validator
from packaging.requirements import Requirement

import dsrun
from dsrun.common.units import parse_duration, parse_rate
from dsrun.engine.listing import ListApi
from dsrun.engine.ports import GenerationApi, UploadApi
from dsrun.manifest.execution import Execution, parse_execution
from dsrun.manifest.model import Manifest, Step
from dsrun.service import lists, replies
from dsrun.storage import layout

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MODULES = sorted((ROOT / "dsrun").rglob("*.py"))
SCHEMAS = [
    path for path in sorted((ROOT / "schemas").rglob("*.json")) if path.name != "errors.json"
]
OPERATIONS = sorted((ROOT / "schemas/operations").glob("*.json"))
MANIFEST_SCHEMA = json.loads((ROOT / "schemas/manifest.json").read_text(encoding="utf-8"))
EXECUTION_SCHEMA = MANIFEST_SCHEMA["$defs"]["execution"]["properties"]

READERS = {name for name in (*vars(replies), *vars(lists)) if name.startswith("read_")}
LONGEST_MODULE = 500  # a question, not a limit: an idea is never cut in two for its length
MOST_ROOMS = 12
MOST_INSTALLED_BYTES = 70 * 2**20  # 80 MB with compiled modules and our own files
LONGER: dict[str, str] = {}  # by path, each with its reason
# Where a name of the run directory may be spelled. A lock file may be a pipeline too, so `common`
# names it; `notify` shows how a notice looks.
SPELLERS = {"dsrun/storage/layout.py", "dsrun/common/lockfile.py", "dsrun/manifest/notify.py"}
HEAVY = ("aiohttp", "PIL", "jsonschema", "jsonschema_rs", "jinja2", "numpy", "soundfile", "sqlite3")
LIMITS = {
    "const", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "maxItems", "maxLength",
    "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "multipleOf",
    "pattern", "uniqueItems",
}  # fmt: skip


def test_the_package_list_is_the_tree():
    setuptools = PYPROJECT["tool"]["setuptools"]
    folders = {"dsrun": "dsrun", "dsrun.pipelines": "pipelines", "dsrun.schemas": "schemas"}
    assert setuptools["package-dir"] == folders
    found = {
        ".".join([package, *init.parent.relative_to(ROOT / folder).parts])
        for package, folder in folders.items()
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert found == set(setuptools["packages"])


def test_every_folder_with_modules_is_a_package():
    assert {path.parent for path in MODULES if not (path.parent / "__init__.py").exists()} == set()


def test_whoever_opens_the_package_sees_rooms():
    entries = {path.relative_to(ROOT / "dsrun").parts[0] for path in MODULES}
    assert len([name for name in entries if not name.startswith("__")]) <= MOST_ROOMS


def test_json_of_an_answer_travels_only_where_the_operation_file_names_it():
    values = [
        value
        for module in (replies, lists)
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    untyped = {
        f"{value.__name__}.{name}"
        for value in values
        for name, hint in get_type_hints(value).items()
        if "Any" in str(hint)
    }
    assert untyped == {"Done.output", "Done.echoes", "MadeRow.output", "MadeRow.equal"}


@pytest.mark.parametrize("room", ["engine", "session", "ledger"])
def test_no_answer_is_read_outside_of_its_room(room):
    """The client gives values; raw answers and what reads them stay in `service`."""
    raw = ("HttpReply", "parse_answer", "judged", "answer_json", "error_of", "judge")
    for path in (ROOT / "dsrun" / room).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        names = {alias.name for node in imports for alias in node.names}
        names |= {(node.module or "").rpartition(".")[2] for node in imports}
        assert names.isdisjoint(raw), path
        assert {name for name in names if name.startswith("read_")} & READERS == set(), path


@pytest.mark.parametrize("api", [GenerationApi, UploadApi, ListApi], ids=lambda api: api.__name__)
def test_every_call_of_the_api_gives_a_value(api):
    for name, call in inspect.getmembers(api, inspect.iscoroutinefunction):
        hint = get_type_hints(call)["return"]
        is_union = get_origin(hint) in (Union, types.UnionType)
        kinds = get_args(hint) if is_union else (hint,)
        rooms = {(get_origin(kind) or kind).__module__ for kind in kinds if kind is not NoneType}
        assert rooms <= {replies.__name__, lists.__name__}, name


def test_the_package_is_typed():
    assert (ROOT / "dsrun/py.typed").exists()


def test_the_version_is_the_newest_of_the_changelog():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\](?: - (.+))?$", text, re.MULTILINE)
    released = [(version, date) for version, date in headings if version != "Unreleased"]
    assert released[0][0] == dsrun.__version__
    assert all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", date) for _, date in released)


def test_the_layout_alone_spells_the_names_of_the_run_directory():
    names = _names_in_a_run_directory()
    assert {"ledger.sqlite3", ".ledger-tail", ".lock", "manifest.lock.json", "artifacts"} < names
    spelled = {
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in MODULES
        if str(path.relative_to(ROOT)) not in SPELLERS
        for line, text in _path_texts(path)
        if text.rpartition("/")[2] in names
    }
    assert spelled == set()


@pytest.mark.parametrize(
    "code",
    ['run_dir / "artifacts"', 'NAME = "ledger.sqlite3"', 'out.glob(f"{name}/*/ledger.sqlite3")'],
)
def test_a_name_that_is_spelled_elsewhere_is_seen(tmp_path, code):
    (tmp_path / "m.py").write_text(code, encoding="utf-8")
    texts = [text.rpartition("/")[2] for _, text in _path_texts(tmp_path / "m.py")]
    assert set(texts) & _names_in_a_run_directory()


def _names_in_a_run_directory():
    run = layout.RunLayout.of(Path("out/name/digest"))
    values = [getattr(run, name) for name in dir(run) if not name.startswith("_")]
    paths = [path for path in values if isinstance(path, Path)]
    names = {path.name for path in paths if path.parent in (run.run_dir, run.pipeline_dir)}
    return names - {run.run_dir.name} | {layout.removed_of(run.pipeline_dir).name}


def _path_texts(path):
    """Texts of a module that may be paths: with a dot in them, or joined to a path by `/`.

    `.tmp` by itself is how the name of a file ends that is not whole yet.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            if isinstance(node.right, ast.Constant) and isinstance(node.right.value, str):
                yield node.lineno, node.right.value
        elif isinstance(node, ast.Constant) and "." in str(node.value) and node.value != ".tmp":
            yield node.lineno, str(node.value)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_longer_than_a_reader_likes(path):
    is_long = len(path.read_text(encoding="utf-8").splitlines()) > LONGEST_MODULE
    assert is_long is (str(path.relative_to(ROOT)) in LONGER)


def test_the_execution_record_has_the_fields_of_its_schema():
    in_schema = {
        f"poll_{inner}" if name == "polling" else name
        for name, about in EXECUTION_SCHEMA.items()
        for inner in about.get("properties", {"": None})
    }
    assert {field.name.removesuffix("_s") for field in dataclasses.fields(Execution)} == in_schema


def test_the_execution_record_has_the_defaults_of_its_schema():
    given = {name: item["default"] for name, item in EXECUTION_SCHEMA.items() if "default" in item}
    polling = EXECUTION_SCHEMA["polling"]["properties"]
    given["polling"] = {name: it["default"] for name, it in polling.items() if "default" in it}
    assert given["concurrency"] == 16
    assert parse_execution(given) == parse_execution({}) == Execution()
    assert Execution().poll_rate == parse_rate(given["polling"]["rate"])
    assert Execution().timeout_s == parse_duration(given["timeout"])


def test_the_records_of_a_manifest_name_every_key_of_its_schema():
    # Keys that become something else: the format's number and words for people; a step's input
    # and parameters are its body, and its operation and model are its calls.
    unkept = {"version", "description"}
    top = {field.name for field in dataclasses.fields(Manifest)}
    assert set(MANIFEST_SCHEMA["properties"]) - unkept <= top
    step = {field.name for field in dataclasses.fields(Step)}
    in_schema = set(MANIFEST_SCHEMA["$defs"]["step"]["properties"])
    assert step == in_schema - {"input", "parameters", "operation", "model"} | {
        *("name", "body", "calls")
    }


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_every_schema_is_a_schema_with_a_name(path):
    schema = json.loads(path.read_text(encoding="utf-8"))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].startswith("urn:dsrun:")
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", OPERATIONS, ids=lambda path: path.stem)
def test_every_limit_of_an_operation_names_its_source(path):
    schema = json.loads(path.read_text(encoding="utf-8"))
    bare = [
        where
        for where, part, told in _subschemas(schema, "", told=False)
        if LIMITS & part.keys() and not told
    ]
    assert bare == []


def _subschemas(schema, where, *, told):
    """Each subschema, its place, and whether it or the rule that holds it has a $comment.

    Of the whole document's own $comment nothing is thought: it names no limit's source.
    """
    told = told or (bool(where) and "$comment" in schema)
    yield where, schema, told
    inner = schema.get("properties", {}).items()
    for name, below in inner:
        # A comment covers a rule such as if and then, but not the properties of an object.
        holds = told and ("/allOf/" in where or "/if" in where or "/then" in where)
        yield from _subschemas(below, f"{where}/properties/{name}", told=holds)
    for word in ("if", "then", "else", "not", "items", "propertyNames", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from _subschemas(schema[word], f"{where}/{word}", told=told)
    for word in ("allOf", "anyOf", "oneOf"):
        for number, below in enumerate(schema.get(word, ())):
            yield from _subschemas(below, f"{where}/{word}/{number}", told=False)


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["run", "--help"]])
def test_a_short_answer_imports_nothing_heavy(arguments):
    script = (
        "import sys\n"
        "from dsrun.cli.main import main\n"
        f"code = main({arguments})\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


@pytest.mark.parametrize("command", [["plan", "p.yaml", "--json"], ["validate", "p.yaml"]])
def test_planning_does_not_import_the_network_or_pictures(tmp_path, command):
    (tmp_path / "p.yaml").write_text(
        "version: 1\nname: p\nsteps: {s: {operation: wanx-v1, input: {prompt: a lantern}}}\n",
        encoding="utf-8",
    )
    script = (
        "import sys\n"
        "from dsrun.cli.main import main\n"
        f"code = main({command})\n"
        "unwanted = ('aiohttp', 'PIL', 'jsonschema', 'numpy', 'soundfile', 'dsrun.emulator')\n"
        "heavy = [name for name in unwanted if name in sys.modules]\n"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.removeprefix("p.yaml: valid, 1 job\n")) == (0, "")


def test_the_plain_install_is_small():
    """What the package needs, and what that needs, by the records of their installation."""
    wanted = [Requirement(line) for line in PYPROJECT["project"]["dependencies"]]
    sizes = {}
    while wanted:
        need = wanted.pop()
        is_needed = need.marker is None or need.marker.evaluate({"extra": ""})
        if is_needed and need.name not in sizes:
            files = metadata.files(need.name) or ()
            sizes[need.name] = sum(file.size or 0 for file in files)
            wanted += map(Requirement, metadata.requires(need.name) or ())
    assert sum(sizes.values()) < MOST_INSTALLED_BYTES, sizes
    assert not sizes.keys() & {"numpy", "soundfile", "cffi", "pyarrow"}
