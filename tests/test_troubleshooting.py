"""docs/troubleshooting.md has a true row for every code that a job can end with."""

import ast
import json
import re
from pathlib import Path

import pytest

from dsrun.common.media import MEDIA
from dsrun.common.resources import read_schema
from dsrun.service.classify import Decision

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
BEFORE, _, REST = PAGE.partition("## Codes of dsrun")
OWN, _, OF_SERVICE = REST.partition("## Codes of the service")
RULES = json.loads(read_schema("errors.json"))["rules"]

# Words like a code that are none: names of types, headers and fields of foreign answers.
NO_CODES = {
    "HttpTransport",
    "Accept", "Authorization", "Bounds", "Catalog", "Code", "Date", "Dsrun", "Host", "InForce",
    "Item", "LedgerReader", "Location", "Message", "No", "OwnIncoming", "Parent", "Place",
    "RateLimiter", "ResultRow", "Row", "Runner", "Signature", "StillThere", "Told", "Transport",
    "WrittenOut",
}  # fmt: skip
DOES = {
    Decision.JOB: "fails the job",
    Decision.THROTTLE: "slows down",
    Decision.RETRY: "tries again",
    Decision.AMBIGUOUS: "looks for it",
    Decision.MODEL: "ends the model",
    Decision.STOP: "stops the run",
}


def rows(text):
    """What dsrun does, by each code of the first column."""
    found = {}
    for codes, _, does, _ in re.findall(
        r"^\| (`.+?) \| (.+?) \| (.+?) \| (.+?) \|$", text, re.MULTILINE
    ):
        for code in re.findall(r"`([^`]+)`", codes):
            assert code not in found, f"{code} has two rows"
            found[code] = does.lower()
    return found


def codes_in_code():
    """Words in the source that a job may end with."""
    shape = re.compile(r"(?:^|')([A-Z][a-z]+(?:[A-Z][a-z]+)*|UNKNOWN)(?:$|')")
    for room in ("common/models.py", "engine", "ledger", "service", "session"):
        top = ROOT / "dsrun" / room
        for path in [top] if top.is_file() else top.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield from shape.findall(node.value)
                elif isinstance(node, ast.keyword) and node.arg == "code":
                    yield from (node.value.value,) if isinstance(node.value, ast.Constant) else ()


def test_every_code_of_dsrun_has_a_row_and_no_other():
    known = {*codes_in_code()} - NO_CODES | {f"No{kind.capitalize()}" for kind in MEDIA}
    told = {code for code in rows(OWN) if not code.startswith(("HTTP", "unknown"))}
    assert told == known


def test_the_messages_that_are_quoted_are_those_of_dsrun():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "dsrun").rglob("*.py")]
    said = re.sub(r"""["']\s*f?["']""", "", "\n".join(sources))
    quoted = [words for row in re.findall(r"^\| (`.+?) \|", BEFORE, re.MULTILINE)
              for words in re.findall(r"`([^`]+)`", row)]  # fmt: skip
    parts = [part.strip(" .") for words in quoted for part in words.split("…")]
    assert len(quoted) > 10
    assert [
        part for part in parts if part and not part.startswith("HTTP") and part not in said
    ] == []


@pytest.mark.parametrize(
    ("code", "rule"),
    [(code, rule) for rule in RULES for code in rule.get("code", ())],
    ids=lambda value: value if isinstance(value, str) else value["do"],
)
def test_a_code_of_the_service_has_a_row_that_says_what_dsrun_does(code, rule):
    assert DOES[Decision(rule["do"])] in rows(OF_SERVICE)[code]


@pytest.mark.parametrize("rule", [r for r in RULES if not r.get("code") and not r.get("message")])
def test_a_status_that_decides_alone_has_a_row(rule):
    for status in rule["http"]:
        assert DOES[Decision(rule["do"])] in rows(OF_SERVICE)[f"HTTP {status}"]


def test_every_message_that_decides_is_told():
    messages = {words for rule in RULES for words in rule.get("message", ())}
    assert {words for words in messages if f"`{words}`" not in OF_SERVICE} == set()


def test_no_row_is_of_a_code_that_no_rule_knows():
    known = {code for rule in RULES for code in rule.get("code", ())}
    known |= {words for rule in RULES for words in rule.get("message", ())}
    known |= {f"HTTP {status}" for rule in RULES if not rule.get("code") for status in rule["http"]}
    assert rows(OF_SERVICE).keys() - known == set()


def test_every_way_to_judge_is_explained():
    for words in DOES.values():
        assert f"- **{words.capitalize()}**" in OF_SERVICE
