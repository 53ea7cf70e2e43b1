"""The `notify` section: whom to tell how a run ended, and in which words. Never in the digest."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dsrun.common.credential import KEPT_KEY, holds_key, is_key_file, is_key_variable, names_key
from dsrun.common.digest import json_text, sha256_hex
from dsrun.common.models import JobStatus, Json
from dsrun.common.pointer import KeyPath
from dsrun.common.run_summary import RunEnd
from dsrun.common.user_files import Inputs
from dsrun.manifest.template_errors import TemplateProblem
from dsrun.manifest.templates import Templates

Complain = Callable[[KeyPath, str], None]

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
    """A value that an environment variable holds, since a manifest is no place for secrets."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Whom to tell. Without a `payload` the notice has all that is known of the run."""

    on: frozenset[str]
    url: str | FromEnvironment | None = None
    headers: Mapping[str, str | FromEnvironment] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    payload: Json = None
    section: Json = None  # as the manifest has it
    root: Path  # where the command runs, and what templates may include

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the environment variables that it needs."""
        values = (self.url, *self.headers.values())
        return tuple(value.name for value in values if isinstance(value, FromEnvironment))

    def wants(self, end: RunEnd) -> bool:
        """Whether to send a notice of a run that ended so."""
        return "always" in self.on or end.outcome in self.on

    def payload_of(self, end: RunEnd) -> Json:
        """What to send. Raises TemplateProblem."""
        return self._payload(end, Templates(Inputs(self.root)))

    def included(self) -> Mapping[str, str]:
        """The texts of files that the payload includes, by name. Raises TemplateProblem."""
        templates = Templates(Inputs(self.root))
        self._payload(_SAMPLE, templates)
        return templates.files

    def _payload(self, end: RunEnd, templates: Templates) -> Json:
        facts = end.as_json()
        if self.payload is None:
            return facts
        return _rendered(self.payload, templates, templates.variables(facts))

    @property
    def digest(self) -> str:
        """What a user allows: the section, and what else decides which program runs.

        A program beside the manifest is another one in another folder, or once it is changed.
        """
        files = {word: self._file_sha256(word) for word in self.command}
        place = [str(self.root.resolve()), files] if self.command else []
        return sha256_hex(json_text([self.section, place]).encode(errors="surrogatepass"))

    def _file_sha256(self, word: str) -> str | None:
        path = self.root / word
        try:
            if Path(word).is_absolute() or not path.is_file():
                return None
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except (OSError, ValueError):  # no name of a file
            return None


def read_notify(section: Json, *, root: Path, complain: Complain) -> Notify | None:
    """The section, which the frame has accepted; None if there is none or something is wrong.

    What is wrong with it goes to `complain`.
    """
    if section is None:
        return None
    complaints: list[tuple[KeyPath, str]] = []
    notify = _read(section, root=root, complain=lambda *words: complaints.append(words))
    for at, words in complaints:
        complain(at, words)
    return None if complaints else notify


def _read(section: Mapping[str, Json], *, root: Path, complain: Complain) -> Notify:
    url, command = section.get("url"), section.get("command")
    if url is None and command is None:
        complain(("notify",), "says nobody to tell; allowed: url, command, or both")
    if isinstance(url, str) and not _is_address(url):
        complain(
            ("notify", "url"),
            "this is no http address; allowed: one, or {env: NAME} for the variable that holds it",
        )
    if isinstance(url, str) and ("{{" in url or "{%" in url):
        complain(("notify", "url"), "an address is no template; allowed: one that is written out")
    on = section.get("on", sorted(DEFAULT_ON))
    notify = Notify(
        on=frozenset([on] if isinstance(on, str) else on),
        url=_value(url),
        headers={name: _value(value) or "" for name, value in section.get("headers", {}).items()},
        command=tuple(command or ()),
        payload=section.get("payload"),
        section=section,
        root=root,
    )
    _check_key(notify, complain)
    try:
        for name, text in notify.included().items():
            if holds_key(text) or is_key_file(root / name):
                complain(("notify", "payload"), f"the included file {name} {KEPT_KEY}")
    except TemplateProblem as error:
        complain(("notify", "payload"), f"{error}; a notice has {', '.join(_SAMPLE.as_json())}")
    return notify


def _check_key(notify: Notify, complain: Complain) -> None:
    """A notice must not give the API key away."""
    if holds_key(json_text(notify.section)):
        complain(("notify",), "holds the API key itself")
    values = {("url",): notify.url} | {("headers", k): v for k, v in notify.headers.items()}
    for at, value in values.items():
        if isinstance(value, FromEnvironment) and is_key_variable(value.name):
            words = f"found the variable {value.name}, which holds the API key or says where it is"
            complain(("notify", *at), f"{words}; allowed: any other")
    for number, word in enumerate(notify.command):
        if names_key(word) or is_key_file(notify.root / word):
            words = "speaks of the API key, which no command of a manifest gets"
            complain(("notify", "command", number), words)


def _rendered(value: Json, templates: Templates, variables: Mapping[str, Json]) -> Json:
    if isinstance(value, str):
        return templates.compile(value).render(variables)
    if isinstance(value, Mapping):
        return {key: _rendered(item, templates, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_rendered(item, templates, variables) for item in value]
    return value


def _value(value: Json) -> str | FromEnvironment | None:
    return FromEnvironment(name=value["env"]) if isinstance(value, Mapping) else value


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
