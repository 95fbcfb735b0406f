import { env } from "node:process";

/** Preloaded into a worker: its wall clock is off by `CLOCK_OFFSET_MS`, in every thread. */
const offset = Number(env.CLOCK_OFFSET_MS ?? "0");
const now = Date.now.bind(Date);
const OffsetDate = new Proxy(Date, {
  construct: (target, args: unknown[], newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now() + offset] : args, newTarget),
  get: (target, key) => (key === "now" ? () => now() + offset : Reflect.get(target, key, target)),
});
Object.defineProperty(globalThis, "Date", { value: OffsetDate, configurable: true, writable: true });
