"""Payloads and results as bytes with a media type; JSON unless they are bytes themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from muster.errors import InvalidPayloadError, InvalidResultError
from muster.payloads.convert import convert
from muster.payloads.plain import plain

T = TypeVar("T")

JSON = "application/json"
BYTES = "application/octet-stream"

_RAW: tuple[Any, ...] = (bytes, bytearray, memoryview)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A payload or a result as it is sent."""

    data: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Decoder(Generic[T]):
    """Decodes payloads to one annotation."""

    annotation: Any
    decode: Callable[[bytes, str], Any]

    def __call__(self, data: bytes, content_type: str) -> T:
        """InvalidPayloadError, with the field, when it does not fit."""
        return cast("T", self.decode(data, content_type))


def decoder_for(annotation: Any) -> Decoder[Any]:
    """The decoder of an annotation. None and Any take JSON as it is, and everything else as bytes."""
    if annotation in _RAW:
        return Decoder(annotation, lambda data, _: annotation(data))
    if annotation is None or annotation is Any:
        return Decoder(annotation, _untyped)
    return Decoder(annotation, lambda data, content_type: convert(_value(data, content_type, annotation), annotation))


def is_json(content_type: str) -> bool:
    """True for JSON and for media types that are JSON, such as `application/problem+json`."""
    kind = content_type.split(";")[0].strip().lower()
    return kind in ("", JSON) or kind.endswith("+json")


def encode_value(value: object) -> Encoded:
    """JSON of a value, or bytes as they are; InvalidResultError when it has no JSON form."""
    if isinstance(value, bytes | bytearray | memoryview):
        return Encoded(bytes(value), BYTES)
    try:
        text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidResultError(f"a {type(value).__name__} has no JSON form: {error}") from None
    try:
        return Encoded(text.encode(), JSON)
    except UnicodeEncodeError:
        raise InvalidResultError("a text has half of a surrogate pair, which UTF-8 does not have") from None


def _untyped(data: bytes, content_type: str) -> Any:
    return _json(data) if is_json(content_type) else data


def _value(data: bytes, content_type: str, annotation: Any) -> Any:
    if is_json(content_type):
        return _json(data)
    if annotation is str and content_type.startswith("text/"):
        return data.decode(errors="replace")
    raise InvalidPayloadError(
        f"the media type is {content_type!r}, and the handler takes JSON; submit JSON, or annotate the payload as bytes"
    )


def _json(data: bytes) -> Any:
    if not data:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        # The message of a decoder has positions and no data.
        raise InvalidPayloadError(f"it is not JSON: {error}") from None
