"""Results: each kind of an answer made in its form, and put in its place."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dsrun.emulator.answers import Answer, Place
from dsrun.emulator.files import FileHost
from dsrun.emulator.forms import Rules
from dsrun.emulator.media.orders import (
    COMPRESSED,
    Order,
    SpeechOrder,
    can_compress,
    find_instructions,
    order_film,
    order_model,
    order_picture,
    order_speech,
)
from dsrun.emulator.media.writing import file_of, wants_json, write_json, write_text
from dsrun.emulator.operations import Operation
from dsrun.emulator.pointers import read_pointer, write_pointer
from dsrun.emulator.wire import invalid_parameter

# Makes an address for a file, whose label tells it from the other files of its answer.
Publish = Callable[[str, Order], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """The request that results are made for; `reference` is a small PNG, or empty."""

    operation: Operation
    body: Mapping[str, Any]
    seed: int
    scale: float
    reference: bytes = b""

    def order(self, place: Place) -> Order:
        operation, body, index = self.operation, self.body, place.index
        media = place.kind["media"]
        if media == "audio":
            return order_speech(operation, body, place.kind)
        if media == "model":
            return order_model(body, self.seed, index)
        if media in ("text", "json"):
            return file_of(self.value(place))
        picture = order_picture(
            operation,
            body,
            seed=self.seed,
            index=index,
            scale=self.scale,
            reference=self.reference,
            sample=place.sample,
        )
        return order_film(operation, body, picture, self.scale) if media == "video" else picture

    def value(self, place: Place) -> Any:
        """What a text or a JSON value says."""
        kind, body = place.kind, self.body
        if kind["media"] == "text":
            return write_text(body, place.index)
        derived = [
            one
            for one in self.operation.rules["artifacts"]
            if "of" in one and one["of"] == kind.get("name", "")
        ]
        is_file = kind.get("as", "url") != "value"
        sample = place.sample
        length = self.operation.setting(body, "/parameters/dimension")
        return write_json(
            body, place.index, kinds=derived, sample=sample, is_file=is_file, length=length
        )


def check_formats(operation: Operation, body: Mapping[str, Any]) -> None:
    """Refuse a format that this installation cannot make, before anything is accepted."""
    for kind in operation.rules_for(body)["artifacts"]:
        if kind["media"] != "audio" or "of" in kind:
            continue
        name = order_speech(operation, body, kind).response_format
        if name in COMPRESSED and not can_compress():
            raise invalid_parameter(
                f"The emulator makes {name} only with the extra audio. Install it with: "
                "pip install 'dsrun[audio]' (or ask for wav, which needs nothing more)"
            )


def check_json(body: Mapping[str, Any]) -> None:
    """A request for JSON must say so in words; the service refuses others."""
    if wants_json(body) and "json" not in find_instructions(body).lower():
        message = "'messages' must contain the word 'json' in some form, to use 'response_format' "
        raise invalid_parameter(f"{message}of type 'json_object'.")


async def put_results(answer: Answer, making: Making, *, host: FileHost, publish: Publish) -> None:
    for place in answer.places:
        kind, form = place.kind, place.kind.get("as", "url")
        if form == "value":
            write_pointer(answer.document, place.at, making.value(place))
            continue
        order = making.order(place)
        if form == "base64":
            content = await host.make(order)
            result = base64.b64encode(content).decode("ascii")
        else:
            result = publish(_label(kind, place), order)
            _state_end(answer.document, place.at, result)
        write_pointer(answer.document, place.at, result)
        _state_form(answer.document, kind, order)


def _label(kind: Rules, place: Place) -> str:
    name = kind.get("name", "")
    return f"{place.index + 1}-{name}" if name else f"{place.index + 1}"


def _state_end(document: dict[str, Any], at: str, address: str) -> None:
    """Where the sample says beside an address when it expires, say when this one does."""
    beside = at.rpartition("/")[0] + "/expires_at"
    if isinstance(read_pointer(document, beside), int):
        (end,) = parse_qs(urlsplit(address).query)["Expires"]
        write_pointer(document, beside, int(end))


def _state_form(document: dict[str, Any], kind: Rules, order: Order) -> None:
    if "format" in kind:
        write_pointer(document, kind["format"], order.suffix)
    if "sample_rate" in kind and isinstance(order, SpeechOrder):
        write_pointer(document, kind["sample_rate"], order.sample_rate)
