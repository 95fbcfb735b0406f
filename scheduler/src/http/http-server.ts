/** The HTTP server: API, health and metrics. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer, Server as SecureServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { quoted } from "@muster/common/text/text";
import { FleetService, PoolService, ScheduleService, TaskService } from "@muster/protocol";
import { systemClock } from "../clock.ts";
import type { Address, Config } from "../config/config.ts";
import type { Descriptors } from "../descriptors.ts";
import { listenError } from "../domain/errors.ts";
import { certificateProblem, handshakeProblem } from "../rpc/connections/handshakes.ts";
import { contextOf, type ListenerParts, peerOf } from "../rpc/connections/listener.ts";
import { outliveResets } from "../rpc/connections/resets.ts";
import type { Auth } from "../rpc/server/auth.ts";
import type { Calls } from "../rpc/server/calls.ts";
import { toConnectError } from "../rpc/server/errors.ts";
import type { Handlers } from "../rpc/server/handlers.ts";
import type { Logger } from "../telemetry/logs/logger.ts";
import { type Answerable, answer } from "./answer.ts";
import { Callers } from "./callers.ts";
import { connectCalls } from "./connect-calls.ts";
import { DashboardAssets } from "./dashboard/assets.ts";
import { dashboard } from "./dashboard/dashboard.ts";
import { DashboardSessions } from "./dashboard/sessions.ts";
import { type FrontPage, frontPage, frontPageText, wantsJson } from "./front-page.ts";
import type { Health } from "./health.ts";
import { readTarget } from "./request-target.ts";
import { type PlainTasksParts, plainTasks } from "./tasks/plain-tasks.ts";

const SERVICES = [TaskService, FleetService, ScheduleService, PoolService];

const NO_TUNNELS =
  "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\n\r\nthis is no proxy: CONNECT is not served\n";

/** A running HTTP server. */
export interface HttpServer {
  readonly address: Address;
  /** Closes idle connections at once and the others when their answer is out, at the latest after `timeoutMs`. */
  stop(timeoutMs: number): Promise<void>;
}

/**
 * Serves tasks by plain HTTP; TaskService, FleetService, ScheduleService and PoolService by the Connect protocol; and the probes.
 *
 * @throws Error when the address cannot be listened on; the message names it.
 */
export async function startHttpServer(options: {
  config: Config;
  auth: Auth;
  calls: Calls;
  log: Logger;
  health: Health;
  /** Where gRPC is served, `host:port`. */
  grpcAddress: () => string;
  /** Everything measured, in the Prometheus text format; undefined when that is switched off. */
  scrape: () => Promise<string | undefined>;
  task: Handlers<typeof TaskService>;
  fleet: Handlers<typeof FleetService>;
  schedule: Handlers<typeof ScheduleService>;
  pool: Handlers<typeof PoolService>;
  listening: ListenerParts;
  /** What the resources under `/v1` need. */
  plain: Pick<PlainTasksParts, "store" | "followers" | "clock" | "stopping" | "run">;
}): Promise<HttpServer> {
  const { listening, config, auth, calls, log, health, scrape, grpcAddress } = options;
  const sessions =
    config.token === undefined || config.dashboard === "off"
      ? undefined
      : new DashboardSessions(config.token, () => systemClock.now());
  const readOnly = config.dashboard === "read-only";
  const withoutPayloads = config.dashboardPayloads === "never";
  const callers = new Callers({ auth, sessions, readOnly, withoutPayloads });
  const serveCall = connectCalls({ ...options, callers, maxMessageBytes: config.sizes.maxMessageBytes });
  const servePlain = plainTasks({
    ...options.plain,
    ...{ callers, calls, task: options.task, maxPayloadBytes: config.sizes.maxPayloadBytes },
  });
  const shown = { payloads: config.dashboardPayloads, traceUrl: config.dashboardTraceUrl };
  const front = (request: IncomingMessage, response: ServerResponse) =>
    serveFrontPage(request, response, frontPage(grpcAddress(), SERVICES));
  const serveDashboard =
    config.dashboard === "off"
      ? () => false
      : dashboard({ assets: new DashboardAssets(), sessions, calls, shown: { readOnly, ...shown } }, front);
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    const problem = rejectedCertificate(request, listening);
    if (problem !== undefined) return answer(response, 401, { error: problem });
    const target = readTarget(request);
    if ("fault" in target) return answer(response, 400, { error: target.fault });
    const { path } = target;
    if (path === "/livez" || path === "/readyz") {
      void serveProbe(health, path === "/livez", response, log);
    } else if (path === "/metrics") {
      void serveMetrics(request, response, { auth, scrape, log });
    } else if (serveDashboard(path, request, response)) {
      // It answers.
    } else if (path === "/" && (request.method === "GET" || request.method === "HEAD")) {
      front(request, response);
    } else if (path.startsWith("/v1/")) {
      servePlain(path, request, response);
    } else if (!serveCall(path, request, response)) {
      answer(response, 404, {
        error: `there is nothing at ${quoted(path)}; GET / lists what there is`,
        see: ["/", "/v1/openapi.json", "/livez", "/readyz", "/metrics"],
      });
    }
  };
  const onRequest = (request: IncomingMessage, response: ServerResponse) =>
    calls.run({ method: "http", fail: () => response.destroy() }, () => serve(request, response));
  const server = await listen(config, listening, onRequest);
  const bound = server.address() as AddressInfo;
  return {
    address: { host: config.httpAddress.host, port: bound.port },
    stop: (timeoutMs) => stop(server, timeoutMs),
  };
}

/** Why a caller's certificate is not accepted; undefined when it is, or none is required. */
function rejectedCertificate(
  { socket }: IncomingMessage,
  { tls, rejected }: ListenerParts,
): string | undefined {
  if (tls?.current.ca === undefined || !(socket instanceof TLSSocket)) return undefined;
  const problem = certificateProblem(socket);
  if (problem !== undefined) rejected.report("http", peerOf(socket), problem);
  return problem;
}

/** While descriptors run out, the connections that have been idle for longest are closed for new ones: a probe must get in. */
function keepRoom(server: Server, descriptors: Descriptors): void {
  const idle = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    const closed = descriptors.opened();
    idle.add(socket);
    socket.once("close", () => {
      idle.delete(socket);
      closed();
    });
    if (!descriptors.pressed) return;
    const [oldest] = idle;
    if (oldest !== socket) oldest?.destroy();
  });
  server.prependListener("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
    idle.delete(socket);
    if (descriptors.pressed) response.setHeader("connection", "close");
    response.once("close", () => {
      if (!socket.destroyed) idle.add(socket);
    });
  });
}

function serveFrontPage(request: IncomingMessage, response: Answerable, page: FrontPage): void {
  if (wantsJson(request.headers.accept)) return answer(response, 200, page);
  response.writeHead(200, { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" });
  response.end(frontPageText(page));
}

/** A probe that cannot be answered fails with the reason: a probe that hangs would only time out. */
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

async function listen(
  { httpAddress: { host, port } }: Config,
  { tls, descriptors, rejected }: ListenerParts,
  onRequest: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Server> {
  const server = tls
    ? createSecureServer(
        { ...contextOf(tls), requestCert: tls.current.ca !== undefined, rejectUnauthorized: false },
        onRequest,
      )
    : createServer(onRequest);
  tls?.onChange(() => {
    if (server instanceof SecureServer) server.setSecureContext(contextOf(tls));
  });
  server.on("tlsClientError", (error: Error, socket: Socket) => {
    rejected.report("http", peerOf(socket), handshakeProblem(error));
  });
  outliveResets(server);
  keepRoom(server, descriptors);
  // Node hangs up on those without a word.
  server.on("connect", (_request, socket) => socket.end(NO_TUNNELS));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      const shown = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
      reject(listenError(shown, "HTTP", "--http-addr", error));
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
