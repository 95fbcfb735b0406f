"""What a handler gets: the attempt's facts, its reports, and whether it has to stop."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muster.errors import CheckpointError, NonRetryableError, RetryableError
from muster.payloads.codec import BYTES, encode_value
from muster.worker.attempt import INLINE_BYTES, Attempt, TaskFacts, write_file
from muster.worker.connection import Line

if TYPE_CHECKING:
    from muster.worker.resources import Resources

MAX_CHECKPOINT = 256 * 1024


@dataclass(frozen=True, slots=True)
class Artifact:
    """A stored output of a task: what `ctx.artifact` returns. It may be part of the result."""

    name: str
    size: int
    checksum: str
    uri: str
    reference: Mapping[str, Any]
    """All that the store says of it."""


class TaskLog:
    """Lines that are kept with the attempt; `muster logs ID` shows them. Fields are small facts without secrets."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def debug(self, message: str, **fields: Any) -> None:
        """Writes a line of the level debug."""
        self._write("debug", message, fields)

    def info(self, message: str, **fields: Any) -> None:
        """Writes a line of the level info."""
        self._write("info", message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        """Writes a line of the level warn."""
        self._write("warn", message, fields)

    def error(self, message: str, **fields: Any) -> None:
        """Writes a line of the level error."""
        self._write("error", message, fields)

    def _write(self, level: str, message: str, fields: Mapping[str, Any]) -> None:
        safe = json.loads(json.dumps(fields, default=str)) if fields else None
        self._attempt.report("log", level=level, message=str(message)[:8_000], fields=safe)


class _Context:
    """What both kinds of contexts have. All of it is safe for threads that the handler starts."""

    def __init__(self, attempt: Attempt, resources: Resources) -> None:
        self._attempt = attempt
        self._resources = resources
        self._resume: tuple[Any] | None = None
        self.task: TaskFacts = attempt.facts
        """The task: id, type, queue, headers."""
        self.log = TaskLog(attempt)
        """Lines that are kept with the attempt."""

    @property
    def attempt_id(self) -> str:
        """For example `t-1042.1`."""
        return self._attempt.id

    @property
    def attempt_number(self) -> int:
        """1 for the first attempt that counts against the retry policy."""
        return int(self._attempt.line.get("number") or 1)

    @property
    def resume_from(self) -> Any:
        """What an earlier attempt stored last with `checkpoint`; None when none did."""
        if self._resume is None:
            self._resume = (self._attempt.checkpoint(),)
        return self._resume[0]

    @property
    def earlier_progress(self) -> Mapping[str, Any] | None:
        """The last progress of earlier attempts: `fraction`, or `done`, `total` and `unit`, and `message`."""
        progress: Mapping[str, Any] | None = self._attempt.line.get("earlier_progress")
        return progress

    @property
    def cancelled(self) -> bool:
        """True when the handler has to stop: the task was cancelled or revoked, a timeout passed, or the worker drains."""
        return self._attempt.stop.is_set()

    def check(self) -> None:
        """Raises CancelledError, or TimedOutError, when the handler has to stop. Call it in every loop."""
        self._attempt.check()

    @contextmanager
    def phase(self, name: str, *, warn_after: float | None = None, timeout: float | None = None) -> Iterator[None]:
        """A named phase of the attempt: timed, watched, and shown as stuck when it lasts longer than `warn_after` seconds.

        `timeout` is a hard limit of the phase. The name matches `[a-z][a-z0-9_]{0,63}`. A handler that has to stop does not
        begin another phase: it gets the error of `check()`.
        """
        self.check()
        self._attempt.report("phase_start", name=name, warn_after_s=warn_after, timeout_s=timeout)
        try:
            yield
        except BaseException:
            self._attempt.report("phase_end", name=name, failed=True)
            raise
        self._attempt.report("phase_end", name=name)

    def progress(
        self,
        fraction: float | None = None,
        message: str | None = None,
        *,
        done: float | None = None,
        total: float | None = None,
        unit: str | None = None,
    ) -> None:
        """How far the handler is: a share from 0 to 1, or `done` of `total`. Call it as often as you like."""
        if (fraction is None) == (done is None):
            raise TypeError("progress takes a fraction, or done with or without total")
        # All of them: the link sends ten a second, and counts those that it leaves out.
        self._attempt.report("progress", fraction=fraction, done=done, total=total, unit=unit, message=message and message[:256])

    def output(self, chunk: str | bytes) -> None:
        """Streams a piece of output to those who watch the task, ahead of the result."""
        data = chunk.encode() if isinstance(chunk, str) else bytes(chunk)
        for at in range(0, len(data), INLINE_BYTES):
            piece = data[at : at + INLINE_BYTES]
            self._attempt.report("output", data_b64=base64.b64encode(piece).decode())

    def warn(self, code: str, message: str, *, step: str | None = None) -> None:
        """Says that a secondary step failed: the task then ends as succeeded with warnings."""
        self._attempt.report("warning", code=code, message=message, step=step)

    def expect(self, quiet_for: float, reason: str = "") -> None:
        """Says that no report will come for so many seconds: until then the attempt is not called stuck."""
        self._attempt.report("expect", quiet_for_s=quiet_for, reason=reason)

    def metric(self, name: str, amount: float) -> None:
        """Adds to a sum of the attempt, for example of tokens; `muster stats` sums it by queue and type."""
        self._attempt.report("metric", name=name, amount=amount)

    def fact(self, name: str, value: str | float | bool) -> None:
        """Notes a small fact without secrets for the failure of this attempt, if it fails or its process dies."""
        self._attempt.report("fact", name=name, value=value[:256] if isinstance(value, str) else value)

    def resource(self, name: str) -> Any:
        """What the loader of a resource returned; loads it now when that was not done before."""
        return self._resources.get(name)

    def _checkpoint(self, value: Any) -> Future[Line]:
        encoded = encode_value(value)
        if len(encoded.data) > MAX_CHECKPOINT:
            raise ValueError(
                f"a checkpoint has {len(encoded.data)} bytes; at most {MAX_CHECKPOINT}, larger data belongs elsewhere"
            )
        if len(encoded.data) > INLINE_BYTES and encoded.content_type == BYTES:
            return self._attempt.request("checkpoint", value_file=write_file(encoded.data))
        if encoded.content_type == BYTES:
            return self._attempt.request("checkpoint", value_b64=base64.b64encode(encoded.data).decode())
        # JSON null is a value; a field that is null would be absent.
        return self._attempt.link.request({"kind": "checkpoint", "attempt": self._attempt.id, "value": json.loads(encoded.data)})

    def _artifact(
        self, name: str, content: str | bytes | Path | Callable[[Path], object], content_type: str | None
    ) -> Future[Line]:
        path = Path(write_file(b""))
        if callable(content):
            content(path)
        elif isinstance(content, Path):
            shutil.copyfile(content, path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else bytes(content))
        self.check()
        future = self._attempt.request("artifact", name=name, file=str(path), content_type=content_type)
        future.add_done_callback(lambda _: path.unlink(missing_ok=True))
        return future


class Context(_Context):
    """The context of a handler that is a plain function. It runs in a thread, or in a process of its own."""

    def checkpoint(self, value: Any, *, wait: bool = True) -> None:
        """Stores how far the handler is, as JSON or bytes, at most 256 KiB: the next attempt finds it in `resume_from`.

        Returns when it is durable, unless `wait` is false. CheckpointError when it was not stored.
        """
        future = self._checkpoint(value)
        if wait:
            _stored(future.result())

    def scratch(self) -> Path:
        """The folder of this attempt, made at the first call, removed after it, and kept after a failure."""
        return _folder(self._attempt.request("scratch").result())

    def artifact(
        self, name: str, content: str | bytes | Path | Callable[[Path], object], *, content_type: str | None = None
    ) -> Artifact:
        """Stores an output of the task under a name, once, whole or not at all; every attempt gets the same artifact.

        `content`: text, bytes, the path of a file, or a function that writes the file whose path it gets.
        """
        return _artifact(self._artifact(name, content, content_type).result())

    def sleep(self, seconds: float) -> None:
        """Waits, and raises the error of `check()` as soon as the handler has to stop."""
        self._attempt.stop.wait(seconds)
        self.check()


class AsyncContext(_Context):
    """The context of a handler that is a coroutine function. It runs in the event loop of the worker."""

    async def checkpoint(self, value: Any, *, wait: bool = True) -> None:
        """As `Context.checkpoint`."""
        future = self._checkpoint(value)
        if wait:
            _stored(await asyncio.wrap_future(future))

    async def scratch(self) -> Path:
        """As `Context.scratch`."""
        return _folder(await asyncio.wrap_future(self._attempt.request("scratch")))

    async def artifact(
        self, name: str, content: str | bytes | Path | Callable[[Path], object], *, content_type: str | None = None
    ) -> Artifact:
        """As `Context.artifact`; a function that writes the file runs in a thread."""
        future = await asyncio.to_thread(self._artifact, name, content, content_type)
        return _artifact(await asyncio.wrap_future(future))

    async def sleep(self, seconds: float) -> None:
        """Waits; a cancellation ends the wait."""
        await asyncio.sleep(seconds)


def _stored(answer: Line) -> None:
    if not answer.get("ok"):
        code, message = _error_of(answer)
        raise CheckpointError(f"the checkpoint was not stored: {message} ({code})")


def _folder(answer: Line) -> Path:
    if not answer.get("ok"):
        code, message = _error_of(answer)
        raise RetryableError(f"there is no scratch folder: {message}", code=code)
    return Path(answer["path"])


_FINAL_ARTIFACT_FAULTS = frozenset({"ARTIFACT_STORE_MISSING", "ARTIFACT_NAME_REFUSED"})


def _artifact(answer: Line) -> Artifact:
    if not answer.get("ok"):
        code, message = _error_of(answer)
        kind = NonRetryableError if code in _FINAL_ARTIFACT_FAULTS else RetryableError
        raise kind(f"the artifact was not stored: {message}", code=code)
    said = answer.get("artifact") or {}
    return Artifact(
        str(said.get("name", "")), int(said.get("size", 0)), str(said.get("checksum", "")), str(said.get("uri", "")), said
    )


def _error_of(answer: Line) -> tuple[str, str]:
    error = answer.get("error") or {}
    return str(error.get("code") or "ERROR"), str(error.get("message") or "no reason was given")
