"""The environment and key files, read once into values. The only user of os.environ."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dsrun.errors import SetupError, UsageError
from dsrun.masking import keep_secret

DEFAULT_BASE_URL = "https://dashscope.aliyuncs.com/api/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where to send requests and with which key; the key never shows in a repr."""

    base_url: str
    api_key: str = field(repr=False)
    workspace: str | None = None

    def bearer(self) -> str:
        return f"Bearer {self.api_key}"


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment. Raises SetupError without a usable key."""
    env = os.environ if environ is None else environ
    named = env.get("DASHSCOPE_HTTP_BASE_URL") or env.get("DASHSCOPE_BASE_URL")
    base_url = (named or DEFAULT_BASE_URL).strip()
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SetupError(
            f"the base URL {base_url!r} is no http address; DASHSCOPE_HTTP_BASE_URL should look "
            f"like {DEFAULT_BASE_URL}"
        )
    workspace = (env.get("DASHSCOPE_WORKSPACE") or env.get("DASHSCOPE_WORKSPACE_ID") or "").strip()
    if not workspace.isascii() or not workspace.isprintable():
        raise SetupError("DASHSCOPE_WORKSPACE holds a sign that no workspace id has; set it again")
    return Settings(base_url=base_url, api_key=_api_key(env), workspace=workspace or None)


def load_env_file(path: Path) -> None:
    """Set the variables of a file that the environment does not have. Raises UsageError."""
    from dotenv.parser import parse_stream  # noqa: PLC0415  # few runs want it

    try:
        with path.open(encoding="utf-8-sig") as file:
            bindings = list(parse_stream(file))
    except (OSError, UnicodeDecodeError) as error:
        words = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageError(f"--env-file {path}: cannot be read: {words}") from error
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            raise UsageError(
                f"--env-file {path}: line {binding.original.line} is not NAME=VALUE; "
                "quote a value that holds spaces or #"
            )
    for binding in bindings:
        if binding.key is not None and binding.value is not None:
            os.environ.setdefault(binding.key, binding.value)


def wants_color(environ: Mapping[str, str] | None = None) -> bool:
    """Whether a terminal may show colours: not with NO_COLOR (no-color.org), not a dumb one."""
    env = os.environ if environ is None else environ
    return not env.get("NO_COLOR") and env.get("TERM") != "dumb"


def read_variable(name: str) -> str | None:
    """A variable that the manifest names for a secret; None where it is not set."""
    value = os.environ.get(name, "").strip()
    keep_secret(value)
    return value or None


def step_summary_file() -> Path | None:
    """The file whose Markdown GitHub shows on the page of a workflow run."""
    named = os.environ.get("GITHUB_STEP_SUMMARY")
    return Path(named) if named else None


def without_key() -> dict[str, str]:
    """The environment for a program that is not ours: all but the API key."""
    return {name: value for name, value in os.environ.items() if name != "DASHSCOPE_API_KEY"}


def emulated_settings(base_url: str) -> Settings:
    return Settings(base_url=base_url, api_key="sk-emulated")


def _api_key(env: Mapping[str, str]) -> str:
    key = env.get("DASHSCOPE_API_KEY", "").strip()
    if not key:
        named = env.get("DASHSCOPE_API_KEY_FILE_PATH")
        path = Path(named) if named else Path("~/.dashscope/api_key").expanduser()
        key = _read_key(path, required=bool(named))
    if not key:
        raise SetupError(
            "no API key: set DASHSCOPE_API_KEY (or put the key into ~/.dashscope/api_key), or add "
            "--emulate to try the pipeline without a key and without cost"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SetupError("the API key holds a space or a sign that no key has; set it again")
    keep_secret(key)
    return key


def _read_key(path: Path, *, required: bool) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        if required:
            raise SetupError(
                f"DASHSCOPE_API_KEY_FILE_PATH names {path}, which cannot be read: {error.strerror}"
            ) from error
        return ""
    except UnicodeDecodeError as error:
        raise SetupError(f"{path} holds no text; it should hold the API key alone") from error
