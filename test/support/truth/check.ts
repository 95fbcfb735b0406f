import { hostname } from "node:os";
import { status } from "@grpc/grpc-js";
import { Client, MusterError } from "@muster/worker/client";
import type { TestScheduler } from "../programs/scheduler.ts";
import type { Contradiction } from "./contradictions.ts";
import { FactReader, isDatabaseError, processState } from "./facts.ts";
import { describeContradictions, findContradictions } from "./look.ts";

/** Looks in a row that have to agree. */
const LOOKS = 5;

/** Looks at everything that the schedulers of one database say, against the database and the processes. */
export class TruthCheck {
  readonly #parts: TruthCheckParts;
  readonly #facts: FactReader;
  readonly #judged = new Set<string>();
  readonly #clients = new Map<string, Client>();

  constructor(parts: TruthCheckParts) {
    this.#parts = parts;
    this.#facts = new FactReader(parts.url);
  }

  /** Asks every scheduler that runs. @throws Error with every contradiction. */
  async look(schedulers: readonly TestScheduler[]): Promise<void> {
    if (!(await this.#facts.ready())) return;
    const { runsFile, heartbeatMs } = this.#parts;
    for (const { grpc, program } of schedulers) {
      if (!program.alive || processState({ pid: program.pid, hostname: hostname() }) !== "runs") continue;
      const parts = { facts: this.#facts, client: this.#client(grpc), runsFile, heartbeatMs };
      let lies = await findContradictions({ ...parts, judged: this.#judged }).catch(noAnswer);
      // A scheduler learns of its own commit a round trip after the database, and on a busy machine the turn of its loop may come
      // later than the next look (1 of 3,434 tests with two looks): what all looks in a row agree on is a lie.
      for (let look = 2; look <= LOOKS && lies.length > 0; look++) {
        const again = await findContradictions({ ...parts, judged: new Set() }).catch(noAnswer);
        lies = again.filter((lie) => lies.some((other) => isSame(lie, other)));
      }
      if (lies.length > 0) throw new Error(describeContradictions(lies));
    }
  }

  async close(): Promise<void> {
    for (const client of this.#clients.values()) client.close();
    await this.#facts.close();
  }

  #client(address: string): Client {
    const kept = this.#clients.get(address);
    if (kept) return kept;
    const { token } = this.#parts;
    const client = new Client({ scheduler: address, ...(token === undefined ? {} : { token }) });
    this.#clients.set(address, client);
    return client;
  }
}

function isSame(one: Contradiction, other: Contradiction): boolean {
  return one.kind === other.kind && one.subject === other.subject;
}

/** A scheduler or a database that stops while it is asked says nothing; whatever else goes wrong is an error. */
function noAnswer(error: unknown): [] {
  const silent =
    error instanceof MusterError &&
    [status.UNAVAILABLE, status.DEADLINE_EXCEEDED].includes(error.code as number);
  if (silent || isDatabaseError(error)) return [];
  throw error;
}

/** What the check of one database works with. */
export interface TruthCheckParts {
  /** The database, past Muster. */
  readonly url: string;
  readonly token: string | undefined;
  readonly runsFile: string;
  readonly heartbeatMs: number;
}
