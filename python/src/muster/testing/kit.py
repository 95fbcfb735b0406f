"""Runs one task of a worker in memory: no scheduler, no link, the same code as in a started worker."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from muster.errors import OptionsError
from muster.payloads.codec import encode_value, is_json
from muster.task import Task
from muster.worker.attempt import Attempt
from muster.worker.connection import Connection, Line
from muster.worker.resources import Resources
from muster.worker.runner import Runner

if TYPE_CHECKING:
    from typing_extensions import Self

    from muster.worker.worker import Worker


@dataclass(frozen=True, slots=True)
class Failed:
    """How a run failed."""

    failure_class: str
    code: str
    message: str
    traceback: str
    retry_after: float | None
    details: Any


@dataclass(slots=True)
class Outcome:
    """What a run did: its end and all that it reported, in order."""

    state: Literal["succeeded", "failed", "cancelled", "released"]
    output: Any = None
    """The result as a producer gets it: JSON as a value, everything else as bytes."""
    failure: Failed | None = None
    phases: list[str] = field(default_factory=list)
    """Phases in the order of their begin."""
    progress: list[Mapping[str, Any]] = field(default_factory=list)
    streamed: bytes = b""
    """What `ctx.output` streamed."""
    log: list[Mapping[str, Any]] = field(default_factory=list)
    warnings: list[Mapping[str, Any]] = field(default_factory=list)
    checkpoints: list[Any] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)


class RunningTask:
    """A run that goes on. Leave its `with` block, or call `wait`, to end it."""

    def __init__(self, worker: Worker, task: str | Task[Any, Any], payload: Any, line: Line) -> None:
        name = task if isinstance(task, str) else task.type
        handler = worker.handlers.get(name)
        if handler is None:
            raise OptionsError(f"the worker has no handler of {name!r}; it has {', '.join(worker.handlers) or 'none'}")
        encoded = encode_value(payload)
        line = {**line, "kind": "task", "type": name, "content_type": encoded.content_type}
        if is_json(encoded.content_type):
            line["payload"] = json.loads(encoded.data)
        else:
            line["payload_b64"] = base64.b64encode(encoded.data).decode()
        self._folder = tempfile.TemporaryDirectory(prefix="muster-test-")
        self._link = _Recorder(Path(self._folder.name))
        self._resources = Resources(worker.resource_definitions)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="muster-test-loop", daemon=True)
        self._thread.start()
        self._runner = Runner(self._resources, worker.classifier, self._loop)
        self._attempt = Attempt(line, self._link)
        self._runner.run(handler, self._attempt)

    @property
    def reports(self) -> Sequence[Line]:
        """The lines that the handler has written so far."""
        return list(self._link.lines_written)

    def until(self, condition: Callable[[Sequence[Line]], bool], timeout: float = 10.0) -> None:
        """Waits until the reports meet a condition; TimeoutError after `timeout` seconds, with the reports."""
        with self._link.changed:
            if not self._link.changed.wait_for(lambda: condition(self.reports), timeout):
                raise TimeoutError(f"the reports do not meet the condition after {timeout:g} s: {self.reports}")

    def cancel(self, reason: str = "") -> None:
        """Asks the handler to stop, as a cancellation of the task does."""
        self._runner.stop(self._attempt.id, "cancelled", reason, 5.0)

    def time_out(self) -> None:
        """Asks the handler to stop, as a hard timeout does."""
        self._runner.stop(self._attempt.id, "timed_out", "the run timeout passed", 5.0)

    def drain(self) -> None:
        """Asks the handler to stop, as the end of a drain does."""
        self._runner.stop(self._attempt.id, "drain", "the worker drains", 5.0)

    def wait(self, timeout: float = 30.0) -> Outcome:
        """The outcome; TimeoutError when the handler has not returned within `timeout` seconds."""
        try:
            result = self._link.result.result(timeout)
        except TimeoutError:
            raise TimeoutError(f"the handler has not returned within {timeout:g} s") from None
        outcome = _outcome(self._link, result)
        self.close()
        return outcome

    def close(self) -> None:
        """Asks a handler that runs to stop, runs the tear-downs of resources, and removes scratch folders."""
        if self._loop.is_closed():
            return
        if not self._attempt.ended:
            self.cancel("the test ends")
            self._link.result.result(10.0)
        errors = self._resources.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()
        if errors:
            raise errors[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def run_task(
    worker: Worker,
    task: str | Task[Any, Any],
    payload: Any = None,
    *,
    timeout: float = 30.0,
    attempt: int = 1,
    headers: Mapping[str, str] | None = None,
    resume_from: Any = None,
) -> Outcome:
    """Runs one task and returns its outcome; an error of the handler is in it, as a failure.

    Handlers with `isolate="process"` run in the process of the test. There is no retry.

    >>> from muster import Context, Worker
    >>> from muster.testing import run_task
    >>> worker = Worker()
    >>> @worker.task("double")
    ... def double(ctx: Context, payload: int) -> int:
    ...     return payload * 2
    >>> run_task(worker, "double", 21).output
    42
    >>> run_task(worker, "double", "x").failure.code
    'INVALID_PAYLOAD'
    """
    running = start_task(worker, task, payload, attempt=attempt, headers=headers, resume_from=resume_from)
    with running:
        return running.wait(timeout)


def start_task(
    worker: Worker,
    task: str | Task[Any, Any],
    payload: Any = None,
    *,
    attempt: int = 1,
    headers: Mapping[str, str] | None = None,
    resume_from: Any = None,
) -> RunningTask:
    """Starts one task, to cancel it or to look at it while it runs."""
    line: Line = {
        "attempt": f"t-1.{attempt}",
        "task": "t-1",
        "queue": "default",
        "number": attempt,
        "headers": dict(headers or {}),
    }
    if resume_from is not None:
        encoded = encode_value(resume_from)
        if is_json(encoded.content_type):
            line["checkpoint"] = json.loads(encoded.data)
        else:
            line["checkpoint_b64"] = base64.b64encode(encoded.data).decode()
    return RunningTask(worker, task, payload, line)


class _Recorder(Connection):
    """Keeps the lines in place of a link, and answers requests as one would."""

    def __init__(self, folder: Path) -> None:
        self.lines_written: list[Line] = []
        self.changed = threading.Condition()
        self.result: Future[Line] = Future()
        self.artifacts: dict[str, bytes] = {}
        self._folder = folder

    def send(self, line: Line) -> None:
        """Keeps the line."""
        # A link would write it as JSON: what has no JSON form must fail here, too.
        json.dumps(line, allow_nan=False)
        with self.changed:
            self.lines_written.append(line)
            self.changed.notify_all()
        if line["kind"] == "result":
            self.result.set_result(line)

    def request(self, line: Line) -> Future[Line]:
        """Keeps the line and answers it at once."""
        self.send(line)
        future: Future[Line] = Future()
        answer: Line = {"kind": "answer", "ok": True}
        if line["kind"] == "scratch":
            answer["path"] = str(self._folder)
        elif line["kind"] == "artifact":
            data = Path(line["file"]).read_bytes()
            self.artifacts[line["name"]] = data
            answer["artifact"] = {"name": line["name"], "size": len(data), "checksum": "", "uri": f"memory:{line['name']}"}
        future.set_result(answer)
        return future


def _outcome(link: _Recorder, result: Line) -> Outcome:
    outcome = Outcome(state=result["outcome"], artifacts=link.artifacts)
    if result["outcome"] == "succeeded":
        outcome.output = _output(result)
    if result["outcome"] == "failed":
        outcome.failure = Failed(
            failure_class=str(result.get("class", "")),
            code=str(result.get("code", "")),
            message=str(result.get("message", "")),
            traceback=str(result.get("traceback", "")),
            retry_after=result.get("retry_after_s"),
            details=result.get("details"),
        )
    for line in link.lines_written:
        _add(outcome, line, {name: value for name, value in line.items() if name not in ("kind", "attempt")})
    return outcome


def _add(outcome: Outcome, line: Line, fields: Line) -> None:
    match line["kind"]:
        case "phase_start":
            outcome.phases.append(line["name"])
        case "progress":
            outcome.progress.append(fields)
        case "output":
            outcome.streamed += base64.b64decode(line["data_b64"])
        case "log":
            outcome.log.append(fields)
        case "warning":
            outcome.warnings.append(fields)
        case "checkpoint":
            outcome.checkpoints.append(base64.b64decode(line["value_b64"]) if "value_b64" in line else line.get("value"))
        case "metric":
            outcome.metrics[line["name"]] = outcome.metrics.get(line["name"], 0.0) + line["amount"]
        case "fact":
            outcome.facts[line["name"]] = line["value"]
        case _:
            pass


def _output(result: Line) -> Any:
    if "output_file" in result:
        path = result["output_file"]
        with open(path, "rb") as file:
            data = file.read()
        os.unlink(path)
        return json.loads(data) if is_json(result["content_type"]) else data
    if "output_b64" in result:
        return base64.b64decode(result["output_b64"])
    return result.get("output")
