"""HTTP connections to the schedulers of a client, one pool for each address."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from muster.client.options import ClientSettings
from muster.client.wire import STREAM_TYPE, UNARY_TYPE
from muster.errors import ErrorFacts, MusterError

if TYPE_CHECKING:
    import httpx

C = TypeVar("C")

UNARY_HEADERS = {"content-type": UNARY_TYPE, "connect-protocol-version": "1"}
STREAM_HEADERS = {"content-type": STREAM_TYPE, "connect-protocol-version": "1"}

WATCH_SILENCE = 30.0
"""Seconds after which a watch on which nothing comes is opened again: the scheduler sends something every 5 s."""

_KEEPALIVE = 3.0
"""Less than the 5 s after which the scheduler closes an idle connection: a call must not meet that moment."""


class Transports(Generic[C]):
    """The address in use, until it is unavailable; then the next one."""

    def __init__(self, settings: ClientSettings, open: Callable[[str], C]) -> None:
        self._urls = settings.urls
        self._open = open
        self._clients: dict[str, C] = {}
        self._index = 0
        self._closed = False
        self._lock = threading.Lock()

    def current(self) -> tuple[str, C]:
        """The address in use with its connections."""
        with self._lock:
            if self._closed:
                raise MusterError("the client is closed", ErrorFacts("failed_precondition", "CLIENT_CLOSED"))
            url = self._urls[self._index]
            client = self._clients.get(url)
            if client is None:
                client = self._clients[url] = self._open(url)
            return url, client

    def failed(self, url: str) -> None:
        """The next address is used, unless another call has seen to that."""
        with self._lock:
            if self._urls[self._index] == url:
                self._index = (self._index + 1) % len(self._urls)

    def close(self) -> list[C]:
        """Takes every pool out of use, for the caller to close."""
        with self._lock:
            self._closed = True
            clients = list(self._clients.values())
            self._clients.clear()
            return clients


def _options(settings: ClientSettings, url: str) -> dict[str, Any]:
    import httpx

    trust_env, proxy = settings.proxy_of(url)
    options: dict[str, Any] = {
        "base_url": url,
        "trust_env": trust_env,
        "proxy": proxy,
        # Each watch holds a connection; a limit would make some of them wait for the end of others.
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=_KEEPALIVE),
        "headers": {"user-agent": "muster-worker", "accept-encoding": "identity"},
    }
    if settings.token is not None:
        options["headers"]["authorization"] = f"Bearer {settings.token}"
    # Certificates take 20 ms to read; plain text needs none.
    options["verify"] = settings.ssl_context() if url.startswith("https://") else False
    return options


def open_client(settings: ClientSettings, url: str) -> httpx.Client:
    """A pool of blocking connections to one address."""
    import httpx

    return httpx.Client(**_options(settings, url))


def open_async_client(settings: ClientSettings, url: str) -> httpx.AsyncClient:
    """A pool of asyncio connections to one address."""
    import httpx

    return httpx.AsyncClient(**_options(settings, url))


def was_sent(error: Exception) -> bool:
    """Whether the request of an error may have arrived."""
    import httpx

    return not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError)


def is_other_protocol(error: Exception) -> bool:
    """Whether something answered that is not HTTP/1.1; an end without an answer is not that."""
    import httpx

    return isinstance(error, httpx.RemoteProtocolError) and "illegal" in str(error)
