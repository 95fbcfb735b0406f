import { connect } from "node:net";
import { env } from "node:process";
import { Client, MusterError } from "@muster/worker/client";

/**
 * A program that submits: it takes the failure of each call, goes on, closes its client, and ends when its peer has
 * been killed. Whatever else ends it is a fault of the client.
 */
const client = new Client({ timeoutS: Number(env.PRODUCER_TIMEOUT_S ?? 1) });

function say(event: string, fields: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
}

async function attempt(name: string, call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
    say("called", { name });
  } catch (error) {
    if (!(error instanceof MusterError)) throw error;
    const { codeName, reason, message, transient } = error;
    say("failed", { name, code: codeName, reason, message, transient });
  }
}

await attempt("submit", () => client.submit("echo"));
await attempt("list", () => client.tasks.listTasks({}));
await attempt("workers", () => client.fleet.listWorkers({}));
const underWay = [
  attempt("result", () => client.handle("t-1").result()),
  attempt("submit again", () => client.submit("echo")),
];
client.close();
client.close();
await Promise.all(underWay);
await attempt("after close", () => client.submit("echo"));
say("closed");
// Holds the process until the test ends it, and sees what the client's sockets still have to say meanwhile.
const held = connect(Number(env.PRODUCER_PORT), "127.0.0.1");
held.on("close", () => say("over")).on("error", () => undefined);
