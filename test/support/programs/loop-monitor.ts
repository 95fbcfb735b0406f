import { isMainThread } from "node:worker_threads";

/**
 * Loaded into a scheduler under test (`--import`): at SIGWINCH it prints the longest turn of the main loop since the last
 * one. A turn is measured in the main thread's processor time: its wall time grows with the load of the machine.
 */
if (isMainThread) {
  const spent = () => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1_000;
  };
  let last = spent();
  let longest = 0;
  setInterval(() => {
    const now = spent();
    longest = Math.max(longest, now - last);
    last = now;
  }, 1).unref();
  process.on("SIGWINCH", () => {
    process.stdout.write(`loop.longest_turn ${longest}\n`);
    longest = 0;
    last = spent();
  });
}
