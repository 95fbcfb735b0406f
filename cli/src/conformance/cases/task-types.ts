/** The task types that a worker must serve for the suite, by the level that first needs them. */
import type { Level } from "../case.ts";

/** A task type: its payload and what its handler does. */
export interface TaskType {
  readonly name: string;
  readonly level: Level;
  /** Payload, as JSON. */
  readonly payload: string;
  readonly does: string;
}

export const TASK_TYPES: readonly TaskType[] = [
  { name: "echo", level: "basic", payload: "anything", does: "returns the payload" },
  {
    name: "sleep",
    level: "basic",
    payload: '`{"s": 2}`',
    does: "waits so many seconds, returns `null`; ends at once when its attempt is cancelled, out of time or revoked",
  },
  {
    name: "fail",
    level: "basic",
    payload: '`{"code": "GPU_BUSY", "retryable": true, "retry_after": 7}`',
    does: "fails with this code, retryable or not, after this wait in seconds (optional)",
  },
  { name: "boom", level: "basic", payload: "none", does: "raises an exception of the language" },
  {
    name: "big",
    level: "basic",
    payload: '`{"n": 1000}`',
    does: "returns a result of exactly so many bytes, as they are sent",
  },
  {
    name: "block",
    level: "resilient",
    payload: '`{"s": 3, "phase": "work"}`',
    does: "blocks the thread or loop that runs handlers for so many seconds, so that it can serve neither timers nor cancellations; in the named phase when the payload has one",
  },
  {
    name: "hold",
    level: "resilient",
    payload: '`{"s": 3}`',
    does: "blocks for so many seconds in the worst way that the language has: in Python with the interpreter lock held",
  },
  {
    name: "phases",
    level: "resilient",
    payload: '`{"s": 2}`',
    does: "runs the phases `first` and `second`, each for half of the seconds, and returns `null`",
  },
  { name: "crash", level: "resilient", payload: "none", does: "kills its own process with SIGKILL" },
  {
    name: "chatty",
    level: "resilient",
    payload: '`{"n": 3000}`',
    does: "reports progress so many times within about 3 s, from 1 of n to n of n, and returns `null`",
  },
  {
    name: "output",
    level: "resilient",
    payload: '`{"chunks": 3, "bytes": 1000}`',
    does: "writes so many chunks of output, each of so many bytes, and returns `null`",
  },
  {
    name: "stubborn",
    level: "complete",
    payload: '`{"s": 2}`',
    does: "waits so many seconds whatever it is asked, and returns a value; timers and heartbeats run meanwhile",
  },
  {
    name: "die",
    level: "complete",
    payload: "none",
    does: "raises an exception outside of every handler, for example in a timer or a thread, and waits",
  },
  {
    name: "single",
    level: "complete",
    payload: '`{"s": 1}`',
    does: "as `sleep`; the worker runs at most one of it at once (optional)",
  },
];

/** Types of the basic level. */
export const BASIC_TYPES = TASK_TYPES.filter(({ level }) => level === "basic").map(({ name }) => name);
