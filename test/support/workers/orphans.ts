import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { env } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "@muster/worker";

/** Leaves orphans behind: children of a shell that has ended. Answers how many zombies the system then has. */
const worker = new Worker({
  tasks: {
    orphans: async (ctx) => {
      const { count } = Object(ctx.payload);
      const shell = spawn("/bin/sh", ["-c", `for n in $(seq ${Number(count)}); do sleep 0.2 & done`]);
      await new Promise((resolve) => shell.once("exit", resolve));
      while (processes().some(({ name }) => name === "sleep")) await delay(50);
      // Whatever ended last is reaped in this time, if anything reaps.
      for (let look = 0; look < 40 && zombies() > 0; look++) await delay(50);
      return { zombies: zombies() };
    },
  },
  queues: [env.QUEUES ?? "default"],
});

await worker.run();

function zombies(): number {
  return processes().filter(({ state }) => state === "Z").length;
}

function processes(): { name: string; state: string }[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        const [, name = "", state = ""] =
          /\((.*)\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
        return state === "Z" && name === "sleep" ? [{ name: "zombie", state }] : [{ name, state }];
      } catch {
        // It ended meanwhile.
        return [];
      }
    });
}
