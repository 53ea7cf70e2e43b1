"""Whether a pipeline may tell anybody of its end: what it would call, what the user allows.

A manifest can come from anybody, and its notice posts to an address and runs a program. So the
first time on this machine the user sees both and agrees, before anything is sent.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from dsrun.common.console import say
from dsrun.common.errors import SetupError, UsageError
from dsrun.common.models import Json
from dsrun.common.redaction import mask
from dsrun.common.settings import read_variable, state_folder
from dsrun.common.state_file import StateFile
from dsrun.manifest.notify import FromEnvironment, Notify

_LINE = re.compile(rb"[0-9a-f]{64}")
_HOW = "a run asks on a terminal, and elsewhere wants --allow-notify"


class Consents:
    """Notices that the user has allowed on this machine, by digest, in a list on disk.

    `folder` is where dsrun keeps its state; None where the user has no home.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file = StateFile(folder, "allowed-notices")

    def has(self, digest: str) -> bool:
        return digest.encode() in filter(_LINE.fullmatch, self._file.lines())

    def remember(self, digest: str) -> None:
        """Raises SetupError where the list cannot be written."""
        self._file.add(digest.encode())


class Permit:
    """What the user allows the notices of one pipeline."""

    def __init__(self, notify: Notify | None, *, allow: bool, emulate: bool) -> None:
        """`allow` is --allow-notify. An emulated run sends no notice."""
        self._notify = None if emulate else notify
        self._allow = allow
        self._consents = Consents(state_folder())

    @property
    def notify(self) -> Notify | None:
        """Whom to tell; None where that is not allowed."""
        return self._notify if self._notify is not None and self._is_given() else None

    def ask(self, agree: Callable[[str], bool]) -> None:
        """Ask for permission unless it was given before. Raises UsageError where nobody agrees."""
        notify = self._notify
        if notify is None or (self._is_given() and not self._allow):
            return
        if not self._allow:
            calls = "; ".join(calls_of(notify))
            words = (
                f"this pipeline sends a notice at its end, not allowed on this machine yet: {calls}"
            )
            if not agree(f"{words}. Allow it from now on?"):
                raise UsageError(
                    f"{words}; nothing was sent. Add --allow-notify to agree (allow_notify=True in "
                    "Python), or take `notify` out of the manifest"
                )
            self._allow = True
        if not self._consents.has(notify.digest):
            try:
                self._consents.remember(notify.digest)
            except SetupError as error:
                say(f"warning: that this notice is allowed cannot be remembered: {error}")

    def _is_given(self) -> bool:
        return self._allow or (self._notify is not None and self._consents.has(self._notify.digest))


def calls_of(notify: Notify) -> Iterator[str]:
    """What a notice would call, in words."""
    if notify.url is not None:
        yield f"a POST to {_address(notify.url)}{_headers(notify)}"
    if notify.command:
        yield f"the command `{mask(shlex.join(notify.command))}` in {notify.root.resolve()}"


def notice_json(notify: Notify | None) -> Json:
    """When a notice is sent, what it calls and whether that is allowed; None for no notice."""
    if notify is None:
        return None
    return {
        "on": sorted(notify.on),
        "calls": list(calls_of(notify)),
        "allowed": Consents(state_folder()).has(notify.digest),
    }


def notice_lines(notify: Notify | None) -> Iterator[str]:
    """The same for a person, a line for each call."""
    if notify is None:
        return
    for call in calls_of(notify):
        yield f"notify on {', '.join(sorted(notify.on))}: {call}"
    if not Consents(state_folder()).has(notify.digest):
        yield f"notify: not allowed on this machine yet; {_HOW}"


def _address(url: str | FromEnvironment) -> str:
    """The address, with its host named first: text before an @ can pass for a host."""
    if isinstance(url, str):
        return f"{urlsplit(url).hostname}, {mask(url)}"
    value = read_variable(url.name) or ""
    try:
        host = urlsplit(value).hostname
    except ValueError:
        host = None
    return f"the address in the variable {url.name} ({host or 'which is not set'})"


def _headers(notify: Notify) -> str:
    words = [
        f"{name} from the variable {value.name}" if isinstance(value, FromEnvironment) else name
        for name, value in notify.headers.items()
    ]
    return f" with the headers {', '.join(words)}" if words else ""
