"""A scheduler of a test's own, with a PostgreSQL of its own, and workers as processes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from muster.client.sync import Client
from muster.command.find_link import link_command

START_TIMEOUT_S = 90.0

_HTTP = re.compile(r"curl, probes\s+(http://\S+)")
_GRPC = re.compile(r"workers, gRPC clients\s+(\S+)")


class _Process:
    """A process whose output is kept, and can be waited for."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> None:
        self.name = name
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def output(self) -> str:
        """What it has written so far."""
        return "\n".join(self._lines)

    def wait_for(self, pattern: str | re.Pattern[str], timeout: float = 30.0) -> re.Match[str]:
        """Waits for output that matches; raises with the output when the process ends first, or the time is over."""
        found = self._wait(re.compile(pattern), timeout)
        if found is None:
            state = "has ended" if self._ended else f"has not written {pattern!r} within {timeout:g} s"
            raise RuntimeError(f"{self.name} {state}; its output:\n{self.output}")
        return found

    def _wait(self, pattern: re.Pattern[str], timeout: float) -> re.Match[str] | None:
        found: list[re.Match[str]] = []

        def there() -> bool:
            match = pattern.search(self.output)
            if match is not None:
                found.append(match)
            return bool(found) or self._ended

        with self._changed:
            self._changed.wait_for(there, timeout)
        return found[0] if found else None

    def stop(self, number: int = signal.SIGTERM, timeout: float = 30.0) -> int:
        """Sends a signal and waits for the end; kills the group after `timeout` seconds."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()

    def kill(self) -> None:
        """Kills the process and all that it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        self.process.stdout.close()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class WorkerProcess(_Process):
    """A worker that `SchedulerProcess.worker` started."""


class SchedulerProcess:
    """`muster dev` on free ports, with its data in a temporary folder.

    Leases are 3 s, so that a lost worker is noticed within seconds. `args` are further flags of `muster dev`; with
    `--database-url` it uses a PostgreSQL of yours.
    """

    def __init__(self, args: Sequence[str] = (), *, command: str | None = None) -> None:
        self._command = link_command(command)
        self._args = list(args)
        self._folder = tempfile.mkdtemp(prefix="muster-scheduler-")
        self._workers: list[WorkerProcess] = []
        self.grpc = "127.0.0.1:0"
        """`host:port` for workers."""
        self.http = "127.0.0.1:0"
        """Address for clients, `http://host:port`."""
        self._process = self._start()

    def _start(self) -> _Process:
        flags = {
            "--data-dir": self._folder,
            "--grpc-addr": self.grpc,
            "--http-addr": self.http.removeprefix("http://"),
            "--heartbeat": "0.5",
            "--lease": "3",
            "--reconnect-grace": "3",
            "--poll-interval": "0.2",
            "--recovery-interval": "0.5",
        }
        words = [word for flag, value in flags.items() for word in (flag, value)]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MUSTER_") and name != "DATABASE_URL"
        }
        process = _Process("muster dev", [*self._command, "dev", *words, *self._args], environment)
        try:
            self.grpc = process.wait_for(_GRPC, START_TIMEOUT_S)[1]
            self.http = process.wait_for(_HTTP, START_TIMEOUT_S)[1]
        except RuntimeError:
            process.kill()
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return process

    def client(self) -> Client:
        """A client of the scheduler; close it."""
        return Client(self.http)

    def worker(
        self,
        target: str,
        *,
        id: str = "test-worker",
        folder: str | os.PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> WorkerProcess:
        """Starts `muster-worker run TARGET` in a folder; ready for work when this returns, unless `wait` is false."""
        variables = {
            **os.environ,
            "MUSTER_SCHEDULER_ADDR": self.grpc,
            "MUSTER_HTTP_URL": self.http,
            "WORKER_ID": id,
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        for name in ("MUSTER_LINK_FD", "MUSTER_LINK_TICK", "MUSTER_LINK_DIR"):
            variables.pop(name, None)
        command = [sys.executable, "-m", "muster.command.main", "run", "--link", " ".join(self._command), target]
        process = WorkerProcess(f"worker {id}", command, variables, Path(folder) if folder is not None else None)
        self._workers.append(process)
        if wait:
            process.wait_for(r"INFO muster: ready: ", START_TIMEOUT_S)
        return process

    def restart(self, number: int = signal.SIGKILL, pause: float = 0.0) -> None:
        """Ends the scheduler by a signal, SIGKILL by default, and starts it on the same addresses and data."""
        self._process.stop(number)
        time.sleep(pause)
        self._process = self._start()

    def close(self) -> None:
        """Ends the workers and the scheduler, and removes the data."""
        for worker in self._workers:
            worker.kill()
        self._process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
