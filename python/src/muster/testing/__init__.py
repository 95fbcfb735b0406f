"""Tests of handlers: alone and in memory with `run_task`, or with a scheduler of their own.

The scheduler is the pytest fixture `muster_scheduler`.
"""

from muster.testing.kit import Failed, Outcome, RunningTask, run_task, start_task
from muster.testing.scheduler import SchedulerProcess, WorkerProcess

__all__ = ["Failed", "Outcome", "RunningTask", "SchedulerProcess", "WorkerProcess", "run_task", "start_task"]
