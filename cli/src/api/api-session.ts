/** A connection of one command to the scheduler. */
import type { CallOptions } from "@connectrpc/connect";
import { Code } from "@connectrpc/connect";
import { Client, MusterError } from "@muster/worker/client";
import type { Command } from "commander";
import { callConfig } from "../config.ts";
import type { Io } from "../io/io.ts";
import { CallError } from "./failure-report.ts";

/** A client of the scheduler that lives as long as one command. */
export interface ApiSession {
  readonly client: Client;
  readonly tasks: Client["tasks"];
  readonly fleet: Client["fleet"];
  readonly schedules: Client["schedules"]["calls"];
  /** Options of unary calls: the timeout. */
  readonly call: CallOptions;
}

/**
 * Runs `body` with a client for the connection options of `command`, and closes it in the end.
 *
 * @throws CallError for a call that failed, OptionsError for a bad address, and what `body` throws.
 */
export async function withApiSession<T>(
  command: Command,
  io: Io,
  body: (session: ApiSession) => Promise<T>,
): Promise<T> {
  const { connection, timeoutMs } = callConfig(command, io.env);
  const client = new Client(connection);
  try {
    await findLiving(client, timeoutMs);
    const { tasks, fleet, schedules } = client;
    return await body({ client, tasks, fleet, schedules: schedules.calls, call: { timeoutMs } });
  } catch (error) {
    if (error instanceof MusterError) throw new CallError(error, client.addresses, timeoutMs);
    throw error;
  } finally {
    client.close();
  }
}

/**
 * With several addresses, makes the client choose one that answers. The client changes the address when a call finds it
 * unavailable, but does not repeat the call, which would not be safe for a submit.
 */
async function findLiving({ addresses, fleet }: Client, timeoutMs: number): Promise<void> {
  for (let left = addresses.length - 1; left > 0; left -= 1) {
    try {
      await fleet.listQueues({ pageSize: 1 }, { timeoutMs });
      return;
    } catch (error) {
      // Any other error is an answer; the command's own call reports it.
      if (!(error instanceof MusterError && error.transient)) return;
    }
  }
}

/** The answer of a call, or `undefined` when the status is NOT_FOUND. */
export async function unlessNotFound<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof MusterError && error.code === Code.NotFound) return undefined;
    throw error;
  }
}

/** The same, also when the scheduler is of a version without the call. */
export async function unlessUnknown<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await unlessNotFound(call);
  } catch (error) {
    if (error instanceof MusterError && error.code === Code.Unimplemented) return undefined;
    throw error;
  }
}

/** The answer of a check before the actual call, or `undefined` when it fails: the actual call reports the error. */
export async function unlessRefused<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof MusterError) return undefined;
    throw error;
  }
}

/** A field that every valid answer has. @throws MusterError when it is missing. */
export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) {
    throw new MusterError(`the scheduler answered without ${what}`, { code: Code.Internal });
  }
  return value;
}
