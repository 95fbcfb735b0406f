"""The blocking client."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
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
    open_client,
    was_sent,
)
from muster.client.wire import FrameReader, JsonObject, encode, envelope, http_error
from muster.errors import MusterError, ResultTimeoutError, UnreachableError
from muster.task import Task, task_of

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

I = TypeVar("I")  # noqa: E741
R = TypeVar("R")


class TaskHandle(Generic[R]):
    """A submitted task; `R` is the type of its result."""

    def __init__(self, client: Client, task_id: str, task: Task[Any, R], *, duplicate: bool = False) -> None:
        self._client = client
        self._task = task
        self.id = task_id
        """For example `t-1042`. Keep it, and make the handle again with `client.task(id, task)`."""
        self.duplicate = duplicate
        """True when another task held the unique key: the handle is that of the other one."""

    def result(self, timeout: float | None = None) -> R:
        """Waits for the end of the task and returns what its handler returned.

        TaskFailedError and TaskCancelledError when it ended so, ResultTimeoutError after `timeout` seconds (None waits as long
        as the task takes; a scheduler that is away meanwhile is dialled again), InvalidResultError when the result does not fit
        the output type.
        """
        watch = requests.Watch(self.id)
        ends = None if timeout is None else time.monotonic() + timeout
        for update in self._client._updates(watch, ends):
            if update.task.ended:
                return self._client._result(update.task, self._task)
        raise watch.timed_out(timeout or 0.0, self.id)

    def watch(self) -> Iterator[TaskUpdate]:
        """Yields the task now, then at every change of state, phase, progress or output, until it has ended.

        A stream that drops is opened again, without a limit; no piece of output comes twice.
        """
        yield from self._client._updates(requests.Watch(self.id), None)

    def get(self) -> TaskInfo:
        """The task as it is now."""
        return self._client.get(self.id)

    def cancel(self, reason: str = "") -> TaskInfo:
        """Ends a queued task at once, and asks the worker of a running one to stop. Asking again is harmless."""
        return self._client.cancel(self.id, reason)

    def __repr__(self) -> str:
        return f"TaskHandle({self.id!r})"


class Client:
    """Submits tasks and follows them. Safe for threads; share it, and close it at the end.

    >>> from muster import Client
    >>> def greet() -> str:
    ...     with Client() as client:
    ...         return client.submit("greet", {"name": "Ada"}).result(timeout=60)["text"]
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
        self._transports = Transports(self._settings, lambda each: open_client(self._settings, each))

    @overload
    def submit(self, task: Task[I, R], payload: I, **options: Unpack[SubmitOptions]) -> TaskHandle[R]: ...
    @overload
    def submit(self, task: str, payload: Any = None, **options: Unpack[SubmitOptions]) -> TaskHandle[Any]: ...
    def submit(self, task: str | Task[Any, Any], payload: Any = None, **options: Unpack[SubmitOptions]) -> TaskHandle[Any]:
        """Submits one task; it is durable once this returns.

        A submit that times out may have been accepted: with `unique_key` it can be repeated without a second task, and the
        client does so itself within its timeout.
        """
        return self._submit([Spec(task, payload, options)])[0]

    @overload
    def submit_many(self, tasks: Task[I, R], inputs: Iterable[I], **options: Unpack[SubmitOptions]) -> list[TaskHandle[R]]: ...
    @overload
    def submit_many(self, tasks: str, inputs: Iterable[Any], **options: Unpack[SubmitOptions]) -> list[TaskHandle[Any]]: ...
    @overload
    def submit_many(self, tasks: Iterable[Spec[R]]) -> list[TaskHandle[R]]: ...
    def submit_many(
        self,
        tasks: str | Task[Any, Any] | Iterable[Spec[Any]],
        inputs: Iterable[Any] | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[TaskHandle[Any]]:
        """Submits 1 to 10,000 tasks in one transaction, all or none; the handles are in the same order."""
        return self._submit(requests.specs_of(tasks, inputs, options))

    def get(self, task_id: str) -> TaskInfo:
        """A task with its payload and result."""
        return task_info(self._run(requests.get_call(task_id, self._settings.timeout))["task"])

    def cancel(self, task_id: str, reason: str = "") -> TaskInfo:
        """Cancels a task; TaskAlreadyEndedError when it has ended."""
        return task_info(self._run(requests.cancel_call(task_id, reason, self._settings.timeout))["task"])

    @overload
    def task(self, task_id: str, task: Task[Any, R]) -> TaskHandle[R]: ...
    @overload
    def task(self, task_id: str, task: str | None = None) -> TaskHandle[Any]: ...
    def task(self, task_id: str, task: str | Task[Any, Any] | None = None) -> TaskHandle[Any]:
        """The handle of a task that was submitted before; nothing is asked."""
        return TaskHandle(self, task_id, task_of(task or "any"))

    def close(self) -> None:
        """Closes the connections; calls in flight and later ones fail."""
        for client in self._transports.close():
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _submit(self, specs: list[Spec[Any]]) -> list[TaskHandle[Any]]:
        answer = self._run(requests.submit_call(specs, self._settings.timeout))
        return [
            TaskHandle(self, task_id, task, duplicate=duplicate) for task_id, duplicate, task in requests.submitted(answer, specs)
        ]

    def _run(self, call: Call) -> JsonObject:
        reply: Reply = None
        while True:
            try:
                step = call.send(reply)
            except StopIteration as end:
                answer: JsonObject = end.value
                return answer
            if isinstance(step, Sleep):
                time.sleep(step.seconds)
                reply = None
            elif isinstance(step, Now):
                reply = time.monotonic()
            else:
                reply = self._post(step)

    def _post(self, step: Post) -> Answer | Unanswered:
        import httpx

        url, client = self._transports.current()
        try:
            response = client.post(step.path, content=step.body, headers=UNARY_HEADERS, timeout=step.timeout)
            return Answer(response.status_code, response.headers.get("content-type", ""), response.content)
        except httpx.TransportError as error:
            sent = was_sent(error)
            self._transports.failed(url)
            if is_other_protocol(error):
                return Unanswered(not_a_scheduler(url, error), sent)
            if sent and isinstance(error, httpx.TimeoutException):
                return Unanswered(call_timeout(step.path.removeprefix(SERVICE), url, step.timeout), sent)
            return Unanswered(unreachable(url, error, sent=sent), sent)

    def _updates(self, watch: requests.Watch, ends: float | None) -> Iterator[TaskUpdate]:
        """The updates of a watch; ends early when the time has come."""
        backoff = Backoff()
        while True:
            try:
                for message in self._stream("WatchTask", watch.request, ends):
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
                time.sleep(max(0.0, ends - time.monotonic()))
                return
            time.sleep(wait)

    def _stream(self, method: str, request: JsonObject, ends: float | None) -> Iterator[JsonObject]:
        import httpx

        url, client = self._transports.current()
        left = WATCH_SILENCE if ends is None else max(0.001, min(WATCH_SILENCE, ends - time.monotonic()))
        timeout = httpx.Timeout(min(10.0, left), read=left)
        frames = FrameReader()
        try:
            with client.stream(
                "POST", SERVICE + method, content=envelope(encode(request)), headers=STREAM_HEADERS, timeout=timeout
            ) as response:
                if response.status_code != 200:
                    body = response.read()
                    raise http_error(response.status_code, response.headers.get("content-type", ""), body)
                for chunk in response.iter_raw():
                    yield from frames.feed(chunk)
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

    def _result(self, task: TaskInfo, definition: Task[Any, R]) -> R:
        requests.raise_unless_succeeded(task)
        output = self._whole_output(task.id) if requests.output_left_out(task) else task.output
        result: R = requests.result_of(task, definition, output)
        return result

    def _whole_output(self, task_id: str) -> bytes:
        """A result that does not fit into a message, by plain HTTP."""
        import httpx

        url, client = self._transports.current()
        try:
            response = client.get(f"/v1/tasks/{task_id}/result", timeout=self._settings.timeout)
        except httpx.TransportError as error:
            raise unreachable(url, error, sent=False) from None
        if response.status_code != 200:
            raise http_error(response.status_code, response.headers.get("content-type", ""), response.content)
        return response.content
