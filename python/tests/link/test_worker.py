"""The worker's process against a peer of the line protocol."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from .peer import Peer


@pytest.fixture(scope="module")
def threads() -> Iterator[Peer]:
    with Peer("threads:worker") as peer:
        peer.kind("ready")
        yield peer


@pytest.fixture(scope="module")
def processes() -> Iterator[Peer]:
    with Peer("processes:worker") as peer:
        peer.kind("ready")
        yield peer


def test_the_connection_is_there_before_the_import(threads: Peer) -> None:
    kinds = [(line["kind"], line.get("name"), line.get("outcome")) for line in threads.lines[:6]]
    assert kinds == [
        ("open", None, None),
        ("phase", "custom:import", "started"),
        ("phase", "custom:import", "ok"),
        ("hello", None, None),
        ("phase", "custom:warm", "started"),
        ("phase", "custom:warm", "ok"),
    ]
    hello = threads.kind("hello")
    assert hello["version"] == 1
    assert hello["slots"] == 4
    assert "page" in hello["types"]
    assert hello["loadable"] == ["model:small", "model:broken"]
    assert hello["ticks"] == "file"


def test_reports_come_in_order_before_the_result(threads: Peer) -> None:
    result = threads.run("page", {"url": "u", "width": 7})
    assert result["outcome"] == "succeeded"
    assert result["output"] == {"url": "u", "width": 7}
    mine = [line for line in threads.lines if line.get("attempt") == result["attempt"]]
    kinds = [line["kind"] for line in mine]
    assert kinds[0] == "phase_start"
    assert kinds[-1] == "result"
    progress = [line for line in mine if line["kind"] == "progress"]
    assert [line["done"] for line in progress] == list(range(1, 1001))
    assert kinds.index("phase_end") > kinds.index("progress")
    logs = [(line["level"], line["message"]) for line in mine if line["kind"] == "log"]
    assert logs == [("info", "rendered"), ("warn", "from logging")]
    assert [line["value"] for line in mine if line["kind"] == "checkpoint"] == [{"page": 1}]


def test_a_handler_finds_its_facts_and_imports_no_grpc(threads: Peer) -> None:
    output = threads.run("facts", checkpoint={"page": 9})["output"]
    assert output["resume"] == {"page": 9}
    assert output["folder"] == threads.folder.name
    assert output["artifact"]["size"] == 3
    assert output["modules"] == []


def test_a_payload_that_does_not_fit_names_the_field(threads: Peer) -> None:
    result = threads.run("page", {"url": "u", "width": "wide"}, 2)
    assert (result["outcome"], result["class"], result["code"]) == ("failed", "non_retryable", "INVALID_PAYLOAD")
    assert "width: it is a text, and must be a whole number" in result["message"]


@pytest.mark.parametrize(
    ("kind", "failure_class", "code"),
    [
        ("retryable", "retryable", "BUSY"),
        ("final", "non_retryable", "BAD"),
        ("memory", "out_of_memory", "OUT_OF_MEMORY"),
        ("other", "retryable", "VALUE_ERROR"),
    ],
)
def test_errors_are_classified(threads: Peer, kind: str, failure_class: str, code: str) -> None:
    result = threads.run("fail", {"kind": kind}, number=hash(kind) % 1000)
    assert (result["class"], result["code"]) == (failure_class, code)
    assert "in fail" in result["traceback"]
    assert "runner.py" not in result["traceback"]


def test_results_without_json_and_large_ones(threads: Peer) -> None:
    assert threads.run("nan")["code"] == "INVALID_RESULT"
    small = threads.run("big", 10)
    assert small["output_b64"] == "eHh4eHh4eHh4eA=="
    large = threads.run("big", 200_000, 2)
    assert os.path.getsize(large["output_file"]) == 200_000
    assert threads.run("raw", None, payload_b64="AAEC", content_type="application/octet-stream")["output"] == 3


def test_cancellation_reaches_threads_and_coroutines(threads: Peer) -> None:
    for type, payload in (("poll", None), ("loop", 600)):
        attempt = threads.task(type, payload, 5)
        threads.kind("phase_start", attempt=attempt)
        threads.cancel(attempt)
        assert threads.result(attempt)["outcome"] == "cancelled"
        timed = threads.task(type, payload, 6)
        threads.kind("phase_start", attempt=timed)
        threads.cancel(timed, "timed_out")
        assert threads.result(timed)["class"] == "timed_out"
        drained = threads.task(type, payload, 7)
        threads.kind("phase_start", attempt=drained)
        threads.cancel(drained, "drain")
        assert threads.result(drained)["outcome"] == "released"


def test_a_thread_that_does_not_stop_says_so(threads: Peer) -> None:
    attempt = threads.task("deaf", 0.6)
    threads.kind("phase_start", attempt=attempt)
    threads.cancel(attempt, "timed_out", grace=0.1)
    said = threads.kind("log", attempt=attempt)
    assert "keeps its slot" in said["message"]
    assert threads.result(attempt)["output"] == "late"


def test_coroutines_end_and_store_checkpoints(threads: Peer) -> None:
    assert threads.run("loop", 0.01, 9)["output"] == "woke"


def test_a_blocked_loop_and_a_held_interpreter_are_told_apart(threads: Peer) -> None:
    attempt = threads.task("block", 1.2)
    threads.kind("phase_start", attempt=attempt)
    time.sleep(0.3)
    before = threads.ticks()
    time.sleep(0.6)
    after = threads.ticks()
    assert after[0] == before[0]
    assert after[1] > before[1]
    assert threads.result(attempt)["outcome"] == "succeeded"
    # No thread of the process runs.
    attempt = threads.task("hold", 1.5)
    threads.kind("phase_start", attempt=attempt)
    time.sleep(0.3)
    before = threads.ticks()
    time.sleep(0.6)
    held = threads.ticks() == before
    assert threads.result(attempt)["output"] == "held"
    assert held


def test_resources_load_once_and_report(threads: Peer) -> None:
    threads.send({"kind": "prepare", "resource": "model:small"})
    assert threads.kind("resource", name="model:small")["state"] == "loaded"
    assert threads.run("model")["output"] == 3
    assert len([line for line in threads.lines if line.get("name") == "model:small"]) == 1
    threads.send({"kind": "prepare", "resource": "model:broken"})
    broken = threads.kind("resource", name="model:broken")
    assert broken["state"] == "failed"
    assert "no space" in broken["error"]
    threads.send({"kind": "release", "resource": "model:small"})
    threads.kind("resource", name="model:small", state="released")


def test_sigterm_asks_the_link_to_drain_and_stop_ends_with_0() -> None:
    with Peer("threads:worker") as peer:
        peer.kind("ready")
        peer.run("model")
        peer.process.send_signal(signal.SIGINT)
        peer.process.send_signal(signal.SIGTERM)
        peer.kind("drain")
        assert peer.stop() == 0
        assert b"model:small is torn down" in peer.stderr


def test_a_worker_ends_with_its_link() -> None:
    with Peer("threads:worker") as peer:
        peer.kind("ready")
        attempt = peer.task("deaf", 600)
        peer.kind("phase_start", attempt=attempt)
        peer.socket.shutdown(2)
        assert peer.exit_code() == 1


def test_a_stop_ends_a_worker_whose_loop_is_blocked_within_the_grace() -> None:
    with Peer("threads:worker") as peer:
        peer.kind("ready")
        attempt = peer.task("block", 600)
        peer.kind("phase_start", attempt=attempt)
        assert peer.stop(grace=0.5) == 1


def test_a_stop_in_the_startup_ends_at_once() -> None:
    with Peer("conformance:worker", {"STARTUP_S": "600"}) as peer:
        peer.kind("phase", name="custom:conformance", outcome="started")
        assert peer.stop() == 0


def test_an_error_that_is_fatal_ends_the_worker_with_its_reason() -> None:
    with Peer("conformance:worker") as peer:
        peer.kind("ready")
        peer.task("die")
        fatal = peer.kind("fatal")
        assert fatal["message"] == "FatalError: outside of every handler"
        assert peer.exit_code() == 1


def test_a_module_that_cannot_be_imported_is_reported() -> None:
    with Peer("broken:worker") as peer:
        fatal = peer.kind("fatal")
        assert fatal["message"] == "broken:worker cannot be imported: RuntimeError: no driver"
        assert peer.kind("phase", outcome="failed")["name"] == "custom:import"
        assert peer.exit_code() == 1


def test_each_slot_has_a_process_with_its_device(processes: Peer) -> None:
    assert processes.kind("resource", name="model:each")["state"] == "loaded"
    first = processes.task("poll", None, 1)
    pid = processes.kind("start", attempt=first)["pid"]
    assert pid != processes.process.pid
    processes.kind("phase_start", attempt=first)
    other = processes.run("where")["output"]
    assert other["pid"] != pid
    assert other["model"] == other["pid"]
    processes.cancel(first)
    assert processes.result(first)["outcome"] == "cancelled"
    second = processes.task("poll", None, 2)
    assert processes.kind("start", attempt=second)["pid"] == other["pid"]
    again = processes.run("where", None, 2)["output"]
    assert (again["pid"], other["device"], again["device"]) == (pid, "5", "3")
    processes.cancel(second)
    processes.result(second)
    assert processes.run("modules")["output"] == []


def test_a_process_that_is_killed_for_a_timeout_is_timed_out_and_replaced(processes: Peer) -> None:
    attempt = processes.task("spin")
    pid = processes.kind("start", attempt=attempt)["pid"]
    processes.kind("phase_start", attempt=attempt)
    processes.cancel(attempt, "timed_out", grace=0.1)
    os.kill(pid, signal.SIGKILL)
    assert processes.result(attempt)["code"] == "TIMED_OUT"
    assert processes.run("where", None, 3)["output"]["pid"] != pid


def test_a_process_that_dies_says_how(processes: Peer) -> None:
    assert processes.run("die", "exit")["code"] == "EXIT_3"
    assert processes.run("die", "segv", 2)["code"] == "KILLED_BY_SIGSEGV"
    assert processes.run("where", None, 4)["outcome"] == "succeeded"


def test_a_process_that_spins_ends_with_its_worker() -> None:
    with Peer("processes:worker") as peer:
        peer.kind("ready")
        attempt = peer.task("spin")
        pid = peer.kind("start", attempt=attempt)["pid"]
        peer.kind("phase_start", attempt=attempt)
        fd = os.pidfd_open(pid)
        try:
            peer.process.kill()
            import select

            assert select.select([fd], [], [], 10)[0]
        finally:
            os.close(fd)


def test_a_program_that_runs_its_worker_itself() -> None:
    with Peer("program.py") as peer:
        peer.kind("ready")
        assert peer.run("double", 21)["output"] == 42
        assert peer.stop() == 0
