import { existsSync, openSync, writeFileSync } from "node:fs";
import { env, exit } from "node:process";
import { setInterval } from "node:timers";
import { isMainThread } from "node:worker_threads";

/**
 * Loaded with `--import`: does to the first thread of the process what `HANG` says, once the file `HANG_FILE`
 * exists, and makes the file with `.begun` behind its name. Later threads are left alone, as a fault that comes once.
 */
if (!isMainThread && env.HANG_FILE) {
  const file = env.HANG_FILE;
  const timer = setInterval(() => {
    if (!existsSync(file)) return;
    clearInterval(timer);
    writeFileSync(`${file}.begun`, "");
    switch (env.HANG) {
      case "spin":
        for (;;);
      case "wait":
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
        return;
      case "open":
        // A system call that never returns: the other end is never opened.
        openSync(`${file}.fifo`, "r");
        return;
      case "throw":
        throw new RangeError("thrown in the connection's thread");
      default:
        exit(3);
    }
  }, 20);
}
