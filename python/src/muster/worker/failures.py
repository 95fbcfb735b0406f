"""What an error of a handler means for the next attempt."""

from __future__ import annotations

import errno
import json
import os
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from muster.errors import InvalidPayloadError, InvalidResultError, _HandlerError

FailureClass = Literal["retryable", "non_retryable", "timed_out", "out_of_memory"]

_MAX_MESSAGE = 4_000
_MAX_TRACEBACK = 60_000
_MAX_DETAILS = 4_096
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")

# Matched without importing the libraries: torch raises torch.OutOfMemoryError (before 2.5 torch.cuda's) or a RuntimeError,
# CuPy and JAX errors of their own, TensorFlow ResourceExhaustedError.
_MEMORY_CLASSES = frozenset({"OutOfMemoryError", "ResourceExhaustedError", "CUDAOutOfMemoryError"})
_MEMORY_TEXT = re.compile(
    r"(CUDA|HIP|XPU|MPS)( error:| backend)? ?out of memory|cudaErrorMemoryAllocation|hipErrorOutOfMemory"
    r"|(CUBLAS|CUSOLVER|CUDNN|CUFFT)_STATUS_(ALLOC_FAILED|INTERNAL_ERROR_ALLOC)|RESOURCE_EXHAUSTED: Out of memory"
    r"|DefaultCPUAllocator: (can't allocate|not enough) memory",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class FailureReport:
    """How an attempt failed. A classifier may return one; what it leaves out is filled in."""

    failure_class: FailureClass = "retryable"
    code: str = "ERROR"
    message: str = ""
    retry_after: float | None = None
    details: Any = None


Classifier = Callable[[BaseException], FailureReport | None]


def classify(error: BaseException, own: Classifier | None = None) -> FailureReport:
    """The report of an error: the worker's own classifier first, then the errors of this package, then the kind of error."""
    if own is not None:
        report = own(error)
        if report is not None:
            return report
    text = _safe_text(error)
    if isinstance(error, _HandlerError):
        return FailureReport(
            failure_class=error.failure_class,  # type: ignore[arg-type]
            code=error.code,
            message=text,
            retry_after=error.retry_after,
            details=error.details,
        )
    if isinstance(error, InvalidPayloadError):
        return FailureReport("non_retryable", "INVALID_PAYLOAD", f"the payload is not valid: {text}")
    if isinstance(error, InvalidResultError):
        return FailureReport("non_retryable", "INVALID_RESULT", f"the result is not valid: {text}")
    if is_out_of_memory(error):
        return FailureReport("out_of_memory", "OUT_OF_MEMORY", text)
    return FailureReport("retryable", _code_of(error), text)


def is_out_of_memory(error: BaseException) -> bool:
    """True for a lack of memory of this machine or of an accelerator."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    if any(each.__name__ in _MEMORY_CLASSES for each in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and _MEMORY_TEXT.search(str(error)) is not None


def failed_line(attempt: str, report: FailureReport, error: BaseException | None) -> dict[str, Any]:
    """The line `result` of a failure, within the bounds of the protocol."""
    line: dict[str, Any] = {
        "kind": "result",
        "attempt": attempt,
        "outcome": "failed",
        "class": report.failure_class,
        "code": report.code if _CODE.fullmatch(report.code) else "ERROR",
        "message": report.message[:_MAX_MESSAGE],
    }
    if report.retry_after is not None:
        line["retry_after_s"] = max(0.0, min(report.retry_after, 2_000_000.0))
    if report.details is not None:
        details = report.details if isinstance(report.details, dict) else {"value": report.details}
        try:
            if len(json.dumps(details, allow_nan=False)) <= _MAX_DETAILS:
                line["details"] = details
        except (TypeError, ValueError):
            line["message"] += " (its details have no JSON form)"
    if error is not None:
        line["traceback"] = _traceback(error)
    return line


def _traceback(error: BaseException) -> str:
    """The traceback without the frames of this package: its last calls are what an author looks for."""
    frames = traceback.TracebackException.from_exception(error)
    own = os.path.dirname(__file__)
    frames.stack[:] = [each for each in frames.stack if os.path.dirname(each.filename) != own]
    text = "".join(frames.format())
    return text if len(text) <= _MAX_TRACEBACK else "...\n" + text[-_MAX_TRACEBACK:]


def _safe_text(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception as broken:  # An error whose own text cannot be made must not hide that it failed.
        return f"{type(error).__name__} (its text raised {type(broken).__name__})"


def _code_of(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return errno.errorcode.get(error.errno, "OS_ERROR")
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(error).__name__).upper()
    name = re.sub(r"[^A-Z0-9_]", "_", name).strip("_")[:64]
    return name if _CODE.fullmatch(name) else "ERROR"
