/** Ends what a test file has started and not ended, for example because a `before` failed and then its `after` too. */
import { env } from "node:process";
import { after } from "node:test";

type End = () => unknown;

const open = new Map<object, End>();

/** Ends it when all tests of the file are over, unless `cleanedUp` is called before. */
export function cleanUpLater(thing: object, end: End): void {
  open.set(thing, end);
}

/** Forgets what a test has ended itself. */
export function cleanedUp(thing: object): void {
  open.delete(thing);
}

async function endAll(): Promise<void> {
  const failed: unknown[] = [];
  // The last one first: it uses those before it.
  for (const [thing, end] of [...open].reverse()) {
    // It may have gone with what came after it.
    if (!open.delete(thing)) continue;
    try {
      await end();
    } catch (error) {
      failed.push(error);
    }
  }
  if (failed.length > 0) throw new AggregateError(failed, "what the tests left could not be ended");
}

// A hook that is set once the file has been read comes after the file's own. The chaos and fuzz programs use the same
// parts without tests.
if (env.NODE_TEST_CONTEXT) queueMicrotask(() => after(endAll));
