import process from "node:process";
import type { AgentReply, AgentRequest } from "./agent-messages.ts";
import type { Consumer, Driver, Producer } from "./driver.ts";
import { Tally } from "./tally.ts";
import { submitAtRate, submitBulk, submitFromCallers } from "./traffic.ts";

// One producer or worker process of any system, told what to do by the bench.

/** Each loads only its own system: what the others load would count as its memory. */
const DRIVERS: Readonly<Record<string, () => Promise<Driver>>> = {
  bullmq: async () => (await import("./bullmq.ts")).bullmq,
  floor: async () => (await import("./floor.ts")).floor,
  "graphile-worker": async () => (await import("./graphile-worker.ts")).graphileWorker,
  muster: async () => (await import("./muster.ts")).muster,
  "pg-boss": async () => (await import("./pg-boss.ts")).pgBoss,
};

// A bench that was killed must leave no process behind.
process.once("disconnect", () => process.exit(1));

const tally = new Tally();
let producer: Producer | undefined;
let consumer: Consumer | undefined;

async function open(request: Extract<AgentRequest, { do: "open" }>): Promise<void> {
  const load = DRIVERS[request.driver];
  if (!load)
    throw new RangeError(`no driver "${request.driver}"; there are ${Object.keys(DRIVERS).join(", ")}`);
  const driver = await load();
  if (request.role === "producer") producer = await driver.produce(request);
  else consumer = await driver.consume(request, tally.onStart);
}

async function serve(request: AgentRequest): Promise<unknown> {
  switch (request.do) {
    case "open":
      return open(request);
    case "submit":
      return submitBulk(is(producer), request);
    case "submit-at-rate":
      return submitAtRate(is(producer), request);
    case "submit-from-callers":
      return submitFromCallers(is(producer), request);
    case "resume":
      return is(consumer).resume();
    case "pause":
      return is(consumer).pause();
    case "reset":
      return tally.reset();
    case "handled":
      return tally.handled(request.withLatencies);
    case "close":
      await producer?.close();
      return consumer?.close();
    default: {
      const never: never = request;
      throw new RangeError(`unknown request ${JSON.stringify(never)}`);
    }
  }
}

function is<T>(part: T | undefined): T {
  if (part === undefined) throw new Error("this process has not that role");
  return part;
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
