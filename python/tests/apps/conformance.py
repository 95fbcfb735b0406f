"""The worker that `muster conformance` runs the package with: the task types that the suite needs."""

import asyncio
import ctypes
import os
import signal
import threading
import time
from typing import Any

from muster import AsyncContext, Context, FatalError, NonRetryableError, RetryableError, Worker

worker = Worker(slots=int(os.environ.get("SLOTS", "4")), prefetch=int(os.environ.get("PREFETCH", "0")))

Payload = dict[str, Any]


@worker.startup("conformance")
def start() -> None:
    time.sleep(float(os.environ.get("STARTUP_S", "0")))
    if os.environ.get("STARTUP_FAILS"):
        raise RuntimeError("the startup fails, as it was asked to")


@worker.task("echo")
def echo(ctx: Context, payload: Any) -> Any:
    return payload


@worker.task("sleep")
async def sleep(ctx: AsyncContext, payload: Payload) -> None:
    await asyncio.sleep(payload["s"])


@worker.task("single", concurrency=1)
def single(ctx: Context, payload: Payload) -> None:
    ctx.sleep(payload["s"])


@worker.task("stubborn")
def stubborn(ctx: Context, payload: Payload) -> str:
    time.sleep(payload["s"])
    return "a value"


@worker.task("block")
async def block(ctx: AsyncContext, payload: Payload) -> None:
    if "phase" in payload:
        with ctx.phase(payload["phase"]):
            time.sleep(payload["s"])
    else:
        time.sleep(payload["s"])


@worker.task("hold")
def hold(ctx: Context, payload: Payload) -> None:
    ctypes.PyDLL(None).usleep(int(payload["s"] * 1e6))


@worker.task("fail")
def fail(ctx: Context, payload: Payload) -> None:
    kind = RetryableError if payload.get("retryable") else NonRetryableError
    raise kind("it failed, as it was asked to", code=payload["code"], retry_after=payload.get("retry_after"))


@worker.task("boom")
def boom(ctx: Context) -> None:
    raise TypeError("an ordinary exception")


@worker.task("crash")
def crash(ctx: Context) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@worker.task("die")
def die(ctx: Context) -> None:
    def outside() -> None:
        raise FatalError("outside of every handler")

    threading.Thread(target=outside).start()
    ctx.sleep(600)


@worker.task("phases")
def phases(ctx: Context, payload: Payload) -> None:
    for name in ("first", "second"):
        with ctx.phase(name):
            ctx.sleep(payload["s"] / 2)


@worker.task("output")
def output(ctx: Context, payload: Payload) -> None:
    for _ in range(payload["chunks"]):
        ctx.output("x" * payload["bytes"])


@worker.task("chatty")
def chatty(ctx: Context, payload: Payload) -> None:
    began = time.monotonic()
    for done in range(1, payload["n"] + 1):
        ctx.progress(done=done, total=payload["n"])
        ahead = 3 * done / payload["n"] - (time.monotonic() - began)
        if ahead > 0:
            ctx.sleep(ahead)


@worker.task("big")
def big(ctx: Context, payload: Payload) -> str:
    return "x" * (int(payload["n"]) - 2)


failures = 0


@worker.resource("model:slow")
def slow() -> bool:
    time.sleep(1)
    return True


@worker.resource("model:broken")
def broken() -> bool:
    global failures
    failures += 1
    if failures == 1:
        raise RuntimeError("the model cannot be loaded the first time")
    return True
