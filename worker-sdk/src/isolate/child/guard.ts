/**
 * A thread of an isolated handler's process. It ends the process and all that it has started when the worker is gone, also while
 * a handler blocks the main thread, and reads the stack of that.
 */
import { Socket } from "node:net";
import { workerData } from "node:worker_threads";
import { systemClock } from "../../clock.ts";
import { ProcessTree } from "../../command/process-tree.ts";
import { GUARD_FD } from "../boot.ts";
import { ISOLATE_MARK } from "../isolate-options.ts";

const tree = new ProcessTree(process.pid, workerData.guard, systemClock, ISOLATE_MARK);
const socket = new Socket({ fd: GUARD_FD, readable: true, writable: true });
const end = (): void => tree.signal("SIGKILL");
socket.on("end", end);
socket.on("error", end);
socket.on("data", (asked) => {
  for (const _ of asked) void answer();
});

/** A byte asks for the stack; the answer is a line of JSON. */
async function answer(): Promise<void> {
  let frames: readonly string[];
  try {
    const { readMainStack } = await import("../../link/health/main-stack.ts");
    frames = await readMainStack();
  } catch (error) {
    frames = [`(it cannot be read: ${error instanceof Error ? error.message : String(error)})`];
  }
  socket.write(`${JSON.stringify(frames)}\n`);
}
