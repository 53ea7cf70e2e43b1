"""The environment and the key files, read into values. The only user of os.environ."""

import codecs
import locale
import os
import re
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from io import StringIO
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from urllib.parse import SplitResult, urlsplit

from dsrun.common.credential import KEY_FOLDER, guard, is_key_variable
from dsrun.common.errors import SetupError, UsageError
from dsrun.common.proxies import Proxies, is_loopback
from dsrun.common.redaction import keep_secret
from dsrun.common.shell import command_line
from dsrun.common.user_files import Unreadable, read_file, read_pipe

_KEY = "DASHSCOPE_API_KEY"
_BIGGEST_KEY_FILE = 65_536  # bytes
_env_files: set[Path] = set()  # that were read
_keys: set[str] = set()  # every key read in this process, from pipes too
if TYPE_CHECKING:
    from ssl import SSLContext

    from dotenv.parser import Binding

DEFAULT_BASE_URL = "https://dashscope.aliyuncs.com/api/v1"

_SETTINGS_BYTES = 2**20  # of a key file, of an env file
_PIPE_S = 5.0  # how long to wait for the key from a pipe
_NO_ADDRESS = re.compile(r"[\s\\\x00-\x20\x7f\ud800-\udfff]")
_LONGEST_HOST = 253
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?").fullmatch

_LASTING = (
    "DASHSCOPE_HTTP_BASE_URL",
    "DASHSCOPE_BASE_URL",
    "DASHSCOPE_WORKSPACE",
    "DASHSCOPE_WORKSPACE_ID",
    *(
        f"DSRUN_{option}"
        for option in (
            "MAX_COST", "MAX_CONCURRENCY", "YES", "ALLOW_NOTIFY", "RETRY_FAILED", "FAIL_FAST",
            "NO_CACHE", "STEP", "ONLY", "SAMPLE", "LIMIT", "QUIET", "VERBOSE", "LOG_FORMAT",
            "TRANSPORT",
        )
    ),
)  # fmt: skip
FILES_TO_WRITE = ("DSRUN_LOG_FILE", "DSRUN_JUNIT", "DSRUN_TEXTFILE")
_LASTING_FILES = ("DASHSCOPE_API_KEY_FILE_PATH", *FILES_TO_WRITE)


class Transports(StrEnum):
    """What carries the requests of a run."""

    FAST = "fast"
    AIOHTTP = "aiohttp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where to send requests and with which key; the key never shows in a repr."""

    base_url: str
    api_key: str = field(repr=False)
    workspace: str | None = None
    warnings: tuple[str, ...] = ()

    def bearer(self) -> str:
        return f"Bearer {self.api_key}"


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment. Raises SetupError without a usable key."""
    env = os.environ if environ is None else environ
    named = env.get("DASHSCOPE_HTTP_BASE_URL") or env.get("DASHSCOPE_BASE_URL")
    base_url = (named or DEFAULT_BASE_URL).strip()
    parts = _address_parts(base_url)
    if parts is None:
        raise SetupError(
            f"the base URL {base_url!r} is no http address; DASHSCOPE_HTTP_BASE_URL should look "
            f"like {DEFAULT_BASE_URL}"
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise SetupError(
            f"the base URL of {parts.hostname} holds a user, a password, a query or a fragment, "
            f"which no path can follow; it should look like {DEFAULT_BASE_URL}"
        )
    workspace = (env.get("DASHSCOPE_WORKSPACE") or env.get("DASHSCOPE_WORKSPACE_ID") or "").strip()
    if not workspace.isascii() or not workspace.isprintable():
        raise SetupError("DASHSCOPE_WORKSPACE holds a sign that no workspace id has; set it again")
    key, warnings = _api_key(env)
    if not is_loopback(parts.hostname or ""):
        warnings += read_proxies(env).check(base_url)
        read_trust(env)
    return Settings(base_url=base_url, api_key=key, workspace=workspace or None, warnings=warnings)


def read_proxies(environ: Mapping[str, str] | None = None) -> Proxies:
    """The proxies of the environment, else of macOS or Windows; their passwords are secrets."""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  # start-up

    env = os.environ if environ is None else environ
    proxies = Proxies(
        env, of_system=getproxies, is_spared_by_system=lambda host: bool(proxy_bypass(host))
    )
    for secret in proxies.secrets():
        keep_secret(secret)
    return proxies


def read_transport(environ: Mapping[str, str] | None = None) -> Transports:
    """What DSRUN_TRANSPORT asks for. Raises SetupError."""
    env = os.environ if environ is None else environ
    named = env.get("DSRUN_TRANSPORT", "").strip() or Transports.FAST
    try:
        return Transports(named)
    except ValueError as error:
        raise SetupError(
            f"DSRUN_TRANSPORT is {named[:40]!r}; it can be fast (httptools and uvloop, where they "
            "are installed: as if it were not set) or aiohttp"
        ) from error


def read_trust(environ: Mapping[str, str] | None = None) -> "SSLContext | None":
    """Whom TLS trusts where the environment says so. Raises SetupError."""
    from dsrun.common.trust import trust_of  # noqa: PLC0415  # start-up

    return trust_of(os.environ if environ is None else environ)


def _address_parts(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        return parts if _is_address(text, parts) else None
    except ValueError:
        return None


def _is_address(text: str, parts: SplitResult) -> bool:
    """Whether a request can be sent there. Raises ValueError, as the parts of an address do."""
    if parts.scheme not in ("http", "https") or _NO_ADDRESS.search(text):
        return False
    host = (parts.hostname or "").removesuffix(".")
    if parts.netloc.endswith(":") or parts.port == 0:
        return False
    if ":" in host:
        return bool(ip_address(host))
    host = host.encode("idna").decode()
    if re.fullmatch(r"[0-9.]+", host):
        return bool(ip_address(host))
    return len(host) <= _LONGEST_HOST and all(map(_LABEL, host.split(".")))


def load_env_file(path: Path) -> tuple[str, ...]:
    """Set the variables of a file that are not in the environment yet; return warnings about it.

    Raises UsageError.
    """
    bindings = _bindings(path)
    for binding in bindings:
        if binding.key is not None and binding.value is not None:
            os.environ.setdefault(binding.key, binding.value)
    _env_files.add(path.absolute())
    keys = [item.value.strip() for item in bindings if item.key == _KEY and item.value]
    _keys.update(keys)
    return _open_to_others(path) if keys else ()


def names_set_by(path: Path) -> frozenset[str]:
    """The variables that an --env-file sets. Raises UsageError."""
    return frozenset(item.key for item in _bindings(path) if item.key and item.value)


def _bindings(path: Path) -> "list[Binding]":
    from dotenv.parser import parse_stream  # noqa: PLC0415  # few runs want it

    try:
        text = read_file(path, most=_SETTINGS_BYTES).decode("utf-8-sig")
    except Unreadable as error:
        raise UsageError(f"--env-file {path}: {error}") from error
    except UnicodeDecodeError as error:
        words = "cannot be read: it is no UTF-8 text"
        raise UsageError(f"--env-file {path}: {words}") from error
    bindings = list(parse_stream(StringIO(text, newline=None)))
    for binding in bindings:
        if binding.error or not _can_be_set(binding):
            raise UsageError(
                f"--env-file {path}: line {binding.original.line} is not NAME=VALUE; "
                "quote a value that holds spaces or #"
            )
    return bindings


def time_rule() -> str:
    """What TZ says: the name of a zone, a file, or a rule such as CST-8."""
    return os.environ.get("TZ", "")


def guard_key(environ: Mapping[str, str] | None = None) -> None:
    """Keep the key from pipelines: its values wherever they appear, its variables, its files."""
    env = os.environ if environ is None else environ
    named = (Path(env[name]).absolute() for name in ("DSRUN_ENV_FILE",) if env.get(name))
    kept = (key_file(env), key_file({}))
    values = {env.get(_KEY, "").strip(), *_keys, *map(_text_of, kept)} - {""}
    for value in values:
        keep_secret(value)
    guard(values=values, environment=env, files=(*kept, *named, *_env_files))


def _can_be_set(binding: "Binding") -> bool:
    if binding.key is None:
        return True
    return binding.value is not None and "\0" not in binding.key + binding.value


def wants_color(environ: Mapping[str, str] | None = None) -> bool:
    """Whether to use colours: not with NO_COLOR (no-color.org), nor on a dumb terminal."""
    env = os.environ if environ is None else environ
    return not env.get("NO_COLOR") and env.get("TERM") != "dumb"


def terminal_encoding(stream: TextIO, environ: Mapping[str, str] | None = None) -> str | None:
    """The locale's, where `stream` is a terminal and Python's UTF-8 mode passes over it."""
    env = os.environ if environ is None else environ
    if not sys.flags.utf8_mode or env.get("PYTHONIOENCODING") or not stream.isatty():
        return None
    try:
        found = codecs.lookup(locale.getencoding()).name
    except LookupError:
        return None
    return None if found == "ascii" else found  # the locale C knows nothing of the terminal


def log_form(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> str:
    """`json` where the command line or the environment asks for it, else `text`.

    Needed before the command line is parsed, so that an error in it has the same form.
    """
    env = os.environ if environ is None else environ
    words = "\n".join(argv).replace("--log-format\n", "--log-format=").split("\n")
    forms = [word.partition("=")[2] for word in words if word.startswith("--log-format=")]
    chosen = forms[-1] if forms else env.get("DSRUN_LOG_FORMAT")
    return "json" if chosen == "json" else "text"


def wants_json(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> bool:
    """Whether a command that fails, perhaps before its line is parsed, is to say so as JSON."""
    env = os.environ if environ is None else environ
    return "--json" in argv or is_on(env.get("DSRUN_JSON"))


def is_on(value: str | None) -> bool:
    """Whether the value of a variable switches its option on, as click reads it."""
    return (value or "").strip().lower() in ("1", "true", "t", "yes", "y", "on")


def read_variable(name: str) -> str | None:
    """A secret that the manifest names; None where the variable is not set or holds the key."""
    if is_key_variable(name):
        return None
    value = os.environ.get(name, "").strip()
    keep_secret(value)
    return value or None


def names_output() -> bool:
    """Whether the environment names an output directory, so that a command without one has it."""
    return bool(os.environ.get("DSRUN_OUT"))


def step_summary_file() -> Path | None:
    """The file whose Markdown GitHub shows on the page of a workflow run, if any."""
    named = os.environ.get("GITHUB_STEP_SUMMARY")
    return Path(named) if named else None


def without_key() -> dict[str, str]:
    """The environment for a foreign program: everything but the key and its location."""
    guard_key()
    return {name: value for name, value in os.environ.items() if not is_key_variable(name)}


def state_folder(environ: Mapping[str, str] | None = None) -> Path | None:
    """Where dsrun keeps the state of this user; None without a home."""
    env = os.environ if environ is None else environ
    named = Path(env.get("XDG_STATE_HOME", ""))
    folder = named if named.is_absolute() else _home() / ".local" / "state"
    return folder / "dsrun" if folder.is_absolute() else None


def _home() -> Path:
    """The user's home; a relative path where there is none."""
    return Path(os.path.expanduser("~"))  # noqa: PTH111  # pathlib raises where there is none


def emulated_settings(base_url: str) -> Settings:
    return Settings(base_url=base_url, api_key="sk-emulated")


def key_file(environ: Mapping[str, str] | None = None) -> Path:
    """The file with the key, read where DASHSCOPE_API_KEY is not set."""
    env = os.environ if environ is None else environ
    named = env.get("DASHSCOPE_API_KEY_FILE_PATH")
    return Path(named) if named else _home() / KEY_FOLDER / "api_key"


def lasting_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The settings that a scheduled run needs, without the key (see `has_bare_key`)."""
    env = os.environ if environ is None else environ
    values = {name: env[name] for name in _LASTING if env.get(name)}
    files = {name: str(Path(env[name]).absolute()) for name in _LASTING_FILES if env.get(name)}
    return values | files


def has_bare_key(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the key is in the environment itself, which a scheduled run does not inherit."""
    env = os.environ if environ is None else environ
    return bool(env.get("DASHSCOPE_API_KEY"))


def _api_key(env: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """The key, and warnings about where it is kept."""
    key = env.get("DASHSCOPE_API_KEY", "").strip()
    warnings: tuple[str, ...] = ()
    if not key:
        path = key_file(env)
        key = _read_key(path, required=bool(env.get("DASHSCOPE_API_KEY_FILE_PATH")))
        warnings = _open_to_others(path)
    if not key:
        raise SetupError(
            "no API key: set DASHSCOPE_API_KEY (or put the key into ~/.dashscope/api_key), or add "
            "--emulate to try the pipeline without a key and without cost"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SetupError("the API key holds a space or a sign that no key has; set it again")
    keep_secret(key)
    _keys.add(key)
    guard_key(env)
    return key, warnings


def _text_of(path: Path) -> str:
    """The key in a file; a pipe is left alone, since it can be read only once."""
    try:
        if path.is_file() and path.stat().st_size <= _BIGGEST_KEY_FILE:
            return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):  # reported by whoever needs the key
        return ""
    return ""


def _open_to_others(path: Path) -> tuple[str, ...]:
    """A warning where every user of the machine can read or write the key's file."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return ()
    if os.name == "nt" or not stat.S_ISREG(mode) or not mode & (stat.S_IROTH | stat.S_IWOTH):
        return ()
    command = command_line("chmod", "600", path)
    return (f"every user of this machine can read {path}; `{command}` keeps the key yours",)


def _read_key(path: Path, *, required: bool) -> str:
    try:
        return _key_text(path).strip()
    except Unreadable as error:
        if required:
            raise SetupError(f"DASHSCOPE_API_KEY_FILE_PATH names {path}, which {error}") from error
        return ""
    except UnicodeDecodeError as error:
        raise SetupError(f"{path} holds no text; it should hold the API key alone") from error


def _key_text(path: Path) -> str:
    try:
        is_pipe = stat.S_ISFIFO(path.stat().st_mode)
    except (OSError, ValueError):
        is_pipe = False
    return _read_once(path) if is_pipe else read_file(path, most=_SETTINGS_BYTES).decode()


@cache
def _read_once(path: Path) -> str:
    """The text of a pipe, cached: it is empty when the next run of --catch-up asks."""
    return read_pipe(path, most=_SETTINGS_BYTES, wait_s=_PIPE_S).decode()
