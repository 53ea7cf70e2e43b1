"""One API request on its way through a handler."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from dsrun.emulator.wire import invalid_parameter, json_answer
from dsrun.emulator.world import World

_ANY = object()

# Words of its own calls that the official package leaves in a request, with their only value.
_SLIPS: tuple[tuple[str, str, object], ...] = (
    ("parameters", "is_async", _ANY),
    ("input", "extend_prompt", _ANY),
    ("input", "function", "video-synthesis"),
    ("input", "prompt", None),  # of a film that is made without one
)


def _without_slips(body: dict[str, Any]) -> dict[str, Any]:
    """The request without what only the official package says, and the service overlooks."""
    for section, word, value in _SLIPS:
        part = body.get(section)
        if isinstance(part, dict) and word in part and value in (_ANY, part[word]):
            body = {**body, section: {k: v for k, v in part.items() if k != word}}
    return body


@dataclass(slots=True, kw_only=True)
class Call:
    """`is_accepted` is set once the call has created something that costs money."""

    request: web.Request
    world: World
    request_id: str
    key_id: str
    is_accepted: bool = False

    @property
    def origin(self) -> str:
        """Scheme, host and port as the client wrote them; result addresses start with them."""
        return f"{self.request.scheme}://{self.request.host}"

    async def read_json(self) -> dict[str, Any]:
        message = "Required body invalid, please check the request body format."
        if self.request.content_type != "application/json":
            raise invalid_parameter(message)
        try:
            body = orjson.loads(await self.request.read())
        except orjson.JSONDecodeError:
            raise invalid_parameter(message) from None
        if not isinstance(body, dict):
            raise invalid_parameter(message)
        return _without_slips(body)

    def accept(self, body: Mapping[str, Any]) -> None:
        """Count a create by its canonical JSON text."""
        self.is_accepted = True
        self.world.creates[orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()] += 1

    def answer(self, body: Mapping[str, Any]) -> web.Response:
        """The body under the id of the request; a few calls name it `id`."""
        name = "id" if "id" in body else "request_id"
        return json_answer({**body, name: self.request_id}, request_id=self.request_id)
