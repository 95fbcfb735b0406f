"""The line protocol: JSON objects on a socket, requests with their answers, and the words of liveness."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

from muster.errors import LinkError

Line = dict[str, Any]

VERSION = 1
"""Version of the line protocol that this package speaks."""

TICK_S = 0.2
"""The link calls a word blocked that stands for more than 0.5 s."""


class Connection:
    """One side of a socket with lines of JSON; `send` is safe for threads."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._socket.setblocking(True)
        self._lock = threading.Lock()
        self._requests: dict[int, Future[Line]] = {}
        self._next_request = 1
        self._closed = False

    def send(self, line: Line) -> None:
        """Writes a line. After the end of the other side it does nothing: the reader sees that end."""
        body = json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        data = body.encode("utf-8", "replace") + b"\n"
        with self._lock:
            if self._closed:
                return
            try:
                self._socket.sendall(data)
            except OSError:
                self._closed = True

    def request(self, line: Line) -> Future[Line]:
        """Writes a line that is answered; the future has the line of the answer."""
        answer: Future[Line] = Future()
        with self._lock:
            number = self._next_request
            self._next_request = number % (2**31 - 1) + 1
            self._requests[number] = answer
        self.send({**line, "request": number})
        return answer

    def lines(self) -> Iterator[Line]:
        """The lines of the other side until its end; answers go to their requests."""
        buffer = bytearray()
        while True:
            try:
                chunk = self._socket.recv(65_536)
            except OSError:
                chunk = b""
            if not chunk:
                self._end()
                return
            buffer += chunk
            *whole, rest = buffer.split(b"\n")
            buffer = bytearray(rest)
            for each in whole:
                try:
                    line = json.loads(each)
                except ValueError:
                    # Of the two sides only a newer link could write what this one cannot read.
                    continue
                if not isinstance(line, dict):
                    continue
                if line.get("kind") == "answer":
                    self._answer(line)
                else:
                    yield line

    def close(self) -> None:
        """Ends the connection; the other side reads the end of file."""
        with self._lock:
            self._closed = True
        # The other side may have been first.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _answer(self, line: Line) -> None:
        with self._lock:
            future = self._requests.pop(int(line.get("request") or 0), None)
        if future is not None:
            future.set_result(line)

    def _end(self) -> None:
        with self._lock:
            self._closed = True
            waiting = list(self._requests.values())
            self._requests.clear()
        for future in waiting:
            future.set_exception(LinkError("the link has ended"))


def inherited(environment: dict[str, str] | os._Environ[str]) -> Connection | None:
    """The connection that a link gave to this process; None when there is none."""
    number = environment.get("MUSTER_LINK_FD")
    if not number:
        return None
    try:
        sock = socket.socket(fileno=int(number))
    except (OSError, ValueError) as error:
        raise LinkError(f"MUSTER_LINK_FD is {number!r}, which is no inherited socket: {error}") from None
    # Programs that handlers start must not keep the connection open.
    sock.set_inheritable(False)
    return Connection(sock)


class Ticks:
    """The words of liveness: one that the event loop adds to, one of a plain thread."""

    def __init__(self, path: str | None) -> None:
        self._words: memoryview | None = None
        if path:
            with open(path, "r+b") as file:
                self._words = memoryview(mmap.mmap(file.fileno(), 64)).cast("Q")
        self._ended = threading.Event()

    def loop_turned(self) -> None:
        """Called by the event loop at every turn of its timer."""
        self._add(0)

    def start(self) -> None:
        """Starts the thread. It stands still while something holds the interpreter, which is what it shows."""
        threading.Thread(target=self._run, name="muster-tick", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(TICK_S):
            self._add(1)

    def _add(self, word: int) -> None:
        if self._words is not None:
            # A link on the same machine has the same byte order; all that Muster runs on are little-endian.
            self._words[word] = (self._words[word] + 1) % 2**64
