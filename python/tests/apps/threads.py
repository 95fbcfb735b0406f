"""A worker whose handlers run in threads and in the event loop."""

import asyncio
import ctypes
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from muster import AsyncContext, Context, NonRetryableError, RetryableError, Worker

worker = Worker(slots=4)


@dataclass
class Page:
    url: str
    width: int = 320


@worker.startup("warm")
def warm() -> None:
    logging.getLogger("app").info("warm")


@worker.resource("model:small")
def load_small() -> Iterator[dict[str, int]]:
    yield {"weights": 3}
    print("model:small is torn down", file=sys.stderr, flush=True)


@worker.resource("model:broken")
def load_broken() -> None:
    raise OSError(28, "no space")


@worker.task("page")
def page(ctx: Context, payload: Page) -> Page:
    with ctx.phase("render", warn_after=5):
        for done in range(1, 1001):
            ctx.progress(done=done, total=1000, unit="lines")
    ctx.log.info("rendered", width=payload.width)
    logging.getLogger("app").warning("from %s", "logging")
    ctx.checkpoint({"page": 1})
    ctx.metric("pages", 1)
    ctx.fact("url", payload.url)
    ctx.warn("NO_THUMB", "no thumbnail", step="thumb")
    ctx.output("text")
    return payload


@worker.task("facts")
def facts(ctx: Context) -> dict[str, Any]:
    return {
        "task": ctx.task.id,
        "attempt": ctx.attempt_id,
        "resume": ctx.resume_from,
        "folder": str(ctx.scratch()),
        "artifact": ctx.artifact("a.txt", "abc"),
        "modules": sorted({name.split(".")[0] for name in sys.modules} & {"grpc", "google", "httpx"}),
    }


@worker.task("loop")
async def loop(ctx: AsyncContext, payload: float) -> str:
    with ctx.phase("wait"):
        await asyncio.sleep(payload)
    await ctx.checkpoint(1)
    return "woke"


@worker.task("poll")
def poll(ctx: Context) -> None:
    with ctx.phase("poll"):
        while True:
            ctx.sleep(0.01)


@worker.task("deaf")
def deaf(ctx: Context, payload: float) -> str:
    with ctx.phase("deaf"):
        time.sleep(payload)
    return "late"


@worker.task("block")
async def block(ctx: AsyncContext, payload: float) -> None:
    with ctx.phase("block"):
        time.sleep(payload)


@worker.task("hold")
def hold(ctx: Context, payload: float) -> str:
    """Holds the interpreter lock, as a C extension may: nothing else of this process runs."""
    with ctx.phase("hold"):
        ctypes.PyDLL(None).usleep(int(payload * 1e6))
    return "held"


@worker.task("fail")
def fail(ctx: Context, payload: dict[str, str]) -> None:
    if payload["kind"] == "retryable":
        raise RetryableError("later", code="BUSY", retry_after=3, details={"a": 1})
    if payload["kind"] == "final":
        raise NonRetryableError("never", code="BAD")
    if payload["kind"] == "memory":
        raise MemoryError
    raise ValueError("no good")


@worker.task("model")
def model(ctx: Context) -> int:
    weights: int = ctx.resource("model:small")["weights"]
    return weights


@worker.task("big")
def big(ctx: Context, payload: int) -> bytes:
    return b"x" * payload


@worker.task("nan")
def nan(ctx: Context) -> float:
    return float("nan")


@worker.task("raw")
def raw(ctx: Context, payload: bytes) -> int:
    return len(payload)
