"""The sandbox of templates: what they may read, how long they may run, how much they may give."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, Environment, TemplateNotFound, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MAX_STEPS = 200_000  # loop turns and calls of one rendering
MAX_TEXT = 1_000_000  # characters that one rendering may give or repeat into being
_MAX_BASE, _MAX_POWER = 2**64, 64


class TemplateProblem(Exception):
    """A template cannot be read or rendered; `line` counts from 1 within it (0: unknown)."""

    def __init__(self, message: str, *, line: int = 0, file: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.file = file


class Sandbox(ImmutableSandboxedEnvironment):
    """Counts loop turns and calls, and bounds what `*` and `**` may build."""

    intercepted_binops = frozenset(["*", "**"])
    steps_left = MAX_STEPS

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.filters["_counted"] = self._counted

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        return _CountLoops().visit(tree)  # type: ignore[no-any-return]

    def step(self) -> None:
        self.steps_left -= 1
        if self.steps_left < 0:
            raise SecurityError(f"the template did not end within {MAX_STEPS} steps")

    def _counted(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.step()
            yield item

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.step()
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and not (abs(left) <= _MAX_BASE and abs(right) <= _MAX_POWER):
            raise SecurityError(f"{left} ** {right} is too large")
        sizes = [
            len(side) * other
            for side, other in ((left, right), (right, left))
            if isinstance(side, str | list | tuple) and isinstance(other, int)
        ]
        if any(size > MAX_TEXT for size in sizes):
            raise SecurityError(f"a repetition gives more than {MAX_TEXT} characters or items")
        return super().call_binop(context, operator, left, right)


class _CountLoops(NodeTransformer):
    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802  # the name is Jinja's
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "_counted", [], [], None, None, lineno=node.lineno)
        return node


class BelowLoader(BaseLoader):
    """Reads included files below one folder, following no way out of it."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self.texts: dict[str, str] = {}

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        del environment
        if template not in self.texts:
            path = (self._root / template).resolve()
            if not path.is_relative_to(self._root):
                raise TemplateProblem(f"{template} lies outside the folder of the manifest")
            try:
                self.texts[template] = path.read_text(encoding="utf-8-sig")
            except (OSError, ValueError) as error:
                raise TemplateNotFound(template) from error
        return self.texts[template], template, None


def bounded(parts: Iterable[str]) -> Iterator[str]:
    size = 0
    for part in parts:
        size += len(part)
        if size > MAX_TEXT:
            raise SecurityError(f"the template gives more than {MAX_TEXT} characters")
        yield part
