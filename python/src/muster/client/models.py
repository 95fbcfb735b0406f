"""A task as the scheduler knows it, in plain values."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal, cast

from muster.client.wire import JsonObject

TaskState = Literal["queued", "assigned", "running", "succeeded", "failed", "cancelled", "unknown"]

ENDED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})

_STATES: frozenset[str] = ENDED | {"queued", "assigned", "running"}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task or its last attempt failed."""

    failure_class: str
    """`retryable`, `non_retryable`, `timed_out`, `out_of_memory` or `worker_lost`."""
    code: str
    message: str
    traceback: str
    details: Any
    """Facts that the handler gave, parsed from JSON; None without any."""
    facts: Mapping[str, float | str | bool]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a handler is: a share, or a count."""

    fraction: float | None
    done: int | None
    total: int | None
    unit: str
    message: str
    rate: float | None
    """Counted things a second; None while too little is known."""
    time_left: float | None
    """Seconds for the rest, as the scheduler estimates; None while too little is known."""


@dataclass(frozen=True, slots=True)
class Warning:
    """A secondary step that failed although the work itself is done."""

    step: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class OutputChunk:
    """A piece of what a handler streamed with `ctx.output()`."""

    attempt_id: str
    sequence: int
    """1 for the first of the attempt; a gap shows that pieces were lost."""
    data: bytes


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task as it was when the scheduler answered."""

    id: str
    type: str
    queue: str
    state: TaskState
    """`unknown` is a state of a newer scheduler."""
    detail: str
    """`succeeded`, a failure code, `cancelling`, or what a queued task waits for."""
    priority: int
    attempt_count: int
    """Attempts that count against the retry policy."""
    attempt_id: str
    worker_id: str
    phase: str
    progress: Progress | None
    failure: Failure | None
    warnings: tuple[Warning, ...]
    cancel_reason: str
    content_type: str
    output_content_type: str
    create_time: datetime | None
    start_time: datetime | None
    finish_time: datetime | None
    raw: JsonObject
    """The whole task as JSON of the protocol; numbers of 64 bits are texts in it, bytes are base64."""

    @property
    def ended(self) -> bool:
        """True once the task has succeeded, failed or was cancelled."""
        return self.state in ENDED

    @property
    def payload(self) -> bytes:
        """The payload as it was submitted; empty where the call leaves it out."""
        return bytes_of(self.raw.get("payload"))

    @property
    def output(self) -> bytes:
        """The result of a task that has succeeded; empty where the call leaves it out."""
        return bytes_of(self.raw.get("output"))


@dataclass(frozen=True, slots=True)
class TaskUpdate:
    """One update of `watch()`."""

    task: TaskInfo
    output: tuple[OutputChunk, ...] = ()
    """Pieces of streamed output that no earlier update had."""


def task_info(raw: JsonObject) -> TaskInfo:
    """A task from its JSON; fields of a newer scheduler stay in `raw`."""
    progress = raw.get("progress")
    failure = raw.get("failure")
    return TaskInfo(
        id=str(raw.get("id", "")),
        type=str(raw.get("taskType", "")),
        queue=str(raw.get("queue", "")),
        state=state_of(raw.get("state")),
        detail=str(raw.get("detail", "")),
        priority=int_of(raw.get("priority")) or 0,
        attempt_count=int_of(raw.get("attemptCount")) or 0,
        attempt_id=str(raw.get("attemptId", "")),
        worker_id=str(raw.get("workerId", "")),
        phase=str(raw.get("phase", "")),
        progress=_progress(progress) if isinstance(progress, dict) else None,
        failure=_failure(failure) if isinstance(failure, dict) else None,
        warnings=tuple(
            Warning(str(each.get("step", "")), str(each.get("code", "")), str(each.get("message", "")))
            for each in raw.get("warnings", [])
        ),
        cancel_reason=str(raw.get("cancelReason", "")),
        content_type=str(raw.get("contentType", "")),
        output_content_type=str(raw.get("outputContentType", "")),
        create_time=time_of(raw.get("createTime")),
        start_time=time_of(raw.get("startTime")),
        finish_time=time_of(raw.get("finishTime")),
        raw=raw,
    )


def state_of(value: object) -> TaskState:
    """The state without the prefix of the protocol."""
    name = str(value or "").removeprefix("TASK_STATE_").lower()
    return cast("TaskState", name) if name in _STATES else "unknown"


def output_chunk(raw: JsonObject) -> OutputChunk:
    """A chunk from its JSON."""
    return OutputChunk(str(raw.get("attemptId", "")), int_of(raw.get("sequence")) or 0, bytes_of(raw.get("data")))


def int_of(value: object) -> int | None:
    """A number of the protocol: those of 64 bits come as text."""
    return int(value) if isinstance(value, int | float | str) and value != "" else None


def bytes_of(value: object) -> bytes:
    """Bytes of the protocol, which come as base64."""
    return base64.b64decode(value) if isinstance(value, str) else b""


def time_of(value: object) -> datetime | None:
    """A moment of the protocol in UTC, cut to microseconds."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", str(value or ""))
    if match is None:
        return None
    moment = datetime.fromisoformat(match[1]).replace(tzinfo=timezone.utc)
    return moment.replace(microsecond=int((match[2] or "0").ljust(9, "0")[:6]))


def seconds_of(value: object) -> float | None:
    """A duration of the protocol, for example `1.5s`."""
    text = str(value or "")
    return float(text[:-1]) if text.endswith("s") else None


def _progress(raw: JsonObject) -> Progress:
    fraction, rate = raw.get("fraction"), raw.get("rate")
    return Progress(
        fraction=float(fraction) if fraction is not None else None,
        done=int_of(raw.get("doneCount")),
        total=int_of(raw.get("totalCount")),
        unit=str(raw.get("unit", "")),
        message=str(raw.get("message", "")),
        rate=float(rate) if rate is not None else None,
        time_left=seconds_of(raw.get("timeLeft")),
    )


def _failure(raw: JsonObject) -> Failure:
    import json

    details = raw.get("details") or None
    facts = raw.get("facts")
    return Failure(
        failure_class=str(raw.get("failureClass", "")).removeprefix("FAILURE_CLASS_").lower(),
        code=str(raw.get("code", "")),
        message=str(raw.get("message", "")),
        traceback=str(raw.get("traceback", "")),
        details=json.loads(details) if details is not None else None,
        facts={
            name: value.get("number", value.get("text", value.get("flag", 0.0)))
            for name, value in (facts if isinstance(facts, dict) else {}).items()
        },
    )
