"""The asyncio client: as the blocking one, with `await`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from muster.client import requests
from muster.client.calls import (
    SERVICE,
    Answer,
    Backoff,
    Call,
    Now,
    Post,
    Reply,
    Sleep,
    Unanswered,
    call_timeout,
    is_dropped,
    not_a_scheduler,
    silent,
    unreachable,
)
from muster.client.models import TaskInfo, TaskUpdate, task_info
from muster.client.options import Tls, client_settings
from muster.client.spec import Spec, SubmitOptions
from muster.client.transport import (
    STREAM_HEADERS,
    UNARY_HEADERS,
    WATCH_SILENCE,
    Transports,
    is_other_protocol,
    open_async_client,
    was_sent,
)
from muster.client.wire import FrameReader, JsonObject, encode, envelope, http_error
from muster.errors import MusterError, ResultTimeoutError, UnreachableError
from muster.task import Task, task_of

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

I = TypeVar("I")  # noqa: E741
R = TypeVar("R")


class AsyncTaskHandle(Generic[R]):
    """A submitted task; `R` is the type of its result."""

    def __init__(self, client: AsyncClient, task_id: str, task: Task[Any, R], *, duplicate: bool = False) -> None:
        self._client = client
        self._task = task
        self.id = task_id
        """For example `t-1042`. Keep it, and make the handle again with `client.task(id, task)`."""
        self.duplicate = duplicate
        """True when another task held the unique key: the handle is that of the other one."""

    async def result(self, timeout: float | None = None) -> R:
        """Waits for the end of the task and returns what its handler returned.

        TaskFailedError and TaskCancelledError when it ended so, ResultTimeoutError after `timeout` seconds (None waits as long
        as the task takes; a scheduler that is away meanwhile is dialled again), InvalidResultError when the result does not fit
        the output type.
        """
        watch = requests.Watch(self.id)
        ends = None if timeout is None else time.monotonic() + timeout
        async with aclosing(self._client._updates(watch, ends)) as updates:
            async for update in updates:
                if update.task.ended:
                    return await self._client._result(update.task, self._task)
        raise watch.timed_out(timeout or 0.0, self.id)

    async def watch(self) -> AsyncIterator[TaskUpdate]:
        """Yields the task now, then at every change of state, phase, progress or output, until it has ended.

        A stream that drops is opened again, without a limit; no piece of output comes twice.
        """
        async with aclosing(self._client._updates(requests.Watch(self.id), None)) as updates:
            async for update in updates:
                yield update

    async def get(self) -> TaskInfo:
        """The task as it is now."""
        return await self._client.get(self.id)

    async def cancel(self, reason: str = "") -> TaskInfo:
        """Ends a queued task at once, and asks the worker of a running one to stop. Asking again is harmless."""
        return await self._client.cancel(self.id, reason)

    def __repr__(self) -> str:
        return f"AsyncTaskHandle({self.id!r})"


class AsyncClient:
    """Submits tasks and follows them. Use it in one event loop, and close it at the end.

    >>> from muster import AsyncClient
    >>> async def greet() -> str:
    ...     async with AsyncClient() as client:
    ...         task = await client.submit("greet", {"name": "Ada"})
    ...         return (await task.result(timeout=60))["text"]
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        tls: Tls | None = None,
        timeout: float = 30.0,
        proxy: bool | str = True,
    ) -> None:
        """Reads options and environment; dials at the first call.

        `url`: HTTP address of the scheduler, several separated by commas are tried in turn (MUSTER_HTTP_URL, else
        `http://127.0.0.1:7071`). `token`: bearer token (MUSTER_TOKEN). `tls`: certificates of an https address (MUSTER_TLS_CA,
        MUSTER_TLS_CERT, MUSTER_TLS_KEY). `timeout`: seconds for a call with one answer, with its repetitions; watches have none.
        `proxy`: True takes HTTP_PROXY, HTTPS_PROXY and NO_PROXY into account except for this machine, False none, a text is the
        address of one. OptionsError names every fault.
        """
        self._settings = client_settings(url, token, tls, timeout, proxy)
        self._transports = Transports(self._settings, lambda each: open_async_client(self._settings, each))

    @overload
    async def submit(self, task: Task[I, R], payload: I, **options: Unpack[SubmitOptions]) -> AsyncTaskHandle[R]: ...
    @overload
    async def submit(self, task: str, payload: Any = None, **options: Unpack[SubmitOptions]) -> AsyncTaskHandle[Any]: ...
    async def submit(
        self, task: str | Task[Any, Any], payload: Any = None, **options: Unpack[SubmitOptions]
    ) -> AsyncTaskHandle[Any]:
        """Submits one task; it is durable once this returns.

        A submit that times out may have been accepted: with `unique_key` it can be repeated without a second task, and the
        client does so itself within its timeout.
        """
        return (await self._submit([Spec(task, payload, options)]))[0]

    @overload
    async def submit_many(
        self, tasks: Task[I, R], inputs: Iterable[I], **options: Unpack[SubmitOptions]
    ) -> list[AsyncTaskHandle[R]]: ...
    @overload
    async def submit_many(
        self, tasks: str, inputs: Iterable[Any], **options: Unpack[SubmitOptions]
    ) -> list[AsyncTaskHandle[Any]]: ...
    @overload
    async def submit_many(self, tasks: Iterable[Spec[R]]) -> list[AsyncTaskHandle[R]]: ...
    async def submit_many(
        self,
        tasks: str | Task[Any, Any] | Iterable[Spec[Any]],
        inputs: Iterable[Any] | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[AsyncTaskHandle[Any]]:
        """Submits 1 to 10,000 tasks in one transaction, all or none; the handles are in the same order."""
        return await self._submit(requests.specs_of(tasks, inputs, options))

    async def get(self, task_id: str) -> TaskInfo:
        """A task with its payload and result."""
        return task_info((await self._run(requests.get_call(task_id, self._settings.timeout)))["task"])

    async def cancel(self, task_id: str, reason: str = "") -> TaskInfo:
        """Cancels a task; TaskAlreadyEndedError when it has ended."""
        return task_info((await self._run(requests.cancel_call(task_id, reason, self._settings.timeout)))["task"])

    @overload
    def task(self, task_id: str, task: Task[Any, R]) -> AsyncTaskHandle[R]: ...
    @overload
    def task(self, task_id: str, task: str | None = None) -> AsyncTaskHandle[Any]: ...
    def task(self, task_id: str, task: str | Task[Any, Any] | None = None) -> AsyncTaskHandle[Any]:
        """The handle of a task that was submitted before; nothing is asked."""
        return AsyncTaskHandle(self, task_id, task_of(task or "any"))

    async def close(self) -> None:
        """Closes the connections; calls in flight and later ones fail."""
        for client in self._transports.close():
            await client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def _submit(self, specs: list[Spec[Any]]) -> list[AsyncTaskHandle[Any]]:
        answer = await self._run(requests.submit_call(specs, self._settings.timeout))
        return [
            AsyncTaskHandle(self, task_id, task, duplicate=duplicate)
            for task_id, duplicate, task in requests.submitted(answer, specs)
        ]

    async def _run(self, call: Call) -> JsonObject:
        reply: Reply = None
        while True:
            try:
                step = call.send(reply)
            except StopIteration as end:
                answer: JsonObject = end.value
                return answer
            if isinstance(step, Sleep):
                await asyncio.sleep(step.seconds)
                reply = None
            elif isinstance(step, Now):
                reply = time.monotonic()
            else:
                reply = await self._post(step)

    async def _post(self, step: Post) -> Answer | Unanswered:
        import httpx

        url, client = self._transports.current()
        try:
            response = await client.post(step.path, content=step.body, headers=UNARY_HEADERS, timeout=step.timeout)
            return Answer(response.status_code, response.headers.get("content-type", ""), response.content)
        except httpx.TransportError as error:
            sent = was_sent(error)
            self._transports.failed(url)
            if is_other_protocol(error):
                return Unanswered(not_a_scheduler(url, error), sent)
            if sent and isinstance(error, httpx.TimeoutException):
                return Unanswered(call_timeout(step.path.removeprefix(SERVICE), url, step.timeout), sent)
            return Unanswered(unreachable(url, error, sent=sent), sent)

    async def _updates(self, watch: requests.Watch, ends: float | None) -> AsyncGenerator[TaskUpdate, None]:
        """The updates of a watch; ends early when the time has come."""
        backoff = Backoff()
        while True:
            try:
                async with aclosing(self._stream("WatchTask", watch.request, ends)) as messages:
                    async for message in messages:
                        backoff.reset()
                        update = watch.update(message)
                        if update is not None:
                            yield update
                            if update.task.ended:
                                return
            except ResultTimeoutError:
                return
            except MusterError as error:
                if not is_dropped(error):
                    raise
            wait = backoff.wait()
            if ends is not None and time.monotonic() + wait >= ends:
                await asyncio.sleep(max(0.0, ends - time.monotonic()))
                return
            await asyncio.sleep(wait)

    async def _stream(self, method: str, request: JsonObject, ends: float | None) -> AsyncGenerator[JsonObject, None]:
        import httpx

        url, client = self._transports.current()
        left = WATCH_SILENCE if ends is None else max(0.001, min(WATCH_SILENCE, ends - time.monotonic()))
        timeout = httpx.Timeout(min(10.0, left), read=left)
        frames = FrameReader()
        try:
            async with client.stream(
                "POST", SERVICE + method, content=envelope(encode(request)), headers=STREAM_HEADERS, timeout=timeout
            ) as response:
                if response.status_code != 200:
                    body = await response.aread()
                    raise http_error(response.status_code, response.headers.get("content-type", ""), body)
                async for chunk in response.aiter_raw():
                    for message in frames.feed(chunk):
                        yield message
                    if ends is not None and time.monotonic() >= ends:
                        raise ResultTimeoutError("the time is over", None)
        except httpx.ReadTimeout:
            if ends is not None and time.monotonic() >= ends:
                raise ResultTimeoutError("the time is over", None) from None
            self._transports.failed(url)
            raise silent(url) from None
        except httpx.TransportError as error:
            self._transports.failed(url)
            raise (not_a_scheduler if is_other_protocol(error) else partial(unreachable, sent=False))(url, error) from None
        if not frames.ended:
            raise UnreachableError(f"the watch of {url} broke off", sent=True)

    async def _result(self, task: TaskInfo, definition: Task[Any, R]) -> R:
        requests.raise_unless_succeeded(task)
        output = await self._whole_output(task.id) if requests.output_left_out(task) else task.output
        result: R = requests.result_of(task, definition, output)
        return result

    async def _whole_output(self, task_id: str) -> bytes:
        """A result that does not fit into a message, by plain HTTP."""
        import httpx

        url, client = self._transports.current()
        try:
            response = await client.get(f"/v1/tasks/{task_id}/result", timeout=self._settings.timeout)
        except httpx.TransportError as error:
            raise unreachable(url, error, sent=False) from None
        if response.status_code != 200:
            raise http_error(response.status_code, response.headers.get("content-type", ""), response.content)
        return response.content
