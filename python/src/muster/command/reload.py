"""Development: starts a worker anew when a source file changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from muster.command.find_link import link_command

INTERVAL_S = 0.3
DRAIN_S = 5
"""Time for handlers before a reload; then their tasks wait again."""

_SKIPPED = frozenset({"node_modules", "__pycache__", "site-packages", "venv", "env", "build", "dist"})
MAX_FILES = 20_000


def run_reloading(target: str, link: str | None) -> int:
    """Runs the worker until a signal; returns its exit code, or 130 after Ctrl-C."""
    command = [*link_command(link), "link", "--", sys.executable, "-m", "muster.command.main", "run", target]
    environment = {"WORKER_DRAIN_TIMEOUT_S": str(DRAIN_S), **os.environ}
    signals: list[int] = []
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda number, _: signals.append(number))
    root = Path.cwd()
    before = snapshot(root)
    worker = subprocess.Popen(command, env=environment, start_new_session=True)
    ended = False
    while not signals:
        time.sleep(INTERVAL_S)
        if not ended and worker.poll() is not None:
            ended = True
            _say(f"the worker ended with {worker.returncode}; it starts again at the next change")
        now = snapshot(root)
        changed = sorted(path for path in now.keys() | before.keys() if now.get(path) != before.get(path))
        if not changed:
            continue
        before = now
        faults = [fault for fault in map(syntax_fault, changed) if fault]
        if faults:
            _say(f"{faults[0]}; the worker goes on with the code from before")
            continue
        _say(f"{os.path.relpath(changed[0], root)} has changed")
        _stop(worker)
        worker = subprocess.Popen(command, env=environment, start_new_session=True)
        ended = False
    _stop(worker)
    return 130 if signals[0] == signal.SIGINT else worker.returncode or 0


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Time and size of every source file below a folder, virtual environments and hidden folders apart."""
    found: dict[str, tuple[int, int]] = {}
    for folder, names, files in os.walk(root):
        names[:] = [
            name
            for name in names
            if not name.startswith(".") and name not in _SKIPPED and not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
        ]
        for name in files:
            if name.endswith(".py") and len(found) < MAX_FILES:
                path = os.path.join(folder, name)
                try:
                    facts = os.stat(path)
                except OSError:
                    # An editor replaces files; the next look has it.
                    continue
                found[path] = (facts.st_mtime_ns, facts.st_size)
    return found


def syntax_fault(path: str) -> str | None:
    """File, line and error of a file that is not Python; None when it is, or is gone."""
    try:
        with open(path, "rb") as file:
            compile(file.read(), path, "exec", dont_inherit=True)
    except FileNotFoundError:
        return None
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        return f"{path}:{line}: {getattr(error, 'msg', error)}" if line else f"{path}: {error}"
    return None


def _stop(worker: subprocess.Popen[bytes]) -> None:
    if worker.poll() is None:
        worker.terminate()
        try:
            worker.wait(DRAIN_S + 10)
        except subprocess.TimeoutExpired:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


def _say(text: str) -> None:
    print(f"muster-worker: {text}", file=sys.stderr, flush=True)  # noqa: T201
