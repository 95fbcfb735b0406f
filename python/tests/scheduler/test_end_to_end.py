"""Client and workers with a real scheduler and the real link."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from muster import (
    AsyncClient,
    Client,
    InvalidPayloadError,
    InvalidResultError,
    InvalidTaskError,
    NotASchedulerError,
    ResultTimeoutError,
    Retry,
    Task,
    TaskAlreadyEndedError,
    TaskCancelledError,
    TaskFailedError,
    TaskInfo,
    TaskNotFoundError,
    UnreachableError,
)
from muster.testing import SchedulerProcess, WorkerProcess

APPS = Path(__file__).parent.parent / "apps"


@dataclass
class Page:
    url: str
    width: int = 320


page = Task("page", input=Page, output=Page)


@pytest.fixture(scope="module")
def scheduler(muster_scheduler: SchedulerProcess) -> SchedulerProcess:
    return muster_scheduler


@pytest.fixture(scope="module")
def client(scheduler: SchedulerProcess) -> Iterator[Client]:
    with scheduler.client() as client:
        yield client


@pytest.fixture(scope="module")
def worker(scheduler: SchedulerProcess) -> Iterator[WorkerProcess]:
    worker = scheduler.worker("threads:worker", id="threads", folder=APPS)
    yield worker
    worker.kill()


@pytest.fixture(scope="module")
def processes(scheduler: SchedulerProcess) -> Iterator[WorkerProcess]:
    worker = scheduler.worker("processes:worker", id="processes", folder=APPS)
    yield worker
    worker.kill()


def until(client: Client, task_id: str, condition: Callable[[TaskInfo], bool]) -> TaskInfo:
    """The task as soon as it meets the condition."""
    for update in client.task(task_id).watch():
        if condition(update.task):
            return update.task
    raise AssertionError(f"the task ended without it: {client.get(task_id)}")


def running(client: Client, task_id: str) -> TaskInfo:
    return until(client, task_id, lambda task: task.state == "running" and task.phase != "")


@pytest.mark.usefixtures("worker")
class TestClient:
    def test_results_have_the_type_of_the_task(self, client: Client) -> None:
        task = client.submit(page, Page("u", 7))
        assert task.result(30) == Page("u", 7)
        ended = task.get()
        assert ended.state == "succeeded"
        assert ended.detail == "succeeded_with_warnings"
        assert [(each.code, each.step) for each in ended.warnings] == [("NO_THUMB", "thumb")]
        assert ended.progress is not None
        assert (ended.progress.done, ended.progress.unit) == (1000, "lines")
        assert client.task(task.id, page).result(5) == Page("u", 7)

    def test_updates_come_until_the_end_with_the_streamed_output(self, client: Client) -> None:
        updates = list(client.submit(page, Page("u")).watch())
        assert updates[-1].task.state == "succeeded"
        assert b"".join(chunk.data for update in updates for chunk in update.output) == b"text"

    def test_many_tasks_are_submitted_at_once(self, client: Client) -> None:
        tasks = client.submit_many(page, [Page("u", width) for width in range(20)])
        assert [task.result(30).width for task in tasks] == list(range(20))
        first, second = client.submit_many([page.spec(Page("a")), page.spec(Page("b"), after=[0])])
        assert second.result(30).url == "b"
        assert first.get().ended

    def test_refusals_have_classes(self, client: Client) -> None:
        with pytest.raises(TaskNotFoundError, match="there is no task"):
            client.get("t-999999")
        with pytest.raises(InvalidTaskError) as refused:
            client.submit("page", {}, queue="!")
        assert refused.value.violations[0].field == "tasks[0].queue"
        with pytest.raises(InvalidPayloadError, match=r"task 1 of the call.*width"):
            client.submit_many(page, [Page("u"), Page("u", "wide")])  # type: ignore[arg-type]
        done = client.submit(page, Page("u"))
        done.result(30)
        with pytest.raises(TaskAlreadyEndedError):
            done.cancel()

    def test_failures_and_cancellations_are_raised(self, client: Client) -> None:
        with pytest.raises(TaskFailedError) as failed:
            client.submit("page", {"url": "u", "width": "wide"}).result(30)
        assert failed.value.code == "INVALID_PAYLOAD"
        assert "width" in str(failed.value)
        task = client.submit("poll")
        running(client, task.id)
        task.cancel("not needed")
        with pytest.raises(TaskCancelledError, match="not needed"):
            task.result(30)
        with pytest.raises(InvalidResultError):
            client.submit(Task("page", output=dict[str, int]), {"url": "u"}).result(30)

    def test_a_wait_ends_and_the_task_goes_on(self, client: Client) -> None:
        task = client.submit("unserved", delay=600, unique_key="unserved")
        with pytest.raises(ResultTimeoutError, match=r"queued \(scheduled\)"):
            task.result(0.2)
        again = client.submit("unserved", delay=600, unique_key="unserved")
        assert again.duplicate
        assert again.id == task.id
        assert task.cancel().state == "cancelled"

    def test_results_that_do_not_fit_into_a_line_arrive(self, client: Client) -> None:
        assert client.submit("big", 900_000).result(30) == b"x" * 900_000
        assert client.submit("raw", b"\0" * 300_000).result(30) == 300_000

    def test_asyncio(self, scheduler: SchedulerProcess) -> None:
        async def main() -> None:
            async with AsyncClient(scheduler.http) as client:
                tasks = await client.submit_many(page, [Page("u", width) for width in range(10)])
                assert [each.width for each in await asyncio.gather(*(task.result(30) for task in tasks))] == list(range(10))
                updates = [update async for update in (await client.submit(page, Page("u"))).watch()]
                assert updates[-1].task.ended
                waits = await client.submit("unserved", delay=600)
                with pytest.raises(ResultTimeoutError):
                    await waits.result(0.2)
                assert (await waits.cancel()).state == "cancelled"
                with pytest.raises(TaskNotFoundError):
                    await client.get("t-999999")

        asyncio.run(main())

    def test_what_is_no_scheduler_is_named(self, scheduler: SchedulerProcess) -> None:
        with Client(f"http://{scheduler.grpc}") as wrong, pytest.raises(NotASchedulerError, match="not that of gRPC"):
            wrong.get("t-1")
        with Client("http://127.0.0.1:1", timeout=0.3) as closed, pytest.raises(UnreachableError, match="does the scheduler run"):
            closed.get("t-1")


@pytest.mark.usefixtures("worker")
class TestWorker:
    def test_a_held_interpreter_keeps_lease_and_attempt(self, client: Client) -> None:
        # The lease is 3 s, and a thread of the process could not renew it.
        task = client.submit("hold", 5)
        assert task.result(60) == "held"
        assert task.get().attempt_count == 1

    def test_coroutines_stop_when_their_task_is_cancelled(self, client: Client) -> None:
        task = client.submit("loop", 600)
        running(client, task.id)
        task.cancel("enough")
        with pytest.raises(TaskCancelledError):
            task.result(30)

    def test_a_task_goes_on_while_the_scheduler_is_killed_and_started(self, client: Client, scheduler: SchedulerProcess) -> None:
        task = client.submit("deaf", 2)
        running(client, task.id)
        scheduler.restart()
        assert task.result(60) == "late"
        assert task.get().attempt_count == 1

    def test_an_attempt_of_a_killed_worker_is_given_back_at_once(self, client: Client, scheduler: SchedulerProcess) -> None:
        victim = scheduler.worker("drain:worker", id="victim", folder=APPS)
        task = client.submit("slow", 600, retry=Retry(max_retries=0))
        running(client, task.id)
        os.kill(_child_of(victim.process.pid), signal.SIGKILL)
        began = time.monotonic()
        with pytest.raises(TaskFailedError) as failed:
            task.result(30)
        assert time.monotonic() - began < 3
        assert failed.value.failure is not None
        assert "SIGKILL" in failed.value.code + failed.value.failure.message
        assert victim.process.wait(30) == 128 + signal.SIGKILL

    def test_sigterm_drains(self, client: Client, scheduler: SchedulerProcess) -> None:
        worker = scheduler.worker("drain:worker", id="drain", folder=APPS)
        task = client.submit("slow", 1)
        running(client, task.id)
        assert worker.stop() == 0
        assert task.result(30) == "done"
        assert "torn down" in worker.output


@pytest.mark.usefixtures("processes")
class TestProcesses:
    def test_a_hard_timeout_kills_the_process_and_not_the_worker(self, client: Client) -> None:
        task = client.submit("spin", run_timeout=1, retry=Retry(retry_timeouts=False))
        with pytest.raises(TaskFailedError) as failed:
            task.result(60)
        assert failed.value.code == "TIMED_OUT"
        where: dict[str, Any] = client.submit("where").result(30)
        assert where["device"] in ("3", "5")


def _child_of(pid: int) -> int:
    """The worker's process below its link."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0])
