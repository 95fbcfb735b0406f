import { createRequire } from "node:module";

/**
 * Loaded before a scheduler: gives a call the fault that its header `x-fault` names, in what grpc-js hands to the
 * handler, and the process one of its own with SIGWINCH.
 */
const { ServerWritableStreamImpl, ServerDuplexStreamImpl } = createRequire(import.meta.url)(
  "@grpc/grpc-js/build/src/server-call.js",
);

const FAULTS: Readonly<Record<string, () => void>> = {
  thrown: () => {
    throw new Error("injected: thrown");
  },
  rejected: () => void Promise.reject(new Error("injected: rejected")),
  ticked: () =>
    process.nextTick(() => {
      throw new Error("injected: ticked");
    }),
};

for (const { prototype } of [ServerWritableStreamImpl, ServerDuplexStreamImpl]) {
  const { on } = prototype;
  prototype.on = function (event: string, ...rest: unknown[]) {
    if (event === "cancelled") FAULTS[this.metadata.get("x-fault")[0]]?.();
    return on.call(this, event, ...rest);
  };
}

process.on("SIGWINCH", () => {
  throw new Error("injected: outside of every call");
});
