"""Handlers as a worker knows them: how each is called, and what its payload is converted to."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from muster.errors import OptionsError
from muster.payloads.codec import BYTES, Encoded
from muster.payloads.convert import convert
from muster.task import Task
from muster.worker.context import AsyncContext, Context

Isolate = Literal["thread", "process"]


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler of one task type."""

    task: Task[Any, Any]
    function: Callable[..., Any]
    is_async: bool
    takes_payload: bool
    isolate: Isolate
    concurrency: int | None

    def arguments(self, context: Context | AsyncContext, payload: Any | Encoded) -> tuple[Any, ...]:
        """What the function is called with; InvalidPayloadError when the payload does not fit."""
        if not self.takes_payload:
            return (context,)
        if isinstance(payload, Encoded):
            return context, self.task.decode_input(payload.data, payload.content_type)
        annotation = self.task.input
        if annotation is None:
            return context, payload
        if annotation in (bytes, bytearray, memoryview):
            from muster.payloads.codec import encode_value

            return context, self.task.decode_input(encode_value(payload).data, BYTES)
        return context, convert(payload, annotation)


def handler_of(task: str | Task[Any, Any], function: Callable[..., Any], isolate: Isolate, concurrency: int | None) -> Handler:
    """The handler of a function; OptionsError, with what is allowed, when it cannot be one."""
    name = getattr(function, "__qualname__", repr(function))
    if isolate not in ("thread", "process"):
        raise OptionsError(f"isolate of {name} is {isolate!r}; give 'thread' or 'process'")
    if concurrency is not None and (isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1):
        raise OptionsError(f"concurrency of {name} is {concurrency!r}; give a whole number from 1")
    parameters = [
        each
        for each in inspect.signature(function).parameters.values()
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    if not 1 <= len(parameters) <= 2:
        raise OptionsError(f"{name} takes {len(parameters)} arguments; a handler takes (ctx) or (ctx, payload)")
    hints = _hints(function)
    takes_payload = len(parameters) == 2
    is_async = inspect.iscoroutinefunction(function)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise OptionsError(f"{name} is a generator; a handler returns its result, and streams with ctx.output()")
    wrong = Context if is_async else AsyncContext
    if hints.get(parameters[0].name) is wrong:
        right = "AsyncContext" if is_async else "Context"
        raise OptionsError(f"the context of {name} is annotated as {wrong.__name__}; it gets {right}")
    definition = task if isinstance(task, Task) else Task(task)
    annotation = hints.get(parameters[1].name) if takes_payload else None
    if definition.input is None and annotation is not None:
        # The annotation is what the payload is converted to, and what producers that import the task are checked with.
        definition = Task(definition.type, input=annotation, output=definition.output, **definition.options)
    return Handler(definition, function, is_async, takes_payload, isolate, concurrency)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except NameError as error:
        raise OptionsError(
            f"an annotation of {getattr(function, '__qualname__', function)!s} cannot be read: {error}; "
            "import it at run time, not only under TYPE_CHECKING"
        ) from None
