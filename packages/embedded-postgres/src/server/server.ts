/** Starts and stops the PostgreSQL server. */
import type { ChildProcess } from "node:child_process";
import { createServer } from "node:net";
import { pollFor, settlesWithin } from "../clock.ts";
import { EmbeddedPostgresError } from "../errors.ts";
import { type Account, type Exit, follow, start } from "../system/run.ts";
import type { Binaries } from "./binaries.ts";
import { clearEarlierPostmaster, FAST_SHUTDOWN_MS, IMMEDIATE_SHUTDOWN_MS } from "./postmaster.ts";

/** What {@link startServer} needs. */
export interface ServerRequest {
  binaries: Binaries;
  account: Account | undefined;
  cluster: string;
  /** Undefined: a free one. */
  port?: number | undefined;
  /** How a free port is found; tests replace it. */
  pickPort?: () => Promise<number>;
  log: (line: string) => void;
  signal: AbortSignal;
}

/** A PostgreSQL that accepts connections. */
export interface Server {
  pid: number;
  port: number;
  exited: Promise<Exit>;
  /** Fast shutdown: open transactions are rolled back, a checkpoint is written. */
  stop(): Promise<void>;
}

/** Settings given on the command line, so that a changed postgresql.conf does not override them. */
const settings = [
  // Only processes of this machine connect, and only with the password.
  "listen_addresses=127.0.0.1",
  "unix_socket_directories=",
  "password_encryption=scram-sha-256",
  // A scheduler opens up to 28 connections; other schedulers of the machine may share this database.
  "max_connections=200",
  // Nothing is replicated, and the launcher would report its own end as a failure.
  "max_logical_replication_workers=0",
  // A task that was acknowledged survives a loss of power.
  "fsync=on",
  "full_page_writes=on",
  "synchronous_commit=on",
  "autovacuum=on",
  "timezone=UTC",
  "log_timezone=UTC",
  // This package parses the messages, which are the expected ones in this language alone.
  "lc_messages=C",
  "log_destination=stderr",
  "logging_collector=off",
  "log_min_messages=warning",
  // Statements hold payloads, and the scheduler logs failed ones itself.
  "log_min_error_statement=panic",
  "log_checkpoints=off",
  "log_line_prefix=[%p] ",
];

/** Recovery after a crash replays up to 1 GB of log: a minute on a slow disk. */
const START_MS = 180_000;

/** After this many ports that were taken in between, it is not by chance. */
const PORT_ATTEMPTS = 5;

/** The children of a killed postmaster end within a second; one with a long query may end later. */
const CHILDREN_MS = 15_000;

/**
 * Starts the server, and tries again where that helps: on another port when another program took the free one in between;
 * when a server whose guardian was killed appeared only now; when children of a killed one still run.
 *
 * @throws EmbeddedPostgresError `PORT_TAKEN`, `START_FAILED`, `ORPHAN_SURVIVES`
 */
export async function startServer(request: ServerRequest): Promise<Server> {
  const failures: Failure[] = [];
  const started = async () => {
    await clearEarlierPostmaster(request.cluster, request.log);
    const port = request.port ?? (await (request.pickPort ?? freePort)());
    const result = await attempt(request, port);
    if (!("reason" in result)) return result;
    failures.push(result);
    if (result.reason === "other") throw startFailed(request, result);
    if (result.reason === "port") {
      const attempts = failures.filter((failure) => failure.reason === "port").length;
      if (request.port !== undefined || attempts === PORT_ATTEMPTS) throw portTaken(port, request);
      request.log(`another program took port ${port}; trying another one`);
    }
    return undefined;
  };
  const server = await pollFor(started, { everyMs: 100, withinMs: CHILDREN_MS, signal: request.signal });
  if (!server) throw startFailed(request, failures.at(-1));
  return server;
}

/** A failed start: its cause, and the server's log. */
interface Failure {
  reason: "port" | "earlier-server" | "other";
  lines: string[];
}

async function attempt(request: ServerRequest, port: number): Promise<Server | Failure> {
  const flags = [
    "-D",
    request.cluster,
    "-p",
    String(port),
    ...settings.flatMap((setting) => ["-c", setting]),
  ];
  const child = await start(request.binaries.postgres, flags, request.account);
  const lines: string[] = [];
  const ready = Promise.withResolvers<"ready">();
  const exited = follow(child, (line) => {
    request.log(line);
    if (lines.length < 200) lines.push(line);
    if (line.includes("database system is ready to accept connections")) ready.resolve("ready");
  });
  const end = AbortSignal.any([request.signal, AbortSignal.timeout(START_MS)]);
  const gaveUp = Promise.withResolvers<"gave-up">();
  const giveUp = () => gaveUp.resolve("gave-up");
  end.addEventListener("abort", giveUp);
  if (end.aborted) giveUp();
  const outcome = await Promise.race([ready.promise, exited, gaveUp.promise]);
  end.removeEventListener("abort", giveUp);

  const pid = child.pid;
  if (outcome === "ready" && pid !== undefined) {
    return { pid, port, exited, stop: () => stopChild(child, exited) };
  }
  await stopChild(child, exited);
  request.signal.throwIfAborted();
  if (outcome === "gave-up") lines.push(`(not ready after ${START_MS / 1000} s)`);
  return { reason: reasonOf(lines.join("\n")), lines };
}

function reasonOf(output: string): Failure["reason"] {
  if (/could not bind IPv4 address .*: Address already in use/.test(output)) return "port";
  if (/lock file "postmaster\.pid" (already exists|is empty)/.test(output)) return "earlier-server";
  if (/pre-existing shared memory block/.test(output)) return "earlier-server";
  return "other";
}

async function stopChild(child: ChildProcess, exited: Promise<Exit>): Promise<void> {
  for (const [signal, ms] of [
    ["SIGINT", FAST_SHUTDOWN_MS],
    ["SIGQUIT", IMMEDIATE_SHUTDOWN_MS],
  ] as const) {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    if (await settlesWithin(exited, ms)) return;
  }
  child.kill("SIGKILL");
  await exited;
}

/** A port that is free now; the system assigns many others before it repeats one. */
async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve, reject) => {
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", resolve);
  });
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (typeof address !== "object" || address === null) throw new Error("A TCP server has no port");
  return address.port;
}

function portTaken(port: number, request: ServerRequest): EmbeddedPostgresError {
  const why =
    request.port === undefined
      ? `, and so were ${PORT_ATTEMPTS - 1} other ports that had just been free`
      : "";
  return new EmbeddedPostgresError(
    "PORT_TAKEN",
    `Port ${port} of 127.0.0.1 is taken by another program${why}, so that PostgreSQL cannot listen on it. Stop that ` +
      `program, give another port, or give none to have a free one chosen at each start.`,
  );
}

function startFailed(request: ServerRequest, failure: Failure | undefined): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    "START_FAILED",
    `PostgreSQL did not start on ${request.cluster}: ${failure?.lines.slice(-8).join(" | ") || "it logged nothing"}. ` +
      `The data is left as it is.`,
  );
}
