/** Opens a session and applies its settings. */
import type pg from "pg";
import { clientOf } from "./channel-binding.ts";
import type { ConnectionTarget } from "./connection.ts";
import { SESSIONS, STATEMENT_TIMEOUT_MS, setUp } from "./session-settings.ts";

/** The client's own timeout: a frozen server does not enforce its statement timeout. */
export const ANSWER_TIMEOUT_MS = STATEMENT_TIMEOUT_MS + 5_000;

/**
 * Opens a session outside the pools.
 *
 * @param options.bounded False for statements without a timeout.
 * @param options.signal Stops the attempt to connect.
 * @throws The driver's error when no session can be opened.
 */
export async function openSession(
  target: ConnectionTarget,
  owner: string,
  purpose: keyof typeof SESSIONS,
  { bounded = true, signal }: { bounded?: boolean; signal?: AbortSignal } = {},
): Promise<pg.Client> {
  const Client = clientOf(target.address);
  for (;;) {
    signal?.throwIfAborted();
    const client = new Client({
      ...target.config(owner, purpose),
      ...(bounded ? { query_timeout: ANSWER_TIMEOUT_MS } : {}),
    });
    // The statement under way reports the same error; an event without a listener would end the process.
    client.on("error", () => undefined);
    const giveUp = () => void client.end();
    signal?.addEventListener("abort", giveUp, { once: true });
    try {
      await client.connect();
      await setUp(client, SESSIONS[purpose]);
      return client;
    } catch (error) {
      await client.end();
      if (!target.transport.changes(error)) throw error;
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }
}
