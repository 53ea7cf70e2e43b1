"""The `notify` section: whom to tell how a run ended, and in which words. Never in the digest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dsrun.inputs import Inputs
from dsrun.records import JobStatus, Json
from dsrun.runend import RunEnd
from dsrun.template_faults import TemplateProblem
from dsrun.templating import Templates

Path_ = tuple[str | int, ...]
Complain = Callable[[Path_, str], None]

DEFAULT_ON = frozenset({"failure", "recovery"})

_SAMPLE = RunEnd(
    pipeline="sample", outcome="failure", exit_code=1, reason="a reason", host="host",
    emulated=False, started_at="2026-11-22T03:00:00.000Z", ended_at="2026-11-22T03:10:00.000Z",
    duration_s=600.0, directory="/outputs/sample/0123456789ab",
    results="/outputs/sample/0123456789ab/results.jsonl",
    report="/outputs/sample/0123456789ab/report.html", jobs={JobStatus.FAILED: 1},
    errors=(("InvalidParameter", "a message", 1),),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FromEnvironment:
    """A value that stands in a variable, since the manifest is no place for a secret."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Whom to tell. `payload` is None for everything that is known of the run."""

    on: frozenset[str]
    url: str | FromEnvironment | None = None
    headers: Mapping[str, str | FromEnvironment] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    payload: Json = None
    root: Path  # where the command runs, and what templates may include

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the environment that it needs."""
        values = (self.url, *self.headers.values())
        return tuple(value.name for value in values if isinstance(value, FromEnvironment))

    def wants(self, end: RunEnd) -> bool:
        """Whether this end is one to tell of."""
        return "always" in self.on or end.outcome in self.on

    def payload_of(self, end: RunEnd) -> Json:
        """What to send. Raises TemplateProblem."""
        facts = end.as_json()
        if self.payload is None:
            return facts
        templates = Templates(Inputs(self.root))
        return _rendered(self.payload, templates, templates.variables(facts))


def read_notify(section: Json, *, root: Path, complain: Complain) -> Notify | None:
    """A section that the frame has accepted; what is wrong with it otherwise is complained of."""
    if section is None:
        return None
    url, command = section.get("url"), section.get("command")
    if url is None and command is None:
        complain(("notify",), "says nobody to tell; allowed: url, command, or both")
    if isinstance(url, str) and not _is_address(url):
        complain(
            ("notify", "url"),
            "this is no http address; allowed: one, or {env: NAME} for the variable that holds it",
        )
    on = section.get("on", sorted(DEFAULT_ON))
    notify = Notify(
        on=frozenset([on] if isinstance(on, str) else on),
        url=_value(url),
        headers={name: _value(value) or "" for name, value in section.get("headers", {}).items()},
        command=tuple(command or ()),
        payload=section.get("payload"),
        root=root,
    )
    try:
        notify.payload_of(_SAMPLE)
    except TemplateProblem as error:
        complain(("notify", "payload"), f"{error}; a notice has {', '.join(_SAMPLE.as_json())}")
    return notify


def _rendered(value: Json, templates: Templates, variables: Mapping[str, Json]) -> Json:
    if isinstance(value, str):
        return templates.compile(value).render(variables)
    if isinstance(value, Mapping):
        return {key: _rendered(item, templates, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_rendered(item, templates, variables) for item in value]
    return value


def _value(given: Json) -> str | FromEnvironment | None:
    return FromEnvironment(name=given["env"]) if isinstance(given, Mapping) else given


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
