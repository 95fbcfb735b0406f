"""A task object: the type of a task with the types of its input and its output."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from muster.errors import OptionsError
from muster.payloads.codec import Decoder, Encoded, decoder_for, encode_value

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from muster.client.spec import Spec, SubmitOptions

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741

_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


class Task(Generic[I, O]):
    """A task that producers submit and workers have a handler for.

    Share it between both sides: the types of input and output are then checked where they are used, by mypy and pyright as
    well as at run time. `options` are the defaults of every submit.

    >>> from dataclasses import dataclass
    >>> from muster import Task
    >>> @dataclass
    ... class Page:
    ...     url: str
    ...     width: int = 320
    >>> resize = Task("image.resize", input=Page, output=dict[str, int], queue="images")
    >>> resize.type
    'image.resize'
    """

    def __init__(
        self,
        type: str,
        *,
        input: type[I] | None = None,
        output: type[O] | None = None,
        **options: Unpack[SubmitOptions],
    ) -> None:
        """`input` and `output`: a pydantic model, a dataclass, a TypedDict, a msgspec Struct, `bytes`, or any other annotation.

        OptionsError when the type has not the form `[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}` or an option is unknown.
        """
        from muster.client.spec import check_names

        if not isinstance(type, str) or _TYPE.fullmatch(type) is None:
            raise OptionsError(f"the type of a task is {type!r}; give 1 to 128 of A-Z a-z 0-9 . _ : / -, a letter or digit first")
        check_names(cast("Mapping[str, object]", options))
        self.type = type
        self.input = input
        self.output = output
        self.options = options
        self._decode_input: Decoder[I] | None = None
        self._decode_output: Decoder[O] | None = None

    def spec(self, payload: I, **options: Unpack[SubmitOptions]) -> Spec[O]:
        """One task for `submit_many()`."""
        from muster.client.spec import Spec

        return Spec(self, payload, options)

    def encode_input(self, payload: I) -> Encoded:
        """The payload as bytes with their media type; InvalidPayloadError when it does not fit the input type."""
        encoded = encode_value(payload)
        if self.input is not None and not isinstance(payload, bytes | bytearray | memoryview):
            self.decode_input(encoded.data, encoded.content_type)
        return encoded

    def decode_input(self, data: bytes, content_type: str) -> I:
        """The payload of a handler; InvalidPayloadError with the field that does not fit."""
        if self._decode_input is None:
            self._decode_input = decoder_for(self.input)
        return self._decode_input(data, content_type)

    def decode_output(self, data: bytes, content_type: str) -> O:
        """The result of a task; InvalidPayloadError with the field that does not fit."""
        if self._decode_output is None:
            self._decode_output = decoder_for(self.output)
        return self._decode_output(data, content_type)

    def __repr__(self) -> str:
        return f"Task({self.type!r})"


def task_of(task: str | Task[Any, O]) -> Task[Any, O]:
    """The task object of a type that was given as text: any input, any output."""
    return Task(task) if isinstance(task, str) else task
