"""The client: submits tasks and follows them, blocking or with asyncio."""
