"""The command `muster-worker`: how it finds its link, its mistakes, and reloading."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from muster import LinkError
from muster.command.find_link import link_command
from muster.command.reload import snapshot, syntax_fault
from muster.testing.scheduler import WorkerProcess

LINK = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
assert sys.argv[1:3] == ["link", "--"], sys.argv
print("runs", sys.argv[-1], open("app.py").read().strip(), flush=True)
signal.sigwait([signal.SIGTERM])
print("drained", flush=True)
"""


def test_the_link_is_looked_for_in_order(tmp_path: Path) -> None:
    path = {"PATH": str(tmp_path / "bin")}
    with pytest.raises(LinkError, match="set MUSTER_LINK_COMMAND"):
        link_command(None, path, tmp_path)
    on_path = tmp_path / "bin" / "muster"
    on_path.parent.mkdir()
    on_path.write_text("#!/bin/sh\n")
    on_path.chmod(0o755)
    assert link_command(None, path, tmp_path) == [str(on_path)]
    local = tmp_path / "node_modules" / ".bin" / "muster"
    local.parent.mkdir(parents=True)
    local.write_text("")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert link_command(None, path, below) == [str(local)]
    variables = {**path, "MUSTER_LINK_COMMAND": f"{sys.executable} '/opt/the muster.mjs'"}
    assert link_command(None, variables, below) == [sys.executable, "/opt/the muster.mjs"]
    with pytest.raises(LinkError, match="--link is 'none-such x', and there is no program 'none-such'"):
        link_command("none-such x", variables, below)


def test_a_missing_link_is_a_sentence(tmp_path: Path) -> None:
    environment = {**os.environ, "MUSTER_LINK_COMMAND": "none-such"}
    done = subprocess.run(
        [sys.executable, "-m", "muster.command.main", "run", "app:worker"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "muster-worker: MUSTER_LINK_COMMAND is 'none-such', and there is no program 'none-such'\n"


def test_a_change_starts_the_worker_anew_and_a_syntax_error_does_not(tmp_path: Path) -> None:
    (tmp_path / "link.script").write_text(LINK)
    app = tmp_path / "app.py"
    app.write_text("a = 1\n")
    command = [
        sys.executable,
        "-m",
        "muster.command.main",
        "run",
        "--reload",
        "--link",
        f"{sys.executable} link.script",
        "app:worker",
    ]
    worker = WorkerProcess("reload", command, dict(os.environ), tmp_path)
    try:
        worker.wait_for("runs app:worker a = 1")
        app.write_text("a = 'first\n")
        worker.wait_for(r"app.py:1: .*the worker goes on with the code from before")
        assert "drained" not in worker.output
        app.write_text("a = 22\n")
        worker.wait_for("app.py has changed")
        worker.wait_for("drained")
        worker.wait_for("runs app:worker a = 22")
        assert worker.stop(signal.SIGINT) == 130
    finally:
        worker.kill()


def test_files_that_are_no_sources_of_the_worker_are_left_out(tmp_path: Path) -> None:
    for name in ("a.py", "b.txt", ".git/c.py", "node_modules/d.py", "v/e.py", "sub/f.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x = 1\n")
    (tmp_path / "v" / "pyvenv.cfg").write_text("")
    assert {Path(each).name for each in snapshot(tmp_path)} == {"a.py", "f.py"}
    assert syntax_fault(str(tmp_path / "gone.py")) is None
