"""What handlers share: models, pools, clients, each loaded once in a process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from muster.errors import LinkError

Loader = Callable[[], Any]
"""Returns what is loaded, or yields it once: what follows the yield is the tear-down."""


@dataclass(frozen=True, slots=True)
class ResourceDefinition:
    """A resource that workers load."""

    name: str
    load: Loader
    at_startup: bool
    """Loaded before the worker takes work; otherwise when a task needs it."""


@dataclass
class _Loaded:
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: tuple[Any] | None = None
    teardown: Generator[Any, None, None] | None = None


class Resources:
    """The resources of one process. Each is loaded once, however many ask at the same time."""

    def __init__(self, definitions: dict[str, ResourceDefinition]) -> None:
        self._definitions = definitions
        self._loaded = {name: _Loaded() for name in definitions}
        self._order: list[str] = []
        self.on_change: Callable[[str, str, str], None] = lambda name, state, error: None
        """Called with name, `loaded`, `released` or `failed`, and the error's text."""

    @property
    def loaded(self) -> list[str]:
        """Names of what is loaded, in the order of loading."""
        return list(self._order)

    def get(self, name: str) -> Any:
        """The resource; loads it unless it is there. What the loader raises is raised, and the next call tries again."""
        entry = self._loaded.get(name)
        if entry is None:
            known = ", ".join(self._definitions) or "none"
            raise KeyError(f"there is no loader of {name!r}; this worker has: {known}")
        with entry.lock:
            if entry.value is None:
                try:
                    made: Any = self._definitions[name].load()
                    if isinstance(made, Generator):
                        entry.teardown = made
                        made = next(made)
                except BaseException as error:
                    entry.teardown = None
                    self.on_change(name, "failed", str(error) or type(error).__name__)
                    raise
                entry.value = (made,)
                self._order.append(name)
                self.on_change(name, "loaded", "")
            return entry.value[0]

    def release(self, name: str) -> None:
        """Runs the tear-down of a resource and forgets it; the next `get` loads it again."""
        entry = self._loaded.get(name)
        if entry is None:
            return
        with entry.lock:
            if entry.value is None:
                return
            teardown, entry.teardown, entry.value = entry.teardown, None, None
            self._order.remove(name)
            if teardown is not None and next(teardown, _END) is not _END:
                raise LinkError(f"the loader of {name!r} yields twice; one yield is what it loads")
            self.on_change(name, "released", "")

    def close(self) -> list[BaseException]:
        """Runs every tear-down, the last one loaded first; returns what they raised."""
        errors: list[BaseException] = []
        for name in reversed(self.loaded):
            try:
                self.release(name)
            except Exception as error:
                errors.append(error)
        return errors


_END = object()
