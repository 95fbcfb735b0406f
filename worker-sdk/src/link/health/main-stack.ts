/** Reads the stack of the main thread through the inspector, also while its loop is blocked. */
import type { Debugger } from "node:inspector";
import { Session } from "node:inspector";
import { systemClock } from "../../clock.ts";

/** Time for the main thread to reach JavaScript; it does at once unless it is in native code or in a system call. */
const LIMIT_MS = 1_000;

/** Innermost frames that are kept. */
const MAX_FRAMES = 20;

/** Longest line; paths of bundles may be long. */
const MAX_LINE = 200;

/**
 * Reads where the main thread is: a line for each frame, the innermost first. It is paused for as long as that takes (66 ms with
 * a busy loop on two loaded cores, most of it for the list of its scripts). A thread that a debugger has paused is left alone.
 *
 * @throws Error when this Node has no inspector.
 */
export async function readMainStack(): Promise<readonly string[]> {
  const session = new Session();
  session.connectToMainThread();
  const urls = new Map<string, string>();
  session.on("Debugger.scriptParsed", ({ params }) => urls.set(params.scriptId, params.url));
  const { promise, resolve } = Promise.withResolvers<readonly string[]>();
  let [asked, over] = [false, false];
  session.on("Debugger.paused", ({ params }) => {
    // A pause that comes before this one was asked for is that of a debugger.
    if (!asked) return resolve(["(a debugger has paused it)"]);
    session.post("Debugger.resume");
    resolve(params.callFrames.slice(0, MAX_FRAMES).map((frame) => line(frame, urls)));
  });
  const stopTimer = systemClock.after(LIMIT_MS, () => resolve([NATIVE]));
  session.post("Debugger.enable", () => {
    // The answer of a thread that was in native code comes after the end.
    if (over) return;
    asked = true;
    session.post("Debugger.pause");
  });
  try {
    return await promise;
  } finally {
    stopTimer();
    over = true;
    // Also takes back a pause that the thread has not come to.
    session.post("Debugger.disable");
    session.disconnect();
  }
}

const NATIVE = `(it ran no JavaScript for ${LIMIT_MS} ms: it is in native code, or waits for the system)`;

function line(
  { functionName, location, url }: Debugger.CallFrame,
  urls: ReadonlyMap<string, string>,
): string {
  const place = `${url || urls.get(location.scriptId) || "?"}:${location.lineNumber + 1}:${(location.columnNumber ?? 0) + 1}`;
  const text = `${functionName || "(anonymous)"} (${place})`;
  return text.length <= MAX_LINE ? text : `${text.slice(0, 60)}...${text.slice(60 + 3 - MAX_LINE)}`;
}
