"""Judges an answer of the API: a pure function of status, code and message.

The rules are data (`schemas/errors.json`); the order in them is the order of judgement.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache

import orjson

from dsrun.common.models import Json
from dsrun.common.redaction import mask
from dsrun.common.resources import read_schema
from dsrun.service.answer_json import cut

_TOO_MANY = 429
_SERVER_ERROR = 500
_FOREIGN_WORDS = "the answer is not in the words of the API"
_NO_JOINTS = str.maketrans("", "", "_- ")


class Decision(StrEnum):
    """What an answer means for the job and the run."""

    ACCEPTED = "accepted"
    JOB = "job"  # this job fails
    THROTTLE = "throttle"  # wait and repeat; costs no attempt
    RETRY = "retry"  # refused for now; repeat, counting attempts
    AMBIGUOUS = "ambiguous"  # may have been accepted; a plain retry where nothing is paid
    MODEL = "model"  # no job of this operation can succeed
    STOP = "stop"  # no job at all can succeed


_PASSING = (Decision.RETRY, Decision.THROTTLE, Decision.AMBIGUOUS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    decision: Decision
    code: str = ""
    message: str = ""
    retry_after_s: float | None = None
    tries: int | None = None  # in all, for a retry; None leaves it to the run's own limit
    is_foreign: bool = False  # in the words of a gateway, a proxy or a firewall
    is_crowded: bool = False  # whoever answered asks for fewer requests

    @property
    def words(self) -> str:
        """Code and message, as users and the ledger get them."""
        return f"{self.code}: {self.message}"


@dataclass(frozen=True, slots=True)
class _Rule:
    http: frozenset[int]
    codes: tuple[str, ...]
    messages: tuple[str, ...]
    decision: Decision
    tries: int | None
    is_own: bool

    def fits(self, status: int, code: str, message: str) -> bool:
        return (
            (not self.http or status in self.http)
            and (not self.codes or any(fnmatchcase(code, known) for known in self.codes))
            and (not self.messages or any(part in message for part in self.messages))
        )


ACCEPTED = Verdict(decision=Decision.ACCEPTED)


def judge(status: int, payload: Json, *, headers: Mapping[str, str], through: str = "") -> Verdict:
    """The verdict on an HTTP answer; `payload` is its JSON, or None where it has none.

    `through` names a proxy that may have spoken.
    Only the API itself can refuse. What stands before it may answer in words of its own after
    the API has accepted, so such an answer leaves open what became of a create.
    """
    code, message = error_of(payload)
    is_success = 200 <= status < 300  # noqa: PLR2004  # HTTP's 2xx
    if is_success and isinstance(payload, dict) and (not code or _names_task(payload)):
        return ACCEPTED
    if not _is_of_api(payload):
        return Verdict(
            decision=Decision.AMBIGUOUS,
            code=f"HTTP {status}",
            message="; it came through ".join(filter(None, (_FOREIGN_WORDS, through))),
            retry_after_s=retry_after(headers),
            is_foreign=status < _SERVER_ERROR,
            is_crowded=status == _TOO_MANY,
        )
    decision, tries = _judge_error(status, code, message)
    return Verdict(
        decision=decision,
        code=code,
        message=message or "the answer names no reason",
        retry_after_s=retry_after(headers),
        tries=tries,
        is_crowded=decision is Decision.THROTTLE,
    )


def _is_of_api(payload: Json) -> bool:
    """Whether an error has the API's own form: a code that is text, and the id of its request.

    In the body: many a gateway writes an `x-request-id` of its own into the headers.
    """
    if not isinstance(payload, Mapping):
        return False
    inner = payload.get("error")
    code = (inner if isinstance(inner, Mapping) else payload).get("code")
    has_id = isinstance(payload.get("request_id"), str)
    return isinstance(code, str) and bool(code.strip()) and has_id


def judge_code(status: int, code: str, message: str) -> Decision:
    """The decision for an error; an unknown 4xx ends the job, an unknown 5xx is ambiguous.

    An error inside a task has the status 200 of the answer that tells it.
    """
    return _judge_error(status, code, message)[0]


def is_own_failure(status: int, code: str, message: str) -> bool:
    """Whether an error is the service's own failure, so that the same request may succeed later."""
    rule = _rule_for(status, code, message)
    return rule is not None and (rule.is_own or rule.decision in _PASSING)


def fits_code(code: str, glob: str) -> bool:
    """Whether a code is one of those that a user means, such as InternalError.*."""
    return fnmatchcase(_plain(code), _plain(glob))


def _judge_error(status: int, code: str, message: str) -> tuple[Decision, int | None]:
    is_refusal = status < 500 and status != 408  # noqa: PLR2004  # HTTP's 5xx and its time-out
    rule = _rule_for(status, code, message)
    if rule is None:
        return (Decision.JOB if is_refusal else Decision.AMBIGUOUS), None
    if rule.decision in (Decision.RETRY, Decision.THROTTLE) and not is_refusal:
        # Only a clear no makes it safe to send a create again, whatever the code says.
        return Decision.AMBIGUOUS, None
    return rule.decision, rule.tries


def _rule_for(status: int, code: str, message: str) -> _Rule | None:
    """The first rule that fits, if any."""
    plain, low = _plain(code), message.lower()
    return next((rule for rule in _rules() if rule.fits(status, plain, low)), None)


def _plain(code: str) -> str:
    """A code as it is compared: the API has DataInspectionFailed and data_inspection_failed."""
    return code.lower().translate(_NO_JOINTS)


def _names_task(payload: Json) -> bool:
    """Whether the answer is about a task: then its code is the task's, and no refusal."""
    output = payload.get("output") if isinstance(payload, Mapping) else None
    return isinstance(output, Mapping) and bool(output.get("task_id"))


def error_of(payload: Json) -> tuple[str, str]:
    """Code and message of an error body, in any of the shapes that the API uses."""
    if not isinstance(payload, dict):
        return "", ""
    inner = payload.get("error")
    if isinstance(inner, dict):
        payload = inner
    code, message = payload.get("code"), payload.get("message") or payload.get("msg")
    return words(code) if code else "", words(message) if message else ""


def words(said: Json) -> str:
    """What an answer says of an error, or calls its request, as it can be kept and shown."""
    return cut(clean(str(said)))


def clean(text: str) -> str:
    """Text from a foreign header or body as it can be stored: no half surrogates, no secrets."""
    if not text:
        return text
    text = mask(text)  # a service that quotes our request may quote the key
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the service asks to wait: `retry-after-ms`, else `Retry-After`.

    A date counts from the answer's own `Date`, so that only the service's clock matters.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "")
        try:
            seconds = float(text) * unit
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
        asked = until - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, OverflowError):  # no date, or one of the two without a zone
        return None
    return max(0.0, asked.total_seconds())


@cache
def _rules() -> Sequence[_Rule]:
    return tuple(
        _Rule(
            http=frozenset(rule.get("http", ())),
            codes=tuple(map(_plain, rule.get("code", ()))),
            messages=tuple(rule.get("message", ())),
            decision=Decision(rule["do"]),
            tries=rule.get("tries"),
            is_own=rule.get("own", False),
        )
        for rule in orjson.loads(read_schema("errors.json"))["rules"]
    )
