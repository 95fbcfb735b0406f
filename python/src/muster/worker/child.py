"""The program of a process for isolated handlers: imports the worker's module and runs its handlers."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from muster.worker.connection import inherited
from muster.worker.session import Session
from muster.worker.target import load_worker


def main() -> int:
    """Arguments: the process id of the worker, then how its module is found."""
    parent = int(sys.argv[1])
    _end_with(parent)
    # Both reach the whole group of a terminal; the worker asks this process to stop when it is time.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    link = inherited(os.environ)
    if link is None:
        raise SystemExit("MUSTER_LINK_FD is not set; a worker starts this program")
    try:
        worker = load_worker(sys.argv[2:])
    except BaseException as error:
        link.send({"kind": "fatal", "message": f"its module cannot be imported: {type(error).__name__}: {error}"})
        raise
    return Session(worker, link, child=True).run()


def _end_with(parent: int) -> None:
    """Has the kernel kill this process with its worker, also while something holds the interpreter (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        raise SystemExit("the worker has ended")


if __name__ == "__main__":
    sys.exit(main())
