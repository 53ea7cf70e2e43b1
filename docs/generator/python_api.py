"""docs/reference/python.md, from signatures and docstrings of what `dsrun` exports."""

import dataclasses
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from enum import Enum

import click

import dsrun
from dsrun import api
from dsrun.cli.main import cli
from dsrun.common.errors import DsrunError
from dsrun.common.models import JobError
from dsrun.common.resources import read_schema
from generator.markdown import code, made_by, plain, table

HEAD = f"""\
# Python API

{made_by("signatures and docstrings of the package `dsrun`")}
For scripts, notebooks and schedulers, with the guarantees of the commands: the same lock, ledger
and cache, so that both can go on with each other's runs. Everything here is imported from `dsrun`;
whatever else the package holds may change without notice.

```python
import dsrun

result = dsrun.run_sync("posters.yaml", emulate=True)
for job in result.check().results():
    print(job.status, [file.path for file in job.files])
```

Nothing is printed: what a command would say goes to the logger `dsrun`. The variables `DSRUN_…` are
not read.
"""

_FUNCTIONS = ("load", "plan", "run_sync", "run")
_ORDER = (
    "Pipeline", "PlannedRun", "PlanItem", "RunResult", "JobRecord", "ResultFile", "JobParent",
    "JobError", "JobStatus", "Money", "ExitCode",
)  # fmt: skip
_WORDS = {"plan": "PlanWords", "run": "RunWords", "run_sync": "RunWords"}


def python_page() -> str:
    """The whole page, as Markdown."""
    parts = [HEAD, "## Functions\n"]
    for name in _FUNCTIONS:
        parts += _function(name)
    kinds = {name: kind for name in dsrun.__all__ if inspect.isclass(kind := getattr(dsrun, name))}
    errors = {name: kind for name, kind in kinds.items() if issubclass(kind, DsrunError)}
    parts.append("## Values\n")
    for kind in sorted({*kinds.values(), JobError} - {*errors.values()}, key=_place):
        parts += _value(kind)
    return "\n".join([*parts, *_errors(errors)])


def _place(kind: type) -> int:
    """Raises ValueError for a class that is exported and has no place on the page."""
    return _ORDER.index(kind.__name__)


def _function(name: str) -> Iterator[str]:
    function = getattr(dsrun, name)
    words = "async def" if inspect.iscoroutinefunction(function) else "def"
    yield f"### {name}\n\n```text\n{words} {name}{_signature(function)}\n```\n"
    yield _prose(function)
    if name in _WORDS:
        keywords = getattr(api, _WORDS[name])
        yield _prose(keywords)
        own = keywords.__annotations__.items()
        rows = ((code(key), _type(kind), plain(_option_words(key))) for key, kind in own)
        yield table(("keyword", "type", ""), rows)


def _option_words(keyword: str) -> str:
    """What the option of the same name says on the command line."""
    if keyword == "progress":
        return "Show a bar on stderr."
    options = {each.name: each for each in cli.commands["run"].params}
    option = options[keyword]
    if not isinstance(option, click.Option) or option.help is None:
        raise ValueError(f"{keyword} is no option that has words")
    words = option.help.removesuffix("; repeatable.").removesuffix(".")
    return f"{words}: `{max(option.opts, key=len)}`."


def _signature(function: Callable[..., object]) -> str:
    text = str(inspect.signature(function))
    return _plain_type(re.sub(r"\*\*words: .*\) ->", "**keywords) ->", text))


def _prose(thing: object) -> str:
    """A docstring, with paragraphs as it has them."""
    text = inspect.cleandoc(inspect.getdoc(thing) or "")
    return f"{text.replace('{', '&#123;')}\n" if text else ""


def _value(kind: type) -> Iterator[str]:
    yield f"### {kind.__name__}\n"
    yield _prose(kind)
    if issubclass(kind, Enum):
        rows = [(code(each.name), code(str(each.value))) for each in kind]
        yield table(("name", "value"), rows)
        return
    fields = _field_types(kind)
    words = _field_words(kind.__name__)
    if fields and not words:
        yield table(("field", "type"), ((code(key), _type(held)) for key, held in fields.items()))
    elif fields:
        told = ((code(key), _type(held), plain(words[key])) for key, held in fields.items())
        yield table(("field", "type", ""), told)
    members = [*_members(kind)]
    if members:
        yield table(("member", "gives", ""), members)


def _field_words(name: str) -> dict[str, str]:
    """What the fields of a record mean, from the schema of the line that it is read from."""
    schema = json.loads(read_schema("results.json"))
    parts = {
        "JobRecord": schema,
        "ResultFile": schema["$defs"]["artifact"],
        "JobParent": schema["properties"]["parents"]["items"],
        "JobError": schema["$defs"]["error"],
    }
    if name not in parts:
        return {}
    about = parts[name]["properties"]
    told = {key: _in_python(value["description"]) for key, value in about.items()}
    if name == "ResultFile":
        return told | {"path": "The file, in the run directory."}
    return told | {"files": told.get("artifacts", ""), "kind": told.get("class", "")}


def _in_python(words: str) -> str:
    """JSON's null and absent keys as a record has them."""
    none = re.sub(r"\bnull\b|Absent(?= for)", "`None`", words)
    return none.replace("Absent where", "Empty where")


def _field_types(kind: type) -> dict[str, object]:
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        fields = [each.name for each in dataclasses.fields(kind)]
    elif hasattr(kind, "_fields"):
        hints, fields = typing.get_type_hints(kind), [*kind._fields]
    else:
        return {}
    return {name: hints[name] for name in fields if not name.startswith("_")}


def _members(kind: type) -> Iterator[tuple[str, str, str]]:
    """Properties and methods of its own."""
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property) and member.fget is not None:
            yield code(name), _returned(member.fget), _in_a_line(member)
        elif inspect.isfunction(member):
            yield code(f"{name}()"), _returned(member), _in_a_line(member)


def _returned(function: Callable[..., object]) -> str:
    return _type(typing.get_type_hints(function)["return"])


def _in_a_line(thing: object) -> str:
    return plain(inspect.getdoc(thing) or "")


def _type(kind: object) -> str:
    text = kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)
    return code(_plain_type(text).replace(" | ", " or "))


def _plain_type(text: str) -> str:
    """Without the names of modules, which nobody needs to read a type."""
    return (
        re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", text)
        .replace("'", "")
        .replace("datetime.date", "date")
    )


def _errors(kinds: Mapping[str, type[DsrunError]]) -> Iterator[str]:
    yield "## Errors\n"
    yield "Each is a `DsrunError` and has the `exit_code` that the command would have.\n"
    yield table(
        ("error", "exit code", ""),
        (
            (
                code(name),
                "that of the run" if name == "RunFailed" else str(int(kind.exit_code)),
                _in_a_line(kind),
            )
            for name, kind in kinds.items()
        ),
    )
