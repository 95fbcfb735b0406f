"""Calls as steps: a generator yields what has to be done, and a driver, blocking or asyncio, does it."""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from muster.client.wire import JsonObject, decode_object, encode, http_error
from muster.errors import CallTimeoutError, ErrorFacts, MusterError, NotASchedulerError, UnreachableError

SERVICE = "/muster.v1.TaskService/"

MAX_WAIT = 5.0
"""Longest wait between two tries, in seconds, unless the scheduler asks for more."""

MAX_DIALS = 5.0
"""How long an address that refuses connections is dialled again, in seconds: a scheduler that restarts is back by then."""

_TRANSIENT = frozenset({"unavailable"})


@dataclass(frozen=True, slots=True)
class Post:
    """A request to the address in use."""

    path: str
    body: bytes
    timeout: float


@dataclass(frozen=True, slots=True)
class Sleep:
    """A wait in seconds before the next try."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    """The driver answers with its monotonic clock, in seconds."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of HTTP."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The request got no answer; `sent` says whether it may have arrived."""

    error: MusterError
    sent: bool


Reply = Answer | Unanswered | float | None
Call = Generator[Post | Sleep | Now, Reply, JsonObject]


class Backoff:
    """Waits that grow from 0.1 s, spread by half: many clients do not come back at the same moment."""

    def __init__(self) -> None:
        self._next = 0.1

    def reset(self) -> None:
        """Begins anew, after an answer."""
        self._next = 0.1

    def wait(self, at_least: float | None = None) -> float:
        """The next wait; what the scheduler asks for is kept."""
        wait = self._next * random.uniform(0.5, 1)
        self._next = min(MAX_WAIT, self._next * 2)
        return max(wait, at_least or 0.0)


def call(method: str, request: Mapping[str, Any], timeout: float, *, repeatable: bool) -> Call:
    """One call of TaskService, repeated within its timeout while that cannot do a thing twice.

    A call that is not `repeatable` is repeated only when it was not sent, or when the scheduler says that nothing was done
    and when to try again.
    """
    body = encode(request)
    began = yield from _clock()
    backoff = Backoff()
    while True:
        left = timeout - ((yield from _clock()) - began)
        reply = yield Post(SERVICE + method, body, max(left, 0.001))
        limit = timeout
        if isinstance(reply, Answer):
            if reply.status == 200:
                return decode_object(reply.body, f"the answer of {method}")
            error = http_error(reply.status, reply.content_type, reply.body)
            again = error.code in _TRANSIENT and repeatable
            again = again or (error.reason == "QUEUE_FULL" and error.retry_after is not None)
        elif isinstance(reply, Unanswered):
            error = reply.error
            again = isinstance(error, UnreachableError) and not error.permanent and (repeatable or not reply.sent)
            if not reply.sent:
                limit = min(timeout, MAX_DIALS)
        else:
            raise TypeError(f"the driver answered a request with {reply!r}")
        wait = backoff.wait(error.retry_after)
        left = limit - ((yield from _clock()) - began)
        if not again or wait >= left:
            raise error
        yield Sleep(wait)


def _clock() -> Generator[Now, Reply, float]:
    now = yield Now()
    if not isinstance(now, float):
        raise TypeError(f"the driver answered the time with {now!r}")
    return now


def is_dropped(error: MusterError) -> bool:
    """True for the end of a stream after which the same stream may be opened again."""
    if isinstance(error, UnreachableError):
        return not error.permanent
    return error.code in ("unavailable", "aborted")


def unreachable(url: str, error: Exception, *, sent: bool) -> UnreachableError:
    """What a connection that failed means for the caller."""
    text = str(error) or type(error).__name__
    remedy = "does the scheduler run, and is this its HTTP address?"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        remedy = "set MUSTER_TLS_CA, or Tls(ca=...), to the certificate that signed the scheduler's"
    elif "WRONG_VERSION_NUMBER" in text:
        remedy = "the scheduler speaks plain HTTP here: begin the address with http://"
    elif sent:
        remedy = "the call may have arrived; a submit with a unique key can be repeated without a second task"
    permanent = "CERTIFICATE_VERIFY_FAILED" in text or "WRONG_VERSION_NUMBER" in text
    return UnreachableError(f"no answer of the scheduler at {url}: {text}", sent=sent, remedy=remedy, permanent=permanent)


def not_a_scheduler(url: str, error: Exception) -> NotASchedulerError:
    """The error of an answer that is not HTTP, such as that of the address for gRPC."""
    return NotASchedulerError(f"what answers at {url} does not speak HTTP/1.1: {error}", ErrorFacts("unimplemented"))


def call_timeout(method: str, url: str, seconds: float) -> CallTimeoutError:
    """The error of a call without an answer in time."""
    return CallTimeoutError(f"{method} was not answered by {url} within {seconds:g} s")


def silent(url: str) -> MusterError:
    """The error of a stream on which nothing came, not even the messages that only show that it lives."""
    return MusterError(f"nothing came on the watch of {url} for 30 s", ErrorFacts("unavailable"))
