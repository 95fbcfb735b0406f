/** `npm run chaos`: kills and cuts the parts of a system while it works, and checks that no task is lost. */
import { argv } from "node:process";
import { parseArgs } from "node:util";
import { killAll } from "../support/programs/program.ts";
import { runChaos } from "./chaos.ts";

const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    minutes: { type: "string", default: "5" },
    seed: { type: "string", default: "1" },
    workers: { type: "string", default: "5" },
    lanes: { type: "string", default: "4" },
    quiet: { type: "boolean", default: false },
  },
});

const say = (line: string) => {
  if (!values.quiet) process.stdout.write(`${line}\n`);
};

try {
  const report = await runChaos({
    seed: Number(values.seed),
    lengthMs: Number(values.minutes) * 60_000,
    workers: Number(values.workers),
    schedulers: 2,
    lanes: Number(values.lanes),
    say,
  });
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  process.exitCode = report.violations.length === 0 ? 0 : 1;
} finally {
  await killAll();
}
