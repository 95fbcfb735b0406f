"""Payloads by annotation: what fits, and how a field that does not is named."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Optional, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest

from muster import InvalidPayloadError, InvalidResultError, Task
from muster.payloads.codec import decoder_for, encode_value
from muster.payloads.convert import convert


class Color(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: float = 0.0


@dataclass
class Shape:
    name: str
    points: list[Point]
    color: Color = Color.RED
    kind: Literal["open", "closed"] = "open"
    parent: Optional[Shape] = None  # noqa: UP045
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Checked:
    count: int

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("count must not be negative")


class Page(TypedDict, total=False):
    url: str


class Book(Page):
    pages: list[Page]


class Model(pydantic.BaseModel):
    size: int = pydantic.Field(ge=1)
    items: list[Point] = []


class Struct(msgspec.Struct):
    name: str
    values: list[int] = []


GOOD: list[tuple[Any, Any, Any]] = [
    (int, 2**70, 2**70),
    (float, 1, 1.0),
    (str, "a", "a"),
    (bool, True, True),
    (bytes, "YQ==", b"a"),
    (datetime, "2026-12-01T00:00:00Z", datetime(2026, 12, 1, tzinfo=timezone.utc)),
    (UUID, "00000000-0000-0000-0000-000000000001", UUID(int=1)),
    (Path, "/a", Path("/a")),
    (list[int], [1], [1]),
    (set[int], [1, 1], {1}),
    (tuple[int, str], [1, "a"], (1, "a")),
    (tuple[int, ...], [1, 2], (1, 2)),
    (dict[int, str], {"1": "a"}, {1: "a"}),
    (int | None, None, None),
    (int | str, "a", "a"),
    (bool | int, True, True),
    (Literal["a", 1], 1, 1),
    (Color, "red", Color.RED),
    (Point, {"x": 1, "unknown": 2}, Point(1)),
    (
        Shape,
        {"name": "s", "points": [{"x": 1}], "parent": {"name": "p", "points": []}},
        Shape("s", [Point(1)], parent=Shape("p", [])),
    ),
    (Book, {"pages": [{"url": "u"}], "unknown": 1}, {"pages": [{"url": "u"}]}),
    (Model, {"size": 2, "items": [{"x": 1}]}, Model(size=2, items=[Point(1)])),
    (list[Model], [{"size": 1}], [Model(size=1)]),
    (Struct, {"name": "s", "values": [1]}, Struct("s", [1])),
    (Any, {"a": 1}, {"a": 1}),
    (dict, {"a": 1}, {"a": 1}),
]


@pytest.mark.parametrize(("annotation", "value", "expected"), GOOD)
def test_what_fits_is_converted(annotation: Any, value: Any, expected: Any) -> None:
    assert convert(value, annotation) == expected


BAD: list[tuple[Any, Any, str, str]] = [
    (int, True, "", "it is true or false, and must be a whole number"),
    (int, 1.5, "", "it is a number, and must be a whole number"),
    (float, "1", "", "it is a text, and must be a number"),
    (str, None, "", "it is null, and must be a text"),
    (bytes, "!", "", "must be base64"),
    (datetime, "soon", "", "must be a moment"),
    (tuple[int, str], [1], "", "must be a list of 2"),
    (Literal["a"], "b", "", "must be one of 'a'"),
    (Color, "blue", "", "must be one of 'red'"),
    (Point, {}, "x", "x: it is missing"),
    (Point, [1], "", "must be an object"),
    (Shape, {"name": "s", "points": [{"x": 1}, {"x": "1"}]}, "points[1].x", "points[1].x: it is a text"),
    (Shape, {"name": "s", "points": [], "parent": {"name": 1, "points": []}}, "parent.name", "parent.name: it is a number"),
    (Checked, {"count": -1}, "", "count must not be negative"),
    (Book, {}, "pages", "pages: it is missing"),
    (Book, {"pages": [{"url": 1}]}, "pages[0].url", "must be a text"),
    (Model, {"size": 0}, "size", "size: Input should be greater than or equal to 1"),
    (Model, {"size": 1, "items": [{"x": "a"}]}, "items[0].x", "items[0].x: "),
    (list[Model], [{"size": 1}, {}], "[1].size", "[1].size: Field required"),
    (Struct, {}, "name", "name: object missing required field"),
    (Struct, {"name": "s", "values": ["a"]}, "values[0]", "values[0]: expected `int`"),
    (dict[str, Struct], {"a": {"name": 1}}, "a.name", "a.name: expected `str`"),
]


@pytest.mark.parametrize(("annotation", "value", "name", "text"), BAD)
def test_what_does_not_fit_names_the_field(annotation: Any, value: Any, name: str, text: str) -> None:
    with pytest.raises(InvalidPayloadError) as caught:
        convert(value, annotation)
    assert text in str(caught.value)
    if name == "values[0]":
        # msgspec names the list, not the item.
        assert caught.value.field in ("values[0]", "values[...]")
    else:
        assert caught.value.field == name


def test_values_do_not_get_into_messages() -> None:
    with pytest.raises(InvalidPayloadError) as caught:
        convert({"name": "s", "points": "secret"}, Shape)
    assert "secret" not in str(caught.value)


def test_media_types_decide_what_a_payload_is() -> None:
    assert decoder_for(None)(b'{"a": 1}', "application/json; charset=utf-8") == {"a": 1}
    assert decoder_for(None)(b"abc", "image/png") == b"abc"
    assert decoder_for(str)(b"abc", "text/plain") == "abc"
    assert decoder_for(bytes)(b'"a"', "application/json") == b'"a"'
    assert decoder_for(dict)(b"{}", "application/problem+json") == {}
    for annotation, data, kind in (
        (dict, b"abc", "image/png"),
        (dict, b"{", "application/json"),
        (dict, b"\xff", "application/json"),
    ):
        with pytest.raises(InvalidPayloadError):
            decoder_for(annotation)(data, kind)


def test_values_become_json() -> None:
    value = {
        "model": Model(size=1),
        "point": Point(1),
        "struct": Struct("s"),
        "when": datetime(2026, 1, 1),
        "set": {1},
        "raw": b"a",
    }
    assert decoder_for(None)(*_parts(value)) == {
        "model": {"size": 1, "items": []},
        "point": {"x": 1, "y": 0.0},
        "struct": {"name": "s", "values": []},
        "when": "2026-01-01T00:00:00",
        "set": [1],
        "raw": "YQ==",
    }


def _parts(value: object) -> tuple[bytes, str]:
    encoded = encode_value(value)
    return encoded.data, encoded.content_type


def endless() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


@pytest.mark.parametrize("value", [float("nan"), object(), {(1, 2): 3}, "\ud800", endless(), sys])
def test_what_has_no_json_form_says_so(value: Any) -> None:
    with pytest.raises(InvalidResultError):
        encode_value(value)


def test_a_task_checks_what_is_submitted() -> None:
    task: Task[Any, Any] = Task("t", input=Point)
    assert task.encode_input(Point(1)).data == b'{"x":1,"y":0.0}'
    with pytest.raises(InvalidPayloadError):
        task.encode_input({"y": 1})
