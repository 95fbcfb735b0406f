"""The parts of the client without a network: options, specs, frames, errors, repetitions."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import muster
from muster import (
    After,
    Concurrency,
    OptionsError,
    QueueFullError,
    RateLimit,
    Retry,
    TaskNotFoundError,
    Tls,
    Unique,
    UnreachableError,
)
from muster.client.calls import Answer, Call, Now, Post, Reply, Sleep, Unanswered, call
from muster.client.models import int_of, task_info, time_of
from muster.client.options import client_settings
from muster.client.spec import encode_spec
from muster.client.wire import FrameReader, envelope, error_of, http_error
from muster.errors import ErrorFacts, MusterError, NotASchedulerError


def settings(url: str | None = None, environment: dict[str, str] | None = None, **options: Any) -> Any:
    values = {"token": None, "tls": None, "timeout": 30.0, "proxy": True, **options}
    return client_settings(url, **values, environment=environment or {})


def test_options_come_before_the_environment() -> None:
    env = {"MUSTER_HTTP_URL": "http://a:1, http://b:2/", "MUSTER_TOKEN": "t\n"}
    assert settings(None, env).urls == ("http://a:1", "http://b:2")
    assert settings(None, env).token == "t"
    assert settings("https://c", env).urls == ("https://c",)
    assert settings().urls == ("http://127.0.0.1:7071",)


def test_every_fault_of_the_options_is_named_at_once() -> None:
    with pytest.raises(OptionsError) as caught:
        settings("a:1", token="a b", timeout=0, tls=Tls(ca="/nowhere", cert="/c"))
    for text in ("url has 'a:1'", "timeout is 0", "value not shown", "there is no file '/nowhere'", "needs both"):
        assert text in str(caught.value)
    assert "a b" not in str(caught.value)


def test_proxies_do_not_count_for_this_machine() -> None:
    assert settings().proxy_of("http://127.0.0.1:7071") == (False, None)
    assert settings().proxy_of("http://scheduler:7071") == (True, None)
    assert settings(proxy=False).proxy_of("http://scheduler:7071") == (False, None)
    assert settings(proxy="http://p:1").proxy_of("http://127.0.0.1:7071") == (False, "http://p:1")


def test_a_spec_has_the_names_of_the_protocol() -> None:
    spec = encode_spec(
        "t",
        b"{}",
        "application/json",
        {
            "queue": "q",
            "priority": 3,
            "delay": timedelta(seconds=1.5),
            "unique": Unique("k", held_while="open", window=60, on_conflict="return"),
            "labels": {"gpu": "a"},
            "resources": ["model:x"],
            "cost": {"slots": 2, "gpu_memory_mb": 10**12},
            "retry": Retry(max_retries=0, initial_delay=1, factor=3, lost_delays=[0]),
            "run_timeout": 10,
            "phase_timeouts": {"load": 0.000000001},
            "watchdog": 0,
            "concurrency": [Concurrency("c", 1, "cancel_newest")],
            "rate_limits": [RateLimit("r", 5, 60)],
            "fairness_key": "f",
            "after": ["t-1", After(0, "ended")],
            "tags": ("a",),
        },
    )
    assert spec == {
        "taskType": "t",
        "payload": "e30=",
        "contentType": "application/json",
        "queue": "q",
        "priority": 3,
        "delay": "1.5s",
        "uniqueKey": "k",
        "uniqueRule": {"heldWhile": "UNIQUE_WHILE_OPEN", "window": "60s", "onConflict": "UNIQUE_CONFLICT_POLICY_RETURN_HOLDER"},
        "requirements": {
            "labels": {"gpu": "a"},
            "resources": ["model:x"],
            "cost": {"slots": "2", "gpu_memory_mb": "1000000000000"},
        },
        "retryPolicy": {
            "maxRetryCount": 0,
            "exponential": {"initialDelay": "1s", "factor": 3},
            "lostBackoff": {"delays": ["0s"]},
        },
        "timeouts": {"run": "10s", "phases": {"load": "0.000000001s"}},
        "watchdogs": {"run": "0s"},
        "concurrency": [{"key": "c", "limit": 1, "onLimit": "CONCURRENCY_LIMIT_POLICY_CANCEL_NEWEST"}],
        "rateLimits": [{"key": "r", "limit": 5, "period": "60s"}],
        "fairness": {"key": "f"},
        "after": [
            {"taskId": "t-1", "condition": "DEPENDENCY_CONDITION_SUCCEEDED"},
            {"entry": 0, "condition": "DEPENDENCY_CONDITION_ENDED"},
        ],
        "tags": ["a"],
    }


BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"quee": "a"}, "did you mean queue?"),
    ({"delay": 1, "run_time": datetime.now(timezone.utc)}, "exclude each other"),
    ({"delay": -1}, "delay is -1"),
    ({"run_time": datetime(2026, 1, 1)}, "with a time zone"),
    ({"tags": "abc"}, "give a list of texts"),
    ({"unique": Unique("a"), "unique_key": "b"}, "exclude each other"),
    ({"retry": Retry(delays=[1], factor=2)}, "excludes"),
    ({"retry": Retry(factor=2)}, "initial_delay is missing"),
    ({"after": [object()]}, "after has"),
]


@pytest.mark.parametrize(("options", "text"), BAD_OPTIONS)
def test_options_of_a_submit_are_checked(options: Any, text: str) -> None:
    with pytest.raises(OptionsError, match=text.replace("?", r"\?")):
        encode_spec("t", b"", "", options)


def test_frames_are_cut_wherever_the_bytes_are() -> None:
    end = json.dumps({}).encode()
    data = envelope(b'{"a":1}') + envelope(b'{"b":2}') + b"\x02" + len(end).to_bytes(4, "big") + end
    reader = FrameReader()
    assert [message for byte in data for message in reader.feed(bytes([byte]))] == [{"a": 1}, {"b": 2}]
    assert reader.ended
    for wrong in (b"HTTP/1.1 400", b"\x01\0\0\0\x01x", envelope(b"[]")):
        with pytest.raises(NotASchedulerError):
            list(FrameReader().feed(wrong))


def test_a_stream_ends_with_its_error() -> None:
    end = json.dumps({"error": {"code": "not_found", "message": "gone"}}).encode()
    with pytest.raises(MusterError, match="gone"):
        list(FrameReader().feed(b"\x02" + len(end).to_bytes(4, "big") + end))


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


def detail(kind: str, value: bytes) -> dict[str, str]:
    # Connect leaves out the padding.
    return {"type": f"google.rpc.{kind}", "value": base64.b64encode(value).decode().rstrip("=")}


def test_errors_have_the_class_of_their_reason() -> None:
    pair = field(3, field(1, b"queue") + field(2, b"q"))
    info = field(1, b"QUEUE_FULL") + field(2, b"muster") + pair
    violation = field(1, field(1, b"tasks[0].queue") + field(2, b"wrong"))
    details = [
        detail("ErrorInfo", info),
        detail("RetryInfo", field(1, b"\x08\x02\x10\x80\xca\xb5\xee\x01")),
        detail("BadRequest", violation),
        {"type": "google.rpc.ErrorInfo", "value": "CgU"},
        {"type": "google.rpc.Help", "value": ""},
    ]
    error = error_of({"code": "resource_exhausted", "message": "full", "details": details})
    assert isinstance(error, QueueFullError)
    assert error.metadata == {"queue": "q"}
    assert error.retry_after == 2.5
    assert error.violations[0].field == "tasks[0].queue"
    assert "submit again" in str(error)
    other = detail("ErrorInfo", field(1, b"TASK_NOT_FOUND") + field(2, b"other"))
    assert type(error_of({"code": "not_found", "message": "x", "details": [other]})) is MusterError


def test_answers_of_others_are_no_scheduler() -> None:
    assert isinstance(http_error(404, "text/html", b"<html>"), NotASchedulerError)
    assert http_error(503, "text/html", b"busy").code == "unavailable"
    body = json.dumps({"code": "TASK_NOT_FOUND", "message": "no"}).encode()
    assert isinstance(http_error(404, "application/json", body), TaskNotFoundError)


def test_every_error_is_exported() -> None:
    for name in muster.__all__:
        assert hasattr(muster, name)


class Driver:
    """Answers the steps of a call from a list, with a clock of its own."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.now = 0.0
        self.posts = 0

    def run(self, steps: Call) -> Any:
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                return end.value
            if isinstance(step, Now):
                reply = self.now
            elif isinstance(step, Sleep):
                self.now += step.seconds
                reply = None
            elif isinstance(step, Post):
                self.posts += 1
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


OK = Answer(200, "application/json", b'{"done":true}')
REFUSED = Unanswered(UnreachableError("refused", sent=False), False)
BROKEN = Unanswered(UnreachableError("broken", sent=True), True)
STOPPING = Answer(503, "application/json", b'{"code":"unavailable","message":"stopping"}')


def full(seconds: int) -> Answer:
    details = [
        detail("ErrorInfo", field(1, b"QUEUE_FULL") + field(2, b"muster")),
        detail("RetryInfo", field(1, bytes([8, seconds]))),
    ]
    return Answer(
        429, "application/json", json.dumps({"code": "resource_exhausted", "message": "full", "details": details}).encode()
    )


@pytest.mark.parametrize(
    ("replies", "repeatable", "posts"),
    [
        ((OK,), False, 1),
        ((REFUSED, REFUSED, OK), False, 3),
        ((BROKEN, OK), True, 2),
        ((STOPPING, OK), True, 2),
        ((full(3), OK), False, 2),
    ],
)
def test_calls_are_repeated_where_that_is_safe(replies: tuple[Reply, ...], repeatable: bool, posts: int) -> None:
    driver = Driver(*replies)
    assert driver.run(call("M", {}, 30, repeatable=repeatable)) == {"done": True}
    assert driver.posts == posts


def test_a_call_that_may_have_arrived_is_not_repeated() -> None:
    for reply in (BROKEN, STOPPING):
        driver = Driver(reply)
        with pytest.raises(MusterError):
            driver.run(call("SubmitTasks", {}, 30, repeatable=False))
        assert driver.posts == 1


def test_an_address_that_refuses_is_given_up_after_seconds() -> None:
    driver = Driver(REFUSED)
    with pytest.raises(UnreachableError):
        driver.run(call("M", {}, 30, repeatable=True))
    assert 1 < driver.now <= 5
    driver = Driver(full(60))
    with pytest.raises(QueueFullError):
        driver.run(call("M", {}, 30, repeatable=True))
    assert driver.posts == 1


def test_values_of_the_protocol_become_plain() -> None:
    task = task_info(
        {
            "id": "t-1",
            "state": "TASK_STATE_RUNNING",
            "progress": {"doneCount": "9007199254740993", "timeLeft": "1.5s"},
            "failure": {
                "failureClass": "FAILURE_CLASS_RETRYABLE",
                "code": "A",
                "details": '{"a":1}',
                "facts": {"n": {"number": 2}},
            },
            "createTime": "2026-12-01T03:08:22.943123456Z",
            "newField": 1,
        }
    )
    assert task.state == "running"
    assert task.progress is not None
    assert task.progress.done == 9007199254740993
    assert task.progress.time_left == 1.5
    assert task.failure is not None
    assert task.failure.details == {"a": 1}
    assert task.failure.facts == {"n": 2}
    assert task.create_time == datetime(2026, 12, 1, 3, 8, 22, 943123, tzinfo=timezone.utc)
    assert task_info({"state": "TASK_STATE_NEW"}).state == "unknown"
    assert time_of(None) is None
    assert int_of("12") == 12
    assert ErrorFacts("a").reason == ""
