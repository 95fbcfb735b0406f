/** Complete cases of slots: what is rejected, what waits, what is loaded on request. */
import { RejectionReason } from "@muster/protocol";
import type { ConformanceCase } from "../../case.ts";
import { must, NotClaimed } from "../../mismatch.ts";
import { BEAT_MS, type WorkerStream } from "../../peer/worker-stream.ts";
import type { Registered, Trial } from "../../trial.ts";
import { mustBe, mustReject, needsFeature, outputOf } from "../outcomes.ts";

const RULES = "docs/protocol.md#rules";
const PORTING = "docs/porting.md#a-worker";
const FOUR = ["t-1.1", "t-2.1", "t-3.1", "t-4.1"];

async function fill(stream: WorkerStream, payload: unknown): Promise<void> {
  for (const id of FOUR) stream.assign(id, "sleep", payload);
  for (const id of FOUR) await stream.started(id);
}

/** A worker whose slots are taken and which has accepted one attempt more. @throws NotClaimed without prefetch. */
async function withWaiting(trial: Trial): Promise<Registered> {
  const registered = await trial.begin({}, { PREFETCH: "2" });
  const { stream } = registered;
  if ((stream.hello?.prefetchCount ?? 0) < 1)
    throw new NotClaimed("the worker has no prefetch: with PREFETCH=2 its Hello has prefetch_count 0");
  await fill(stream, { s: 30 });
  stream.assign("t-5.1", "echo", 1);
  await stream.accepted("t-5.1");
  return registered;
}

function mustNotStart(stream: WorkerStream, attemptId: string): void {
  const started = stream.events(attemptId).some(({ name }) => name === "task.started");
  must(!started, `no start of ${attemptId}`, "its handler was called");
}

/** Whether a name is among names and prefixes that end in `*`. */
function isLoadable(name: string, loadable: readonly string[]): boolean {
  return (
    loadable.length === 0 ||
    loadable.some((each) => (each.endsWith("*") ? name.startsWith(each.slice(0, -1)) : each === name))
  );
}

/** A worker that loads resources. @throws NotClaimed for another one. */
async function withLoading(trial: Trial): Promise<WorkerStream> {
  const { stream } = await trial.begin();
  needsFeature(stream.hello, "prepare_resource");
  const { loadableResources = [] } = stream.hello ?? {};
  for (const name of ["model:slow", "model:broken"])
    if (!isLoadable(name, loadableResources))
      throw new NotClaimed(
        `the worker does not load "${name}": its Hello has ${loadableResources.join(", ")}`,
      );
  return stream;
}

function prepare(stream: WorkerStream, resource: string): void {
  stream.send({ case: "prepareResource", value: { resource, waitingTaskCount: 1n } });
}

/** Ids C10, C11, C19, C21, C22, C23. */
export const SLOT_CASES: readonly ConformanceCase[] = [
  {
    id: "C10",
    title: "more than the slots is rejected",
    rule: { page: RULES, says: "An unknown type or a missing slot is a `TaskRejected` at once" },
    scheduler: "assigns sleep of 1.5 s in every slot, and a fifth one",
    expected: "NO_SLOT for the fifth; the four succeed",
    run: async (trial) => {
      const { stream } = await trial.begin();
      await fill(stream, { s: 1.5 });
      stream.assign("t-5.1", "sleep", { s: 1 });
      await mustReject(stream, "t-5.1", RejectionReason.NO_SLOT);
      for (const id of FOUR) mustBe(await stream.result(id), "succeeded");
    },
  },
  {
    id: "C11",
    title: "a paused worker rejects until Resume",
    rule: {
      page: "docs/protocol.md#errors",
      says: "A worker that is paused rejects assignments with `PAUSED` and finishes what it holds.",
    },
    scheduler:
      "sends Pause while sleep runs, assigns echo, sends Resume, assigns echo; then a Welcome with `pause`",
    expected:
      "PAUSED, then the result; `paused` of heartbeats stays false, because the pause is not the worker's own",
    run: async (trial) => {
      const { scheduler, stream } = await trial.begin();
      stream.assign("t-1.1", "sleep", { s: 1.2 });
      await stream.started("t-1.1");
      stream.send({ case: "pause", value: { reason: "by the case" } });
      stream.assign("t-2.1", "echo", 1);
      await mustReject(stream, "t-2.1", RejectionReason.PAUSED);
      const beat = await stream.beat();
      must(!beat.paused, "paused to be false in heartbeats", "it is true");
      mustBe(await stream.result("t-1.1"), "succeeded");
      stream.send({ case: "resume", value: { reason: "by the case" } });
      stream.assign("t-2.2", "echo", 1);
      outputOf(await stream.result("t-2.2"));
      scheduler.answer = (next) => next.welcome({ pause: { reason: "by the case" } });
      stream.cut();
      const second = await trial.stream(scheduler, 2);
      second.assign("t-3.1", "echo", 1);
      await mustReject(second, "t-3.1", RejectionReason.PAUSED);
    },
  },
  {
    id: "C19",
    title: "an attempt that waits for a slot is cancelled without its handler",
    rule: {
      page: "docs/protocol.md#what-becomes-of-an-attempt-that-has-to-stop",
      says: "An attempt that is accepted and not started ends at once, without a call of its handler",
    },
    scheduler: "PREFETCH is 2; fills the slots, assigns echo, and cancels it",
    expected: "`cancelled` at once, without the start of echo",
    run: async (trial) => {
      const { stream } = await withWaiting(trial);
      stream.cancel("t-5.1");
      mustBe(await stream.result("t-5.1", 2_000), "cancelled");
      mustNotStart(stream, "t-5.1");
    },
  },
  {
    id: "C20",
    title: "what waits for a slot is given back at the start of a drain",
    rule: { page: RULES, says: "What is accepted and not started is given back at once" },
    scheduler: "PREFETCH is 2; fills the slots and assigns echo; SIGTERM; cancels what runs",
    expected: "echo is `released` at once, without a start; then the drain ends with code 0",
    run: async (trial) => {
      const { stream, worker } = await withWaiting(trial);
      worker.signal("SIGTERM");
      mustBe(await stream.result("t-5.1", 3_000), "released");
      mustNotStart(stream, "t-5.1");
      for (const id of FOUR) stream.cancel(id);
      await stream.next("goodbye", "Goodbye");
      await trial.finished(worker, "after the drain");
    },
  },
  {
    id: "C21",
    title: "the limit of a type is kept",
    rule: {
      page: RULES,
      says: "never exceed slots plus prefetch, nor their number a type's own limit.",
    },
    scheduler: "assigns three of single, of which the worker runs one at once",
    expected: "never two at once; one that does not fit waits or is rejected with NO_SLOT",
    run: async (trial) => {
      const { stream } = await trial.begin();
      const type = stream.hello?.taskTypes.find(({ taskType }) => taskType === "single");
      if (type?.concurrency !== 1)
        throw new NotClaimed('the worker has no type "single" with concurrency 1 in its Hello');
      const ids = ["t-1.1", "t-2.1", "t-3.1"];
      for (const id of ids) stream.assign(id, "single", { s: 0.5 });
      const ended = (id: string) =>
        stream.results(id)[0] ?? stream.all("taskRejected").find(({ value }) => value.attemptId === id);
      for (const id of ids) await trial.changes.until(`the result or rejection of ${id}`, () => ended(id));
      const runs = ids.flatMap((id) => {
        const start = stream
          .all("taskEvent")
          .find(({ value }) => value.attemptId === id && value.name === "task.started");
        const [result] = stream.results(id);
        // A worker may write the start of the next one before the result of the last, in the same moment.
        return start === undefined || result === undefined
          ? []
          : [{ from: start.atMs, to: result.atMs - 150 }];
      });
      must(runs.length > 0, "at least one run", "all were rejected");
      const both = runs.some((one) =>
        runs.some((other) => one !== other && one.from < other.to && other.from < one.to),
      );
      must(!both, "one at once", "two ran at once");
    },
  },
  {
    id: "C22",
    title: "a resource is loaded once, and its state is said at once",
    rule: { page: PORTING, says: "Load a resource once, however many requests come." },
    scheduler:
      "asks three times for a resource that loads in 1 s, and twice for one that fails the first time",
    expected: "heartbeats at once: loading, then loaded; failed with its error, then loaded",
    run: async (trial) => {
      const stream = await withLoading(trial);
      const askedMs = trial.changes.nowMs;
      for (let n = 0; n < 3; n += 1) prepare(stream, "model:slow");
      await stream.beat("a heartbeat with model:slow loading", ({ resourceStates }) =>
        resourceStates.some(({ resource, loading }) => resource === "model:slow" && loading),
      );
      const took = trial.changes.nowMs - askedMs;
      must(took < trial.late(BEAT_MS), "the heartbeat at once", `it took ${Math.round(took)} ms`);
      await stream.beat("a heartbeat with model:slow loaded", ({ resources }) =>
        resources.includes("model:slow"),
      );
      await stream.nextBeats(4);
      const again = stream.heartbeats
        .slice(-4)
        .some(({ value }) => value.resourceStates.some(({ resource }) => resource === "model:slow"));
      must(!again, "that it is loaded once", "it is loaded again");
      prepare(stream, "model:broken");
      const failed = await stream.beat("a heartbeat with model:broken failed", ({ resourceStates }) =>
        resourceStates.some(
          ({ resource, failureCount }) => resource === "model:broken" && failureCount === 1,
        ),
      );
      const state = failed.resourceStates.find(({ resource }) => resource === "model:broken");
      must(state?.error !== "", "why it failed", "error is empty");
      prepare(stream, "model:broken");
      await stream.beat("a heartbeat with model:broken loaded", ({ resources }) =>
        resources.includes("model:broken"),
      );
    },
  },
  {
    id: "C23",
    title: "a resource is dropped on request",
    rule: {
      page: "docs/protocol.md#errors",
      says: "The kind `ReleaseResource` is part of the contract, and a worker must obey it",
    },
    scheduler: "asks for a resource, and to drop it when it is loaded",
    expected: "a heartbeat without the resource",
    run: async (trial) => {
      const stream = await withLoading(trial);
      prepare(stream, "model:slow");
      await stream.beat("a heartbeat with model:slow loaded", ({ resources }) =>
        resources.includes("model:slow"),
      );
      stream.send({ case: "releaseResource", value: { resource: "model:slow", reason: "by the case" } });
      await stream.beat(
        "a heartbeat without model:slow",
        ({ resources }) => !resources.includes("model:slow"),
      );
    },
  },
];
