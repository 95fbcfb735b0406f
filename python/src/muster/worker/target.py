"""How a process finds the worker: `module:name`, or the file of the program that calls `worker.run()`."""

from __future__ import annotations

import importlib
import os
import runpy
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from muster.errors import OptionsError

if TYPE_CHECKING:
    from muster.worker.worker import Worker

made: list[Worker] = []
"""The workers of this process, in the order of their construction."""


def load_worker(target: Sequence[str]) -> Worker:
    """Imports what `target` names: `["module:name"]`, or `["--file", path, index]`, and returns its worker."""
    from muster.worker.worker import Worker

    if target[0] == "--file":
        sys.path.insert(0, os.path.dirname(target[1]))
        runpy.run_path(target[1], run_name="__muster_child__")
        return made[int(target[2])]
    module_name, _, name = target[0].partition(":")
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    module = importlib.import_module(module_name)
    if name:
        found = getattr(module, name, None)
        if isinstance(found, Worker):
            return found
        raise OptionsError(f"{target[0]}: {name} of {module_name} is {found!r}, and must be a Worker")
    workers = [each for each in vars(module).values() if isinstance(each, Worker)]
    if len(set(map(id, workers))) != 1:
        raise OptionsError(f"{module_name} has {len(workers)} workers; name one, for example {module_name}:worker")
    return workers[0]


def target_of(worker: Worker) -> list[str]:
    """How another process finds a worker whose program calls `worker.run()`."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if path is None:
        raise OptionsError(
            "handlers with isolate='process' need a file: this program has none, so start it with muster-worker run"
        )
    return ["--file", os.path.abspath(path), str(made.index(worker))]
