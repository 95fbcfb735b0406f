import type { CallOptions } from "@connectrpc/connect";
import { Code } from "@connectrpc/connect";
import { Client, MusterError } from "@muster/worker/client";
import type { Command } from "commander";
import { callConfig } from "../config.ts";
import type { Io } from "../io/io.ts";
import { CallError } from "./failure-report.ts";

/** A connection to the scheduler for the length of one command. */
export interface Session {
  readonly client: Client;
  readonly tasks: Client["tasks"];
  readonly fleet: Client["fleet"];
  /** For calls with one answer: the time after which they are given up. */
  readonly call: CallOptions;
}

/**
 * Runs `body` with a client for the connection options of `command`, and closes it in the end.
 *
 * @throws CallError for a call that failed, OptionsError for a bad address, and what `body` throws.
 */
export async function withSession<T>(
  command: Command,
  io: Io,
  body: (session: Session) => Promise<T>,
): Promise<T> {
  const { connection, timeoutMs } = callConfig(command, io.env);
  const client = new Client(connection);
  try {
    await findLiving(client, timeoutMs);
    return await body({ client, tasks: client.tasks, fleet: client.fleet, call: { timeoutMs } });
  } catch (error) {
    if (error instanceof MusterError) throw new CallError(error, client.addresses, timeoutMs);
    throw error;
  } finally {
    client.close();
  }
}

/**
 * With several addresses, makes the client settle on one that answers: it moves on when a call finds an
 * address unavailable, but repeats no call, which for a submit would not be safe.
 */
async function findLiving({ addresses, fleet }: Client, timeoutMs: number): Promise<void> {
  for (let left = addresses.length - 1; left > 0; left -= 1) {
    try {
      await fleet.listQueues({ pageSize: 1 }, { timeoutMs });
      return;
    } catch (error) {
      // Any other refusal is an answer; the command's own call tells it.
      if (!(error instanceof MusterError && error.transient)) return;
    }
  }
}

/** The answer of a call, or `undefined` when the scheduler does not know what was asked for. */
export async function unlessNotFound<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof MusterError && error.code === Code.NotFound) return undefined;
    throw error;
  }
}

/** The answer of a look before a call, or `undefined` when it gives none: the call itself says what is wrong. */
export async function unlessRefused<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof MusterError) return undefined;
    throw error;
  }
}

/** A field that every valid answer has. @throws MusterError when the scheduler left it out. */
export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) {
    throw new MusterError(`the scheduler answered without ${what}`, { code: Code.Internal });
  }
  return value;
}
