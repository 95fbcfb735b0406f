"""What a producer submits: the options of a task, checked, in the JSON of the protocol."""

from __future__ import annotations

import base64
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeVar

from muster.client.wire import JsonObject
from muster.errors import OptionsError

if TYPE_CHECKING:
    from muster.task import Task

R = TypeVar("R")

Seconds = float | timedelta
"""A length of time: seconds, or a timedelta."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When a failed attempt is followed by another. What is None is that of the queue, else the scheduler's."""

    max_retries: int | None = None
    """Attempts after the first one, 0 to 1000."""
    delays: Sequence[Seconds] | None = None
    """Waits before retry 1, 2, ...; the last one repeats. Excludes `initial_delay`."""
    initial_delay: Seconds | None = None
    """Wait before the first retry; it grows by `factor` up to `max_delay`."""
    factor: float | None = None
    max_delay: Seconds | None = None
    jitter: float | None = None
    """Share of the wait that is random, 0 to 1."""
    lost_delays: Sequence[Seconds] | None = None
    """Waits after attempts that were lost with their worker."""
    max_out_of_memory: int | None = None
    """Attempts after one that ran out of memory."""
    retry_timeouts: bool | None = None
    """Whether an attempt that passed a hard timeout is retried."""


@dataclass(frozen=True, slots=True)
class Unique:
    """A unique key: a queue has at most one task that holds it."""

    key: str
    """At most 512 bytes."""
    held_while: Literal["queued", "active", "open", "open_or_succeeded", "recorded"] | None = None
    """States of the task that hold the key; None means open or succeeded."""
    window: Seconds | None = None
    """The key is held at least this long after the task's creation."""
    on_conflict: Literal["return", "replace", "refuse"] | None = None
    """What becomes of a submit whose key is held; None gives a handle of the task that holds it."""


@dataclass(frozen=True, slots=True)
class Concurrency:
    """A concurrency key: at most `limit` tasks with it run at once."""

    key: str
    limit: int
    on_limit: Literal["queue", "cancel_newest", "cancel_running"] = "queue"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket that all tasks with the same key share."""

    key: str
    limit: int
    period: Seconds
    burst: int | None = None


@dataclass(frozen=True, slots=True)
class After:
    """A task that the submitted one waits for: its id, its handle, or its position in the same `submit_many`."""

    task: Any
    when: Literal["succeeded", "ended"] = "succeeded"


class SubmitOptions(TypedDict, total=False):
    """The options of a submit; each is left to the queue or the scheduler when it is not given."""

    queue: str
    priority: int
    delay: Seconds
    run_time: datetime
    unique_key: str
    unique: Unique
    tags: Sequence[str]
    headers: Mapping[str, str]
    content_type: str
    labels: Mapping[str, str]
    resources: Sequence[str]
    cost: Mapping[str, int]
    retry: Retry
    run_timeout: Seconds
    queue_timeout: Seconds
    phase_timeouts: Mapping[str, Seconds]
    watchdog: Seconds
    phase_watchdogs: Mapping[str, Seconds]
    concurrency: Sequence[Concurrency]
    rate_limits: Sequence[RateLimit]
    fairness_key: str
    after: Sequence[Any]
    batch_id: str
    max_iterations: int


@dataclass(frozen=True, slots=True)
class Spec(Generic[R]):
    """One task of `submit_many()`: what `Task.spec()` makes, or `Spec("type", payload, {...})`."""

    task: str | Task[Any, R]
    payload: Any
    options: SubmitOptions


def check_names(options: Mapping[str, object]) -> None:
    """OptionsError for an unknown option, with the name that was probably meant."""
    known = SubmitOptions.__annotations__
    faults: list[str] = []
    for name in options:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, 1)
        faults.append(f"{name} is no option of a submit" + (f"; did you mean {near[0]}?" if near else ""))
    if faults:
        raise OptionsError("; ".join(faults))


def encode_spec(task_type: str, payload: bytes, content_type: str, options: SubmitOptions) -> JsonObject:
    """TaskSpec as JSON; OptionsError for options that exclude each other or are not of their form."""
    check_names(options)
    spec: JsonObject = {
        "taskType": task_type,
        "payload": base64.b64encode(payload).decode(),
        "contentType": options.get("content_type", content_type),
    }
    for name, key in _PLAIN.items():
        if name in options:
            value = options[name]  # type: ignore[literal-required]
            spec[key] = dict(value) if isinstance(value, Mapping) else value
    if "delay" in options and "run_time" in options:
        raise OptionsError("delay and run_time exclude each other")
    if "delay" in options:
        spec["delay"] = duration("delay", options["delay"])
    if "run_time" in options:
        spec["runTime"] = moment("run_time", options["run_time"])
    if "tags" in options:
        spec["tags"] = _texts("tags", options["tags"])
    unique = options.get("unique")
    if unique is not None and "unique_key" in options:
        raise OptionsError("unique_key and unique exclude each other")
    if "unique_key" in options:
        unique = Unique(options["unique_key"])
    if unique is not None:
        spec["uniqueKey"] = unique.key
        rule = _unique_rule(unique)
        if rule:
            spec["uniqueRule"] = rule
    requirements: JsonObject = {}
    if "labels" in options:
        requirements["labels"] = dict(options["labels"])
    if "resources" in options:
        requirements["resources"] = _texts("resources", options["resources"])
    if "cost" in options:
        requirements["cost"] = {name: str(amount) for name, amount in options["cost"].items()}
    timeouts = _limits(options, {"run_timeout": "run", "queue_timeout": "queueWait"}, "phase_timeouts")
    watchdogs = _limits(options, {"watchdog": "run"}, "phase_watchdogs")
    if "retry" in options:
        spec["retryPolicy"] = _retry(options["retry"])
    for key, value in (("requirements", requirements), ("timeouts", timeouts), ("watchdogs", watchdogs)):
        if value:
            spec[key] = value
    if "concurrency" in options:
        spec["concurrency"] = [_concurrency(each) for each in options["concurrency"]]
    if "rate_limits" in options:
        spec["rateLimits"] = [_rate_limit(each) for each in options["rate_limits"]]
    if "fairness_key" in options:
        spec["fairness"] = {"key": options["fairness_key"]}
    if "after" in options:
        spec["after"] = [_dependency(each) for each in options["after"]]
    return spec


_PLAIN = {
    "queue": "queue",
    "priority": "priority",
    "headers": "headers",
    "batch_id": "batchId",
    "max_iterations": "maxIterationCount",
}


def duration(name: str, value: object) -> str:
    """A duration of the protocol, for example `1.5s`."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 366 * 86_400 + 1:
        raise OptionsError(f"{name} is {value!r}; give seconds from 0 to 366 days, or a timedelta")
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def moment(name: str, value: object) -> str:
    """A moment of the protocol; one without a zone would mean another moment on each machine."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise OptionsError(f"{name} is {value!r}; give a datetime with a time zone, for example datetime.now(timezone.utc)")
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def _texts(name: str, value: object) -> list[str]:
    # A single text is a sequence of texts, too: each of its letters would be one.
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise OptionsError(f"{name} is {value!r}; give a list of texts")
    return [str(each) for each in value]


def _limits(options: SubmitOptions, names: Mapping[str, str], phases: str) -> JsonObject:
    limits: JsonObject = {
        key: duration(name, options[name])  # type: ignore[literal-required]
        for name, key in names.items()
        if name in options
    }
    if phases in options:
        given: Mapping[str, Seconds] = options[phases]  # type: ignore[literal-required]
        limits["phases"] = {phase: duration(f"{phases}[{phase!r}]", value) for phase, value in given.items()}
    return limits


def _retry(retry: Retry) -> JsonObject:
    policy: JsonObject = {}
    for key, value in (
        ("maxRetryCount", retry.max_retries),
        ("maxOutOfMemoryCount", retry.max_out_of_memory),
        ("retryTimeouts", retry.retry_timeouts),
    ):
        if value is not None:
            policy[key] = value
    growing = {
        "initialDelay": retry.initial_delay,
        "factor": retry.factor,
        "maxDelay": retry.max_delay,
        "jitter": retry.jitter,
    }
    given = {key: value for key, value in growing.items() if value is not None}
    if retry.delays is not None:
        if given:
            raise OptionsError("Retry.delays excludes initial_delay, factor, max_delay and jitter")
        policy["fixed"] = {"delays": [duration("Retry.delays", each) for each in retry.delays]}
    elif given:
        if retry.initial_delay is None:
            raise OptionsError("Retry.initial_delay is missing: factor, max_delay and jitter need it")
        policy["exponential"] = {
            key: duration(f"Retry.{key}", value) if key.endswith("Delay") else value for key, value in given.items()
        }
    if retry.lost_delays is not None:
        policy["lostBackoff"] = {"delays": [duration("Retry.lost_delays", each) for each in retry.lost_delays]}
    return policy


def _unique_rule(unique: Unique) -> JsonObject:
    rule: JsonObject = {}
    if unique.held_while is not None:
        rule["heldWhile"] = f"UNIQUE_WHILE_{unique.held_while.upper()}"
    if unique.window is not None:
        rule["window"] = duration("Unique.window", unique.window)
    if unique.on_conflict is not None:
        name = "RETURN_HOLDER" if unique.on_conflict == "return" else unique.on_conflict.upper()
        rule["onConflict"] = f"UNIQUE_CONFLICT_POLICY_{name}"
    return rule


def _concurrency(each: Concurrency) -> JsonObject:
    key: JsonObject = {"key": each.key, "limit": each.limit}
    if each.on_limit != "queue":
        key["onLimit"] = f"CONCURRENCY_LIMIT_POLICY_{each.on_limit.upper()}"
    return key


def _rate_limit(each: RateLimit) -> JsonObject:
    limit: JsonObject = {"key": each.key, "limit": each.limit, "period": duration("RateLimit.period", each.period)}
    return limit if each.burst is None else limit | {"burst": each.burst}


def _dependency(each: Any) -> JsonObject:
    after = each if isinstance(each, After) else After(each)
    task = after.task
    if isinstance(task, int) and not isinstance(task, bool):
        target: JsonObject = {"entry": task}
    else:
        task_id = task if isinstance(task, str) else getattr(task, "id", None)
        if not isinstance(task_id, str):
            raise OptionsError(f"after has {task!r}; give the id of a task, its handle, or its position in submit_many")
        target = {"taskId": task_id}
    return target | {"condition": f"DEPENDENCY_CONDITION_{after.when.upper()}"}
