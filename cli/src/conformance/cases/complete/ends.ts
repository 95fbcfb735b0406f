/** Complete cases of the end of a worker: drain, signals, uncaught errors, a supervisor that is gone. */
import { spawn } from "node:child_process";
import { RejectionReason } from "@muster/protocol";
import type { ConformanceCase } from "../../case.ts";
import { must } from "../../mismatch.ts";
import { seconds } from "../../peer/durations.ts";
import type { WorkerProcess } from "../../peer/worker-process.ts";
import type { WorkerStream } from "../../peer/worker-stream.ts";
import type { Trial } from "../../trial.ts";
import { mustBe, mustReject } from "../outcomes.ts";

const RULES = "docs/protocol.md#rules";
const END = "docs/protocol.md#the-end-of-a-worker";

/** Goodbye, the half-close, and exit code 0. */
async function leaves(trial: Trial, stream: WorkerStream, worker: WorkerProcess): Promise<void> {
  const goodbye = await stream.next("goodbye", "Goodbye");
  must(goodbye.value.reason === "finished", 'reason "finished"', `it was "${goodbye.value.reason}"`);
  await stream.end("the end of the stream after Goodbye");
  must(stream.halfClosedAtMs !== undefined, "a half-close after Goodbye", "the stream was cut");
  await trial.finished(worker, "after Goodbye");
}

/** Ids C12 to C17, C25. */
export const ENDINGS: readonly ConformanceCase[] = [
  {
    id: "C12",
    title: "SIGTERM drains",
    rule: {
      page: RULES,
      says: "**Drain**: send `Draining`, accept no new attempt, and send heartbeats until the last result is acknowledged or the deadline passes.",
    },
    scheduler:
      "SIGTERM while sleep of 1.5 s runs; assigns echo; acknowledges the result two heartbeats after it came",
    expected:
      "Draining, DRAINING for echo, heartbeats, the result, Goodbye after the acknowledgement and not before, a half-close, exit code 0",
    run: async (trial) => {
      const { stream, worker } = await trial.begin();
      stream.ackResults = false;
      stream.assign("t-1.1", "sleep", { s: 1.5 });
      await stream.started("t-1.1");
      worker.signal("SIGTERM");
      await stream.next("draining", "Draining");
      stream.assign("t-2.1", "echo", 1);
      await mustReject(stream, "t-2.1", RejectionReason.DRAINING);
      mustBe(await stream.result("t-1.1"), "succeeded");
      await stream.nextBeats(2);
      must(stream.all("goodbye").length === 0, "no Goodbye before the acknowledgement", "it came");
      stream.ack("t-1.1");
      await leaves(trial, stream, worker);
    },
  },
  {
    id: "C13",
    title: "what is left at the drain timeout is released",
    rule: {
      page: RULES,
      says: "Then report the remaining attempts as `released`, send `Goodbye` and half-close.",
    },
    scheduler: "WORKER_DRAIN_TIMEOUT_S is 1; SIGTERM while sleep of 30 s and stubborn of 20 s run",
    expected: "both are `released` after 1 s; Goodbye, exit code 0, although a handler still runs",
    run: async (trial) => {
      const { stream, worker } = await trial.begin({}, { WORKER_DRAIN_TIMEOUT_S: "1" });
      stream.assign("t-1.1", "sleep", { s: 30 });
      stream.assign("t-2.1", "stubborn", { s: 20 });
      await stream.started("t-1.1");
      await stream.started("t-2.1");
      worker.signal("SIGTERM");
      const draining = await stream.next("draining", "Draining");
      for (const id of ["t-1.1", "t-2.1"]) {
        mustBe(await stream.result(id), "released");
        const took = (stream.results(id)[0]?.atMs ?? 0) - draining.atMs;
        must(
          took > 800 && took < trial.late(6_000),
          `the release of ${id} after 1 s`,
          `it took ${Math.round(took)} ms`,
        );
      }
      await leaves(trial, stream, worker);
    },
  },
  {
    id: "C14",
    title: "Drain is as SIGTERM",
    rule: {
      page: "docs/protocol.md#the-end-of-a-worker",
      says: "`Drain` of the scheduler does the same as SIGTERM",
    },
    scheduler: "sends Drain with a timeout of 10 s while sleep of 1 s runs",
    expected: "Draining, the result, Goodbye, exit code 0",
    run: async (trial) => {
      const { stream, worker } = await trial.begin();
      stream.assign("t-1.1", "sleep", { s: 1 });
      await stream.started("t-1.1");
      stream.send({ case: "drain", value: { reason: "by the case", timeout: seconds(10) } });
      await stream.next("draining", "Draining");
      mustBe(await stream.result("t-1.1"), "succeeded");
      await leaves(trial, stream, worker);
    },
  },
  {
    id: "C15",
    title: "a drain goes on across a cut",
    rule: { page: END, says: "A drain goes on across reconnects: `Hello` then has `draining`" },
    scheduler: "SIGTERM while sleep of 2.5 s runs, then a cut",
    expected: "Hello with `draining`; the result, Goodbye, exit code 0",
    run: async (trial) => {
      const { scheduler, stream, worker } = await trial.begin();
      stream.assign("t-1.1", "sleep", { s: 2.5 });
      await stream.started("t-1.1");
      worker.signal("SIGTERM");
      await stream.next("draining", "Draining");
      stream.cut();
      const second = await trial.stream(scheduler, 2);
      must(second.hello?.draining === true, "draining in Hello", "it is false");
      mustBe(await second.result("t-1.1"), "succeeded");
      await leaves(trial, second, worker);
    },
  },
  {
    id: "C16",
    title: "SIGTERM in the startup ends the worker at once",
    rule: { page: END, says: "A signal before `ready` ends the process at once" },
    scheduler: "STARTUP_S is 30; SIGTERM once the worker is registered",
    expected: "the process ends within 3 s",
    run: async (trial) => {
      const scheduler = await trial.scheduler();
      const worker = trial.start(scheduler.address, { STARTUP_S: "30" });
      const stream = await trial.stream(scheduler, 1);
      await stream.nextBeats(1);
      worker.signal("SIGTERM");
      await worker.ended("the end of the process in its startup", 3_000);
    },
  },
  {
    id: "C17",
    title: "an uncaught error is reported before the end",
    rule: { page: "docs/porting.md#a-worker", says: "Drain on SIGTERM; `WorkerFatal` before a crash." },
    scheduler: "assigns die, which raises an error outside of every handler",
    expected: "WorkerFatal with class, message and traceback; an exit code other than 0",
    run: async (trial) => {
      const { stream, worker } = await trial.begin();
      stream.assign("t-1.1", "die");
      const { value } = await stream.next("workerFatal", "WorkerFatal");
      must(value.exceptionClass !== "", "the class of the exception", "it is empty");
      must(value.exceptionMessage !== "", "its message", "it is empty");
      must(value.traceback !== "", "its traceback", "it is empty");
      const code = await trial.failed(worker, "after an uncaught error");
      must(value.exitCode === code, `exit_code ${code} in WorkerFatal`, `it was ${value.exitCode}`);
    },
  },
  {
    id: "C25",
    title: "a second signal ends at once; without its supervisor a worker drains",
    rule: { page: END, says: "A second signal ends it at once with 128 and the signal's number" },
    scheduler:
      "SIGTERM twice while stubborn of 20 s runs; then, for another worker, ends the process of MUSTER_SUPERVISOR_PID",
    expected: "exit code 143 within 2 s; Draining, Goodbye and exit code 0",
    run: async (trial) => {
      const { stream, worker } = await trial.begin();
      stream.assign("t-1.1", "stubborn", { s: 20 });
      await stream.started("t-1.1");
      worker.signal("SIGTERM");
      await stream.next("draining", "Draining");
      worker.signal("SIGTERM");
      const { code, signal } = await worker.ended("the end after a second SIGTERM", 2_000);
      must(
        code === 143 || signal === "SIGTERM",
        "exit code 143, or SIGTERM",
        `it ended with ${signal ?? code}`,
      );
      await supervisorGone(trial);
    },
  },
];

async function supervisorGone(trial: Trial): Promise<void> {
  const supervisor = spawn("sleep", ["60"], { stdio: "ignore" });
  try {
    const scheduler = await trial.scheduler();
    const worker = trial.start(scheduler.address, { MUSTER_SUPERVISOR_PID: String(supervisor.pid) });
    const stream = await trial.stream(scheduler, 1);
    await trial.ready(stream);
    supervisor.kill("SIGKILL");
    await stream.next("draining", "Draining once the supervisor is gone");
    await leaves(trial, stream, worker);
  } finally {
    supervisor.kill("SIGKILL");
  }
}
