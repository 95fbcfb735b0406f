/** Resilient cases of reconnects: what is kept, what is sent again, and when a worker dials. */
import { createServer } from "node:net";
import { status as Status } from "@grpc/grpc-js";
import { ErrorReason } from "@muster/protocol";
import type { ConformanceCase } from "../../case.ts";
import { must } from "../../mismatch.ts";
import { BEAT_MS, GRACE_MS, LEASE_MS, type WorkerStream } from "../../peer/worker-stream.ts";
import { mustBe, outputOf } from "../outcomes.ts";

const RULES = "docs/protocol.md#rules";

/** Time for which a machine under load may delay what has a time, milliseconds. */
const MARGIN_MS = 800;

/** A port of this machine on which nothing listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 1;
}

/** How long a stream without Welcome was kept. */
async function patience(stream: WorkerStream): Promise<number> {
  return (await stream.end("the end of a stream without Welcome")) - stream.openedAtMs;
}

/** Ids R01, R03, R04, R05, R06, R10, R15, R17. */
export const RECONNECT: readonly ConformanceCase[] = [
  {
    id: "R01",
    title: "an attempt goes on across a cut",
    rule: {
      page: RULES,
      says: "`Hello` of a reconnect has the same `session_id` and lists the attempts held",
    },
    scheduler: "cuts the connection while sleep of 2 s runs",
    expected:
      "a stream with the same session, the attempt in `in_flight`, `ready` and `last_error`; the result on it",
    run: async (trial) => {
      const { scheduler, stream } = await trial.begin();
      stream.assign("t-1.1", "sleep", { s: 2 });
      await stream.started("t-1.1");
      stream.cut();
      const second = await trial.stream(scheduler, 2);
      const { hello } = second;
      must(hello?.sessionId === stream.hello?.sessionId, "the same session id", "it is another one");
      const held = hello?.inFlight.map(({ attemptId }) => attemptId) ?? [];
      must(held.includes("t-1.1"), "t-1.1 in in_flight", `in_flight is: ${held.join(", ") || "empty"}`);
      must(hello?.ready === true, "ready in Hello", "it is false");
      must(hello?.lastError !== "", "last_error in Hello", "it is empty");
      mustBe(await second.result("t-1.1"), "succeeded");
      await second.beat("a heartbeat without the attempt", ({ running }) => running.length === 0);
    },
  },
  {
    id: "R03",
    title: "an attempt that is not kept is stopped and forgotten",
    rule: { page: RULES, says: "stop those that `Welcome` does not keep." },
    scheduler:
      "cuts the connection while sleep of 30 s runs in every slot, and keeps none of the four at the reconnect",
    expected: "no results; the slots are free: the next four attempts start",
    run: async (trial) => {
      const { scheduler, stream } = await trial.begin();
      const ids = ["t-1.1", "t-2.1", "t-3.1", "t-4.1"];
      for (const id of ids) stream.assign(id, "sleep", { s: 30 });
      for (const id of ids) await stream.started(id);
      scheduler.answer = (next) =>
        next.welcome({ decisions: ids.map((attemptId) => ({ attemptId, keep: false, reason: "lost" })) });
      stream.cut();
      const second = await trial.stream(scheduler, 2);
      await second.beat("a heartbeat without attempts", ({ running }) => running.length === 0);
      const next = ["t-5.1", "t-6.1", "t-7.1", "t-8.1"];
      for (const id of next) second.assign(id, "sleep", { s: 0.1 });
      for (const id of next) mustBe(await second.result(id), "succeeded");
      const results = ids.filter((id) => second.results(id).length > 0);
      must(results.length === 0, "no results of attempts that are not kept", `${results.join(", ")} came`);
    },
  },
  {
    id: "R04",
    title: "heartbeats that are not acknowledged make the worker dial again",
    rule: {
      page: "docs/protocol.md#heartbeats",
      says: "When none was acknowledged for three intervals, the stream counts as dead: the worker cuts it and dials again on a new connection.",
    },
    scheduler: "stops acknowledging heartbeats; the stream stays open",
    expected: "a new stream 3 to 5 intervals after the last acknowledgement",
    run: async (trial) => {
      const { scheduler, stream } = await trial.begin();
      await stream.nextBeats(2);
      stream.ackBeats = false;
      const lastMs = stream.ackedAtMs ?? 0;
      const second = await trial.stream(scheduler, 2);
      const took = second.openedAtMs - lastMs;
      must(
        took >= 2.8 * BEAT_MS,
        `three intervals of ${BEAT_MS} ms`,
        `it dialled after ${Math.round(took)} ms`,
      );
      must(
        took <= trial.late(5 * BEAT_MS + MARGIN_MS),
        `a dial within five intervals of ${BEAT_MS} ms`,
        `it took ${Math.round(took)} ms`,
      );
      must(second.hello?.sessionId === stream.hello?.sessionId, "the same session", "it is another one");
    },
  },
  {
    id: "R05",
    title: "a slow Welcome is waited for longer each time",
    rule: {
      page: RULES,
      says: "an address that was too slow is given twice as long the next time, up to a third of lease and grace",
    },
    scheduler: `after a cut sends no Welcome to two dials, and sends it 1.3 s after the third Hello; lease ${LEASE_MS / 1000} s, grace ${GRACE_MS / 1000} s`,
    expected:
      "gives the first dial up after a quarter of the grace (0.5 s), the second one after 1 s, and keeps the third",
    run: async (trial) => {
      const { scheduler, stream } = await trial.begin();
      scheduler.answer = () => {};
      stream.cut();
      const first = await patience(await trial.stream(scheduler, 2));
      must(
        first >= 0.35 * 1000 && first <= trial.late(GRACE_MS / 4 + MARGIN_MS),
        `the end of the first after ${GRACE_MS / 4} ms`,
        `it took ${Math.round(first)} ms`,
      );
      const second = await patience(await trial.stream(scheduler, 3));
      must(
        second >= 0.85 * 1000 && second <= trial.late(GRACE_MS / 2 + MARGIN_MS),
        `the end of the second after ${GRACE_MS / 2} ms`,
        `it took ${Math.round(second)} ms`,
      );
      const third = await trial.stream(scheduler, 4);
      await trial.changes.pass(1_300);
      must(!third.ended, "the third stream to be kept for 1.3 s", "it has ended");
      third.welcome();
      await third.nextBeats(2);
    },
  },
  {
    id: "R06",
    title: "a verdict after the registration is an outage",
    rule: {
      page: "docs/protocol.md#errors",
      says: "After the first registration every status but `WORKER_SUPERSEDED` is an outage: the worker dials again.",
    },
    scheduler: "ends the stream and the next one with UNAUTHENTICATED (INVALID_TOKEN)",
    expected: "dials again, with the same session",
    run: async (trial) => {
      const { scheduler, stream, worker } = await trial.begin();
      const refuse = (each: WorkerStream): void =>
        each.fail(Status.UNAUTHENTICATED, ErrorReason.INVALID_TOKEN, "the token was changed");
      scheduler.answer = (each) => (each.number === 2 ? refuse(each) : each.welcome());
      refuse(stream);
      const third = await trial.stream(scheduler, 3);
      await third.nextBeats(1);
      must(worker.exit === undefined, "the process to go on", "it has ended");
    },
  },
  {
    id: "R10",
    title: "events are sent again with the same numbers",
    rule: {
      page: RULES,
      says: "After a reconnect a worker sends the acceptance and all events of each attempt again, with the same numbers",
    },
    scheduler: "cuts the connection between the two phases of phases",
    expected: "every event again on the new stream: the same number for each, no gap, none twice",
    run: async (trial) => {
      const { scheduler, stream } = await trial.begin();
      stream.assign("t-1.1", "phases", { s: 2 });
      const isSecond = (name: string): boolean => name === "task.second.started";
      await stream.next("taskEvent", "the event task.second.started", ({ name }) => isSecond(name));
      const before = stream.events("t-1.1");
      stream.cut();
      const second = await trial.stream(scheduler, 2);
      mustBe(await second.result("t-1.1"), "succeeded");
      const after = second.events("t-1.1");
      const numbers = after.map(({ sequence }) => Number(sequence));
      const wanted = Array.from({ length: numbers.length }, (_, index) => index + 1);
      must(
        numbers.length >= before.length && numbers.join() === wanted.join(),
        "the events numbered from 1 without a gap",
        `the numbers were: ${numbers.join(", ") || "none"}`,
      );
      for (const { sequence, name } of before) {
        const same = after.find((event) => event.sequence === sequence);
        must(same?.name === name, `event ${sequence} to be ${name} again`, `it was ${same?.name}`);
      }
      const names = after.map(({ name }) => name);
      for (const name of ["task.first.started", "task.first.completed", "task.second.completed"])
        must(names.includes(name), `the event ${name}`, `the events were: ${names.join(", ")}`);
      const accepts = second.all("taskAccepted").filter(({ value }) => value.attemptIds.includes("t-1.1"));
      must(accepts.length > 0, "the acceptance again", "it did not come");
    },
  },
  {
    id: "R15",
    title: "a process that was stopped for a while does not dial again",
    rule: {
      page: "docs/protocol.md#heartbeats",
      says: "A process that was itself stopped meanwhile waits one interval more, for the acknowledgements that it could not read.",
    },
    scheduler:
      "stops the worker's processes for four intervals (SIGSTOP, SIGCONT); acknowledges every heartbeat",
    expected: "the same stream goes on, and runs the next task",
    run: async (trial) => {
      const { scheduler, stream, worker } = await trial.begin();
      await stream.nextBeats(2);
      worker.signalAll("SIGSTOP");
      await trial.changes.pass(4 * BEAT_MS);
      worker.signalAll("SIGCONT");
      await stream.nextBeats(4);
      must(scheduler.streams.length === 1 && !stream.ended, "one stream", `${scheduler.streams.length} came`);
      stream.assign("t-1.1", "echo", 1);
      outputOf(await stream.result("t-1.1"));
    },
  },
  {
    id: "R17",
    title: "of several addresses the next one is dialled at once",
    rule: {
      page: RULES,
      says: "Of several addresses the next one is dialled within 100 ms, and a wait follows when all have failed.",
    },
    scheduler: "listens on the second of two addresses; nothing listens on the first",
    expected: "registers within a second of the first dial",
    run: async (trial) => {
      const scheduler = await trial.scheduler();
      const worker = trial.start(`127.0.0.1:${await closedPort()},${scheduler.address}`);
      const stream = await trial.stream(scheduler, 1);
      // A start takes a second of its own on a busy machine: a worker that waits dials seconds later.
      const took = stream.openedAtMs - worker.startedAtMs;
      await trial.ready(stream);
      stream.cut();
      const cutMs = trial.changes.nowMs;
      const second = await trial.stream(scheduler, 2);
      const again = second.openedAtMs - cutMs;
      must(
        again < trial.late(1_000 + MARGIN_MS),
        "the reconnect within a second",
        `it took ${Math.round(again)} ms`,
      );
      must(took < trial.late(6_000), "the first dial within the start", `it took ${Math.round(took)} ms`);
    },
  },
];
