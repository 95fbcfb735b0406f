"""Processes for handlers with `isolate="process"`: spawned, one for each slot, each with a device of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from muster.errors import LinkError
from muster.worker.attempt import Attempt
from muster.worker.connection import Connection, Line
from muster.worker.failures import FailureReport, failed_line

log = logging.getLogger("muster")

START_TIMEOUT_S = 600.0
"""Time for the import and for resources that are loaded at the start."""

_FORWARDED = frozenset({"phase_start", "phase_end", "progress", "output", "log", "warning", "expect", "metric", "fact", "result"})
_REQUESTS = frozenset({"checkpoint", "scratch", "artifact"})


@dataclass(eq=False)
class Child:
    """One process with its slot."""

    slot: int
    process: subprocess.Popen[bytes]
    connection: Connection
    ready: asyncio.Future[None]
    attempt: Attempt | None = None
    loaded: set[str] = field(default_factory=set)


class Children:
    """The processes of a worker. All methods but `stop` are called in the event loop of the main thread.

    A process on Linux is killed with the thread that started it, so that one whose interpreter is held does not outlive the
    worker: that thread has to be the main one.
    """

    def __init__(
        self,
        link: Connection,
        target: Sequence[str],
        slots: int,
        devices: Sequence[str],
        loop: asyncio.AbstractEventLoop,
        on_resource: Callable[[str, str, str], None],
    ) -> None:
        self._link = link
        self._target = list(target)
        self._devices = list(devices)
        self._loop = loop
        self._on_resource = on_resource
        self._children: dict[int, Child] = {}
        self._free = list(range(slots))
        self._busy: dict[str, Child] = {}
        self._starting: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.slots = slots

    @property
    def held(self) -> list[Attempt]:
        """The attempts that processes run."""
        return [child.attempt for child in list(self._busy.values()) if child.attempt is not None]

    @property
    def busy(self) -> bool:
        """Whether an attempt is in a process, or waits for the start of one."""
        return bool(self._busy or self._starting)

    async def start(self) -> None:
        """Starts a process for each slot and waits until all of them have their handlers."""
        children = [self._spawn(slot) for slot in range(self.slots)]
        await asyncio.gather(*(self._wait_ready(child) for child in children))

    def run(self, attempt: Attempt) -> None:
        """Gives an attempt to a process; starts it anew where it has ended."""
        self._starting.add(attempt.id)
        task = self._loop.create_task(self._run(attempt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop_attempt(self, line: Line) -> bool:
        """Passes a cancellation on; false when no process has the attempt."""
        child = self._busy.get(str(line.get("attempt")))
        if child is None or child.attempt is None:
            return False
        child.attempt.request_stop(line.get("cause") or "cancelled", str(line.get("reason") or ""))
        child.connection.send(line)
        return True

    def ask(self, line: Line) -> None:
        """Passes a request for a resource on to every process."""
        for child in self._children.values():
            child.connection.send(line)

    async def stop(self, grace: float) -> None:
        """Ends the processes: each runs its tear-downs within the grace, then it is killed."""
        self._stopping = True
        children = list(self._children.values())
        for child in children:
            child.connection.send({"kind": "stop", "reason": "the worker ends", "grace_s": grace})
        ends = [self._loop.run_in_executor(None, _ended, child.process, grace) for child in children]
        await asyncio.gather(*ends)

    def kill(self) -> None:
        """Kills the processes at once. Safe in any thread."""
        self._stopping = True
        for child in list(self._children.values()):
            child.process.kill()

    def _spawn(self, slot: int) -> Child:
        ours, theirs = socket.socketpair()
        environment = dict(os.environ)
        environment["MUSTER_LINK_FD"] = str(theirs.fileno())
        environment["MUSTER_CHILD_SLOT"] = str(slot)
        environment.pop("MUSTER_LINK_TICK", None)
        if self._devices:
            environment["CUDA_VISIBLE_DEVICES"] = self._devices[slot % len(self._devices)]
        command = [sys.executable, "-m", "muster.worker.child", str(os.getpid()), *self._target]
        with theirs:
            process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        child = Child(slot, process, Connection(ours), self._loop.create_future())
        self._children[slot] = child
        threading.Thread(target=self._read, args=(child,), name=f"muster-slot-{slot}", daemon=True).start()
        return child

    def _read(self, child: Child) -> None:
        for line in child.connection.lines():
            self._loop.call_soon_threadsafe(self._line, child, line)
        child.connection.close()
        code = child.process.wait()
        self._loop.call_soon_threadsafe(self._gone, child, code)

    def _line(self, child: Child, line: Line) -> None:
        kind = line.get("kind")
        attempt = child.attempt
        if kind == "ready":
            if not child.ready.done():
                child.ready.set_result(None)
        elif kind == "resource":
            self._resource(child, line)
        elif kind == "fatal":
            if not child.ready.done():
                child.ready.set_exception(LinkError(str(line.get("message"))))
        elif attempt is None or line.get("attempt") != attempt.id:
            # A report after the end of its attempt has no reader.
            return
        elif kind in _REQUESTS:
            self._pass_on(child, line)
        elif kind == "result":
            attempt.finish(line)
            self._release(child)
        elif kind in _FORWARDED:
            self._link.send(line)

    def _pass_on(self, child: Child, line: Line) -> None:
        number = line.pop("request")
        future = self._link.request(line)

        def answered(done: Any) -> None:
            if done.exception() is None:
                child.connection.send({**done.result(), "request": number})

        future.add_done_callback(answered)

    def _resource(self, child: Child, line: Line) -> None:
        name, state = str(line.get("name")), str(line.get("state"))
        if state == "loaded":
            child.loaded.add(name)
            # A task may come to any of them: it is loaded when all of them have it.
            if not all(name in each.loaded for each in self._children.values()):
                return
        else:
            child.loaded.discard(name)
        self._on_resource(name, state, str(line.get("error") or ""))

    async def _wait_ready(self, child: Child) -> None:
        try:
            await asyncio.wait_for(asyncio.shield(child.ready), START_TIMEOUT_S)
        except asyncio.TimeoutError:
            child.process.kill()
            raise LinkError(f"the process of slot {child.slot} has not started within {START_TIMEOUT_S:g} s") from None

    async def _run(self, attempt: Attempt) -> None:
        slot = self._free.pop(0) if self._free else None
        try:
            if slot is None:
                raise LinkError("an attempt came although every slot has one")
            child = self._children.get(slot)
            if child is None or child.process.poll() is not None:
                child = self._spawn(slot)
            await self._wait_ready(child)
        except Exception as error:
            if slot is not None:
                self._free.append(slot)
            report = FailureReport("retryable", "ISOLATE_START_FAILED", f"the process of the handler did not start: {error}")
            attempt.finish(failed_line(attempt.id, report, None))
            self._starting.discard(attempt.id)
            return
        child.attempt = attempt
        self._busy[attempt.id] = child
        self._starting.discard(attempt.id)
        # The link may kill this process to enforce a timeout or a cancellation.
        self._link.send({"kind": "start", "attempt": attempt.id, "pid": child.process.pid})
        child.connection.send(attempt.line)
        if attempt.stop.is_set():
            child.connection.send({"kind": "cancel", "attempt": attempt.id, "cause": attempt.cause, "reason": attempt.reason})

    def _release(self, child: Child) -> None:
        if child.attempt is not None:
            self._busy.pop(child.attempt.id, None)
            child.attempt = None
            self._free.append(child.slot)

    def _gone(self, child: Child, code: int) -> None:
        if not child.ready.done():
            child.ready.set_exception(LinkError(f"it ended with {_words(code)}"))
        attempt = child.attempt
        if attempt is not None:
            attempt.finish(_end_line(attempt, code))
            self._release(child)
        if self._children.get(child.slot) is child:
            del self._children[child.slot]
        # Retrieved, so that asyncio does not log it as an unseen error.
        child.ready.exception()
        if not self._stopping:
            log.warning("the process of slot %d ended with %s; the next attempt gets a new one", child.slot, _words(code))


def _end_line(attempt: Attempt, code: int) -> Line:
    if attempt.stop.is_set() and code < 0:
        if attempt.cause == "timed_out":
            report = FailureReport("timed_out", "TIMED_OUT", attempt.reason or "a hard timeout passed")
            return failed_line(attempt.id, report, None)
        line: Line = {"kind": "result", "attempt": attempt.id}
        if attempt.cause in ("drain", "limit"):
            return line | {"outcome": "released", "reason": attempt.reason or attempt.cause}
        return line | {"outcome": "cancelled", "message": attempt.reason}
    words = _words(code).replace(" ", "_").replace("signal_", "KILLED_BY_").upper() if code < 0 else f"EXIT_{code}"
    report = FailureReport("retryable", words, f"the process of the handler ended with {_words(code)}")
    return failed_line(attempt.id, report, None)


def _words(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    import signal

    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def _ended(process: subprocess.Popen[bytes], grace: float) -> None:
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
