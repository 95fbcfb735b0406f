/** Calls to a cloud's metadata endpoint, bounded in time and size. */
import { Agent, type IncomingMessage, request } from "node:http";
import { finished } from "node:stream/promises";
import type { Clock } from "../clock.ts";

/** Largest answer that is read; documented ones have less than 4 KiB. */
const MAX_BYTES = 64 * 1024;

/** Time for a call that does not wait for a change; the endpoint is on the same machine. */
const CALL_MS = 5_000;

/** Characters of an answer that an error shows. */
const SHOWN = 80;

/** Longest time until the end of a machine that is believed: the longest documented notices are 15 minutes. */
const LONGEST_MS = 24 * 3_600_000;

// Of its own: a link-local address is never behind the proxy that the environment may name for the shared one.
const AGENT = new Agent({ keepAlive: false });

/** The endpoint cannot be reached, or does not answer as the cloud documents it. */
export class MetadataError extends Error {}

/** A call. */
export interface MetadataCall {
  readonly method?: "GET" | "PUT";
  /** With the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Default 5 s. */
  readonly timeoutMs?: number;
}

/** The answer to a call. */
export interface MetadataAnswer {
  readonly status: number;
  readonly body: string;
  /** Value of a header; empty when it is missing. */
  header(name: string): string;
}

/** The metadata endpoint of one machine. Redirects are not followed. */
export class MetadataEndpoint {
  readonly #address: URL;
  readonly #clock: Clock;

  constructor(address: URL, clock: Clock) {
    this.#address = address;
    this.#clock = clock;
  }

  /** @throws MetadataError when no complete answer comes in time, or it is too large. */
  async call(
    { method = "GET", path, headers, timeoutMs = CALL_MS }: MetadataCall,
    signal: AbortSignal,
  ): Promise<MetadataAnswer> {
    const where = `${method} ${new URL(path, this.#address).href}`;
    const timeout = new AbortController();
    const cancel = this.#clock.after(timeoutMs, () => timeout.abort());
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const sent = request(new URL(path, this.#address), {
          ...{ method, headers, agent: AGENT },
          signal: AbortSignal.any([signal, timeout.signal]),
        });
        sent.once("response", resolve);
        sent.once("error", reject);
        sent.end();
      });
      const body = await bodyOf(response);
      return {
        status: response.statusCode ?? 0,
        body,
        header: (name) => String(response.headers[name] ?? ""),
      };
    } catch (error) {
      if (error instanceof MetadataError) throw new MetadataError(`${where}: ${error.message}`);
      const why = timeout.signal.aborted
        ? `no complete answer within ${timeoutMs / 1_000} s`
        : error instanceof Error
          ? error.message
          : String(error);
      throw new MetadataError(`${where}: ${why}`, { cause: error });
    } finally {
      cancel();
    }
  }
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  response.on("data", (part: Buffer) => {
    bytes += part.length;
    if (bytes > MAX_BYTES)
      response.destroy(new MetadataError(`the answer is larger than ${MAX_BYTES / 1024} KiB`));
    else parts.push(part);
  });
  await finished(response, { writable: false });
  return Buffer.concat(parts).toString("utf8");
}

/** The error of an answer that the cloud does not document. */
export function unexpected(what: string, { status, body }: MetadataAnswer): MetadataError {
  const moved = status >= 300 && status < 400 ? ", and redirects are not followed" : "";
  const shown = body.length > SHOWN ? `${body.slice(0, SHOWN)}...` : body;
  return new MetadataError(`${what} answered ${status}${moved}: ${JSON.stringify(shown)}`);
}

/** The fields of an answer that is a JSON object. @throws MetadataError */
export function fieldsOf(what: string, answer: MetadataAnswer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(answer.body);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw unexpected(what, answer);
}

/**
 * From now to a time that the cloud names, milliseconds, at least 0. The answer's own clock counts: that of the machine may
 * be wrong.
 *
 * @throws MetadataError when it is no time, or one beyond a day.
 */
export function untilMs(what: string, time: unknown, answer: MetadataAnswer, nowMs: number): number {
  const dated = Date.parse(answer.header("date"));
  const leftMs =
    typeof time === "string" ? Date.parse(time) - (Number.isNaN(dated) ? nowMs : dated) : Number.NaN;
  if (Number.isNaN(leftMs) || leftMs > LONGEST_MS) throw unexpected(what, answer);
  return Math.max(0, leftMs);
}
