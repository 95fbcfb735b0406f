/** Sends hints by NOTIFY, and listens for them. */
import type pg from "pg";
import type { Clock } from "../../../clock.ts";
import { isLogDue } from "../../../telemetry/metrics/growing.ts";
import type { Hint } from "../../schedulers.ts";
import type { Database, Statement } from "../connection/database.ts";

/** Waits between attempts to listen again, doubling up to the last: readiness waits for it. */
const FIRST_WAIT_MS = 100;
const LAST_WAIT_MS = 1_000;

/** How long closing waits for the server, milliseconds: a frozen one never answers. */
const GOODBYE_MS = 1_000;

/**
 * Listens on the channel `muster` until closed, on a connection of its own that is opened again when it drops.
 * Notifications are hints: every receiver also polls.
 */
export class Listener {
  readonly #open: (signal: AbortSignal) => Promise<pg.Client>;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  #client: pg.Client | undefined;
  #done: Promise<void> = Promise.resolve();

  /** @param open Opens a session to listen in. */
  constructor(open: (signal: AbortSignal) => Promise<pg.Client>, clock: Clock) {
    this.#open = open;
    this.#clock = clock;
  }

  /**
   * @param onConnected Called after every (re)connect: notifications in between are lost, so the caller polls.
   * @param onError Called with connection errors, at growing intervals while one follows another.
   * @param onChange Called when listening begins and ends.
   */
  start(
    onHint: (hint: Hint) => void,
    onConnected: () => void,
    onError: (error: Error) => void,
    onChange: (listening: boolean) => void = () => undefined,
  ): void {
    this.#done = this.#loop(onHint, onConnected, onError, onChange);
  }

  /** Ends the session; the loop opens another one. */
  async renew(): Promise<void> {
    await this.#client?.end();
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    const goodbye = new AbortController();
    const ended = Promise.all([this.#client?.end(), this.#done]);
    await Promise.race([ended, this.#clock.sleep(GOODBYE_MS, goodbye.signal)]);
    goodbye.abort();
  }

  async #loop(
    onHint: (hint: Hint) => void,
    onConnected: () => void,
    onError: (error: Error) => void,
    onChange: (listening: boolean) => void,
  ): Promise<void> {
    const { signal } = this.#stopping;
    let wait = FIRST_WAIT_MS;
    let failures = 0;
    const failed = (error: unknown) => {
      failures += 1;
      if (!signal.aborted && isLogDue(failures))
        onError(error instanceof Error ? error : new Error(String(error)));
    };
    while (!signal.aborted) {
      try {
        const client = await this.#open(signal);
        this.#client = client;
        const ended = new Promise<void>((resolve) => client.once("end", resolve));
        client.on("error", failed);
        client.on("notification", ({ payload }) => {
          const hint = parseHint(payload);
          if (hint) onHint(hint);
        });
        await client.query("listen muster");
        wait = FIRST_WAIT_MS;
        failures = 0;
        onChange(true);
        onConnected();
        await ended;
      } catch (error) {
        failed(error);
      }
      onChange(false);
      await this.#client?.end();
      await this.#clock.sleep(wait, signal);
      wait = Math.min(wait * 2, LAST_WAIT_MS);
    }
  }
}

const NOTIFY: Statement = { name: "notify", text: "select pg_notify('muster', $1)" };

/** Sends a hint to all schedulers of the database. */
export async function notify(db: Database, hint: Hint): Promise<void> {
  await db.cold(NOTIFY, [JSON.stringify(hint)]);
}

/** A hint from its text; undefined for one that only a newer version defines. */
export function parseHint(payload: string | undefined): Hint | undefined {
  const value = parsed(payload);
  if (typeof value !== "object" || value === null || !("kind" in value)) return undefined;
  if (value.kind === "queue" || value.kind === "ends" || value.kind === "schedules" || value.kind === "pools")
    return { kind: value.kind };
  if (
    (value.kind === "work" || value.kind === "order") &&
    "classIds" in value &&
    Array.isArray(value.classIds)
  ) {
    return { kind: value.kind, classIds: value.classIds.filter((id) => typeof id === "number") };
  }
  if (value.kind === "command" && "schedulerId" in value && typeof value.schedulerId === "string") {
    return { kind: "command", schedulerId: value.schedulerId };
  }
  if (value.kind === "task" && "taskId" in value && typeof value.taskId === "number") {
    return { kind: "task", taskId: value.taskId };
  }
  return undefined;
}

/** Any role may notify the channel: a payload that is not JSON is not a hint. */
function parsed(payload: string | undefined): unknown {
  if (!payload?.startsWith("{")) return undefined;
  try {
    return JSON.parse(payload);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
