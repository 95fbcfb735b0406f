"""The errors of the client and of workers, a class for each stable reason of the scheduler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from muster.client.models import Failure, TaskInfo

__all__ = [
    "BatchClosedError",
    "BatchNotFoundError",
    "CallTimeoutError",
    "CancelledError",
    "CheckpointError",
    "DatabaseUnavailableError",
    "DependencyFailedError",
    "FatalError",
    "InvalidPayloadError",
    "InvalidRequestError",
    "InvalidResultError",
    "InvalidTaskError",
    "InvalidTokenError",
    "LinkError",
    "MusterError",
    "NonRetryableError",
    "NotASchedulerError",
    "OptionsError",
    "OutOfMemoryError",
    "PayloadTooLargeError",
    "PredecessorNotFoundError",
    "QueueFullError",
    "ResultTimeoutError",
    "RetryableError",
    "SchedulerStoppingError",
    "TaskAlreadyEndedError",
    "TaskCancelledError",
    "TaskFailedError",
    "TaskNotFoundError",
    "TimedOutError",
    "TooManyTasksError",
    "UniqueKeyHeldError",
    "UnreachableError",
    "Violation",
]


class OptionsError(ValueError):
    """An option or an environment variable is not valid. The message names every fault."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A field that the scheduler refused."""

    field: str
    """Path of the field, for example `tasks[3].task_type`."""
    description: str
    """What is wrong with it."""


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """What the scheduler says about a refused call."""

    code: str
    """Code of gRPC in lower case, for example `not_found`."""
    reason: str = ""
    """Stable reason, for example `TASK_NOT_FOUND`; empty when there is none."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Facts that come with the reason."""
    violations: Sequence[Violation] = ()
    """Refused fields."""
    retry_after: float | None = None
    """Shortest wait before a retry, in seconds; None when the scheduler gave none."""


class MusterError(Exception):
    """The scheduler refused a call, or the call did not reach it.

    Catch a subclass, or compare `reason`; the text of the message may change.

    >>> from muster import Client, TaskNotFoundError
    >>> def state_of(client: Client, task_id: str) -> str:
    ...     try:
    ...         return client.get(task_id).state
    ...     except TaskNotFoundError:
    ...         return "unknown"
    """

    reasons: ClassVar[tuple[str, ...]] = ()
    """Reasons of the scheduler that this class stands for."""
    remedy: str = ""
    """What to do; empty when the client does not know it."""

    def __init__(self, message: str, facts: ErrorFacts | None = None, *, remedy: str | None = None) -> None:
        self.facts = facts if facts is not None else ErrorFacts("unknown")
        if remedy is not None:
            self.remedy = remedy
        self.summary = message
        super().__init__(f"{message}; {self.remedy}" if self.remedy else message)

    @property
    def code(self) -> str:
        """Code of gRPC in lower case, for example `not_found`."""
        return self.facts.code

    @property
    def reason(self) -> str:
        """Stable reason, for example `TASK_NOT_FOUND`; empty when there is none."""
        return self.facts.reason

    @property
    def metadata(self) -> Mapping[str, str]:
        """Facts that came with the reason."""
        return self.facts.metadata

    @property
    def violations(self) -> Sequence[Violation]:
        """Refused fields; empty when the refusal is not about fields."""
        return self.facts.violations

    @property
    def retry_after(self) -> float | None:
        """Shortest wait before a retry, in seconds; None when the scheduler gave none."""
        return self.facts.retry_after


class InvalidTaskError(MusterError):
    """A submitted task is not valid; nothing was submitted. `violations` names the fields."""

    reasons = ("INVALID_TASK",)


class InvalidRequestError(MusterError):
    """A field of the call is not valid."""

    reasons = ("INVALID_REQUEST", "INVALID_PAGE_TOKEN")


class PayloadTooLargeError(MusterError):
    """A payload is above the limit of the scheduler."""

    reasons = ("PAYLOAD_TOO_LARGE",)
    remedy = "store the data elsewhere and send a reference, or raise --max-payload of the scheduler"


class TooManyTasksError(MusterError):
    """One call submits more tasks than the scheduler takes."""

    reasons = ("TOO_MANY_TASKS",)
    remedy = "submit them in several calls"


class QueueFullError(MusterError):
    """The queue holds as many tasks as it may; nothing was submitted."""

    reasons = ("QUEUE_FULL",)
    remedy = "submit again after `retry_after` seconds"


class UniqueKeyHeldError(MusterError):
    """Another task holds the unique key, and the rule of the submit asks for a refusal."""

    reasons = ("UNIQUE_KEY_HELD",)


class TaskNotFoundError(MusterError):
    """There is no task of this id, or its record was dropped."""

    reasons = ("TASK_NOT_FOUND",)


class TaskAlreadyEndedError(MusterError):
    """The task has ended, so it cannot be changed."""

    reasons = ("TASK_ALREADY_ENDED",)


class PredecessorNotFoundError(MusterError):
    """A task of `after` does not exist."""

    reasons = ("PREDECESSOR_NOT_FOUND",)


class DependencyFailedError(MusterError):
    """A task whose success is waited for has ended otherwise."""

    reasons = ("DEPENDENCY_FAILED",)


class BatchNotFoundError(MusterError):
    """There is no batch of this id."""

    reasons = ("BATCH_NOT_FOUND",)


class BatchClosedError(MusterError):
    """The batch takes no more tasks."""

    reasons = ("BATCH_CLOSED",)


class DatabaseUnavailableError(MusterError):
    """The scheduler has lost its database. A submit may have been accepted."""

    reasons = ("DATABASE_UNAVAILABLE",)
    remedy = "try again; a submit with a unique key can be repeated without a second task"


class SchedulerStoppingError(MusterError):
    """The scheduler is stopping."""

    reasons = ("SCHEDULER_STOPPING", "STREAM_AGED")
    remedy = "try again"


class InvalidTokenError(MusterError):
    """The scheduler wants a token, or a client certificate, and got none or another one."""

    reasons = ("INVALID_TOKEN", "INVALID_CERTIFICATE")
    remedy = "set MUSTER_TOKEN (or the option token) to the token of the scheduler"


class UnreachableError(MusterError):
    """No scheduler answered. `sent` says whether the call may have arrived."""

    sent: bool
    permanent: bool
    """True when another try meets the same: a certificate that is not trusted, TLS where there is none."""

    def __init__(self, message: str, *, sent: bool, remedy: str | None = None, permanent: bool = False) -> None:
        self.sent = sent
        self.permanent = permanent
        super().__init__(message, ErrorFacts("unavailable", "UNREACHABLE"), remedy=remedy)


class CallTimeoutError(MusterError, TimeoutError):
    """The call was not answered in time. A submit may have been accepted."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ErrorFacts("deadline_exceeded", "CALL_TIMEOUT"))


class NotASchedulerError(MusterError):
    """What answers at the address is not the HTTP address of a scheduler."""

    remedy = "give the HTTP address (7071 by default), not that of gRPC (7070)"


class ResultTimeoutError(MusterError, TimeoutError):
    """The task has not ended within the timeout of `result()`. It goes on."""

    task: TaskInfo | None

    def __init__(self, message: str, task: TaskInfo | None) -> None:
        self.task = task
        super().__init__(message, ErrorFacts("deadline_exceeded", "RESULT_TIMEOUT"))


class TaskFailedError(Exception):
    """Raised by `result()`: the task failed."""

    def __init__(self, task: TaskInfo) -> None:
        self.task = task
        """The whole task as it ended."""
        self.failure: Failure | None = task.failure
        """The failure as the scheduler recorded it, with its traceback."""
        self.code: str = (task.failure.code if task.failure else "") or task.detail or "FAILED"
        """Code of the last attempt's failure, for example `ENOSPC`."""
        self.detail: str = task.detail or self.code
        """Why it was not retried: `RETRIES_EXHAUSTED`, or the same code."""
        text = (task.failure.message if task.failure else "") or "no message"
        super().__init__(f"task {task.id} ({task.type}) failed with {self.code}: {text}")


class TaskCancelledError(Exception):
    """Raised by `result()`: the task was cancelled."""

    def __init__(self, task: TaskInfo) -> None:
        self.task = task
        """The whole task as it ended."""
        self.reason: str = task.cancel_reason
        """Reason that was given with the cancellation; may be empty."""
        super().__init__(f"task {task.id} ({task.type}) was cancelled" + (f": {self.reason}" if self.reason else ""))


class _HandlerError(Exception):
    """An error of a handler with the facts that decide about the next attempt."""

    failure_class: ClassVar[str]
    default_code: ClassVar[str]

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: Any = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code if code is not None else self.default_code
        self.details = details
        self.retry_after = retry_after


class RetryableError(_HandlerError):
    """A handler raises it: another attempt may succeed.

    `code` matches `[A-Z][A-Z0-9_]{0,63}`, `retry_after` is the shortest wait before the next attempt in seconds, `details`
    are facts for the producer, at most 4,096 characters of JSON.
    """

    failure_class = "retryable"
    default_code = "RETRYABLE"


class NonRetryableError(_HandlerError):
    """A handler raises it: another attempt would fail in the same way."""

    failure_class = "non_retryable"
    default_code = "NON_RETRYABLE"


class OutOfMemoryError(_HandlerError):
    """A handler raises it: memory ran out. It is counted on the memory budget of the task."""

    failure_class = "out_of_memory"
    default_code = "OUT_OF_MEMORY"


class FatalError(_HandlerError):
    """The process cannot go on, for example after an error that leaves CUDA unusable.

    A handler, or a thread of its own, raises it: the attempt fails and may be tried again, the worker reports the error and ends
    with exit code 1, and its supervisor starts it anew. With `isolate="process"` the process of the handler ends, and the next
    attempt gets a new one.
    """

    failure_class = "retryable"
    default_code = "FATAL"


class TimedOutError(BaseException):
    """Raised in a handler by `ctx.check()` after a hard timeout. Let it pass."""


class CancelledError(BaseException):
    """Raised in a handler by `ctx.check()`: the task was cancelled, revoked, or the worker drains. Let it pass.

    It is a BaseException, as that of asyncio, so that `except Exception` does not swallow it.
    """

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(reason or "the task was cancelled")


class InvalidPayloadError(Exception):
    """A payload does not fit the annotation of its handler, or the input type of its task."""

    def __init__(self, message: str, *, field: str = "") -> None:
        self.field = field
        """Path of the field, for example `pages[2].url`; empty for the payload itself."""
        super().__init__(message)


class InvalidResultError(Exception):
    """A result has no JSON form, or does not fit the output type of its task."""


class CheckpointError(Exception):
    """A checkpoint was not stored."""


class LinkError(Exception):
    """The link process is missing, has another version, or has ended."""


def _by_reason() -> dict[str, type[MusterError]]:
    return {reason: cls for cls in MusterError.__subclasses__() for reason in cls.reasons}


def error_for(message: str, facts: ErrorFacts) -> MusterError:
    """The error of a refused call, in the class of its reason."""
    return _by_reason().get(facts.reason, MusterError)(message, facts)
