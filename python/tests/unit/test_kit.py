"""Handlers in memory, with the kit that users test theirs with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from muster import AsyncContext, Context, OptionsError, RetryableError, Task, Worker
from muster.testing import run_task, start_task

worker = Worker()
ended: list[str] = []


@worker.resource("pool")
def pool() -> Iterator[str]:
    yield "pool"
    ended.append("pool")


convert = Task("convert", input=list[str], output=dict[str, int])


@worker.task(convert)
def convert_pages(ctx: Context, payload: list[str]) -> dict[str, int]:
    assert ctx.resource("pool") == "pool"
    for index, page in enumerate(payload):
        with ctx.phase("upload"):
            if page == "slow":
                ctx.sleep(600)
        ctx.progress((index + 1) / len(payload))
    ctx.artifact("log.txt", lambda path: path.write_text("done"))
    return {"pages": len(payload)}


@worker.task("async")
async def wait(ctx: AsyncContext, payload: float) -> Any:
    await ctx.checkpoint({"from": payload})
    await asyncio.sleep(payload)
    return ctx.resume_from


@worker.task("retry")
def retry(ctx: Context) -> None:
    if ctx.attempt_number == 1:
        raise RetryableError("busy", code="BUSY", retry_after=2)


def test_a_run_has_what_the_handler_did() -> None:
    outcome = run_task(worker, convert, ["a", "b"])
    assert outcome.state == "succeeded"
    assert outcome.output == {"pages": 2}
    assert outcome.phases == ["upload", "upload"]
    assert outcome.progress[-1] == {"fraction": 1.0}
    assert outcome.artifacts == {"log.txt": b"done"}
    assert ended == ["pool"]


def test_a_handler_stops_when_it_is_asked_to() -> None:
    for stop, state in (("cancel", "cancelled"), ("time_out", "failed"), ("drain", "released")):
        with start_task(worker, convert, ["slow"]) as running:
            running.until(lambda lines: any(line["kind"] == "phase_start" for line in lines))
            getattr(running, stop)()
            assert running.wait().state == state


def test_coroutines_and_checkpoints() -> None:
    outcome = run_task(worker, "async", 0.01, resume_from={"page": 3})
    assert outcome.output == {"page": 3}
    assert outcome.checkpoints == [{"from": 0.01}]
    with start_task(worker, "async", 600) as running:
        running.until(lambda lines: any(line["kind"] == "checkpoint" for line in lines))
        running.cancel()
        assert running.wait().state == "cancelled"


def test_attempts_and_failures() -> None:
    first = run_task(worker, "retry")
    assert first.failure is not None
    assert (first.failure.failure_class, first.failure.code, first.failure.retry_after) == ("retryable", "BUSY", 2)
    assert run_task(worker, "retry", attempt=2).state == "succeeded"


def test_mistakes_of_authors_are_named() -> None:
    with pytest.raises(OptionsError, match="has no handler of 'none'"):
        run_task(worker, "none")
    other = Worker()
    with pytest.raises(OptionsError, match="takes 0 arguments"):
        other.task("a")(lambda: None)
    with pytest.raises(OptionsError, match="is annotated as AsyncContext; it gets Context"):

        @other.task("a")
        def wrong(ctx: AsyncContext) -> None: ...

    other.task("a")(lambda ctx: None)
    with pytest.raises(OptionsError, match="two handlers"):
        other.task("a")(lambda ctx: None)
    with pytest.raises(OptionsError, match=r"slots is 0.*queues is 'q'"):
        Worker(slots=0, queues="q")
