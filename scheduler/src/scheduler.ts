// Composition root of a scheduler: makes its parts, starts them, and stops them in order.
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { announceLeaseMs, BackgroundServices } from "./background/background-services.ts";
import { DatabaseWatch } from "./background/database-watch.ts";
import { FleetStats } from "./background/fleet-stats.ts";
import { measureGauges, SeenLabels } from "./background/gauges.ts";
import { type Clock, holding, systemClock } from "./clock.ts";
import type { Address, Config } from "./config/config.ts";
import { Descriptors } from "./descriptors.ts";
import { createDispatch } from "./dispatch/dispatch.ts";
import { TickRunner } from "./dispatch/schedules/tick-runner.ts";
import { Health } from "./http/health.ts";
import { type HttpServer, startHttpServer } from "./http/http-server.ts";
import { Diagnoser } from "./queries/diagnoser.ts";
import { Explainer } from "./queries/explainer.ts";
import { OverviewSource } from "./queries/overview/overview.ts";
import { WorkerList } from "./queries/worker-list.ts";
import { Workload } from "./queries/workload.ts";
import { RejectedConnections } from "./rpc/connections/handshakes.ts";
import { TlsFiles } from "./rpc/connections/tls-files.ts";
import { readTemplate } from "./rpc/convert/schedules/schedule-spec.ts";
import { Auth } from "./rpc/server/auth.ts";
import { Calls } from "./rpc/server/calls.ts";
import { type GrpcServer, startGrpcServer } from "./rpc/server/grpc-server.ts";
import { createServices } from "./rpc/services/services.ts";
import { StreamRejector } from "./rpc/streams/stream-rejector.ts";
import { isOpen, reachable, shown } from "./start/addresses.ts";
import { prepareDatabase, readMissingMigrations } from "./start/prepare.ts";
import { TimeLimit } from "./start/time-limit.ts";
import { whenUsable } from "./start/when-usable.ts";
import { openPostgresStore } from "./store/postgres/postgres-store.ts";
import type { Logger } from "./telemetry/logs/logger.ts";
import { DatabaseMeasures } from "./telemetry/metrics/database-measures.ts";
import { HistogramProducer } from "./telemetry/metrics/histogram-producer.ts";
import { declareMetrics } from "./telemetry/metrics/metrics.ts";
import { SCOPE, startTelemetry } from "./telemetry/otel.ts";
import { VERSION } from "./version.ts";

/** Time for the last export of telemetry, however long the rest of the stop took, milliseconds. */
const TELEMETRY_STOP_MS = 1_000;

/** A running scheduler. */
export interface Scheduler {
  readonly id: string;
  readonly grpcAddress: Address;
  readonly httpAddress: Address;
  /**
   * Takes an exception or a rejection that nothing caught, when a call caused it: that call ends, the others go on.
   * Must be called within the process's handler of uncaught errors. False for an error that no call caused.
   */
  takeFault(error: unknown): boolean;
  /**
   * Stops in order: takes no new work, commits the results that have arrived, ends the streams. Steps that do not end
   * within the time for the stop are left. Safe to call twice.
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
  /** Variables of libpq; none by default. */
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
    modes: config.modes,
    watch: config.watch,
    retry: config.retry,
    quarantine: config.quarantine,
    taskLogs: config.taskLogs,
    schedulerId: id,
    intervals: {
      queueViewMs: config.queueViewMs,
      resourceMs: config.pollMs,
      resourceWarnMs: config.resourceWarnMs,
    },
    ageingMs: config.ageingMs,
    maxLabelSets: config.metricLabelSets,
    onScheduled: (delayMs) => background.wakeIn(delayMs),
    tracing: telemetry.tracing,
  });
  const { admission, backlog, classes, control, counters, dispatcher, fleet, followers, launches } = dispatch;
  const { liveness, pausedQueues, peers, registrar, registry, rejectedWorkers, reportHandler } = dispatch;
  const { sessionReports, slotReports, submitter } = dispatch;
  const database = new DatabaseWatch({
    store,
    clock,
    log,
    onChange: (available) => {
      updateServing();
      dispatch.expiryGuard.databaseChanged(available);
      if (available) {
        dispatch.checkpoints.tryNow();
        dispatch.metricWriter.tryNow();
        dispatch.committer.tryNow();
        background.schedulesSoon();
      }
    },
  });
  const ticks = new TickRunner({
    ...{ store, submitter, counters, log },
    toTask: (template) => readTemplate(template, config.sizes),
  });
  const background = new BackgroundServices({
    ticks,
    descriptors: () => descriptors.use,
    config,
    store,
    dispatch,
    clock,
    log,
    scheduler,
    onLook: async () => {
      await health.ready();
      updateServing();
    },
  });
  const health = new Health({
    database,
    loops: background.loops,
    clock,
    stopping: stopping.signal,
    listeners: () => ({
      grpc: started.grpc && shown(started.grpc.address),
      http: started.http && shown(started.http.address),
    }),
    listening: () => measures.listening,
    missingMigrations: () => readMissingMigrations(store, clock),
  });
  const calls = new Calls(log, dispatch.counters);
  const updateServing = () => started.grpc?.setServing(health.readyAsKnown().ok);
  const fleetStats = new FleetStats({ store, classes, admission, peers, clock, log });
  const seen = new SeenLabels();
  declareMetrics(telemetry.meter, histograms, {
    counters: dispatch.counters,
    database: measures,
    gauges: () =>
      measureGauges({
        fleetStats,
        dispatch,
        database,
        loops: background.loops,
        clock,
        watch: config.watch,
        seen,
        descriptors,
      }),
  });
  try {
    const waiting = { clock, log, signal: options.signal };
    const limits = {
      announceLeaseMs: announceLeaseMs(config),
      maxConnections: config.databaseConnections,
    };
    await whenUsable(() => prepareDatabase({ store, dispatch, log }, scheduler, limits), waiting);
    const explainer = new Explainer({
      ...{ store, admission, pausedQueues, classes, dispatcher, registry, fleet, backlog, clock },
      mechanisms: dispatch.mechanisms,
      pools: dispatch.pools,
      database,
      silentAfterMs: launches.silentAfterMs,
      schedulerId: id,
      address: () => shown(reachable(started.grpc?.address ?? config.grpcAddress)),
      pollAgeMs: () => background.pollAgeMs(),
      retryPolicies: dispatch.retryPolicies,
      watch: config.watch,
      acceptDeadlineMs: config.leases.acceptDeadlineMs,
    });
    const diagnoser = new Diagnoser({
      ...{ store, classes, clock, database, log },
      ...{
        concurrencyKeys: dispatch.concurrencyKeys,
        rateLimits: dispatch.rateLimits,
        pools: dispatch.pools,
      },
      strictOrders: dispatch.strictOrders,
      scheduler,
      settings: config.settings,
      status: () => background.status(),
      announceMs: announceLeaseMs(config),
    });
    const overview = new OverviewSource({ store, classes, clock, pools: dispatch.pools, scheduler });
    const workers = new WorkerList({ store, fleet });
    const { watchHeartbeatMs, maxAgeMs, maxAgeGraceMs } = config.connections;
    const services = createServices(
      {
        ...{ store, explainer, diagnoser, overview, workers, classes, pausedQueues, dispatcher, control },
        ...{ concurrencyKeys: dispatch.concurrencyKeys, rateLimits: dispatch.rateLimits },
        batches: dispatch.batches,
        changer: dispatch.changer,
        circuits: dispatch.circuits,
        ...{ launches, submitter, followers, clock },
        launchStops: dispatch.launchStops,
        machineNotices: dispatch.machineNotices,
        workerPauses: dispatch.workerPauses,
        stacks: dispatch.stacks,
        fitWarnings: dispatch.fitWarnings,
        quarantines: dispatch.quarantines,
        ticks,
        schedulesChanged: () => background.schedulesSoon(),
        pools: dispatch.pools,
        poolsChanged: () => background.poolsSoon(),
        queueLimits: dispatch.queueLimits,
        shareWeights: dispatch.shareWeights,
        queueBuilds: dispatch.queueBuilds,
        queueSettings: dispatch.queueSettings,
        retryPolicies: dispatch.retryPolicies,
        revocations: dispatch.revocations,
        tracing: telemetry.tracing,
        sizes: config.sizes,
        pageBytes: config.sizes.maxMessageBytes / 2,
        keepDays: config.keepDays,
        watchLimits: {
          heartbeatMs: watchHeartbeatMs,
          maxAgeMs: maxAgeMs === 0 ? 0 : maxAgeMs + maxAgeGraceMs,
        },
        stopping: stopping.signal,
      },
      database,
    );
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
      task: services.task,
      fleet: services.fleet,
      schedule: services.schedule,
      pool: services.pool,
      plain: { store, followers, clock, stopping: stopping.signal, run: (work) => database.run(work) },
    });
    started.grpc = await startGrpcServer({
      listening,
      config,
      auth,
      calls,
      handlers: services,
      stopping: stopping.signal,
      launcherStream: {
        launchers: dispatch.launchers,
        clock,
        helloTimeoutMs: config.helloTimeoutMs,
        onConnected: () => background.launchersSoon(),
      },
      scaler: {
        workload: new Workload({ store, backlog, classes, admission, clock }),
        pools: dispatch.pools,
        clock,
        run: (work) => database.run(work),
      },
      stream: {
        ...{ registrar, liveness, sessionReports, slotReports, reportHandler, clock, counters },
        keyPauser: dispatch.keyPauser,
        stacks: dispatch.stacks,
        takesLogs: dispatch.logWriter.enabled,
        rejector: new StreamRejector(rejectedWorkers, clock),
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
  background.start();
  store.listen(
    (hint) => {
      if (hint.kind === "work") {
        if (!dispatch.classes.use(hint.classIds)) background.pollSoon();
        else dispatch.dispatcher.hinted(hint.classIds.length > 0 ? hint.classIds : undefined);
      } else if (hint.kind === "order")
        dispatch.dispatcher.reorder(hint.classIds.length > 0 ? hint.classIds : dispatch.classes.ids());
      else if (hint.kind === "queue" || (hint.kind === "command" && hint.schedulerId === id))
        background.pollSoon();
      else if (hint.kind === "ends") background.releaseSoon();
      else if (hint.kind === "schedules") background.schedulesSoon();
      else if (hint.kind === "pools") background.poolsSoon();
      else if (hint.kind === "task") dispatch.signals.changed(hint.taskId);
    },
    () => {
      // Hints that came meanwhile are lost.
      dispatch.dispatcher.reorder([...dispatch.classes.ids()]);
      background.lookSoon();
    },
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
  const open = [grpc.address, http.address].filter(isOpen);
  if (open.length > 0 && config.token === undefined && config.tls?.clientCaFile === undefined)
    log.warn("scheduler.without_token", {
      addresses: open.map(shown),
      detail:
        "every machine that reaches these addresses may submit tasks, read them and run a worker; set MUSTER_TOKEN, or " +
        "listen where only trusted machines are",
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
    const limit = new TimeLimit(clock, config.stopTimeoutMs);
    await limit.within("submits", dispatch.submitter.idle());
    dispatch.submitLog.stop();
    await limit.within("assignments", dispatch.dispatcher.stop());
    await limit.within("results", dispatch.committer.idle());
    dispatch.committer.stop();
    dispatch.liveness.closeStreams();
    await Promise.all([grpc.stop(Math.min(limit.leftMs, 2_000)), http.stop(Math.min(limit.leftMs, 2_000))]);
    await limit.within("loops", background.stop());
    await limit.within("refusals", dispatch.rejectedWorkers.stop());
    await limit.within("checkpoints", dispatch.checkpoints.stop());
    await limit.within("task metrics", dispatch.metricWriter.stop());
    await limit.within("events", dispatch.eventWriter.stop());
    await limit.within("task logs", dispatch.logWriter.stop());
    await limit.within("traces", dispatch.traces.stop());
    try {
      await limit.within("sign-off", store.retire(id));
    } catch (error) {
      log.warn("scheduler.not_retired", { error });
    }
    if (limit.unfinished.length > 0)
      log.warn("scheduler.stop_cut_short", {
        unfinished: limit.unfinished,
        stop_timeout_ms: config.stopTimeoutMs,
      });
    await store.close();
    await telemetry.stop(Math.max(limit.leftMs, TELEMETRY_STOP_MS));
    log.info("scheduler.stopped", { scheduler_id: id });
  }
}
