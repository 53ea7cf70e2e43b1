"""Temporary uploads: the policy, the form that it allows, and the uploaded file."""

import base64
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import BodyPartReader, MultipartReader, web

from dsrun.emulator.signing import ACCESS_KEY_ID, Signer
from dsrun.emulator.wire import service_time, storage_error, utc_stamp

UPLOAD_PATH = "/dashscope-file-mgr"
POLICY_LIFE_S = 300
FILE_LIFE_S = 48 * 3600.0
LARGEST_FILE_MB = 100
CAPACITY_MB = 999999999
LONGEST_FIELD = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFile:
    """`head` is the start of the content: the longest allowed reference picture, and one byte."""

    model: str
    uploaded_at: float
    size: int
    head: bytes


class FormRefusal(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class UploadStore:
    def __init__(self, *, signer: Signer, now: Callable[[], float]) -> None:
        self._signer = signer
        self._now = now
        self._models: dict[str, str] = {}
        self._files: dict[str, UploadedFile] = {}

    def make_policy(self, model: str, *, upload_host: str) -> dict[str, Any]:
        now = self._now()
        folder = f"dashscope-instant/{service_time(now, '%Y-%m-%d')}/{uuid.uuid4()}"
        self._models[folder] = model
        conditions = [
            ["content-length-range", 0, LARGEST_FILE_MB * 2**20],
            ["starts-with", "$key", folder],
            {"x-oss-object-acl": "private"},
            {"x-oss-forbid-overwrite": "true"},
        ]
        document = {"expiration": utc_stamp(now + POLICY_LIFE_S), "conditions": conditions}
        policy = base64.b64encode(orjson.dumps(document)).decode("ascii")
        return {
            "policy": policy,
            "signature": self._signer.sign_text(policy),
            "upload_dir": folder,
            "upload_host": upload_host,
            "expire_in_seconds": POLICY_LIFE_S,
            "max_file_size_mb": LARGEST_FILE_MB,
            "capacity_limit_mb": CAPACITY_MB,
            "oss_access_key_id": ACCESS_KEY_ID,
            "x_oss_object_acl": "private",
            "x_oss_forbid_overwrite": "true",
        }

    def check_form(self, form: Mapping[str, str]) -> None:
        """Refuse what the form's policy does not allow."""
        policy = form.get("policy", "")
        if form.get("OSSAccessKeyId") != ACCESS_KEY_ID:
            raise FormRefusal(403, "InvalidAccessKeyId", "The access key id does not exist.")
        if not self._signer.matches(policy, form.get("Signature", "")):
            message = "The request signature we calculated does not match the signature provided."
            raise FormRefusal(403, "SignatureDoesNotMatch", message)
        document = orjson.loads(base64.b64decode(policy))
        if utc_stamp(self._now()) > document["expiration"]:
            message = "Invalid according to Policy: Policy expired."
            raise FormRefusal(403, "AccessDenied", message)
        for condition in document["conditions"]:
            _check_condition(condition, form)
        if form["key"] in self._files:
            message = "The object you specified already exists and can not be overwritten."
            raise FormRefusal(409, "FileAlreadyExists", message)

    def keep(self, key: str, *, size: int, head: bytes) -> None:
        folder = key.rpartition("/")[0]
        self._files[key] = UploadedFile(
            model=self._models.get(folder, ""), uploaded_at=self._now(), size=size, head=head
        )

    def find(self, url: str, *, model: str) -> UploadedFile | None:
        """The file of an `oss://` address, unless it has expired or is for another model."""
        file = self._files.get(url.removeprefix("oss://"))
        if file is None or file.model != model:
            return None
        return file if self._now() < file.uploaded_at + FILE_LIFE_S else None


async def receive_upload(
    request: web.Request, *, store: UploadStore, keep_bytes: int
) -> web.Response:
    """Receive the form; at most `keep_bytes` of the file are kept."""
    if "Authorization" in request.headers:
        message = "The form is signed: a request must not authorise itself twice."
        return storage_error(400, "InvalidArgument", message, host=request.host)
    if not request.content_type.startswith("multipart/form-data"):
        return _refuse(request, _malformed())
    try:
        form = await _read_form(await request.multipart(), store, keep_bytes)
    except (FormRefusal, ValueError) as error:
        refused = error if isinstance(error, FormRefusal) else _malformed()
        return _refuse(request, refused)
    return web.Response(status=200 if form.get("success_action_status") == "200" else 204)


async def _read_form(
    reader: MultipartReader, store: UploadStore, keep_bytes: int
) -> Mapping[str, str]:
    form: dict[str, str] = {}
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise _malformed()
        if part.name != "file":
            form[part.name] = (await part.read())[:LONGEST_FIELD].decode()
            continue
        store.check_form(form)
        size, head = await _read_file(part, keep_bytes)
        if await reader.next() is not None:
            raise FormRefusal(
                400, "InvalidArgument", "The file must be the last field of the form."
            )
        store.keep(form["key"], size=size, head=head)
        return form
    raise FormRefusal(400, "InvalidArgument", "The form holds no field named file.")


async def _read_file(part: BodyPartReader, keep_bytes: int) -> tuple[int, bytes]:
    size, head = 0, bytearray()
    while chunk := await part.read_chunk(2**16):
        size += len(chunk)
        head += chunk[: max(0, keep_bytes - len(head))]
        if size > LARGEST_FILE_MB * 2**20:
            message = "Your proposed upload exceeds the maximum allowed size."
            raise FormRefusal(400, "EntityTooLarge", message)
    return size, bytes(head)


def _check_condition(condition: Any, form: Mapping[str, str]) -> None:
    match condition:
        case ["starts-with", name, prefix]:
            kept = form.get(name.removeprefix("$"), "").startswith(prefix + "/")
        case dict():
            kept = condition.items() <= form.items()
        case _:
            kept = True
    if not kept:
        words = orjson.dumps(condition).decode()
        message = f"Invalid according to Policy: Policy Condition failed: {words}"
        raise FormRefusal(403, "AccessDenied", message)


def _malformed() -> FormRefusal:
    message = "The body of your POST request is not well-formed multipart/form-data."
    return FormRefusal(400, "MalformedPOSTRequest", message)


def _refuse(request: web.Request, refused: FormRefusal) -> web.Response:
    return storage_error(refused.status, refused.code, refused.message, host=request.host)
