"""Axes that no template uses."""

from collections.abc import Collection

from dsrun.common.errors import Problem
from dsrun.common.yaml_document import YamlDocument
from dsrun.manifest.matrix import idle_axes
from dsrun.manifest.model import Step


def idle_axis_problems(
    step: Step, used: Collection[str], document: YamlDocument
) -> tuple[list[Problem], list[Problem]]:
    """Problems, of rules that are misspelt; and warnings, of rows that make the same request."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for name, rule in idle_axes(step.matrix, used):
        at = ("steps", step.name, "matrix", name)
        if rule:
            words = f"no template uses this axis (did you mean the rule {rule}?)"
            problems.append(document.problem(at, words, of_key=True))
        else:
            words = (
                "no template uses this axis, so its rows make the same request; "
                "`repeat` makes one several times"
            )
            warnings.append(document.problem(at, words, of_key=True))
    return problems, warnings
