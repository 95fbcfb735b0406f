import { env } from "node:process";
import { Worker } from "@muster/worker";
import { compression, encryption, FolderStore } from "@muster/worker/storage";

/** A worker whose payloads are encrypted with `PAYLOAD_KEY`, large ones in the folder `STORE_DIR`. */
const worker = new Worker({
  payloads: {
    codecs: [compression(), encryption({ keys: { k1: env.PAYLOAD_KEY ?? "" }, current: "k1" })],
    claimCheck: { store: new FolderStore({ dir: env.STORE_DIR ?? "" }), aboveBytes: 4_000 },
  },
  tasks: {
    /** Returns its input, and how it looked. */
    mirror: (ctx) => ({
      contentType: ctx.contentType,
      bytes: ctx.rawPayload.byteLength,
      payload: ctx.payload,
    }),
  },
  concurrency: 4,
  queues: [env.QUEUES ?? "default"],
});

await worker.run();
