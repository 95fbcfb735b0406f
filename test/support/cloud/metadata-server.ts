/** A metadata endpoint that answers as a cloud documents it; a test sets what it says. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What a request is answered with: status, body and headers; undefined for no answer at all. */
export interface Reply {
  readonly status: number;
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The token of the AWS endpoint. */
const TOKEN = "AQAEAHlQ4v3Kx1U2Xw==";

/** The name of the machine of the Azure endpoint. */
export const AZURE_NAME = "workers_0";

/** The endpoint, on a free port of this machine. */
export class MetadataServer {
  /** Requests so far: method and path without the query. */
  readonly requests: string[] = [];
  /** Answers in place of those that the cloud documents, by path; asked anew for each request. */
  readonly replies = new Map<string, () => Reply | undefined>();
  readonly #server: Server;
  /** Answers of the GCP endpoint that wait for a change. */
  readonly #waiting = new Set<() => void>();
  #action: object | undefined;
  #rebalance: object | undefined;
  #events: readonly object[] = [];
  #preempted = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<MetadataServer> {
    const server = createServer((request, response) => endpoint.#serve(request, response));
    const endpoint = new MetadataServer(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return endpoint;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** AWS interrupts the spot instance. */
  interrupt(action: "terminate" | "stop" | "hibernate", inMs: number): void {
    this.#action = { action, time: utc(Date.now() + inMs) };
  }

  /** AWS recommends to leave the instance. */
  recommendRebalance(): void {
    this.#rebalance = { noticeTime: utc(Date.now()) };
  }

  /** GCP preempts the machine. */
  preempt(): void {
    this.#preempted = true;
    for (const answer of this.#waiting) answer();
  }

  /** Requests of the GCP endpoint that wait for a change. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Azure schedules events. */
  schedule(...events: readonly object[]): void {
    this.#events = events;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? "/", this.address);
    this.requests.push(`${request.method} ${pathname}`);
    const send = ({ status, body = "", headers = {} }: Reply) => {
      response.writeHead(status, { "content-type": "text/plain", ...headers });
      response.end(body);
    };
    const other = this.replies.get(pathname);
    if (other) {
      const reply = other();
      if (reply) send(reply);
      return;
    }
    const { headers, method } = request;
    switch (pathname) {
      case "/latest/api/token":
        if (method !== "PUT" || !/^\d+$/.test(String(headers["x-aws-ec2-metadata-token-ttl-seconds"])))
          return send({ status: 400 });
        return send({ status: 200, body: TOKEN });
      case "/latest/meta-data/spot/instance-action":
      case "/latest/meta-data/events/recommendations/rebalance": {
        if (headers["x-aws-ec2-metadata-token"] !== TOKEN) return send({ status: 401 });
        const value = pathname.endsWith("instance-action") ? this.#action : this.#rebalance;
        return send(
          value ? { status: 200, body: JSON.stringify(value) } : { status: 404, body: "Not Found" },
        );
      }
      case "/computeMetadata/v1/instance/preempted": {
        if (headers["metadata-flavor"] !== "Google") return send({ status: 403 });
        const answer = () => {
          this.#waiting.delete(answer);
          const etag = this.#preempted ? "8f00a5a2b1d4c9e7" : "1c6d5a2f3b4e7a90";
          const body = this.#preempted ? "TRUE" : "FALSE";
          send({ status: 200, body, headers: { "metadata-flavor": "Google", etag } });
        };
        const changed = searchParams.get("last_etag") !== "1c6d5a2f3b4e7a90" || this.#preempted;
        if (searchParams.get("wait_for_change") !== "true" || changed) return answer();
        this.#waiting.add(answer);
        request.once("close", () => this.#waiting.delete(answer));
        return;
      }
      case "/metadata/instance/compute/name":
        if (headers.metadata !== "true" || searchParams.get("format") !== "text")
          return send({ status: 400 });
        return send({ status: 200, body: AZURE_NAME });
      case "/metadata/scheduledevents":
        if (headers.metadata !== "true" || searchParams.get("api-version") !== "2020-07-01")
          return send({ status: 400 });
        return send({ status: 200, body: JSON.stringify({ DocumentIncarnation: 1, Events: this.#events }) });
      default:
        return send({ status: 404 });
    }
  }
}

/** As AWS writes times: whole seconds. */
function utc(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}
