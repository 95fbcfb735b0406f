/** Resilient cases of results and decisions: nothing is lost, nothing changes when it is sent again. */
import type { ConformanceCase } from "../../case.ts";
import { must } from "../../mismatch.ts";
import { seconds } from "../../peer/durations.ts";
import type { WorkerStream } from "../../peer/worker-stream.ts";
import { mustBe, outputOf } from "../outcomes.ts";

const RULES = "docs/protocol.md#rules";

/** Ids R02, R09, R13, R14 and R16. */
export const RESULTS: readonly ConformanceCase[] = [
  {
    id: "R02",
    title: "a result is sent again until it is acknowledged",
    rule: {
      page: RULES,
      says: "**Keep a result until `ResultAcks` names it**, across reconnects, and send it again on every new stream.",
    },
    scheduler: "cuts the connection three times before it acknowledges the result of echo, then once more",
    expected:
      "the result on every stream until the acknowledgement, `result_pending` in Hello; nothing of it after the acknowledgement",
    run: async (trial) => {
      const { scheduler, stream } = await trial.begin();
      let current = stream;
      current.ackResults = false;
      current.assign("t-1.1", "echo", "once");
      outputOf(await current.result("t-1.1"));
      for (let number = 2; number <= 4; number += 1) {
        scheduler.answer = (next: WorkerStream) => {
          next.ackResults = false;
          next.welcome();
        };
        current.cut();
        current = await trial.stream(scheduler, number);
        const held = current.hello?.inFlight.find(({ attemptId }) => attemptId === "t-1.1");
        must(held?.resultPending === true, "result_pending in Hello", `it was ${held?.resultPending}`);
        must(outputOf(await current.result("t-1.1")) === '"once"', "the same result", "another one came");
      }
      current.ack("t-1.1");
      await current.beat("a heartbeat without the attempt", ({ running }) => running.length === 0);
      current.cut();
      const last = await trial.stream(scheduler, 5);
      must(last.hello?.inFlight.length === 0, "nothing in flight", "the attempt is still named");
      await last.nextBeats(2);
      must(last.results("t-1.1").length === 0, "no result after its acknowledgement", "it came again");
    },
  },
  {
    id: "R09",
    title: "an assignment that comes twice runs once",
    rule: {
      page: RULES,
      says: "An attempt that is assigned again while it is held is accepted again, and runs once.",
    },
    scheduler: "assigns the same attempt twice",
    expected: "accepted twice; one start and one result",
    run: async (trial) => {
      const { stream } = await trial.begin();
      stream.assign("t-1.1", "sleep", { s: 1.5 });
      await stream.started("t-1.1");
      const from = stream.received.length;
      stream.assign("t-1.1", "sleep", { s: 1.5 });
      const again = () =>
        stream
          .all("taskAccepted")
          .find(({ index, value }) => index >= from && value.attemptIds.includes("t-1.1"));
      await trial.changes.until("the acceptance of t-1.1 again", again);
      mustBe(await stream.result("t-1.1"), "succeeded");
      await stream.nextBeats(4);
      // Sent again, an event has the same number.
      const started = stream.events("t-1.1").filter(({ name }) => name === "task.started");
      const starts = new Set(started.map(({ sequence }) => sequence)).size;
      must(starts === 1, "one start", `${starts} came`);
      const results = stream.results("t-1.1").length;
      must(results === 1, "one result", `${results} came`);
      const rejected = stream.all("taskRejected").length;
      must(rejected === 0, "no rejection", `${rejected} came`);
    },
  },
  {
    id: "R13",
    title: "a cancellation while the stream was away is delivered by Welcome",
    rule: {
      page: RULES,
      says: "A decision that has `cancelled` is a `CancelAttempt` that came while the stream was away.",
    },
    scheduler:
      "cuts the connection while sleep of 30 s runs; keeps the attempt at the reconnect, with `cancelled`",
    expected: "the handler is cancelled, and the outcome is `cancelled`",
    run: async (trial) => {
      const { scheduler, stream } = await trial.begin();
      stream.assign("t-1.1", "sleep", { s: 30 });
      await stream.started("t-1.1");
      scheduler.answer = (next) =>
        next.welcome({ decisions: [{ attemptId: "t-1.1", keep: true, cancelled: true }] });
      stream.cut();
      const second = await trial.stream(scheduler, 2);
      mustBe(await second.result("t-1.1"), "cancelled");
    },
  },
  {
    id: "R14",
    title: "an outcome does not change when it is sent again",
    rule: { page: RULES, says: "An outcome never changes once it was sent." },
    scheduler:
      "cancels sleep, gets the outcome, and cuts the connection before it acknowledges; keeps the attempt, with `cancelled`",
    expected: "the same outcome again; of an attempt that had succeeded before the cancellation, the success",
    run: async (trial) => {
      const { scheduler, stream } = await trial.begin();
      stream.ackResults = false;
      stream.assign("t-1.1", "sleep", { s: 30 });
      stream.assign("t-2.1", "echo", "done");
      await stream.started("t-1.1");
      outputOf(await stream.result("t-2.1"));
      stream.cancel("t-1.1");
      stream.cancel("t-2.1");
      mustBe(await stream.result("t-1.1"), "cancelled");
      scheduler.answer = (next) =>
        next.welcome({
          decisions: ["t-1.1", "t-2.1"].map((attemptId) => ({ attemptId, keep: true, cancelled: true })),
        });
      stream.cut();
      const second = await trial.stream(scheduler, 2);
      mustBe(await second.result("t-1.1"), "cancelled");
      must(outputOf(await second.result("t-2.1")) === '"done"', "the success again", "another output came");
    },
  },
  {
    id: "R16",
    title: "a scheduler that does not read loses nothing but progress",
    rule: {
      page: RULES,
      says: "Results are never dropped; progress and output may be, and `shed_count` says how many.",
    },
    scheduler:
      "has a heartbeat interval of 5 s; reads nothing for 3 s while output, chatty of 2,000 reports and echo run",
    expected:
      "all acceptances and results come later, the last progress before its result, the left-out reports in `shed_count`; the memory stays bounded",
    run: async (trial) => {
      const { stream } = await trial.begin({
        ...{ heartbeatInterval: seconds(5), lease: seconds(30), reconnectGrace: seconds(15) },
      });
      const beforeBytes = Number(stream.heartbeats[0]?.value.rssBytes ?? 0n);
      stream.stopReading();
      // 2.5 MB of output: more than the windows of HTTP/2 take.
      stream.assign("t-1.1", "output", { chunks: 40, bytes: 64 * 1024 });
      stream.assign("t-2.1", "chatty", { n: 2_000 });
      stream.assign("t-3.1", "echo", "later");
      await trial.changes.pass(1_000);
      const before = stream.received.length;
      await trial.changes.pass(2_000);
      if (stream.received.length > before) throw new Error("the stream was read although it was stopped");
      stream.readAgain();
      for (const id of ["t-1.1", "t-2.1", "t-3.1"]) {
        await stream.accepted(id);
        mustBe(await stream.result(id), "succeeded");
      }
      const reports = stream.all("taskProgress").filter(({ value }) => value.attemptId === "t-2.1");
      const [last, result] = [reports.at(-1), stream.results("t-2.1")[0]];
      const done = Number(last?.value.progress?.doneCount ?? 0);
      const share = last?.value.progress?.fraction ?? done / 2_000;
      must(share === 1, "the last report of chatty (2,000 of 2,000)", `the last one was ${share}`);
      must(
        (last?.index ?? 0) < (result?.index ?? 0),
        "the last progress before the result",
        "it came after it",
      );
      const shed = reports.reduce((sum, { value }) => sum + Number(value.shedCount), 0);
      must(
        shed + reports.length >= 1_900,
        "the reports that were left out in shed_count",
        `${reports.length} came, and shed_count has ${shed}`,
      );
      const beat = await stream.beat("the next heartbeat", () => true, 8_000);
      const grownBytes = Number(beat.rssBytes) - beforeBytes;
      must(
        beforeBytes === 0 || grownBytes < 256 * 1024 * 1024,
        "less than 256 MiB of further memory",
        `it grew by ${grownBytes} bytes`,
      );
    },
  },
];
