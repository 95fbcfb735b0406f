"""The plugin of pytest: a scheduler for the tests of a session. It starts when a test first asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from muster.testing.scheduler import SchedulerProcess


@pytest.fixture(scope="session")
def muster_scheduler() -> Iterator[SchedulerProcess]:
    """A scheduler with a PostgreSQL of its own; the test is skipped where there is no program `muster`."""
    from muster.command.find_link import link_command
    from muster.errors import LinkError
    from muster.testing.scheduler import SchedulerProcess

    try:
        link_command()
    except LinkError as error:
        pytest.skip(str(error))
    scheduler = SchedulerProcess()
    try:
        yield scheduler
    finally:
        scheduler.close()
