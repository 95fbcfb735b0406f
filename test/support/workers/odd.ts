/** Handlers that throw and return what is no error and no JSON. */
import { runInNewContext } from "node:vm";
import { Worker } from "@muster/worker";

const THROWN: Readonly<Record<string, () => unknown>> = {
  object: () => ({ status: 429, code: "RATE_LIMIT", message: "slow" }),
  foreign: () => runInNewContext("new RangeError('far')"),
  nothing: () => undefined,
};

const circular: Record<string, unknown> = {};
circular.self = circular;

const RETURNED: Readonly<Record<string, unknown>> = {
  map: new Map([["a", 1]]),
  buffer: new ArrayBuffer(8),
  set: { ids: new Set([1]) },
  nan: { score: Number.NaN },
  bigint: { id: 7n },
  circular,
};

/** Handlers that throw and return what is no error and no JSON. */
const worker = new Worker({
  concurrency: 4,
  tasks: {
    echo: (ctx) => ctx.payload,
    throw: (ctx) => {
      ctx.log.info("a text alone");
      if (ctx.payload !== "several") throw THROWN[String(ctx.payload)]?.();
      const one = Object.assign(new Error("one"), { code: "ECONNRESET" });
      return Promise.any([Promise.reject(one), Promise.reject(new TypeError("two"))]);
    },
    odd: (ctx) => RETURNED[String(ctx.payload)],
  },
});
await worker.run();
