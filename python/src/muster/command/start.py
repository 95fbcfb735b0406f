"""Starts a worker: as the child of its link, or as the link that will start it."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from muster.command.find_link import link_command
from muster.errors import LinkError, OptionsError
from muster.worker.connection import Connection, Ticks, inherited

if TYPE_CHECKING:
    from muster.worker.worker import Worker


def become_link(command: Sequence[str], link: str | None = None) -> None:
    """Replaces this process by a link that starts the command: signals to it reach the link."""
    words = [*link_command(link), "link", "--", *command]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(words[0], words)


def run_program(worker: Worker) -> None:
    """`worker.run()`: ends the process."""
    from muster.worker.session import IDENTITY, Session

    if os.environ.get("MUSTER_CHILD_SLOT") is not None:
        # A process for isolated handlers imports the program to find them.
        return
    try:
        link = inherited(os.environ)
        if link is None:
            become_link([sys.executable, *sys.orig_argv[1:]])
            return
        log_to_stderr()
        link.send({"kind": "open", **IDENTITY})
        worker.hello()
        sys.exit(Session(worker, link, ticks=_ticks()).run())
    except (LinkError, OptionsError) as error:
        print(f"muster-worker: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


def run_target(target: str, link_option: str | None) -> int:
    """`muster-worker run module:name`: the link is there before the module is imported."""
    from muster.worker.session import IDENTITY, Session
    from muster.worker.target import load_worker

    link = inherited(os.environ)
    if link is None:
        arguments = ["run", target]
        become_link([sys.executable, "-m", "muster.command.main", *arguments], link_option)
        return 1
    log_to_stderr()
    link.send({"kind": "open", **IDENTITY})
    ticks = _ticks()
    name = "custom:import"
    link.send({"kind": "phase", "name": name, "outcome": "started", "detail": target[:256]})
    try:
        worker = load_worker([target])
        worker.hello()
    except Exception as error:
        return _not_imported(link, name, target, error)
    link.send({"kind": "phase", "name": name, "outcome": "ok", "detail": target[:256]})
    return Session(worker, link, target=[target], ticks=ticks).run()


def log_to_stderr() -> None:
    """Logs to standard error, unless the program has its own handlers."""
    level = os.environ.get("WORKER_LOG_LEVEL", "info").upper()
    known = level if level in ("DEBUG", "INFO", "WARNING", "ERROR") else "WARNING" if level == "WARN" else "INFO"
    logger = logging.getLogger("muster")
    logger.setLevel(known)
    if not logging.getLogger().handlers and not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)


def _not_imported(link: Connection, phase: str, target: str, error: Exception) -> int:
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    message = f"{target} cannot be imported: {type(error).__name__}: {error}"[:4_000]
    # The error of an option is for the author of the worker, who needs no stack of this package.
    print(message if isinstance(error, OptionsError) else text, file=sys.stderr)  # noqa: T201
    link.send({"kind": "phase", "name": phase, "outcome": "failed", "detail": message})
    link.send({"kind": "fatal", "message": message, "class": type(error).__name__[:256], "traceback": text[-60_000:]})
    return 1


def _ticks() -> Ticks | None:
    path = os.environ.get("MUSTER_LINK_TICK")
    if not path:
        return None
    ticks = Ticks(path)
    ticks.start()
    return ticks
