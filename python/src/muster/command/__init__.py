"""The command `muster-worker`, and how a worker's process comes to its link."""
