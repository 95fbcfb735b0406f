"""The client against a server of the test, for what a healthy scheduler does not do: it breaks off, or is one of two."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from muster import AsyncClient, Client, DatabaseUnavailableError, InvalidTokenError, MusterError, Tls, UnreachableError
from muster.client.wire import envelope

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def server(*answers: Answer, certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    """Answers the n-th request by the n-th answer, and further ones by the last."""
    requests = iter(range(10**6))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.body = self.rfile.read(int(self.headers["content-length"]))
            answers[min(next(requests), len(answers) - 1)](self)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def reply(body: dict[str, Any], status: int = 200) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        data = json.dumps(body).encode()
        request.send_response(status)
        request.send_header("content-type", "application/json")
        request.send_header("content-length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    return answer


def stream(*messages: dict[str, Any], end: bool) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("content-type", "application/connect+json")
        request.send_header("connection", "close")
        request.end_headers()
        for message in messages:
            request.wfile.write(envelope(json.dumps(message).encode()))
        if end:
            request.wfile.write(b"\x02\0\0\0\x02{}")
        request.close_connection = True

    return answer


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True


def watched(state: str, *sequences: int) -> dict[str, Any]:
    chunks = [{"attemptId": "a", "sequence": str(each), "data": "YQ=="} for each in sequences]
    return {"task": {"id": "t-1", "state": f"TASK_STATE_{state}", "output": "MQ=="}, "outputChunks": chunks}


TASK = {"task": {"id": "t-1", "state": "TASK_STATE_QUEUED"}}
BROKEN_WATCH = (stream(watched("RUNNING", 1, 2), end=False), hang_up, stream({}, watched("SUCCEEDED", 2, 3), end=True))


def test_a_watch_that_breaks_goes_on_and_repeats_no_output() -> None:
    with server(*BROKEN_WATCH) as url, Client(url) as client:
        updates = list(client.task("t-1").watch())
    assert [update.task.state for update in updates] == ["running", "succeeded"]
    assert [chunk.sequence for update in updates for chunk in update.output] == [1, 2, 3]

    async def main() -> None:
        with server(*BROKEN_WATCH) as url:
            async with AsyncClient(url) as client:
                assert await client.task("t-1").result(30) == 1

    asyncio.run(main())


def test_a_call_goes_to_the_next_address() -> None:
    with server(reply(TASK)) as url, Client(f"http://127.0.0.1:1,{url}") as client:
        assert client.get("t-1").id == "t-1"


def test_a_submit_that_broke_is_repeated_with_a_key_only() -> None:
    accepted = reply({"tasks": [{"taskId": "t-1"}]})
    with server(hang_up, accepted) as url, Client(url) as client:
        assert client.submit("a", unique_key="k").id == "t-1"
    with server(hang_up, accepted) as url, Client(url) as client, pytest.raises(UnreachableError) as caught:
        client.submit("a")
    assert caught.value.sent


def test_the_token_is_sent_and_a_refusal_has_its_class() -> None:
    seen: list[str | None] = []
    refused = {"code": "unauthenticated", "message": "the token is not the scheduler's"}

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.headers["authorization"])
        reply(refused, 401)(request)

    with server(answer) as url, Client(url, token="abc") as client, pytest.raises(MusterError, match="the token"):
        client.get("t-1")
    assert seen == ["Bearer abc"]
    assert InvalidTokenError.reasons == ("INVALID_TOKEN", "INVALID_CERTIFICATE")


def test_an_outage_is_waited_for_within_the_timeout() -> None:
    away = {"code": "unavailable", "message": "no database", "details": []}
    with server(reply(away, 503), reply(TASK)) as url, Client(url) as client:
        assert client.get("t-1").state == "queued"
    assert DatabaseUnavailableError.remedy


def test_certificates_are_checked(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test -addext"
    subprocess.run(
        [*words.split(), "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True
    )
    with server(reply(TASK), certificate=(cert, key)) as url:
        with Client(url, tls=Tls(ca=cert)) as client:
            assert client.get("t-1").id == "t-1"
        with Client(url) as client, pytest.raises(UnreachableError, match="set MUSTER_TLS_CA"):
            client.get("t-1")


def test_a_closed_client_says_so() -> None:
    client = Client()
    client.close()
    with pytest.raises(MusterError, match="the client is closed"):
        client.get("t-1")
