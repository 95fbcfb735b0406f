import process from "node:process";
import { monotonicMs } from "../lab/monotonic.ts";
import type { AgentReply, AgentRequest } from "./agent-messages.ts";
import { createBullmq } from "./bullmq.ts";
import type { CreateDriver, Driver, DriverOptions } from "./driver.ts";
import { createFloor } from "./floor.ts";
import { createGraphileWorker } from "./graphile-worker.ts";
import { createMuster } from "./muster.ts";
import { createPgBoss } from "./pg-boss.ts";
import { Tally } from "./tally.ts";
import { submitAtRate, submitFromCallers } from "./traffic.ts";

// One producer or worker process of any system, told what to do by the bench.

const DRIVERS: Readonly<Record<string, CreateDriver>> = {
  bullmq: createBullmq,
  floor: createFloor,
  "graphile-worker": createGraphileWorker,
  muster: createMuster,
  "pg-boss": createPgBoss,
};

// A bench that was killed must leave no process behind.
process.once("disconnect", () => process.exit(1));

const tally = new Tally();
let driver: Driver | undefined;

async function serve(request: AgentRequest): Promise<unknown> {
  if (request.do === "open") {
    const create = DRIVERS[request.driver];
    if (!create)
      throw new RangeError(`no driver "${request.driver}"; there are ${Object.keys(DRIVERS).join(", ")}`);
    const options: DriverOptions = { ...request, onStart: tally.onStart };
    driver = await create(options);
    return undefined;
  }
  if (!driver) throw new Error(`"${request.do}" before "open"`);
  switch (request.do) {
    case "submit": {
      const startedAt = monotonicMs();
      await driver.submit(request.count, request.payloadBytes);
      return { ms: monotonicMs() - startedAt };
    }
    case "submit-at-rate":
      return submitAtRate(driver, request);
    case "submit-from-callers":
      return submitFromCallers(driver, request);
    case "resume":
      return driver.resume();
    case "pause":
      return driver.pause();
    case "reset":
      return tally.reset(request.expected);
    case "handled":
      return tally.handled(request.withLatencies ?? false);
    case "wait":
      return tally.reached();
    case "close":
      return driver.close();
    default: {
      const never: never = request;
      throw new RangeError(`unknown request ${JSON.stringify(never)}`);
    }
  }
}

function reply(message: AgentReply): void {
  if (process.connected) process.send?.(message);
}

process.on("message", (message: { id: number; request: AgentRequest }) => {
  serve(message.request).then(
    (value) => reply({ id: message.id, value }),
    (error: unknown) =>
      reply({
        id: message.id,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      }),
  );
});
// The profiler of Node writes its file at an orderly exit only.
process.once("SIGTERM", () => process.exit(0));
