"""Runs attempts: plain handlers in a thread each, coroutines in the event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from muster.errors import CancelledError, FatalError, InvalidResultError, TimedOutError
from muster.payloads.codec import encode_value
from muster.worker.attempt import Attempt, Cause, succeeded_line
from muster.worker.connection import Line
from muster.worker.context import AsyncContext, Context
from muster.worker.definitions import Handler
from muster.worker.failures import Classifier, FailureReport, classify, failed_line
from muster.worker.resources import Resources

current: ContextVar[Attempt | None] = ContextVar("muster_attempt", default=None)
"""The attempt whose handler runs here."""

log = logging.getLogger("muster")


class Runner:
    """Runs the attempts of one process and knows which of them it holds."""

    def __init__(self, resources: Resources, own: Classifier | None, loop: asyncio.AbstractEventLoop) -> None:
        self._resources = resources
        self._own = own
        self._loop = loop
        self._lock = threading.Lock()
        self._held: dict[str, Attempt] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.on_fatal: Callable[[FatalError, str], None] = lambda error, attempt_id: None
        """Called after the result of an attempt that raised FatalError, with the attempt's id."""

    @property
    def held(self) -> list[Attempt]:
        """The attempts whose handlers have not returned."""
        with self._lock:
            return list(self._held.values())

    def run(self, handler: Handler, attempt: Attempt) -> None:
        """Starts the handler and returns."""
        with self._lock:
            self._held[attempt.id] = attempt
        if handler.is_async:
            self._loop.call_soon_threadsafe(self._start, handler, attempt)
        else:
            name = f"muster-{attempt.id}"
            threading.Thread(target=self._run_plain, args=(handler, attempt), name=name, daemon=True).start()

    def stop(self, attempt_id: str, cause: Cause, reason: str, grace: float) -> bool:
        """Asks a handler to stop; false when this process does not hold the attempt."""
        with self._lock:
            attempt = self._held.get(attempt_id)
        if attempt is None:
            return False
        attempt.request_stop(cause, reason)
        self._loop.call_soon_threadsafe(self._cancel, attempt, grace)
        return True

    def _start(self, handler: Handler, attempt: Attempt) -> None:
        task = self._loop.create_task(self._run_async(handler, attempt), name=f"muster-{attempt.id}")
        self._tasks[attempt.id] = task

    def _cancel(self, attempt: Attempt, grace: float) -> None:
        task = self._tasks.get(attempt.id)
        if task is not None:
            task.cancel(attempt.reason)
        self._loop.call_later(max(grace, 0.0), self._say_deaf, attempt, grace)

    def _say_deaf(self, attempt: Attempt, grace: float) -> None:
        if attempt.ended:
            return
        text = (
            f"the handler has not returned {grace:g} s after it was asked to stop ({attempt.cause}); "
            "a thread cannot be killed, so it keeps its slot until it returns: call ctx.check() in its loops, "
            'or use isolate="process"'
        )
        attempt.report("log", level="warn", message=text)
        log.warning("%s: %s", attempt.id, text)

    def _run_plain(self, handler: Handler, attempt: Attempt) -> None:
        current.set(attempt)
        self._conclude(attempt, lambda: handler.function(*self._arguments(handler, attempt, Context)))

    async def _run_async(self, handler: Handler, attempt: Attempt) -> None:
        current.set(attempt)
        try:
            arguments = self._arguments(handler, attempt, AsyncContext)
            value = await handler.function(*arguments)
        except BaseException as error:
            self._failed(attempt, error)
            self._forget(attempt)
        else:
            self._conclude(attempt, lambda: value)
        finally:
            self._tasks.pop(attempt.id, None)

    def _arguments(self, handler: Handler, attempt: Attempt, kind: type[Context | AsyncContext]) -> tuple[Any, ...]:
        # A cancellation that was there before the handler is one that it need not see.
        attempt.check()
        return handler.arguments(kind(attempt, self._resources), attempt.payload())

    def _conclude(self, attempt: Attempt, call: Callable[[], Any]) -> None:
        try:
            attempt.finish(succeeded_line(attempt.id, encode_value(call())))
        except BaseException as error:
            self._failed(attempt, error)
        finally:
            self._forget(attempt)

    def _failed(self, attempt: Attempt, error: BaseException) -> None:
        attempt.finish(self._failure_line(attempt, error))
        if isinstance(error, FatalError):
            self.on_fatal(error, attempt.id)

    def _failure_line(self, attempt: Attempt, error: BaseException) -> Line:
        line: Line = {"kind": "result", "attempt": attempt.id}
        # A handler that was asked to stop and raises anything at all has stopped; what it raised is mostly the consequence.
        if attempt.stop.is_set():
            if attempt.cause == "timed_out":
                report = FailureReport("timed_out", "TIMED_OUT", attempt.reason or "a hard timeout passed")
                return failed_line(attempt.id, report, error)
            if attempt.cause in ("drain", "limit"):
                return line | {"outcome": "released", "reason": attempt.reason or attempt.cause}
            return line | {"outcome": "cancelled", "message": attempt.reason}
        if isinstance(error, CancelledError | TimedOutError | asyncio.CancelledError):
            report = FailureReport("retryable", "CANCELLED_ITSELF", "the handler raised a cancellation without a request to stop")
            return failed_line(attempt.id, report, error)
        try:
            report = classify(error, self._own)
        except Exception as broken:  # A classifier that fails must not hide the error of the handler.
            report = classify(error)
            log.exception("the classifier of the worker raised %s", type(broken).__name__)
        return failed_line(attempt.id, report, None if isinstance(error, InvalidResultError) else error)

    def _forget(self, attempt: Attempt) -> None:
        with self._lock:
            self._held.pop(attempt.id, None)
