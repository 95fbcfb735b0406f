/** Signed requests to an S3 service. */
import { createHash } from "node:crypto";
import { messageOf, toCode } from "../attempt/failure/classify.ts";
import { sleep } from "../clock.ts";
import { Backoff } from "../network/backoff.ts";
import type { S3Credentials, S3Settings } from "../options/s3-options.ts";
import { StoreError } from "../storage/object-store.ts";
import { firstOf } from "./xml.ts";

/** Tries of a request: with the waits between them some 6 s. */
const MAX_TRIES = 6;

/** Answers after which the same request may succeed. */
const TRANSIENT: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** A request. */
export interface S3Request {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** Key below the prefix of the store; empty for the bucket. */
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal?: AbortSignal | undefined;
  /** Answers other than 2xx that are returned. @default none */
  readonly expected?: readonly number[];
  /** Answers after which it is sent again, besides those of a service that is busy. @default none */
  readonly repeatAfter?: readonly number[];
}

/** Sends requests, and repeats them when the service or the network fails. */
export class S3Requests {
  readonly #settings: S3Settings;

  constructor(settings: S3Settings) {
    this.#settings = settings;
  }

  /** URL of an object, without a query. */
  urlOf(key: string): string {
    const { bucketUrl, prefix } = this.#settings;
    return bucketUrl + `${key === "" ? "" : prefix}${key}`.split("/").map(escaped).join("/");
  }

  /**
   * Sends a request until it is answered.
   *
   * @throws StoreError with the code of the service (`S3_ACCESS_DENIED`) or of the network (`ECONNREFUSED`); the reason of
   * the signal.
   */
  async send(request: S3Request): Promise<Response> {
    const backoff = new Backoff({ baseMs: 200, maxMs: 4_000, random: Math.random });
    for (let tries = 1; ; tries++) {
      const outcome = await this.#try(request);
      if (outcome instanceof Response) {
        if (outcome.ok || request.expected?.includes(outcome.status)) return outcome;
        const error = await this.#errorOf(request, outcome);
        const again = TRANSIENT.has(outcome.status) || request.repeatAfter?.includes(outcome.status);
        if (!again || tries === MAX_TRIES) throw error;
      } else if (tries === MAX_TRIES) throw outcome;
      await sleep(backoff.next(), request.signal);
    }
  }

  async #try({ method, key, query, headers, body, signal }: S3Request): Promise<Response | StoreError> {
    const { region, credentials, timeoutMs } = this.#settings;
    const { AwsV4Signer } = await loadSigner();
    signal?.throwIfAborted();
    const parameters = new URLSearchParams(query).toString();
    const signer = new AwsV4Signer({
      method,
      url: parameters === "" ? this.urlOf(key) : `${this.urlOf(key)}?${parameters}`,
      // The service compares it with the body that arrives.
      headers: {
        ...headers,
        "x-amz-content-sha256": createHash("sha256")
          .update(body ?? "")
          .digest("hex"),
      },
      ...withoutUnset(await credentials()),
      service: "s3",
      region,
    });
    const signed = await signer.sign();
    const limit = new AbortController();
    // Not for the body of the answer, which may last as long as it is read.
    const timer = AbortSignal.timeout(timeoutMs);
    const abort = () => limit.abort(timer.reason);
    timer.addEventListener("abort", abort, { once: true });
    try {
      return await fetch(signed.url, {
        method,
        headers: signed.headers,
        ...(body === undefined ? {} : { body: new Uint8Array(body) }),
        signal: signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]),
        redirect: "error",
      });
    } catch (error) {
      signal?.throwIfAborted();
      return this.#networkError(`${method} ${this.urlOf(key)}`, error);
    } finally {
      timer.removeEventListener("abort", abort);
    }
  }

  #networkError(what: string, error: unknown): StoreError {
    const cause: unknown = error instanceof Error ? error.cause : undefined;
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "S3_UNREACHABLE";
    const detail = cause instanceof Error ? cause.message : messageOf(error);
    return new StoreError(toCode(code), `${what}: ${detail || code}`, { cause: error });
  }

  async #errorOf({ method, key }: S3Request, response: Response): Promise<StoreError> {
    const text = (await response.text()).slice(0, 8_192);
    const name = firstOf(text, "Code") ?? STATUS_NAMES.get(response.status) ?? `Status${response.status}`;
    const detail = firstOf(text, "Message") ?? response.statusText;
    return new StoreError(
      `S3_${toCode(name)}`,
      `${method} ${this.urlOf(key)}: ${response.status} ${name}${detail === "" ? "" : `: ${detail}`}`,
    );
  }
}

/** An answer to HEAD has no body that names the error. */
const STATUS_NAMES: ReadonlyMap<number, string> = new Map([
  [400, "BadRequest"],
  [403, "AccessDenied"],
  [404, "NotFound"],
  [412, "PreconditionFailed"],
]);

/** The package is optional: whoever has no S3 store does not install it. */
async function loadSigner(): Promise<typeof import("aws4fetch")> {
  try {
    return await import("aws4fetch");
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "ERR_MODULE_NOT_FOUND")) throw cause;
    throw new StoreError(
      "S3_CLIENT_MISSING",
      "S3Store needs the package aws4fetch, which is not installed: run `npm install aws4fetch`.",
      { cause },
    );
  }
}

/** The signer takes no token that is undefined. */
function withoutUnset({ sessionToken, ...credentials }: S3Credentials) {
  return sessionToken === undefined ? credentials : { ...credentials, sessionToken };
}

/** As the signature has it: encodeURIComponent leaves five characters more. */
function escaped(part: string): string {
  return encodeURIComponent(part).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
