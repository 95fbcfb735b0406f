"""A worker that is drained."""

from collections.abc import Iterator

from muster import Context, Worker

worker = Worker()


@worker.resource("pool", at_startup=True)
def pool() -> Iterator[str]:
    yield "pool"
    print("torn down", flush=True)


@worker.task("slow")
def slow(ctx: Context, payload: float) -> str:
    with ctx.phase("slow"):
        ctx.sleep(payload)
    return "done"
