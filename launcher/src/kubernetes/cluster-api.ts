/** Calls of the cluster's API. The library knows how to reach and to authenticate; what is sent and read stays as it is. */
import http from "node:http";
import https from "node:https";
import type { KubeConfig } from "@kubernetes/client-node";

/** A call that takes longer has failed, milliseconds. */
const CALL_MS = 15_000;

/** A watch is opened again after this, seconds: so long a connection may be dead without being noticed. */
const WATCH_S = 120;

/** Bytes of an answer; a list has at most 500 objects. */
const MOST_BYTES = 256 * 1024 * 1024;

/** An answer that is not the wanted one; `status` is 0 when there was no answer. */
export class ClusterError extends Error {
  override readonly name = "ClusterError";
  readonly status: number;
  /** The cluster's word, for example `AlreadyExists`. */
  readonly reason: string;

  constructor(status: number, reason: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.status = status;
    this.reason = reason;
  }
}

/** A call. */
export interface Call {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/** A change that a watch reports. */
export interface Change {
  readonly type: string;
  readonly object: unknown;
}

/** The API of one cluster. */
export class ClusterApi {
  readonly server: string;
  readonly #config: KubeConfig;

  constructor(config: KubeConfig, server: string) {
    this.#config = config;
    this.server = server;
  }

  /** @throws ClusterError */
  async json<T>(call: Call): Promise<T> {
    const text = await this.text(call);
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      throw new ClusterError(0, "NoJson", `${this.server} answered something that is no JSON`, error);
    }
  }

  /** @throws ClusterError */
  async text(call: Call): Promise<string> {
    const limit = AbortSignal.timeout(CALL_MS);
    const signal = call.signal ? AbortSignal.any([call.signal, limit]) : limit;
    const response = await this.#send({ ...call, signal });
    try {
      return await readAll(response);
    } catch (error) {
      throw this.#unreachable(error);
    }
  }

  /**
   * Changes from a version on, until the server ends the watch.
   *
   * @param opened Called when the server has begun to answer.
   * @throws ClusterError 410 when the version is too old.
   */
  async *watch(
    path: string,
    query: Call["query"],
    version: string,
    { signal, opened }: { readonly signal: AbortSignal; readonly opened: () => void },
  ): AsyncIterable<Change> {
    const dead = AbortSignal.timeout((WATCH_S + 15) * 1_000);
    const response = await this.#send({
      ...{ method: "GET", path, signal: AbortSignal.any([signal, dead]) },
      query: {
        ...query,
        watch: "true",
        allowWatchBookmarks: "true",
        timeoutSeconds: WATCH_S,
        resourceVersion: version,
      },
    });
    opened();
    let rest = "";
    try {
      response.setEncoding("utf8");
      for await (const part of response) {
        const lines = `${rest}${String(part)}`.split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) if (line !== "") yield changeOf(line);
      }
    } catch (error) {
      if (error instanceof ClusterError) throw error;
      if (signal.aborted || dead.aborted) return;
      throw this.#unreachable(error);
    } finally {
      response.destroy();
    }
  }

  async #send({ method, path, query = {}, body, signal }: Call): Promise<http.IncomingMessage> {
    const url = new URL(`${this.server.replace(/\/$/, "")}${path}`);
    for (const [key, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(key, String(value));
    const content = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const options: https.RequestOptions = {
      method,
      headers: {
        accept: "application/json, */*",
        "user-agent": "muster-launcher",
        // Without a length Node sends a DELETE as if it had no body.
        ...(content && { "content-type": "application/json", "content-length": content.length }),
      },
    };
    let response: http.IncomingMessage;
    try {
      await this.#config.applyToHTTPSOptions(options);
      response = await new Promise((resolve, reject) => {
        const client = url.protocol === "http:" ? http : https;
        const request = client.request(url, { ...options, ...(signal ? { signal } : {}) }, resolve);
        request.once("error", reject);
        request.once("socket", (socket) => socket.setKeepAlive(true, 15_000));
        request.end(content);
      });
    } catch (error) {
      throw this.#unreachable(error);
    }
    const { statusCode = 0 } = response;
    if (statusCode >= 200 && statusCode < 300) return response;
    let text = "";
    try {
      text = await readAll(response);
    } catch (error) {
      throw this.#unreachable(error);
    }
    throw statusError(statusCode, text);
  }

  #unreachable(error: unknown): ClusterError {
    if (error instanceof ClusterError) return error;
    const aborted = error instanceof Error && error.name === "AbortError";
    const why = aborted
      ? `no answer within ${CALL_MS / 1_000} s`
      : error instanceof Error
        ? error.message || error.name
        : String(error);
    return new ClusterError(
      0,
      "Unreachable",
      `the API server ${this.server} cannot be reached: ${why}`,
      error,
    );
  }
}

function changeOf(line: string): Change {
  let change: Change;
  try {
    change = JSON.parse(line) as Change;
  } catch (error) {
    throw new ClusterError(0, "NoJson", "a watch sent something that is no JSON", error);
  }
  if (change.type === "ERROR") throw statusError(0, JSON.stringify(change.object));
  return change;
}

/** The error of an answer: mostly a Status object. */
function statusError(status: number, text: string): ClusterError {
  try {
    const { code, reason, message } = JSON.parse(text) as {
      code?: number;
      reason?: string;
      message?: string;
    };
    return new ClusterError(status || (code ?? 0), reason ?? "", message ?? `status ${status}`);
  } catch {
    // A proxy in between answers in its own form.
    return new ClusterError(
      status,
      "",
      `status ${status}: ${text.replaceAll(/\s+/g, " ").trim().slice(0, 300)}`,
    );
  }
}

async function readAll(response: http.IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response) {
    bytes += (part as Buffer).length;
    if (bytes > MOST_BYTES) throw new Error(`an answer has more than ${MOST_BYTES} bytes`);
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts).toString("utf8");
}
