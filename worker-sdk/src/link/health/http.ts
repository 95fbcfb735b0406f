/** The worker's HTTP server: health and metrics. */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { HealthReport } from "./health.ts";

/** Sources of what is served. */
export interface HttpSources {
  live(): HealthReport;
  ready(): HealthReport;
  metrics(): string;
}

/** Timeout of a request, milliseconds; the answer of a probe is one packet. */
const REQUEST_TIMEOUT_MS = 10_000;

/** Most connections at once: probes and a scrape need a handful. */
const MAX_CONNECTIONS = 100;

/**
 * Serves `/livez`, `/readyz` and `/metrics`. It runs in the link's thread, so that it answers while the
 * main thread is blocked. It does not keep the process alive.
 *
 * @returns The address in use, `host:port`.
 * @throws Error when the address cannot be listened on; the message names it.
 */
export function serveHttp(
  { host, port }: { host: string; port: number },
  sources: HttpSources,
): Promise<string> {
  const server: Server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    const [path] = (request.url ?? "/").split("?", 1);
    if (path === "/livez") json(response, sources.live());
    else if (path === "/readyz") json(response, sources.ready());
    else if (path === "/metrics") {
      response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
      response.end(sources.metrics());
    } else {
      response.writeHead(404, { "content-type": "application/json" });
      response.end(`${JSON.stringify({ error: "not found", see: ["/livez", "/readyz", "/metrics"] })}\n`);
    }
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.unref();
  return new Promise((resolve, reject) => {
    const shown = (bound: number) => (host.includes(":") ? `[${host}]:${bound}` : `${host}:${bound}`);
    server.once("error", (error) =>
      reject(
        new Error(
          `cannot listen on ${shown(port)} for probes and metrics: ${error.message}. Free the port or choose another with WORKER_HTTP_ADDR`,
          { cause: error },
        ),
      ),
    );
    server.listen(port, host, () => {
      const address = server.address() as AddressInfo;
      resolve(shown(address.port));
    });
  });
}

function json(response: ServerResponse, report: HealthReport): void {
  response.writeHead(report.ok ? 200 : 503, {
    "content-type": "application/json",
    "cache-control": "no-store",
  });
  response.end(`${JSON.stringify(report)}\n`);
}
