"""The worker: handlers with their options, and how its process begins."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, overload

from muster.errors import OptionsError
from muster.task import Task
from muster.worker.connection import Line
from muster.worker.context import AsyncContext, Context
from muster.worker.definitions import Handler, Isolate, handler_of
from muster.worker.failures import Classifier
from muster.worker.resources import Loader, ResourceDefinition
from muster.worker.target import made, target_of

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
F = TypeVar("F", bound=Callable[..., Any])

MAX_SLOTS = 10_000


class TypedDecorator(Protocol[I, O]):
    """Decorates a handler whose payload and result have the types of a task object."""

    @overload
    def __call__(self, function: Callable[[AsyncContext, I], Awaitable[O]], /) -> Callable[[AsyncContext, I], Awaitable[O]]: ...
    @overload
    def __call__(self, function: Callable[[Context, I], O], /) -> Callable[[Context, I], O]: ...
    def __call__(self, function: Callable[..., Any], /) -> Any:
        """Registers the handler and returns it."""


class Worker:
    """Handlers of task types, and what they share.

    Start it with `muster-worker run module:name`, or with `run()` at the end of a program.

    >>> from muster import Context, Worker
    >>> worker = Worker(slots=2)
    >>> @worker.task("greet")
    ... def greet(ctx: Context, payload: dict[str, str]) -> dict[str, str]:
    ...     ctx.progress(0.5, "half way")
    ...     return {"text": f"Hello, {payload['name']}!"}
    """

    def __init__(
        self,
        *,
        slots: int | None = None,
        prefetch: int = 0,
        queues: Sequence[str] = ("default",),
        labels: Mapping[str, str] | None = None,
        capacities: Mapping[str, int] | None = None,
        isolate: Isolate = "thread",
        devices: Sequence[str | int] | None = None,
        classify: Classifier | None = None,
    ) -> None:
        """Reads options and environment; nothing is started.

        `slots`: attempts at once (WORKER_MAX_CONCURRENCY, else 1). `prefetch`: attempts that wait
        in the link for a slot. `queues`: queues that it serves. `labels`, `capacities`: what
        tasks may require and cost. `isolate`: where plain handlers run, a thread or a process for each slot. `devices`: values of
        CUDA_VISIBLE_DEVICES for the processes, in turn (the variable's own list, one each). `classify`: makes a FailureReport of
        an error, or returns None. OptionsError names every fault.
        """
        faults: list[str] = []
        self.slots = _slots(slots, faults)
        if isinstance(prefetch, bool) or not isinstance(prefetch, int) or not 0 <= prefetch <= MAX_SLOTS:
            faults.append(f"prefetch is {prefetch!r}; give a whole number from 0 to {MAX_SLOTS}")
        if isinstance(queues, str) or not queues:
            faults.append(f"queues is {queues!r}; give a list of names")
        if isolate not in ("thread", "process"):
            faults.append(f"isolate is {isolate!r}; give 'thread' or 'process'")
        if faults:
            raise OptionsError("; ".join(faults))
        self.prefetch = prefetch
        self.queues = list(queues)
        self.labels = dict(labels or {})
        self.capacities = dict(capacities or {})
        self.devices = _devices(devices)
        self.classifier = classify
        self.handlers: dict[str, Handler] = {}
        """The handlers by task type."""
        self.resource_definitions: dict[str, ResourceDefinition] = {}
        """The loaders by the name of the resource."""
        self.startup_hooks: list[tuple[str, Callable[[], Any]]] = []
        self.shutdown_hooks: list[Callable[[], Any]] = []
        self._isolate: Isolate = isolate
        made.append(self)

    @overload
    def task(
        self, task: Task[I, O], *, isolate: Isolate | None = None, concurrency: int | None = None
    ) -> TypedDecorator[I, O]: ...
    @overload
    def task(self, task: str, *, isolate: Isolate | None = None, concurrency: int | None = None) -> Callable[[F], F]: ...
    def task(self, task: str | Task[Any, Any], *, isolate: Isolate | None = None, concurrency: int | None = None) -> Any:
        """Decorates the handler of a task type: `(ctx)` or `(ctx, payload)`, a plain function or a coroutine function.

        The payload is converted to its annotation, or to the input type of the task object: a pydantic model, a dataclass, a
        TypedDict, a msgspec Struct, `bytes`, or any JSON value. One that does not fit fails the task with INVALID_PAYLOAD, which
        names the field, and is not retried. `concurrency` limits the attempts of this type at once.
        """

        def decorate(function: F) -> F:
            handler = handler_of(task, function, isolate or self._isolate, concurrency)
            if handler.task.type in self.handlers:
                raise OptionsError(f"the type {handler.task.type!r} has two handlers")
            self.handlers[handler.task.type] = handler
            return function

        return decorate

    def resource(self, name: str, *, at_startup: bool = False) -> Callable[[Loader], Loader]:
        """Decorates the loader of a resource, for example `model:sdxl`, that tasks may require and handlers get by name.

        The loader returns it, or yields it once: what follows the yield is its tear-down. It is loaded once in a process: before
        the worker takes work with `at_startup`, else when the scheduler asks for it or a handler does.
        """
        if not name or len(name) > 256:
            raise OptionsError(f"the name of a resource is {name!r}; give 1 to 256 characters")

        def decorate(load: Loader) -> Loader:
            if name in self.resource_definitions:
                raise OptionsError(f"the resource {name!r} has two loaders")
            self.resource_definitions[name] = ResourceDefinition(name, load, at_startup)
            return load

        return decorate

    def startup(self, name: str) -> Callable[[F], F]:
        """Decorates a function that runs before the worker takes work, as the startup phase `custom:NAME`.

        An error of it ends the worker, and `muster why` shows it.
        """

        def decorate(function: F) -> F:
            self.startup_hooks.append((name, function))
            return function

        return decorate

    def shutdown(self, function: F) -> F:
        """Decorates a function that runs after the last handler has returned."""
        self.shutdown_hooks.append(function)
        return function

    def run(self) -> None:
        """Runs the worker until it is stopped, and ends the process.

        A process that no link has started becomes one: it starts this program anew as the child of a link.
        """
        from muster.command.start import run_program

        run_program(self)

    def hello(self) -> Line:
        """What the worker runs, for the line `hello`; OptionsError when it runs nothing."""
        if not self.handlers:
            raise OptionsError("the worker has no handlers; decorate a function with @worker.task(...)")
        line: Line = {
            "types": [
                each.task.type if each.concurrency is None else {"name": each.task.type, "concurrency": each.concurrency}
                for each in self.handlers.values()
            ],
            "slots": self.slots,
            "prefetch": self.prefetch,
            "queues": self.queues,
        }
        if self.labels:
            line["labels"] = self.labels
        if self.capacities:
            line["capacities"] = self.capacities
        if self.resource_definitions:
            line["loadable"] = list(self.resource_definitions)
        return line

    def target(self) -> list[str]:
        """How a process for isolated handlers finds this worker."""
        return target_of(self)


def _slots(option: int | None, faults: list[str]) -> int:
    value: Any = option if option is not None else os.environ.get("WORKER_MAX_CONCURRENCY") or 1
    source = "slots" if option is not None else "WORKER_MAX_CONCURRENCY"
    try:
        slots = int(value)
        if isinstance(value, bool | float) or not 1 <= slots <= MAX_SLOTS:
            raise ValueError
    except (TypeError, ValueError):
        faults.append(f"{source} is {value!r}; give a whole number from 1 to {MAX_SLOTS}")
        return 1
    return slots


def _devices(option: Sequence[str | int] | None) -> list[str]:
    if option is not None:
        return [str(each) for each in option]
    return [each for each in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if each.strip()]
