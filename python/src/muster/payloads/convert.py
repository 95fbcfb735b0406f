"""JSON values as what an annotation asks for: models, dataclasses, TypedDicts, structs, and what is in them."""

from __future__ import annotations

import base64
import dataclasses
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import date, datetime, timezone
from decimal import Decimal, InvalidOperation
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union
from uuid import UUID

from muster.errors import InvalidPayloadError


def convert(value: Any, annotation: Any, path: str = "") -> Any:
    """The value in the form of the annotation; InvalidPayloadError names the field that does not fit.

    Nothing is guessed: a text is no number, and a number no text. A whole number fits `float`. Unknown fields are left
    out, so that a newer producer does not fail.
    """
    if annotation is Any or annotation is object or isinstance(annotation, typing.TypeVar):
        return value
    if annotation is None or annotation is type(None):
        return value if value is None else _refuse(path, value, "null")
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return convert(value, typing.get_args(annotation)[0], path)
    if origin in (Union, types.UnionType):
        return _union(value, typing.get_args(annotation), path)
    if origin is Literal:
        choices = typing.get_args(annotation)
        for choice in choices:
            if type(choice) is type(value) and choice == value:
                return choice
        return _refuse(path, value, "one of " + ", ".join(repr(choice) for choice in choices))
    if isinstance(origin or annotation, type):
        return _of_class(value, annotation, origin or annotation, path)
    raise TypeError(f"{annotation!r} is no type that a payload can be converted to")


def _of_class(value: Any, annotation: Any, cls: type, path: str) -> Any:
    simple = _SIMPLE.get(cls) if annotation is cls else None
    if simple is not None:
        return simple(value, path)
    if typing.is_typeddict(cls):
        return _typed_dict(value, cls, path)
    if hasattr(cls, "model_validate") and hasattr(cls, "model_fields"):
        return _pydantic(value, annotation, path)
    if dataclasses.is_dataclass(cls):
        return _dataclass(value, cls, path)
    msgspec = sys.modules.get("msgspec")
    if msgspec is not None and issubclass(cls, msgspec.Struct):
        return _struct(value, annotation, path, msgspec)
    if issubclass(cls, Enum):
        try:
            return cls(value)
        except ValueError:
            return _refuse(path, value, "one of " + ", ".join(repr(each.value) for each in cls))
    arguments = typing.get_args(annotation)
    if issubclass(cls, tuple):
        return _tuple(value, arguments, path)
    if issubclass(cls, Mapping):
        kinds = arguments or (str, Any)
        given = value if isinstance(value, dict) else _refuse(path, value, "an object")
        return {_key(name, kinds[0], path): convert(each, kinds[1], _in(path, name)) for name, each in given.items()}
    if issubclass(cls, Set | Sequence) or cls is Iterable:
        kind = arguments[0] if arguments else Any
        items = value if isinstance(value, list) else _refuse(path, value, "a list")
        converted = [convert(each, kind, f"{path}[{index}]") for index, each in enumerate(items)]
        if issubclass(cls, Set):
            return frozenset(converted) if cls is frozenset else set(converted)
        return converted
    if hasattr(cls, "__pydantic_validator__"):
        return _pydantic(value, annotation, path)
    raise TypeError(f"{cls.__qualname__} is no type that a payload can be converted to")


def _exactly(*kinds: type, what: str) -> Callable[[Any, str], Any]:
    return lambda value, path: value if type(value) in kinds else _refuse(path, value, what)


def _parsed(parse: Callable[[str], Any], what: str) -> Callable[[Any, str], Any]:
    def parsed(value: Any, path: str) -> Any:
        if isinstance(value, str):
            try:
                return parse(value)
            except (ValueError, InvalidOperation):
                pass
        return _refuse(path, value, what)

    return parsed


def _float(value: Any, path: str) -> float:
    return float(value) if type(value) in (int, float) else _refuse(path, value, "a number")


def _decimal(value: Any, path: str) -> Decimal:
    return Decimal(value) if type(value) is int else _parsed(Decimal, "a decimal number as text")(value, path)


def _datetime(text: str) -> datetime:
    moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
    return moment.astimezone(timezone.utc) if moment.tzinfo is not None else moment


_SIMPLE: dict[Any, Callable[[Any, str], Any]] = {
    str: _exactly(str, what="a text"),
    int: _exactly(int, what="a whole number"),
    bool: _exactly(bool, what="true or false"),
    float: _float,
    dict: _exactly(dict, what="an object"),
    list: _exactly(list, what="a list"),
    bytes: _parsed(lambda text: base64.b64decode(text, validate=True), "base64"),
    datetime: _parsed(_datetime, "a moment in ISO 8601"),
    date: _parsed(date.fromisoformat, "a date in ISO 8601"),
    UUID: _parsed(UUID, "a UUID"),
    Path: _parsed(Path, "a path"),
    Decimal: _decimal,
}


def _union(value: Any, kinds: tuple[Any, ...], path: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    refusals: list[InvalidPayloadError] = []
    # True is a number for Python; the exact type goes first.
    for kind in sorted((each for each in kinds if each is not type(None)), key=lambda each: each is not type(value)):
        try:
            return convert(value, kind, path)
        except InvalidPayloadError as error:
            refusals.append(error)
    # The kind that fits best fails deepest.
    raise max(refusals, key=lambda error: len(error.field))


def _tuple(value: Any, kinds: tuple[Any, ...], path: str) -> tuple[Any, ...]:
    items = value if isinstance(value, list) else _refuse(path, value, "a list")
    if not kinds:
        return tuple(items)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(convert(each, kinds[0], f"{path}[{index}]") for index, each in enumerate(items))
    if len(items) != len(kinds):
        return _refuse(path, value, f"a list of {len(kinds)}")
    return tuple(convert(each, kind, f"{path}[{index}]") for index, (each, kind) in enumerate(zip(items, kinds, strict=True)))


def _typed_dict(value: Any, cls: Any, path: str) -> dict[str, Any]:
    given = value if isinstance(value, dict) else _refuse(path, value, "an object")
    kinds = _hints(cls)
    for name in cls.__required_keys__:
        if name not in given:
            _missing(path, name)
    return {name: convert(given[name], _required(kind), _in(path, name)) for name, kind in kinds.items() if name in given}


def _required(kind: Any) -> Any:
    """The type in `Required[...]` and `NotRequired[...]`, of typing or of typing_extensions."""
    return typing.get_args(kind)[0] if str(typing.get_origin(kind)).endswith("Required") else kind


def _dataclass(value: Any, cls: Any, path: str) -> Any:
    given = value if isinstance(value, dict) else _refuse(path, value, "an object")
    kinds = _hints(cls)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        if field.name in given:
            values[field.name] = convert(given[field.name], kinds[field.name], _in(path, field.name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            _missing(path, field.name)
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        # A check of its own, in __post_init__.
        raise InvalidPayloadError(_said(path, str(error)), field=path) from error


def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def _pydantic(value: Any, cls: Any, path: str) -> Any:
    try:
        if hasattr(cls, "model_validate"):
            return cls.model_validate(value)
        return sys.modules["pydantic"].TypeAdapter(cls).validate_python(value)
    except ValueError as error:
        faults: Any = getattr(error, "errors", None)
        if faults is None:
            raise InvalidPayloadError(_said(path, str(error)), field=path) from None
        said = [(_path(path, each["loc"]), str(each["msg"])) for each in faults(include_input=False, include_url=False)]
        raise InvalidPayloadError("; ".join(_said(*each) for each in said), field=said[0][0]) from None


def _struct(value: Any, cls: Any, path: str, msgspec: Any) -> Any:
    try:
        return msgspec.convert(value, cls)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$")
        inner = place.rstrip("`").removeprefix(".")
        missing = re.search(r"missing required field `(.+?)`", text)
        if missing is not None:
            inner = _in(inner, missing[1])
        field = inner if path == "" else f"{path}.{inner}" if inner and not inner.startswith("[") else path + inner
        raise InvalidPayloadError(_said(field, text[:1].lower() + text[1:]), field=field) from None


def _path(path: str, steps: Iterable[Any]) -> str:
    for step in steps:
        path = f"{path}[{step}]" if isinstance(step, int) else _in(path, str(step))
    return path


def _in(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _key(name: str, kind: Any, path: str) -> Any:
    if kind is int and re.fullmatch(r"-?\d{1,19}", name):
        return int(name)
    return convert(name, kind, _in(path, name))


def _missing(path: str, name: str) -> typing.NoReturn:
    raise InvalidPayloadError(_said(_in(path, name), "it is missing"), field=_in(path, name))


def _refuse(path: str, value: Any, what: str) -> typing.NoReturn:
    # The kind only: a payload may hold what must not be in a log.
    kind = {type(None): "null", bool: "true or false", str: "a text", dict: "an object", list: "a list"}.get(
        type(value), "a number"
    )
    raise InvalidPayloadError(_said(path, f"it is {kind}, and must be {what}"), field=path)


def _said(path: str, what: str) -> str:
    return f"{path}: {what}" if path else what
