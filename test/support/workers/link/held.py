"""A worker behind a link that can hold its interpreter, block its loop, crash and write garbage."""

import ctypes
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

sock = socket.socket(fileno=int(os.environ["MUSTER_LINK_FD"]))
with open(os.environ["MUSTER_LINK_TICK"], "r+b") as file:
    ticks = mmap.mmap(file.fileno(), 64)
counts = [0, 0]


def say(**fields):
    sock.sendall((json.dumps(fields) + "\n").encode())


def turn(word):
    counts[word] += 1
    struct.pack_into("<Q", ticks, 8 * word, counts[word])


def beat():
    while True:
        turn(1)
        time.sleep(0.1)


def hold(seconds):
    """Sleeps in native code that keeps the interpreter's lock."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def work(task):
    kind, payload = task["type"], task["payload"]
    if kind == "hold":
        hold(payload)
    elif kind == "crash":
        print("about to crash", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(60)  # The signal may be taken by another thread, a moment later.
    elif kind == "rest":
        time.sleep(payload)
    elif kind == "last":
        say(kind="result", attempt=task["attempt"], outcome="succeeded", output="kept")
        os._exit(3)
    elif kind == "garbage":
        for chunk in (b"\xff\xfe no text\n", b"[1, 2\n", b"x" * (2 << 20) + b"\n", b"{}\n", b'{"kind":"of the future"}\n'):
            sock.sendall(chunk)
        say(kind="progress", attempt=task["attempt"], fraction=7)
        say(kind="result", attempt="unknown", outcome="succeeded")
        phases = [
            {"kind": "phase_start", "name": "one"},
            {"kind": "phase_end"},
            {"kind": "phase_end"},
            {"kind": "phase_start", "name": "two"},
            {"kind": "phase_end", "name": "two", "failed": True},
        ]
        sock.sendall("".join(json.dumps({**phase, "attempt": task["attempt"]}) + "\n" for phase in phases).encode())
    elif kind == "flood":
        for number in range(payload):
            say(kind="progress", attempt=task["attempt"], done=number, total=payload)
            say(kind="log", attempt=task["attempt"], message="line %d" % number)
    say(kind="result", attempt=task["attempt"], outcome="succeeded", output=payload)


threading.Thread(target=beat, daemon=True).start()
say(kind="open", version=1, language="python")
say(kind="phase", name="custom:import", outcome="started")
print("importing", flush=True)
hold(float(os.environ.get("IMPORT_S", "0")))
say(kind="phase", name="custom:import")
say(
    kind="hello",
    version=1,
    language="python",
    sdk="held",
    types=["hold", "block", "crash", "rest", "garbage", "flood", "last"],
    queues=[os.environ.get("QUEUE", "default")],
    ticks="file",
    slots=int(os.environ.get("SLOTS", "2")),
    killable=os.environ.get("KILLABLE", "none"),
    ready=True,
)
unread = b""
while True:
    turn(0)
    if not select.select([sock], [], [], 0.1)[0]:
        continue
    chunk = sock.recv(65536)
    if not chunk:
        sys.exit(0)
    *whole, unread = (unread + chunk).split(b"\n")
    for line in map(json.loads, whole):
        if line["kind"] == "stop":
            sys.exit(0)
        if line["kind"] == "task" and line["type"] == "block":
            time.sleep(line["payload"])
            say(kind="result", attempt=line["attempt"], outcome="succeeded", output=None)
        elif line["kind"] == "task":
            threading.Thread(target=work, args=(line,), daemon=True).start()
