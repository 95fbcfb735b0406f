"""Records of `logging` that handlers write, kept with their attempts."""

from __future__ import annotations

import logging

from muster.worker.runner import current


class AttemptLogHandler(logging.Handler):
    """Writes a record of a handler to the log of its attempt. The levels of `logging` decide what comes here."""

    def emit(self, record: logging.LogRecord) -> None:
        """Records from outside of handlers, and those of this package, are left to the other handlers."""
        attempt = current.get()
        if attempt is None or record.name == "muster":
            return
        level = (
            "error" if record.levelno >= 40 else "warn" if record.levelno >= 30 else "info" if record.levelno >= 20 else "debug"
        )
        try:
            message = record.getMessage()
        except Exception as error:
            message = f"{record.msg!s} (its arguments do not fit: {error})"
        attempt.report("log", level=level, message=message[:8_000], fields={"logger": record.name})
