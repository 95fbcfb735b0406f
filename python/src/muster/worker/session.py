"""The life of a worker's process: startup, attempts, drain, end."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from muster._version import __version__
from muster.errors import FatalError
from muster.worker.attempt import Attempt
from muster.worker.children import Children
from muster.worker.connection import TICK_S, VERSION, Connection, Line, Ticks
from muster.worker.failures import FailureReport, failed_line
from muster.worker.logs import AttemptLogHandler
from muster.worker.resources import Resources
from muster.worker.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from muster.worker.worker import Worker

log = logging.getLogger("muster")

IDENTITY: Line = {
    "version": VERSION,
    "language": "python",
    "runtime": f"{platform.python_implementation()} {platform.python_version()}",
    "sdk": "muster-worker",
    "sdk_version": __version__,
}


class Session:
    """Runs a worker on a connection until the other side stops it or ends."""

    def __init__(
        self, worker: Worker, link: Connection, *, child: bool = False, target: Sequence[str] = (), ticks: Ticks | None = None
    ) -> None:
        self._worker = worker
        self._link = link
        self._child = child
        self._target = target
        self._ticks = ticks
        self._loop = asyncio.new_event_loop()
        self._resources = Resources(worker.resource_definitions)
        self._resources.on_change = self._resource_changed
        self._runner = Runner(self._resources, worker.classifier, self._loop)
        self._runner.on_fatal = self._end_fatally
        self._children: Children | None = None
        self._stop: asyncio.Future[float] = self._loop.create_future()
        self._stopping = False
        self._ready = False

    def run(self) -> int:
        """Returns the exit code: 0 after a stop, 1 when the startup failed or the other side was gone."""
        handler = AttemptLogHandler()
        threading.excepthook = self._thread_failed
        logging.getLogger().addHandler(handler)
        asyncio.set_event_loop(self._loop)
        try:
            return self._loop.run_until_complete(self._life())
        finally:
            logging.getLogger().removeHandler(handler)
            self._loop.close()

    async def _life(self) -> int:
        self._loop.set_exception_handler(_log_loop_error)
        self._turn()
        if not self._child:
            self._hear_signals()
            self._link.send({"kind": "hello", **IDENTITY, **self._worker.hello(), "ticks": "file" if self._ticks else "none"})
        threading.Thread(target=self._read, name="muster-link", daemon=True).start()
        try:
            await self._start_up()
        except Exception as error:
            self._fatal(error)
            return 1
        self._ready = True
        self._link.send({"kind": "ready"})
        if not self._child:
            log.info("ready: %s", ", ".join(self._worker.handlers))
        grace = await self._stop
        return await self._end(grace)

    async def _start_up(self) -> None:
        worker = self._worker
        isolated = [each for each in worker.handlers.values() if each.isolate == "process"]
        here = self._child or len(isolated) < len(worker.handlers) or not worker.handlers
        if here:
            for name, hook in worker.startup_hooks:
                with self._phase(name):
                    await self._call(hook)
            for definition in worker.resource_definitions.values():
                if definition.at_startup:
                    with self._phase(f"load:{definition.name}"):
                        await self._loop.run_in_executor(None, self._resources.get, definition.name)
        if isolated and not self._child:
            self._children = Children(
                self._link,
                self._target or worker.target(),
                worker.slots,
                worker.devices,
                self._loop,
                self._child_resource,
            )
            with self._phase("processes"):
                await self._children.start()

    async def _call(self, hook: Any) -> None:
        if asyncio.iscoroutinefunction(hook):
            await hook()
        else:
            await self._loop.run_in_executor(None, hook)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        full = f"custom:{name}"[:127]
        self._link.send({"kind": "phase", "name": full, "outcome": "started"})
        try:
            yield
        except BaseException as error:
            self._link.send(
                {"kind": "phase", "name": full, "outcome": "failed", "detail": f"{type(error).__name__}: {error}"[:4_000]}
            )
            raise
        self._link.send({"kind": "phase", "name": full, "outcome": "ok"})

    def _thread_failed(self, failed: threading.ExceptHookArgs) -> None:
        """A thread that user code started has ended with an error: logged, and the end of the worker only where it says so."""
        name = failed.thread.name if failed.thread is not None else "a thread"
        error = failed.exc_value
        log.error("%s ended with an error", name, exc_info=(failed.exc_type, error or failed.exc_type(), failed.exc_traceback))
        if isinstance(error, FatalError):
            self._end_fatally(error, "")

    def _end_fatally(self, error: FatalError, attempt_id: str) -> None:
        self._fatal(error, attempt_id)
        self._leave(1)

    def _fatal(self, error: BaseException, attempt_id: str = "") -> None:
        what = "has to end" if self._ready else "cannot start"
        log.error("the worker %s: %s", what, error, exc_info=error)
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        message = f"{type(error).__name__}: {error}"
        self._link.send(
            {"kind": "fatal", "message": message[:4_000], "class": type(error).__name__[:256], "traceback": text[-60_000:]}
        )
        if self._children is not None:
            self._children.kill()

    def _turn(self) -> None:
        if self._ticks is not None:
            self._ticks.loop_turned()
            self._loop.call_later(TICK_S, self._turn)

    def _hear_signals(self) -> None:
        # A terminal and a service manager signal the whole group; the link drains on it, and stops this process when it is time.
        self._loop.add_signal_handler(signal.SIGINT, lambda: None)
        self._loop.add_signal_handler(signal.SIGTERM, self._terminated)

    def _terminated(self) -> None:
        if self._stopping:
            os._exit(128 + signal.SIGTERM)
        self._link.send({"kind": "drain", "reason": "SIGTERM"})

    def _read(self) -> None:
        for line in self._link.lines():
            try:
                self._line(line)
            except Exception:  # One line that cannot be handled must not end the reader of all others.
                log.exception("the line %r was not handled", line.get("kind"))
        self._lost()

    def _line(self, line: Line) -> None:
        match line.get("kind"):
            case "task":
                self._assigned(line)
            case "cancel":
                self._cancelled(line)
            case "prepare":
                self._prepare(str(line.get("resource")))
            case "release":
                self._release(str(line.get("resource")))
            case "drain":
                log.info("draining: %s", line.get("reason"))
            case "error":
                log.error("the link refused a line: %s (%s): %s", line.get("message"), line.get("code"), line.get("line"))
            case "stop":
                self._stop_requested(float(line.get("grace_s") or 5.0))
            case _:
                pass

    def _assigned(self, line: Line) -> None:
        attempt = Attempt(line, self._link)
        handler = self._worker.handlers.get(str(line.get("type")))
        if handler is None:
            report = FailureReport("retryable", "UNKNOWN_TYPE", f"this worker has no handler of {line.get('type')!r}")
            attempt.finish(failed_line(attempt.id, report, None))
        elif handler.isolate == "process" and self._children is not None:
            self._loop.call_soon_threadsafe(self._children.run, attempt)
        else:
            self._runner.run(handler, attempt)

    def _cancelled(self, line: Line) -> None:
        attempt_id, grace = str(line.get("attempt")), float(line.get("grace_s") or 5.0)
        if self._runner.stop(attempt_id, line.get("cause") or "cancelled", str(line.get("reason") or ""), grace):
            return
        if self._children is not None:
            self._loop.call_soon_threadsafe(self._children.stop_attempt, line)

    def _prepare(self, name: str) -> None:
        if self._children is not None:
            self._loop.call_soon_threadsafe(self._children.ask, {"kind": "prepare", "resource": name})
            if all(each.isolate == "process" for each in self._worker.handlers.values()):
                return
        threading.Thread(target=self._load, args=(name,), name=f"muster-load-{name}", daemon=True).start()

    def _load(self, name: str) -> None:
        try:
            self._resources.get(name)
        except KeyError as error:
            self._link.send({"kind": "resource", "name": name, "state": "failed", "error": str(error)})
        except Exception:  # The change of the resource has been reported with its reason.
            log.exception("the resource %s could not be loaded", name)

    def _release(self, name: str) -> None:
        if self._children is not None:
            self._loop.call_soon_threadsafe(self._children.ask, {"kind": "release", "resource": name})
        threading.Thread(target=self._resources.release, args=(name,), name=f"muster-release-{name}", daemon=True).start()

    def _resource_changed(self, name: str, state: str, error: str) -> None:
        line: Line = {"kind": "resource", "name": name, "state": state}
        self._link.send(line | {"error": error[:4_000]} if error else line)

    def _child_resource(self, name: str, state: str, error: str) -> None:
        self._resource_changed(name, state, error)

    def _stop_requested(self, grace: float) -> None:
        self._stopping = True
        if not self._ready:
            # A startup cannot be interrupted, and has taken no work.
            self._leave(0)
        # A handler that blocks the loop, and a tear-down that does not end, must not hold up the end.
        timer = threading.Timer(grace * 0.9, self._leave, args=(1,))
        timer.daemon = True
        timer.start()
        self._loop.call_soon_threadsafe(self._stopped, grace)

    def _leave(self, code: int) -> None:
        """Ends the process at once, with those of its slots."""
        if self._children is not None:
            self._children.kill()
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)

    def _stopped(self, grace: float) -> None:
        if not self._stop.done():
            self._stop.set_result(grace)

    def _lost(self) -> None:
        """The other side has ended: results of its handlers have no receiver any more."""
        if self._stopping:
            return
        if not self._child:
            log.error("the link has ended, so this worker ends")
        # A handler that blocks would keep the process.
        self._leave(1)

    async def _end(self, grace: float) -> int:
        if self._children is not None:
            await self._children.stop(grace * 0.8)
        for hook in self._worker.shutdown_hooks:
            try:
                await self._call(hook)
            except Exception:
                log.exception("a shutdown hook failed")
        for error in await self._loop.run_in_executor(None, self._resources.close):
            log.error("the tear-down of a resource failed: %s", error, exc_info=error)
        if self._ticks is not None:
            self._ticks.stop()
        self._link.close()
        held = self._runner.held
        if held:
            log.warning("ends while %s still run: %s", len(held), ", ".join(each.id for each in held))
            # The threads of handlers that did not stop would keep the process.
            self._leave(0)
        return 0


def _log_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    log.error("the event loop: %s", context.get("message"), exc_info=context.get("exception"))
