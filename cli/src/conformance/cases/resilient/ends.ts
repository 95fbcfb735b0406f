/** Resilient cases of what ends or blocks a worker. */
import { status as Status } from "@grpc/grpc-js";
import { ErrorReason } from "@muster/protocol";
import type { ConformanceCase } from "../../case.ts";
import { must } from "../../mismatch.ts";
import { msOf } from "../../peer/durations.ts";
import type { Scheduler } from "../../peer/scheduler.ts";
import { BEAT_MS, type WorkerStream } from "../../peer/worker-stream.ts";
import type { Trial } from "../../trial.ts";
import { mustBe } from "../outcomes.ts";

const RULES = "docs/protocol.md#rules";
const ENDS_OF_WORKERS = "docs/protocol.md#the-end-of-a-worker";

/** For how long a handler blocks, seconds: longer than a worker whose heartbeats stop would be kept. */
const BLOCK_S = 4;

function supersede(stream: WorkerStream): void {
  stream.fail(Status.ABORTED, ErrorReason.WORKER_SUPERSEDED, "a newer stream took this one's place");
}

/** A handler that blocks must not stop heartbeats, nor keep the acceptance back. */
async function blocks(trial: Trial, type: "block" | "hold"): Promise<void> {
  const { scheduler, stream } = await trial.begin({ features: ["brief_starts"] });
  await stream.nextBeats(1);
  const sentMs = trial.changes.nowMs;
  stream.assign("t-1.1", type, { s: BLOCK_S });
  const accepted = await stream.accepted("t-1.1");
  must(
    accepted.atMs - sentMs < trial.late(1_500),
    "the acceptance before the handler blocks",
    `it took ${Math.round(accepted.atMs - sentMs)} ms`,
  );
  await stream.started("t-1.1", 1_500);
  mustBe(await stream.result("t-1.1"), "succeeded");
  must(scheduler.streams.length === 1, "one stream", `${scheduler.streams.length} came`);
  const [result] = stream.results("t-1.1");
  const during = stream.heartbeats.filter(
    ({ index }) => index > accepted.index && index < (result?.index ?? 0),
  );
  const wanted = Math.floor((BLOCK_S * 1000) / BEAT_MS) - 3;
  must(during.length >= wanted, `at least ${wanted} heartbeats while it blocks`, `${during.length} came`);
  const late = during.findIndex(
    ({ atMs }, index) => index > 0 && atMs - (during[index - 1]?.atMs ?? 0) > trial.late(3 * BEAT_MS),
  );
  must(late < 0, `a heartbeat every ${BEAT_MS} ms`, "there was a gap of three intervals");
  if (during.every(({ value }) => value.eventLoopAge === undefined)) return;
  const oldest = Math.max(...during.map(({ value }) => msOf(value.eventLoopAge) ?? 0));
  must(
    oldest > 2_000,
    "event_loop_age above 2 s while it blocks",
    `the highest was ${Math.round(oldest)} ms`,
  );
}

/** The startup fails; WorkerFatal says so before the process ends. */
async function startupFails(trial: Trial, answer: (scheduler: Scheduler) => void): Promise<void> {
  const scheduler = await trial.scheduler();
  answer(scheduler);
  const worker = trial.start(scheduler.address, { STARTUP_FAILS: "1" });
  const isFatal = () =>
    scheduler.streams.flatMap((stream) => stream.all("workerFatal").map(({ value }) => value))[0];
  const fatal = await trial.changes.until("WorkerFatal", isFatal);
  must(fatal.phase === "startup", 'phase "startup"', `it was "${fatal.phase}"`);
  must(fatal.exceptionMessage !== "", "the message of the exception", "it is empty");
  await trial.failed(worker, "after a startup that failed");
}

/** Ids R07, R08, R08b, R11, R12, R18. */
export const ENDS: readonly ConformanceCase[] = [
  {
    id: "R07",
    title: "a worker whose place was taken ends",
    rule: {
      page: "docs/protocol.md#errors",
      says: "| `ABORTED` | `WORKER_SUPERSEDED` | ends: another stream took its place |",
    },
    scheduler: "ends the stream with ABORTED (WORKER_SUPERSEDED) while sleep of 30 s runs",
    expected: "the process ends with a code other than 0 and dials no more",
    run: async (trial) => {
      const { scheduler, stream, worker } = await trial.begin();
      stream.assign("t-1.1", "sleep", { s: 30 });
      await stream.started("t-1.1");
      supersede(stream);
      await trial.failed(worker, "after WORKER_SUPERSEDED", 6_000);
      must(scheduler.streams.length === 1, "no further dial", `${scheduler.streams.length - 1} came`);
    },
  },
  {
    id: "R08",
    title: "a handler that blocks stops neither heartbeats nor the acceptance",
    rule: { page: RULES, says: "**Send heartbeats from where nothing blocks**" },
    scheduler: `assigns block of ${BLOCK_S} s`,
    expected:
      "accepted at once; heartbeats go on, `event_loop_age` grows where the worker has a loop; the result comes on the same stream",
    run: (trial) => blocks(trial, "block"),
  },
  {
    id: "R08b",
    title: "the worst block of the language stops heartbeats neither",
    rule: { page: RULES, says: "**Send heartbeats from where nothing blocks**" },
    scheduler: `assigns hold of ${BLOCK_S} s`,
    expected: "as in R08; a worker in CPython needs a process of its own for the connection",
    run: (trial) => blocks(trial, "hold"),
  },
  {
    id: "R11",
    title: "a startup that fails is reported",
    rule: {
      page: ENDS_OF_WORKERS,
      says: "A worker whose startup fails sends `WorkerFatal` with phase `startup`",
    },
    scheduler: "sends Welcome at once, or 1 s after Hello; STARTUP_FAILS is set",
    expected: "WorkerFatal with phase `startup` and the message; an exit code other than 0",
    run: async (trial) => {
      await startupFails(trial, () => {});
      await startupFails(trial, (scheduler) => {
        scheduler.answer = (stream) => void trial.changes.pass(1_000).then(() => stream.welcome());
      });
    },
  },
  {
    id: "R12",
    title: "nothing of a killed worker dials again",
    rule: {
      page: ENDS_OF_WORKERS,
      says: "Nothing dials for a process that is gone",
    },
    scheduler: "assigns crash, which kills the worker's process",
    expected: "the stream ends, and no other one comes",
    run: async (trial) => {
      const { scheduler, stream } = await trial.begin();
      stream.assign("t-1.1", "crash");
      await stream.end("the end of the stream");
      await trial.changes.pass(3 * BEAT_MS);
      must(scheduler.streams.length === 1, "no further stream", `${scheduler.streams.length - 1} came`);
    },
  },
  {
    id: "R18",
    title: "a worker whose place was taken ends also while a handler blocks",
    rule: {
      page: ENDS_OF_WORKERS,
      says: "It ends within 5 s, also while a handler blocks",
    },
    scheduler: "ends the stream with ABORTED (WORKER_SUPERSEDED) while block of 20 s runs",
    expected: "the process ends within 5 s with a code other than 0",
    run: async (trial) => {
      const { stream, worker } = await trial.begin();
      stream.assign("t-1.1", "block", { s: 20 });
      await stream.accepted("t-1.1");
      await stream.nextBeats(2);
      supersede(stream);
      const { code, signal } = await worker.ended("the end of the process while a handler blocks", 6_000);
      must(signal !== null || code !== 0, "an end that is no success", `it ended with ${code}`);
    },
  },
];
