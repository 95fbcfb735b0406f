import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { ConnectRouter, HandlerContext, Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { FleetService, TaskService } from "@muster/protocol";
import { systemClock } from "../clock.ts";
import type { Address, Config } from "../config.ts";
import type { Auth } from "../rpc/auth.ts";
import { isInternal, toConnectError } from "../rpc/errors.ts";
import type { CallContext, Handlers } from "../rpc/handlers.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Health } from "./health.ts";

/** A running HTTP server. */
export interface HttpServer {
  readonly address: Address;
  /** Closes idle connections at once and the others when their answer is out, at the latest after `timeoutMs`. */
  stop(timeoutMs: number): Promise<void>;
}

/**
 * Serves TaskService and FleetService by the Connect protocol (JSON for curl and browsers), and the probes.
 *
 * @throws Error when the address cannot be listened on; the message names it.
 */
export async function startHttpServer(options: {
  config: Config;
  auth: Auth;
  log: Logger;
  health: Health;
  /** Everything measured, in the Prometheus text format; undefined when that is switched off. */
  scrape: () => Promise<string | undefined>;
  task: Handlers<typeof TaskService>;
  fleet: Handlers<typeof FleetService>;
}): Promise<HttpServer> {
  const { config, auth, log, health, scrape, task, fleet } = options;
  const adapter = connectNodeAdapter({
    routes: (router: ConnectRouter) => {
      router.service(TaskService, task satisfies Mounted<typeof TaskService>);
      router.service(FleetService, fleet satisfies Mounted<typeof FleetService>);
    },
    interceptors: [guard(auth, log)],
    readMaxBytes: config.sizes.maxMessageBytes,
    writeMaxBytes: config.sizes.maxMessageBytes,
    fallback: (_request, response) =>
      answer(response, 404, { error: "not found", see: ["/livez", "/readyz", "/metrics"] }),
  });
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    // Any text may stand in a request line, so it is not taken for a URL.
    const [path] = (request.url ?? "/").split("?", 1);
    if (path === "/livez" || path === "/readyz") {
      void serveProbe(health, path === "/livez", response, log);
      return;
    }
    if (path === "/metrics") {
      void serveMetrics(request, response, { auth, scrape, log });
      return;
    }
    if (path === "/" && request.method === "GET") {
      answer(response, 200, { service: "muster", see: ["/livez", "/readyz", "/metrics"] });
      return;
    }
    void adapter(request, response);
  };
  const server = await listen(config, onRequest);
  const bound = server.address() as AddressInfo;
  return {
    address: { host: config.httpAddress.host, port: bound.port },
    stop: (timeoutMs) => stop(server, timeoutMs),
  };
}

/** Our handlers take less of the context than Connect gives. */
type Mounted<S extends typeof TaskService | typeof FleetService> = {
  [K in keyof Handlers<S>]: (request: never, context: CallContext & Partial<HandlerContext>) => unknown;
};

function guard(auth: Auth, log: Logger): Interceptor {
  return (next) => async (request) => {
    try {
      auth.check(request.header.get("authorization") ?? undefined);
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: mapErrors(response.message, request.method.name, log) };
    } catch (error) {
      throw told(error, request.method.name, log);
    }
  };
}

async function* mapErrors<T>(messages: AsyncIterable<T>, method: string, log: Logger): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw told(error, method, log);
  }
}

function told(error: unknown, method: string, log: Logger) {
  if (isInternal(error)) log.error("rpc.failed", { method, error });
  return toConnectError(error);
}

/** Takes HTTP/1.1 and HTTP/2 responses alike. */
interface Answerable {
  writeHead(status: number, headers: Record<string, string>): unknown;
  end(body: string): unknown;
}

/** A probe that cannot be answered fails, and says so: one that hangs is only a timeout to whoever asked. */
async function serveProbe(health: Health, live: boolean, response: Answerable, log: Logger): Promise<void> {
  try {
    const report = live ? health.live() : await health.ready();
    answer(response, report.ok ? 200 : 503, report);
  } catch (error) {
    log.error("health.failed", { error });
    answer(response, 503, { ok: false, failed: ["health"], checks: {} });
  }
}

/** Asks for the token, as every call does: queues, types and pools are named here. */
async function serveMetrics(
  request: IncomingMessage,
  response: Answerable,
  { auth, scrape, log }: { auth: Auth; scrape: () => Promise<string | undefined>; log: Logger },
): Promise<void> {
  try {
    auth.check(request.headers.authorization);
  } catch (error) {
    answer(response, 401, { error: toConnectError(error).rawMessage });
    return;
  }
  try {
    const text = await scrape();
    if (text === undefined) {
      answer(response, 404, { error: "metrics are switched off by OTEL_SDK_DISABLED" });
      return;
    }
    response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
    response.end(text);
  } catch (error) {
    log.error("telemetry.not_collected", { error });
    answer(response, 500, { error: "the metrics could not be collected; the log says why" });
  }
}

function answer(response: Answerable, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(`${JSON.stringify(body)}\n`);
}

async function listen(
  { httpAddress: { host, port }, tls }: Config,
  onRequest: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Server> {
  const server = tls
    ? createSecureServer(
        {
          cert: await readFile(tls.certFile),
          key: await readFile(tls.keyFile),
          ...(tls.clientCaFile === undefined
            ? {}
            : { ca: await readFile(tls.clientCaFile), requestCert: true, rejectUnauthorized: true }),
        },
        onRequest,
      )
    : createServer(onRequest);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      reject(
        new Error(
          `cannot listen on ${host}:${port} for HTTP: ${error.message}. Free the port or choose another with --http-addr`,
          { cause: error },
        ),
      );
    });
    server.listen(port, host, resolve);
  });
  return server;
}

function stop(server: Server, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cancel = systemClock.after(timeoutMs, () => server.closeAllConnections());
    server.close(() => {
      cancel();
      resolve();
    });
    server.closeIdleConnections();
  });
}
