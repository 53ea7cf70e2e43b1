"""What is wrong with a documented body, in the words of the short form that a manifest uses."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dsrun.common.json_schema import SchemaProblem
from dsrun.common.messages import closest, nearest
from dsrun.common.pointer import KeyPath, value_at
from dsrun.service.example_request import short_parts
from dsrun.service.operation import Operation
from dsrun.service.operation_file import schema_at
from dsrun.service.short_form import ShortForm

_INPUT = "input"


class ShortWords:
    """Tells the problems of an operation's requests whose `input` a step writes short."""

    def __init__(self, operation: Operation, form: ShortForm) -> None:
        self._form = form
        self._parts = short_parts(operation)
        self._content = schema_at(operation.schema, form.content)
        own = operation.schema["properties"][_INPUT].get("properties", {})
        short = {part.key for part in self._parts}
        self._needed = [part.key for part in self._parts if not part.is_many]
        self._known = sorted({*own, *short} - {*form.base, "$comment"})

    def told(self, problems: Sequence[SchemaProblem], body: Any) -> Iterator[SchemaProblem]:
        """The problems of a body, each at its place in the body or in the short `input`."""
        keys = [problem for problem in problems if _is_unknown_key(problem)]
        meant = {closest(str(problem.path[1]), self._known) for problem in keys}
        for problem in problems:
            if problem in keys:
                yield self._unknown_key(problem)
            elif problem.path == self._form.content and problem.rule in ("minItems", "maxItems"):
                yield self._wrong_number(problem, body)
            elif self._is_missing_message(problem):
                # A misspelt key is missing too, and is told already.
                yield from (_missing(problem, key) for key in self._needed if key not in meant)
            else:
                yield problem

    def _unknown_key(self, problem: SchemaProblem) -> SchemaProblem:
        head = problem.message.partition(";")[0]
        if head.startswith("unknown key here"):
            words = head
        else:
            words = f"unknown key{nearest(str(problem.path[1]), self._known)}"
        return replace(problem, message=f"{words}; allowed: {', '.join(self._known)}")

    def _wrong_number(self, problem: SchemaProblem, body: Any) -> SchemaProblem:
        """`found 4; allowed: at most 3` of the one key that takes several."""
        many = [part for part in self._parts if part.is_many]
        single = {part.becomes for part in self._parts if not part.is_many}
        limit = self._content.get(problem.rule, 0) - len(single)
        if len(many) != 1 or limit < 1:
            return problem
        given = value_at(body, self._form.content)
        found = sum(not (isinstance(part, Mapping) and part.keys() & single) for part in given)
        bound = "least" if problem.rule == "minItems" else "most"
        words = f"found {found or 'none'}; allowed: at {bound} {limit}"
        return replace(problem, path=(_INPUT, many[0].key), message=words)

    def _is_missing_message(self, problem: SchemaProblem) -> bool:
        return problem.rule in {f"required {key}" for key in self._form.base}

    def place(self, path: KeyPath) -> KeyPath | None:
        """The path itself where it is one of the short `input`."""
        is_short = path == (_INPUT,) or path[1:] in [(part.key,) for part in self._parts]
        return path if is_short and path[:1] == (_INPUT,) else None


def _missing(problem: SchemaProblem, key: str) -> SchemaProblem:
    return replace(problem, path=(_INPUT, key), message="missing; it is required")


def _is_unknown_key(problem: SchemaProblem) -> bool:
    return problem.rule == "additionalProperties" and problem.path[:-1] == (_INPUT,)
