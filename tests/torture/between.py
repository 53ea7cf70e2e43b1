"""What somebody between dsrun and the API says in its place: a proxy, a gateway, a firewall.

And what the API itself says when it refuses. Each is dealt from a deck that a seed shuffles, so
that all come before one comes again.
"""

import itertools
import json
import random
import uuid

from aiohttp import web

_ELSEWHERE = "https://login.example.com/sign-in"
_HTML = "<html><head><title>{status}</title></head><body><h1>{status}</h1>nginx</body></html>"
STATUSES = (301, 302, 307, 308, 401, 403, 404, 413, 418, 429)
KIN = (200, 303, 400, 402, 405, 407, 410, 414, 421, 451, 499)
BODIES = (
    ("text/html", _HTML),
    ("text/html", ""),
    ("text/plain", "Forbidden by policy"),
    ("application/json", '{"error": "forbidden"}'),
    ("application/json", '{"message": "Limit Exceeded"}'),
    ("application/json", "[]"),
    ("application/json", '"blocked"'),
    ("application/json", "null"),
    ("application/json", '{"code": {status}}'),
    ("application/json", '{"code": {status}, "message": "denied by rule 17"}'),
    ("application/json", '{"status": "error"}'),
    ("application/json", '{"error": {"code": {status}, "status": "PERMISSION_DENIED"}}'),
    ("application/json", "{}"),
)
_REFUSALS = (
    (429, "Throttling", "Requests throttling triggered."),
    (429, "Throttling.RateQuota", "Requests rate limit exceeded."),
    (429, "Throttling.BurstRate", "Request rate increased too quickly."),
    (409, "Conflict", "The request conflicts with another."),
    (400, "InvalidParameter", "The parameter size is not valid."),
    (400, "DataInspectionFailed", "Input data may contain inappropriate content."),
    (400, "Arrearage", "Access denied, please make sure your account is in good standing."),
    (401, "InvalidApiKey", "Invalid API-key provided."),
    (403, "AccessDenied", "Access denied."),
    (403, "Model.AccessDenied", "Model access denied."),
    (404, "ModelNotFound", "Model can not be found."),
)


class Deck:
    """Dealt to its end, then from the start again."""

    def __init__(self, cards, *, seed):
        self._cards = list(cards)
        random.Random(seed).shuffle(self._cards)
        self._dealt = itertools.cycle(self._cards)

    def deal(self):
        return next(self._dealt)


def gateway_deck(seed):
    cards = list(itertools.product(STATUSES + KIN, BODIES, (None, "1")))
    return Deck(cards, seed=f"{seed} gateway")


def refusal_deck(seed):
    return Deck(itertools.product(_REFUSALS, (None, "1")), seed=f"{seed} refused")


def gateway_answer(card):
    """An answer that is not the API's, and words on it."""
    status, (kind, text), wait = card
    text = text.replace("{status}", str(status))
    headers = {"Location": _ELSEWHERE} if status in (301, 302, 303, 307, 308) else {}
    if wait:
        headers["Retry-After"] = wait
    response = web.Response(status=status, text=text, content_type=kind, headers=headers)
    return response, f"{status} {text[:60]!r}" + (" with Retry-After" if wait else "")


def refusal_answer(card):
    """The API's own no, and words on it."""
    (status, code, message), wait = card
    request_id = str(uuid.uuid4())
    body = {"code": code, "message": message, "request_id": request_id}
    headers = {"x-request-id": request_id} | ({"Retry-After": wait} if wait else {})
    return web.Response(
        status=status, text=json.dumps(body), content_type="application/json", headers=headers
    ), f"{status} {code}"
