"""The worker: handlers, what they get, and the process that runs them behind the link."""
