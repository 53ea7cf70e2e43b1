"""Signed addresses of the object store: whoever has one can read the file until it expires."""

import base64
import hashlib
import hmac
from enum import Enum, auto
from urllib.parse import urlencode

ACCESS_KEY_ID = "LTAI5tEmulatedAccessKey0"


class Verdict(Enum):
    GOOD = auto()
    UNSIGNED = auto()
    EXPIRED = auto()
    TAMPERED = auto()


class Signer:
    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign_text(self, text: str) -> str:
        mac = hmac.new(self._secret, text.encode(), hashlib.sha1)
        return base64.b64encode(mac.digest()).decode("ascii")

    def matches(self, text: str, signature: str) -> bool:
        return hmac.compare_digest(self.sign_text(text).encode(), signature.encode())

    def sign_path(self, path: str, *, expires_at: int) -> str:
        """Path and query, signed with version 1 of the object store's signatures."""
        query = {
            "Expires": str(expires_at),
            "OSSAccessKeyId": ACCESS_KEY_ID,
            "Signature": self.sign_text(_get_request(path, str(expires_at))),
        }
        return f"{path}?{urlencode(query)}"

    def judge(self, path: str, *, query: dict[str, str], now: float) -> Verdict:
        expires, signature = query.get("Expires", ""), query.get("Signature", "")
        if not (expires and signature and query.get("OSSAccessKeyId")):
            return Verdict.UNSIGNED
        genuine = query["OSSAccessKeyId"] == ACCESS_KEY_ID
        if not genuine or not self.matches(_get_request(path, expires), signature):
            return Verdict.TAMPERED
        return Verdict.EXPIRED if now > int(expires) else Verdict.GOOD


def _get_request(path: str, expires: str) -> str:
    return f"GET\n\n\n{expires}\n{path}"
