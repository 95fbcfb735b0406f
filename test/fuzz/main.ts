import { argv } from "node:process";
import { parseArgs } from "node:util";
import { described, FuzzRun, isFault } from "../protocol/fuzz-run.ts";
import { createDatabase } from "../support/database/postgres.ts";
import { startServer } from "../support/database/server.ts";
import { cutAll } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler } from "../support/programs/scheduler.ts";
import { Random } from "../support/random.ts";

/** `npm run fuzz -- --minutes 30`: every kind of attack on one scheduler; 1 when it ended or left one unanswered. */
const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    minutes: { type: "string", default: "5" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    attackers: { type: "string", default: "4" },
  },
});
const seed = Number(values.seed);

const server = process.env.TEST_DATABASE_URL ? undefined : await startServer();
if (server) process.env.TEST_DATABASE_URL = server.url;
try {
  const db = await createDatabase();
  const scheduler = await startTestScheduler({ databaseUrl: db.url, args: ["--hello-timeout", "0.5"] });
  const run = new FuzzRun(scheduler);
  const end = performance.now() + Number(values.minutes) * 60_000;
  await Promise.all(
    Array.from({ length: Number(values.attackers) }, (_, n) => run.attack(new Random(seed + n), end)),
  );
  cutAll();
  const logged = [...new Set(scheduler.program.lines.filter(isFault).map(described))];
  const report = {
    seed,
    minutes: Number(values.minutes),
    ended: scheduler.program.alive ? "no" : scheduler.program.tail(),
    attacks: Object.fromEntries(run.counts),
    answers: Object.fromEntries([...run.answers].sort().map(([what, by]) => [what, Object.fromEntries(by)])),
    unanswered: run.unanswered.slice(0, 50),
    faults: [...new Set(run.faults)].slice(0, 50),
    logged: logged.slice(0, 50),
  };
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  const wrong = run.unanswered.length + run.faults.length + logged.length;
  process.exitCode = scheduler.program.alive && wrong === 0 ? 0 : 1;
} finally {
  await killAll();
  await server?.remove();
}
