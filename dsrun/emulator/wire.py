"""Answers in the API's words: bodies, error codes, request ids, time stamps.

It knows nothing about the calls.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any
from xml.sax.saxutils import escape

import orjson
from aiohttp import web

# The API's time stamps have no zone; its documentation of tasks says UTC+8.
SERVICE_ZONE = timezone(timedelta(hours=8))

Headers = Mapping[str, str]


class Refusal(Exception):
    """A request answered with an error body; never leaves the emulator's handlers."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Headers | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def invalid_parameter(message: str) -> Refusal:
    return Refusal(400, "InvalidParameter", message)


def new_id() -> str:
    return str(uuid.uuid4())


def json_answer(
    body: Mapping[str, Any], *, request_id: str, status: int = 200, headers: Headers | None = None
) -> web.Response:
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        content_type="application/json",
        headers={"x-request-id": request_id, **(headers or {})},
    )


def refusal_answer(refusal: Refusal, *, request_id: str) -> web.Response:
    body = {"code": refusal.code, "message": refusal.message, "request_id": request_id}
    return json_answer(body, request_id=request_id, status=refusal.status, headers=refusal.headers)


def service_stamp(epoch_s: float) -> str:
    """`YYYY-MM-DD HH:MM:SS.mmm`, as the task answers show it."""
    moment = datetime.fromtimestamp(epoch_s, SERVICE_ZONE)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"


def service_time(epoch_s: float, pattern: str) -> str:
    return datetime.fromtimestamp(epoch_s, SERVICE_ZONE).strftime(pattern)


def http_date(epoch_s: float) -> str:
    return format_datetime(datetime.fromtimestamp(epoch_s, UTC), usegmt=True)


def utc_stamp(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def storage_error(
    status: int, code: str, message: str, *, host: str, details: Mapping[str, str] | None = None
) -> web.Response:
    """The XML error body of the object store that keeps results and uploads."""
    request_id = uuid.uuid4().hex[:24].upper()
    fields = {
        "Code": code,
        "Message": message,
        "RequestId": request_id,
        "HostId": host,
        **(details or {}),
    }
    lines = [f"  <{name}>{escape(text)}</{name}>" for name, text in fields.items()]
    document = '<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n' + "\n".join(lines)
    return web.Response(
        body=(document + "\n</Error>\n").encode(),
        status=status,
        content_type="application/xml",
        headers={"x-oss-request-id": request_id},
    )
