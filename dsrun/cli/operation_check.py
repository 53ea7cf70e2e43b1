"""`dsrun operations --check FILE...`: a user's operation file is held to its sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsrun.cli.problems import as_json, tell
from dsrun.common.console import answer_json, count_of, say
from dsrun.common.errors import ExitCode, ManifestError, Problem
from dsrun.service.catalog import prove_file
from dsrun.service.catalog_words import price_words, rate_words
from dsrun.service.proof import Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """The answer about one file; `proofs` only where nothing is wrong with it."""

    file: Path
    problems: Sequence[Problem] = ()
    proofs: Sequence[Proof] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "file": str(self.file),
            "valid": not self.problems,
            "problems": [as_json(problem) for problem in self.problems],
            "operations": [_proof_json(proof) for proof in self.proofs],
        }


def run(files: Sequence[Path], *, wants_json: bool) -> int:
    """0 when every file proves itself, else 2 with every problem told, on stderr."""
    reports = list(map(_check, files))
    if wants_json:
        answer_json([report.as_json() for report in reports])
    return ExitCode.INVALID if any(report.problems for report in reports) else ExitCode.OK


def _check(file: Path) -> _Report:
    try:
        proofs = prove_file(file)
    except ManifestError as error:
        tell(error.problems)
        say(f"{file}: {count_of(len(error.problems), 'problem')}")
        return _Report(file=file, problems=error.problems)
    for proof in proofs:
        words = f"{file}: {proof.operation.name}: {price_words(proof.operation)}; "
        say(words + f"{rate_words(proof.operation)}; {_limit_words(proof)}")
        for limit in proof.unseen:
            say(f"{file}: {proof.operation.name}: no request like the sample reaches {limit}")
    return _Report(file=file, proofs=proofs)


def _limit_words(proof: Proof) -> str:
    return f"{count_of(len(proof.edges), 'limit')} held at the edge and beyond"


def _proof_json(proof: Proof) -> dict[str, Any]:
    return {
        "name": proof.operation.name,
        "request": proof.request,
        "limits": [str(edge.limit) for edge in proof.edges],
        "unseen": [str(limit) for limit in proof.unseen],
    }
