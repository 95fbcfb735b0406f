"""A worker whose handlers run in processes."""

import os
import signal
import sys

from muster import Context, Worker

worker = Worker(slots=2, isolate="process", devices=[3, 5])


@worker.resource("model:each", at_startup=True)
def load() -> int:
    return os.getpid()


@worker.task("where")
def where(ctx: Context) -> dict[str, object]:
    with ctx.phase("look"):
        ctx.checkpoint({"at": 1})
    return {"pid": os.getpid(), "model": ctx.resource("model:each"), "device": os.environ["CUDA_VISIBLE_DEVICES"]}


@worker.task("spin")
def spin(ctx: Context) -> None:
    with ctx.phase("spin"):
        while True:
            pass


@worker.task("die")
def die(ctx: Context, payload: str) -> None:
    if payload == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGSEGV)
    # It may reach another thread of the process, a moment later.
    ctx.sleep(60)


@worker.task("poll")
def poll(ctx: Context) -> None:
    with ctx.phase("poll"):
        while True:
            ctx.sleep(0.01)


@worker.task("modules")
def modules(ctx: Context) -> list[str]:
    return sorted({name.split(".")[0] for name in sys.modules} & {"grpc", "google", "httpx"})
