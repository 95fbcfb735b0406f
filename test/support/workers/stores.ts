/** Handlers that store artifacts. */
import { existsSync } from "node:fs";
import { appendFile, writeFile } from "node:fs/promises";
import { env } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { type TaskContext, Worker } from "@muster/worker";
import { FolderStore } from "@muster/worker/storage";

/** Where a handler waits until the file `gate` of its payload exists, or `gate` with the name of its worker. */
type Place = "writing" | "written" | "stored" | undefined;

/** Workers with a store of artifacts in `STORE_DIR`. */
const worker = new Worker({
  artifacts: new FolderStore({ dir: env.STORE_DIR ?? "" }),
  tasks: {
    /** Makes an artifact whose content names its worker; returns it with the id of the attempt. */
    produce: async (ctx) => {
      const at = placeOf(ctx);
      const { bytes = 0 } = Object(ctx.payload);
      const artifact = await ctx.artifact(
        "output/page.txt",
        async ({ path }) => {
          await writeFile(path, "made by ");
          if (at === "writing") await waitAt(ctx, at);
          await appendFile(path, `${env.WORKER_ID}${"x".repeat(Number(bytes))}`);
        },
        { validate: at === "written" ? () => waitAt(ctx, at) : () => undefined },
      );
      if (at === "stored") await waitAt(ctx, at);
      return { artifact, attempt: ctx.attempt.id };
    },
  },
  concurrency: 4,
  queues: [env.QUEUES ?? "default"],
});

await worker.run();

function placeOf({ payload }: TaskContext): Place {
  const { at } = Object(payload);
  return at;
}

/** Waits without heed to the signal, as a program that writes a file may. */
async function waitAt(ctx: TaskContext, place: Place): Promise<void> {
  const { gate } = Object(ctx.payload);
  ctx.log.info({ event: "test.artifact.waiting", place });
  while (!existsSync(String(gate)) && !existsSync(`${gate}.${env.WORKER_ID}`)) await delay(20);
}
