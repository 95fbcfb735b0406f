import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { announceLeaseMs, Duties } from "./background/background-services.ts";
import { DatabaseWatch } from "./background/database-watch.ts";
import { Census } from "./background/fleet-stats.ts";
import { measureLevels, SeenLabels } from "./background/gauges.ts";
import { type Clock, holding, systemClock } from "./clock.ts";
import type { Address, Config } from "./config/config.ts";
import { Descriptors } from "./descriptors.ts";
import { createDispatch, type Dispatch } from "./dispatch/dispatch.ts";
import { isAbsence } from "./domain/errors.ts";
import { Health } from "./http/health.ts";
import { type HttpServer, startHttpServer } from "./http/http-server.ts";
import { Diagnoser } from "./queries/diagnoser.ts";
import { Explainer } from "./queries/explainer.ts";
import { OverviewSource } from "./queries/overview.ts";
import { WorkerList } from "./queries/worker-list.ts";
import { RejectedConnections } from "./rpc/connections/handshakes.ts";
import { TlsFiles } from "./rpc/connections/tls-files.ts";
import { Auth } from "./rpc/server/auth.ts";
import { Calls } from "./rpc/server/calls.ts";
import { type GrpcServer, startGrpcServer } from "./rpc/server/grpc-server.ts";
import { guarded } from "./rpc/server/guarded.ts";
import { fleetService } from "./rpc/services/fleet-service.ts";
import { taskService } from "./rpc/services/task-service.ts";
import { workerService } from "./rpc/services/worker-service.ts";
import { StreamRejector } from "./rpc/streams/stream-rejector.ts";
import { openPostgresStore } from "./store/postgres/postgres-store.ts";
import type { Store } from "./store/store.ts";
import type { Logger } from "./telemetry/logs/logger.ts";
import { DatabaseMeasures } from "./telemetry/metrics/database-measures.ts";
import { HistogramProducer } from "./telemetry/metrics/histogram-producer.ts";
import { declareMetrics } from "./telemetry/metrics/metrics.ts";
import { SCOPE, startTelemetry } from "./telemetry/otel.ts";
import { VERSION } from "./version.ts";
import { whenUsable } from "./when-usable.ts";

/** What telemetry gets for its last export however long the rest of the stop took, milliseconds. */
const TELEMETRY_STOP_MS = 1_000;

/** A look at the schema that takes longer failed, milliseconds. */
const SCHEMA_WITHIN_MS = 2_000;

/** Says that a step of the stop was not done in time. */
const LATE = Symbol("late");

/** A running scheduler. */
export interface Scheduler {
  readonly id: string;
  readonly grpcAddress: Address;
  readonly httpAddress: Address;
  /**
   * Takes an exception or a rejection that nothing caught, when a call is to blame for it: that call ends, the others
   * go on. To be asked within the process's handler of such. False for one that no call is to blame for.
   */
  takeFault(error: unknown): boolean;
  /**
   * Ends in an orderly way: no new work, results under way are committed, streams are told. What does not end within the
   * time for the stop is left. Safe to call twice.
   */
  stop(): Promise<void>;
  /** Reads the certificate files again. */
  reload(): Promise<void>;
}

/**
 * Starts a scheduler on a migrated database.
 *
 * @throws Error when an address cannot be listened on.
 * @throws DatabaseUnavailableError when the database cannot be used and waiting does not help.
 */
export async function startScheduler(options: {
  config: Config;
  databaseUrl: string;
  /** Where the variables of libpq are looked up; nowhere by default. */
  env?: Readonly<Record<string, string | undefined>>;
  log: Logger;
  clock?: Clock;
  /** Ends a start that waits for the database. */
  signal?: AbortSignal;
}): Promise<Scheduler> {
  const { config, log } = options;
  const clock = options.clock ?? systemClock;
  const id = `${hostname()}-${process.pid}-${randomBytes(3).toString("hex")}`;
  const histograms = new HistogramProducer(SCOPE, clock);
  const telemetry = await startTelemetry({
    instanceId: id,
    exports: config.exports,
    producers: [histograms],
    log,
    clock,
  });
  const stopping = new AbortController();
  const started: { grpc?: GrpcServer; http?: HttpServer; tls?: TlsFiles | undefined } = {};
  const descriptors = new Descriptors({ log, clock });
  const measures = new DatabaseMeasures();
  const store = openPostgresStore({
    measures,
    url: options.databaseUrl,
    ...(options.env ? { env: options.env } : {}),
    applicationName: `muster ${id}`,
    connections: config.databaseConnections,
    clock,
    onConnectionError: (error) => log.warn("database.connection_lost", { error }),
  });
  const scheduler = { id, address: shown(config.grpcAddress), version: VERSION };
  const dispatch = createDispatch({
    store,
    clock,
    log,
    leases: config.leases,
    watch: config.watch,
    schedulerId: id,
    intervals: {
      queueViewMs: config.queueViewMs,
      resourceMs: config.pollMs,
      resourceWarnMs: config.resourceWarnMs,
    },
    maxLabelSets: config.metricLabelSets,
    onScheduled: (delayMs) => duties.wakeIn(delayMs),
    tracing: telemetry.tracing,
  });
  const database = new DatabaseWatch({
    store,
    clock,
    log,
    onChange: (available) => {
      tellServing();
      duties.databaseChanged(available);
      if (available) dispatch.committer.tryNow();
    },
  });
  const duties = new Duties({
    descriptors: () => descriptors.use,
    config,
    store,
    dispatch,
    clock,
    log,
    scheduler,
    onLook: async () => {
      await health.ready();
      tellServing();
    },
  });
  const health = new Health({
    database,
    loops: duties.loops,
    clock,
    stopping: stopping.signal,
    listeners: () => ({
      grpc: started.grpc && shown(started.grpc.address),
      http: started.http && shown(started.http.address),
    }),
    listening: () => measures.listening,
    missingMigrations: () => answeredInTime(store.missingMigrations(), clock),
  });
  const calls = new Calls(log, dispatch.counters);
  const tellServing = () => started.grpc?.setServing(health.readyAsKnown().ok);
  const census = new Census({ store, classes: dispatch.classes, peers: dispatch.peers, clock, log });
  const seen = new SeenLabels();
  declareMetrics(telemetry.meter, histograms, {
    counters: dispatch.counters,
    database: measures,
    levels: () =>
      measureLevels({
        census,
        dispatch,
        database,
        loops: duties.loops,
        clock,
        watch: config.watch,
        seen,
        descriptors,
      }),
  });
  try {
    const waiting = { clock, log, signal: options.signal };
    await whenUsable(() => prepare(store, dispatch, scheduler, config, log), waiting);
    const explainer = new Explainer({
      ...dispatch,
      store,
      clock,
      database,
      silentAfterMs: dispatch.launches.silentAfterMs,
      schedulerId: id,
      address: () => shown(reachable(started.grpc?.address ?? config.grpcAddress)),
      pollAgeMs: () => duties.pollAgeMs(),
      watch: config.watch,
      acceptDeadlineMs: config.leases.acceptDeadlineMs,
    });
    const run = <T>(work: () => Promise<T>) => database.run(work);
    const diagnoser = new Diagnoser({
      ...dispatch,
      store,
      database,
      log,
      scheduler,
      settings: config.settings,
      status: () => duties.status(),
      announceMs: announceLeaseMs(config),
    });
    const overview = new OverviewSource({ ...dispatch, store, scheduler });
    const workers = new WorkerList({ store, fleet: dispatch.fleet });
    const parts = { ...dispatch, store, explainer, diagnoser, overview, workers };
    const { watchHeartbeatMs, maxAgeMs, maxAgeGraceMs } = config.connections;
    const watchLimits = {
      heartbeatMs: watchHeartbeatMs,
      maxAgeMs: maxAgeMs === 0 ? 0 : maxAgeMs + maxAgeGraceMs,
    };
    const pageBytes = config.sizes.maxMessageBytes / 2;
    const services = {
      ...parts,
      sizes: config.sizes,
      pageBytes,
      watchLimits,
      stopping: stopping.signal,
    };
    const task = guarded(taskService(services), new Set(["watchTask", "explainTask"] as const), run);
    const fleet = guarded(
      fleetService(services),
      new Set(["watchEvents", "diagnose", "explainWorker", "explainQueue"] as const),
      run,
    );
    const worker = guarded(workerService(services), new Set<never>(), run);
    const auth = new Auth(config.token);
    const tls = config.tls && (await TlsFiles.open(config.tls, { log, clock }));
    started.tls = tls;
    await descriptors.start();
    const listening = { tls, descriptors, rejected: new RejectedConnections(log, clock) };
    started.http = await startHttpServer({
      listening,
      config,
      auth,
      calls,
      log,
      health,
      grpcAddress: () => shown(reachable(started.grpc?.address ?? config.grpcAddress)),
      scrape: () => telemetry.scrape(),
      task,
      fleet,
    });
    started.grpc = await startGrpcServer({
      listening,
      config,
      auth,
      calls,
      handlers: { worker, task, fleet },
      stopping: stopping.signal,
      stream: {
        ...dispatch,
        rejector: new StreamRejector(dispatch.rejectedWorkers, clock),
        log,
        leases: config.leases,
        watch: config.watch,
        sizes: config.sizes,
        schedulerId: id,
        helloTimeoutMs: config.helloTimeoutMs,
        onWork: () => dispatch.dispatcher.pump(),
      },
    });
  } catch (error) {
    await started.http?.stop(0);
    started.tls?.stop();
    descriptors.stop();
    await store.close();
    await telemetry.stop(0);
    throw error;
  }
  const { grpc, http } = started;
  duties.start();
  store.listen(
    (hint) => {
      if (hint.kind === "work") {
        if (!dispatch.classes.use(hint.classIds)) duties.pollSoon();
        else dispatch.dispatcher.lookAgain(hint.classIds.length > 0 ? hint.classIds : undefined);
      } else if (hint.kind === "queue" || (hint.kind === "command" && hint.schedulerId === id))
        duties.pollSoon();
      else if (hint.kind === "task") dispatch.signals.changed(hint.taskId);
    },
    () => duties.lookSoon(),
  );
  log.info("scheduler.started", {
    scheduler_id: id,
    version: VERSION,
    grpc_addr: shown(grpc.address),
    http_addr: shown(http.address),
    heartbeat_ms: config.leases.heartbeatMs,
    lease_ms: config.leases.leaseMs,
    reconnect_grace_ms: config.leases.graceMs,
  });

  let stopped: Promise<void> | undefined;
  return {
    id,
    grpcAddress: grpc.address,
    httpAddress: http.address,
    reload: async () => started.tls?.reload(),
    takeFault: (error) => calls.takeFault(error),
    stop: () => {
      stopped ??= holding(stopAll);
      return stopped;
    },
  };

  async function stopAll(): Promise<void> {
    started.tls?.stop();
    descriptors.stop();
    log.info("scheduler.stopping", { scheduler_id: id, streams: dispatch.registry.size });
    stopping.abort();
    grpc.setServing(false);
    const deadline = clock.monotonic() + config.stopTimeoutMs;
    const left = () => Math.max(0, deadline - clock.monotonic());
    const unfinished: string[] = [];
    /** Waits for what needs the database, which may be frozen, no longer than the stop may take. */
    const within = async (step: string, work: Promise<unknown>) => {
      const done = new AbortController();
      const late = clock.sleep(left(), done.signal).then(() => LATE);
      if ((await Promise.race([work, late]).finally(() => done.abort())) === LATE) unfinished.push(step);
    };
    await within("submits", dispatch.submitter.idle());
    await within("assignments", dispatch.dispatcher.stop());
    await within("results", dispatch.committer.idle());
    dispatch.committer.stop();
    dispatch.sessions.closeAll();
    await Promise.all([grpc.stop(Math.min(left(), 2_000)), http.stop(Math.min(left(), 2_000))]);
    await within("loops", duties.stop());
    await within("refusals", dispatch.rejectedWorkers.stop());
    await within("events", dispatch.journal.stop());
    await within("traces", dispatch.traces.stop());
    try {
      await within("sign-off", store.retire(id));
    } catch (error) {
      log.warn("scheduler.not_retired", { error });
    }
    if (unfinished.length > 0)
      log.warn("scheduler.stop_cut_short", { unfinished, stop_timeout_ms: config.stopTimeoutMs });
    await store.close();
    await telemetry.stop(Math.max(left(), TELEMETRY_STOP_MS));
    log.info("scheduler.stopped", { scheduler_id: id });
  }
}

/** The loop that looks at the database must not wait for one that froze in the middle of another question. */
async function answeredInTime<T>(answer: Promise<T>, clock: Clock): Promise<T> {
  const done = new AbortController();
  const late = clock.sleep(SCHEMA_WITHIN_MS, done.signal).then(() => "late" as const);
  const first = await Promise.race([answer, late]).finally(() => done.abort());
  if (first === "late") throw new Error(`the database has not answered for ${SCHEMA_WITHIN_MS} ms`);
  return first;
}

async function prepare(
  store: Store,
  dispatch: Dispatch,
  scheduler: { id: string; address: string; version: string },
  config: Config,
  log: Logger,
): Promise<void> {
  try {
    // A backup that is in the way of it is told of by the loop that tries again.
    await store.ensurePartitions();
  } catch (error) {
    if (isAbsence(error)) throw error;
    // Rows land in the default partitions meanwhile.
    log.error("loop.failed", { loop: "partitions", error });
  }
  await store.openHot();
  const shortage = await store.connectionShortage();
  if (shortage)
    log.warn("database.few_connections", {
      limit: shortage.limit,
      used: shortage.used,
      left: shortage.left,
      most: config.databaseConnections,
      message: `${shortage.says}: ${shortage.remedy}`,
    });
  await store.announce(scheduler, announceLeaseMs(config));
  dispatch.peers.count = (await store.otherSchedulers(scheduler.id)).length;
  await dispatch.classes.learn();
}

/** Where others find what listens on every address. */
function reachable(address: Address): Address {
  return address.host === "0.0.0.0" || address.host === "::" ? { ...address, host: hostname() } : address;
}

/** `host:port` as people write it. */
export function shown({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
