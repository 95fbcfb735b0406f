"""A program that runs its worker itself."""

from muster import Context, Worker

worker = Worker(isolate="process")


@worker.task("double")
def double(ctx: Context, payload: int) -> int:
    return payload * 2


if __name__ == "__main__":
    worker.run()
