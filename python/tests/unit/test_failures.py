"""The classification of errors, without the libraries that raise them."""

from __future__ import annotations

import errno

import pytest

from muster import FailureReport, NonRetryableError
from muster.worker.failures import classify, failed_line


class WithoutTextError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


def cuda_error(name: str, base: type[Exception] = RuntimeError) -> Exception:
    kind: type[Exception] = type(name, (base,), {"__module__": "torch"})
    return kind("CUDA out of memory. Tried to allocate 20 MiB")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "no"),
        cuda_error("OutOfMemoryError"),
        cuda_error("ResourceExhaustedError", Exception),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
        ),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes"),
    ],
)
def test_a_lack_of_memory_is_known(error: Exception) -> None:
    report = classify(error)
    assert (report.failure_class, report.code) == ("out_of_memory", "OUT_OF_MEMORY")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("a"), "VALUE_ERROR"),
        (OSError(errno.ENOSPC, "full"), "ENOSPC"),
        (TimeoutError(), "TIMEOUT_ERROR"),
        (RuntimeError("the author wrote of memory"), "RUNTIME_ERROR"),
        (type("HTTPError", (Exception,), {})("a"), "HTTP_ERROR"),
        (type("_Ünicode", (Exception,), {})("a"), "NICODE"),
        (SystemExit(1), "SYSTEM_EXIT"),
        (WithoutTextError(), "WITHOUT_TEXT_ERROR"),
    ],
)
def test_other_errors_have_a_code_of_their_name(error: BaseException, code: str) -> None:
    report = classify(error)
    assert (report.failure_class, report.code) == ("retryable", code)
    assert report.message


def test_the_classifier_of_the_worker_comes_first() -> None:
    own = FailureReport("non_retryable", "MINE", "mine")
    assert classify(ValueError(), lambda error: own) is own
    assert classify(ValueError(), lambda error: None).code == "VALUE_ERROR"


def test_a_line_keeps_its_bounds() -> None:
    error = NonRetryableError("x" * 10_000, code="not a code", details={"a": "b" * 5_000}, retry_after=-1)
    line = failed_line("a", classify(error), error)
    assert line["code"] == "ERROR"
    assert len(line["message"]) == 4_000
    assert "details" not in line
    assert line["retry_after_s"] == 0
