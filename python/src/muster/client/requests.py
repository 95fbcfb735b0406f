"""What the blocking and the asyncio client share: their calls, and what answers mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from muster.client.calls import Call, call
from muster.client.models import TaskInfo, TaskUpdate, int_of, output_chunk, task_info
from muster.client.spec import Spec, SubmitOptions, check_names, encode_spec
from muster.client.wire import JsonObject
from muster.errors import (
    InvalidPayloadError,
    InvalidResultError,
    OptionsError,
    ResultTimeoutError,
    TaskCancelledError,
    TaskFailedError,
)
from muster.task import Task, task_of

MAX_TASKS = 10_000


def specs_of(
    tasks: str | Task[Any, Any] | Iterable[Spec[Any]],
    inputs: Iterable[Any] | None,
    options: SubmitOptions,
) -> list[Spec[Any]]:
    """The tasks of `submit_many`, given as one task with its inputs or as specs."""
    if isinstance(tasks, str | Task):
        if inputs is None:
            raise OptionsError("submit_many needs the inputs: submit_many(task, inputs), or a list of task.spec(...)")
        return [Spec(tasks, each, options) for each in inputs]
    if inputs is not None or options:
        raise OptionsError("submit_many takes inputs and options with one task only; give each spec its own options")
    return list(tasks)


def submit_call(specs: Sequence[Spec[Any]], timeout: float) -> Call:
    """Submits in one transaction: all or none."""
    if not 1 <= len(specs) <= MAX_TASKS:
        raise OptionsError(f"submit_many has {len(specs)} tasks; give 1 to {MAX_TASKS}")
    encoded = [_encoded(spec, index if len(specs) > 1 else None) for index, spec in enumerate(specs)]
    # Without a key a repeated submit would be a second task.
    repeatable = all(each.get("uniqueKey") for each in encoded)
    return call("SubmitTasks", {"tasks": encoded}, timeout, repeatable=repeatable)


def _encoded(spec: Spec[Any], index: int | None) -> JsonObject:
    task = task_of(spec.task)
    check_names(spec.options)
    options: SubmitOptions = {**task.options, **spec.options}
    try:
        payload = task.encode_input(spec.payload)
        return encode_spec(task.type, payload.data, payload.content_type, options)
    except (InvalidPayloadError, InvalidResultError) as error:
        field = error.field if isinstance(error, InvalidPayloadError) else ""
        where = "" if index is None else f" (task {index} of the call)"
        raise InvalidPayloadError(f"the payload of {task.type}{where} is not valid: {error}", field=field) from None


def get_call(task_id: str, timeout: float) -> Call:
    """One task by its id."""
    return call("GetTask", {"taskId": task_id}, timeout, repeatable=True)


def cancel_call(task_id: str, reason: str, timeout: float) -> Call:
    """Asking again is harmless, so it is repeated."""
    return call("CancelTask", {"taskId": task_id, "reason": reason}, timeout, repeatable=True)


def submitted(answer: JsonObject, specs: Sequence[Spec[Any]]) -> list[tuple[str, bool, Task[Any, Any]]]:
    """Id, whether another task held the unique key, and the task object of each submitted task."""
    tasks = answer.get("tasks", [])
    return [
        (str(each.get("taskId", "")), bool(each.get("duplicate", False)), task_of(spec.task))
        for each, spec in zip(tasks, specs, strict=True)
    ]


class Watch:
    """The state of a watch across the streams that it needs."""

    def __init__(self, task_id: str) -> None:
        self.request: JsonObject = {"taskId": task_id}
        self.last: TaskInfo | None = None
        self._seen: dict[str, int] = {}

    def update(self, message: JsonObject) -> TaskUpdate | None:
        """The update of a message; None for one that only shows that the stream lives."""
        raw = message.get("task")
        if raw is None:
            return None
        self.last = task_info(raw)
        chunks = [output_chunk(each) for each in message.get("outputChunks", [])]
        new = tuple(each for each in chunks if each.sequence > self._seen.get(each.attempt_id, 0))
        for each in new:
            self._seen[each.attempt_id] = each.sequence
        return TaskUpdate(self.last, new)

    def timed_out(self, seconds: float, task_id: str) -> ResultTimeoutError:
        """The error of a `result()` that waited long enough."""
        last = self.last
        state = "its state is not known" if last is None else f"it is {last.state}" + (f" ({last.detail})" if last.detail else "")
        return ResultTimeoutError(
            f"task {task_id} has not ended within {seconds:g} s: {state}; it goes on, and muster why {task_id} explains it",
            last,
        )


def output_left_out(task: TaskInfo) -> bool:
    """True when the result did not fit into a message: plain HTTP has it."""
    return "output" in task.raw.get("omittedFields", []) or (
        not task.raw.get("output") and (int_of(task.raw.get("outputBytes")) or 0) > 0
    )


def raise_unless_succeeded(task: TaskInfo) -> None:
    """TaskFailedError or TaskCancelledError for a task that ended so."""
    if task.state == "failed":
        raise TaskFailedError(task)
    if task.state == "cancelled":
        raise TaskCancelledError(task)


def result_of(task: TaskInfo, definition: Task[Any, Any], output: bytes) -> Any:
    """The result of a task that has succeeded; InvalidResultError when it does not fit the output type."""
    try:
        return definition.decode_output(output, task.output_content_type)
    except InvalidPayloadError as error:
        raise InvalidResultError(f"the result of task {task.id} ({task.type}) does not fit its type: {error}") from None
