import type { Usage } from "./usage.ts";

// Preloaded into a measured process with --import and --expose-gc: the process itself stays as it is, and
// answers on its IPC channel what it has used.

/** A question of `MeasuredProcess`. */
interface Question {
  readonly probe: "usage";
  readonly id: number;
  /** True: collect garbage first, so that what is read is what is held. */
  readonly collect: boolean;
}

process.on("message", (message: Partial<Question>) => {
  if (message?.probe !== "usage") return;
  // Before the collection, which is the probe's cost and not the program's.
  const { user, system } = process.cpuUsage();
  const atMs = performance.now();
  // The second pass takes what finalizers of the first one let go.
  if (message.collect) for (let pass = 0; pass < 2; pass++) globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  const usage: Usage = {
    cpuUs: user + system,
    heapBytes: heapUsed,
    externalBytes: external,
    rssBytes: rss,
    atMs,
  };
  process.send?.({ probe: "usage", id: message.id, usage });
});
// A listener on the channel would keep a program alive that is done.
process.channel?.unref();
