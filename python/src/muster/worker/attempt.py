"""An attempt that this process runs: its task, whether it has to stop, and its reports."""

from __future__ import annotations

import base64
import json
import os
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal

from muster.errors import CancelledError, TimedOutError
from muster.payloads.codec import Encoded, is_json
from muster.worker.connection import Connection, Line

INLINE_BYTES = 65_536
"""Larger results go through a file: a line has a limit, and base64 is a third longer."""

Cause = Literal["", "cancelled", "timed_out", "drain", "revoked", "limit"]


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """The task of an attempt."""

    id: str
    type: str
    queue: str
    headers: Mapping[str, str]
    content_type: str
    resources: tuple[str, ...]
    """Resources that the task requires."""
    schedule: Mapping[str, Any] | None
    """`name`, `tick_time` and `manual` of the schedule that submitted it; None when a producer did."""


@dataclass(eq=False)
class Attempt:
    """One attempt, from its line `task` to its line `result`."""

    line: Line
    link: Connection
    id: str = field(init=False)
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when the handler has to stop."""
    cause: Cause = ""
    reason: str = ""
    ended: bool = False

    def __post_init__(self) -> None:
        self.id = str(self.line["attempt"])
        self._lock = threading.Lock()

    @property
    def facts(self) -> TaskFacts:
        """What the task is, apart from its payload."""
        line = self.line
        return TaskFacts(
            id=str(line.get("task", "")),
            type=str(line.get("type", "")),
            queue=str(line.get("queue", "")),
            headers=dict(line.get("headers") or {}),
            content_type=str(line.get("content_type") or "application/json"),
            resources=tuple(line.get("resources") or ()),
            schedule=line.get("schedule"),
        )

    def payload(self) -> Any | Encoded:
        """The value of a JSON payload, else its bytes with their media type."""
        content_type = self.facts.content_type
        value = _read(self.line, "payload", content_type)
        return Encoded(value, content_type) if isinstance(value, bytes) else value

    def checkpoint(self) -> Any:
        """What an earlier attempt stored last; None when none did."""
        name = next((each for each in ("checkpoint", "checkpoint_b64", "checkpoint_file") if each in self.line), None)
        # A file has no media type: what is JSON in it was written as JSON by this package.
        value = _read(self.line, "checkpoint", "application/json")
        if isinstance(value, bytes) and name == "checkpoint_file":
            try:
                return json.loads(value)
            except ValueError:
                return value
        return value

    def request_stop(self, cause: Cause, reason: str) -> None:
        """Asks the handler to stop. A hard timeout takes the place of a cancellation: it says why the attempt failed."""
        if self.cause != "timed_out":
            self.cause, self.reason = cause, reason
        self.stop.set()

    def check(self) -> None:
        """CancelledError or TimedOutError when the handler has to stop."""
        if self.stop.is_set():
            if self.cause == "timed_out":
                raise TimedOutError(self.reason)
            raise CancelledError(self.reason)

    def report(self, kind: str, **fields: Any) -> None:
        """Writes a report. After the result it writes nothing."""
        with self._lock:
            if self.ended:
                return
            self.link.send({"kind": kind, "attempt": self.id, **_given(fields)})

    def request(self, kind: str, **fields: Any) -> Future[Line]:
        """Writes a report that is answered."""
        return self.link.request({"kind": kind, "attempt": self.id, **_given(fields)})

    def finish(self, line: Line) -> None:
        """Writes the result, once, after everything else."""
        with self._lock:
            if self.ended:
                return
            self.ended = True
        self.link.send(line)


def succeeded_line(attempt: str, output: Encoded) -> Line:
    """The line `result` of a success; a large result is in a file that the link removes."""
    line: Line = {"kind": "result", "attempt": attempt, "outcome": "succeeded", "content_type": output.content_type}
    if len(output.data) > INLINE_BYTES:
        return line | {"output_file": write_file(output.data)}
    if is_json(output.content_type):
        return line | {"output": json.loads(output.data)}
    return line | {"output_b64": base64.b64encode(output.data).decode()}


def write_file(data: bytes) -> str:
    """A file in the folder that both sides share; the link removes it when it has read it."""
    number, path = tempfile.mkstemp(dir=os.environ.get("MUSTER_LINK_DIR"), prefix="muster-")
    with os.fdopen(number, "wb") as file:
        file.write(data)
    return path


def _read(line: Line, name: str, content_type: str) -> Any:
    if line.get(f"{name}_b64") is not None:
        return base64.b64decode(line[f"{name}_b64"])
    path = line.get(f"{name}_file")
    if path is not None:
        with open(path, "rb") as file:
            data = file.read()
        return json.loads(data) if is_json(content_type) and name == "payload" else data
    return line.get(name)


def _given(fields: Mapping[str, Any]) -> Line:
    return {name: value for name, value in fields.items() if value is not None}
