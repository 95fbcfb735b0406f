"""A small peer of the line protocol: starts a worker's process as a link does, and reads and writes lines."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

Line = dict[str, Any]
APPS = Path(__file__).parent.parent / "apps"


class Peer:
    """The link's side of a worker under test."""

    def __init__(self, target: str, environment: Mapping[str, str] | None = None) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="muster-peer-")
        self.tick = Path(self.folder.name) / "tick"
        self.tick.write_bytes(bytes(64))
        ours, theirs = socket.socketpair()
        variables = {
            **os.environ,
            "MUSTER_LINK_FD": str(theirs.fileno()),
            "MUSTER_LINK_VERSION": "1",
            "MUSTER_LINK_TICK": str(self.tick),
            "MUSTER_LINK_DIR": self.folder.name,
            **(environment or {}),
        }
        command = [sys.executable, "-m", "muster.command.main", "run", target]
        if target.endswith(".py"):
            command = [sys.executable, target]
        self.process = subprocess.Popen(
            command, cwd=APPS, env=variables, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, start_new_session=True
        )
        theirs.close()
        self.socket = ours
        self.lines: list[Line] = []
        self.ended = False
        self.stderr = b""
        self.changed = threading.Condition()
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._read, self._read_stderr)]
        for thread in self._threads:
            thread.start()
        self.send({"kind": "link", "version": 1, "min_version": 1, "max_line": 1024 * 1024, "worker_id": "w"})

    def send(self, line: Line) -> None:
        self.socket.sendall(json.dumps(line).encode() + b"\n")

    def task(self, type: str, payload: Any = None, number: int = 1, **fields: Any) -> str:
        task = f"t-{type}-{number}"
        attempt = f"{task}.1"
        self.send(
            {
                "kind": "task",
                "attempt": attempt,
                "task": task,
                "type": type,
                "queue": "default",
                "number": 1,
                "payload": payload,
                "content_type": "application/json",
                **fields,
            }
        )
        return attempt

    def cancel(self, attempt: str, cause: str = "cancelled", grace: float = 5.0, reason: str = "not needed") -> None:
        self.send({"kind": "cancel", "attempt": attempt, "cause": cause, "reason": reason, "grace_s": grace})

    def wait(self, condition: Callable[[Line], bool], what: str, timeout: float = 30.0) -> Line:
        """The first line that meets the condition."""
        found: list[Line] = []

        def there() -> bool:
            found.extend(line for line in self.lines if condition(line))
            return bool(found) or self.ended

        with self.changed:
            self.changed.wait_for(there, timeout)
        assert found, f"no {what}; ended: {self.ended}; lines: {self.lines}; stderr: {self.stderr.decode()}"
        return found[0]

    def kind(self, kind: str, **fields: Any) -> Line:
        return self.wait(
            lambda line: line["kind"] == kind and all(line.get(name) == value for name, value in fields.items()),
            f"{kind} with {fields}",
        )

    def result(self, attempt: str) -> Line:
        return self.kind("result", attempt=attempt)

    def run(self, type: str, payload: Any = None, number: int = 1, **fields: Any) -> Line:
        return self.result(self.task(type, payload, number, **fields))

    def ticks(self) -> tuple[int, int]:
        data = self.tick.read_bytes()
        return int.from_bytes(data[:8], "little"), int.from_bytes(data[8:16], "little")

    def stop(self, grace: float = 5.0) -> int:
        self.send({"kind": "stop", "reason": "the test ends", "grace_s": grace})
        return self.exit_code()

    def exit_code(self) -> int:
        code = self.process.wait(30)
        for thread in self._threads:
            thread.join(30)
        return code

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.exit_code()
        self.socket.close()
        if self.process.stderr is not None:
            self.process.stderr.close()
        self.folder.cleanup()

    def _read(self) -> None:
        with self.socket.makefile("rb") as file:
            try:
                for line in file:
                    value = json.loads(line)
                    with self.changed:
                        self.lines.append(value)
                        if "request" in value:
                            self.send({"kind": "answer", "request": value["request"], "ok": True, **self._answer(value)})
                        if value["kind"] == "result":
                            self.send({"kind": "got", "attempt": value["attempt"]})
                        self.changed.notify_all()
            except OSError:
                pass
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _answer(self, line: Line) -> Line:
        if line["kind"] == "scratch":
            return {"path": self.folder.name}
        if line["kind"] == "artifact":
            size = Path(line["file"]).stat().st_size
            return {"artifact": {"name": line["name"], "size": size, "checksum": "c", "uri": "file:///a"}}
        return {}

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.stderr += line
