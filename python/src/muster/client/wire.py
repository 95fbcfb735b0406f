"""The Connect protocol with JSON: bodies, frames of streams, and the details of errors."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from muster.errors import ErrorFacts, MusterError, NotASchedulerError, Violation, error_for

JsonObject = dict[str, Any]

UNARY_TYPE = "application/json"
STREAM_TYPE = "application/connect+json"

ERROR_DOMAIN = "muster"

MAX_FRAME = 64 * 1024 * 1024
"""No scheduler sends more: its largest message is a setting of 4 MiB."""

_COMPRESSED = 1
_END = 2


def encode(value: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8, without NaN, which JSON does not have."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def decode_object(body: bytes, what: str) -> JsonObject:
    """The object of a body; NotASchedulerError when it is none."""
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise NotASchedulerError(f"{what} is not JSON of a scheduler: {body[:80]!r}", ErrorFacts("unknown"))
    return value


def envelope(message: bytes) -> bytes:
    """One message of a stream: a byte of flags, the length in four bytes, the message."""
    return b"\0" + len(message).to_bytes(4, "big") + message


class FrameReader:
    """Cuts the bytes of a stream into its messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.ended = False
        """True after the message that ends the stream."""

    def feed(self, chunk: bytes) -> Iterator[JsonObject]:
        """The messages that are whole now; raises the error with which the stream ends."""
        self._buffer += chunk
        while len(self._buffer) >= 5:
            flags, length = self._buffer[0], int.from_bytes(self._buffer[1:5], "big")
            if length > MAX_FRAME or flags & ~(_COMPRESSED | _END):
                raise NotASchedulerError("the answer is not a stream of messages", ErrorFacts("unknown"))
            if len(self._buffer) < 5 + length:
                return
            body = bytes(self._buffer[5 : 5 + length])
            del self._buffer[: 5 + length]
            if flags & _COMPRESSED:
                raise NotASchedulerError("the answer is compressed, which was not asked for", ErrorFacts("unknown"))
            message = decode_object(body, "a message of the stream")
            if not flags & _END:
                yield message
                continue
            self.ended = True
            if "error" in message:
                raise error_of(message["error"])
            return


def error_of(body: object) -> MusterError:
    """The error of a call from the JSON of its status."""
    if not isinstance(body, dict) or not isinstance(body.get("code"), str):
        return NotASchedulerError(f"the answer is not an error of a scheduler: {body!r:.120}", ErrorFacts("unknown"))
    return error_for(str(body.get("message") or "no message"), _facts(body["code"], body.get("details")))


def http_error(status: int, content_type: str, body: bytes) -> MusterError:
    """The error of an answer with a status other than 200."""
    if content_type.split(";")[0].strip() == UNARY_TYPE:
        try:
            value = json.loads(body)
        except ValueError:
            value = None
        if isinstance(value, dict) and isinstance(value.get("code"), str):
            # Plain HTTP sends the stable reason as the code.
            if value["code"].isupper():
                return error_for(str(value.get("message")), ErrorFacts(_code_of(status), value["code"]))
            return error_of(value)
    text = body[:120].decode(errors="replace").strip()
    code = _code_of(status)
    if code == "unavailable":
        return MusterError(f"HTTP {status}: {text}", ErrorFacts(code))
    return NotASchedulerError(f"the answer has the HTTP status {status}: {text!r}", ErrorFacts(code))


def _code_of(status: int) -> str:
    """Code of a status that a proxy sent, by the table of Connect."""
    table = {400: "internal", 401: "unauthenticated", 403: "permission_denied", 404: "unimplemented"}
    return "unavailable" if status in (429, 502, 503, 504) else table.get(status, "unknown")


def _facts(code: str, details: object) -> ErrorFacts:
    reason, metadata, violations, retry_after = "", dict[str, str](), list[Violation](), None
    for detail in details if isinstance(details, list) else []:
        if not isinstance(detail, dict):
            continue
        try:
            fields = _fields(_bytes(str(detail.get("value", ""))))
            match detail.get("type"):
                case "google.rpc.ErrorInfo" if _text(fields, 2) == ERROR_DOMAIN:
                    reason = _text(fields, 1)
                    pairs = [_fields(each) for number, each in fields if number == 3 and isinstance(each, bytes)]
                    metadata = {_text(pair, 1): _text(pair, 2) for pair in pairs}
                case "google.rpc.RetryInfo":
                    for delay in (each for number, each in fields if number == 1 and isinstance(each, bytes)):
                        parts = dict(_fields(delay))
                        seconds, nanos = parts.get(1, 0), parts.get(2, 0)
                        if isinstance(seconds, int) and isinstance(nanos, int):
                            retry_after = seconds + nanos / 1e9
                case "google.rpc.BadRequest":
                    for each in (_fields(body) for number, body in fields if number == 1 and isinstance(body, bytes)):
                        violations.append(Violation(_text(each, 1), _text(each, 2)))
                case _:
                    pass
        except ValueError:
            # The status has its code and message all the same.
            continue
    return ErrorFacts(code, reason, metadata, violations, retry_after)


def _bytes(text: str) -> bytes:
    """Base64 with or without its padding, in either alphabet."""
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(plain + "=" * (-len(plain) % 4))


def _fields(body: bytes) -> list[tuple[int, int | bytes]]:
    """The fields of a protobuf message, numbers and lengths apart: enough for the three details of errors."""
    fields: list[tuple[int, int | bytes]] = []
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(body) or shift > 63:
                raise ValueError("the message is cut off")
            byte = body[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(body):
        key = varint()
        number, wire = key >> 3, key & 7
        if wire == 0:
            fields.append((number, varint()))
            continue
        length = {1: 8, 5: 4}.get(wire) if wire != 2 else varint()
        if length is None or at + length > len(body):
            raise ValueError("the message is cut off")
        fields.append((number, body[at : at + length]))
        at += length
    return fields


def _text(fields: list[tuple[int, int | bytes]], number: int) -> str:
    for each, value in fields:
        if each == number and isinstance(value, bytes):
            return value.decode(errors="replace")
    return ""
