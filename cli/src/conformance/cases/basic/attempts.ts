/** Basic cases of attempts: acceptance, start, result, failures and heartbeats. */
import { FAILURE_CODE } from "@muster/common/text/name-forms";
import { FailureClass, RejectionReason } from "@muster/protocol";
import type { ConformanceCase } from "../../case.ts";
import { must } from "../../mismatch.ts";
import { msOf, seconds } from "../../peer/durations.ts";
import { BEAT_MS, MAX_MESSAGE_BYTES, MAX_RESULT_BYTES } from "../../peer/worker-stream.ts";
import { failureOf, mustBe, mustReject, outputOf } from "../outcomes.ts";

const RULES = "docs/protocol.md#rules";

/** Ids B03 to B08, B12 and B13. */
export const ATTEMPTS: readonly ConformanceCase[] = [
  {
    id: "B03",
    title: "acceptance and start in one message",
    rule: {
      page: RULES,
      says: "takes these two in `TaskAccepted` (`attempt_ids`, `started_attempt_ids`), many attempts a frame, instead of two `TaskEvent` each.",
    },
    scheduler: "has the feature `brief_starts`; assigns echo",
    expected:
      "accepted and started in TaskAccepted; the payload as the result; no events `task.received` and `task.started`",
    run: async (trial) => {
      const { stream } = await trial.begin({ features: ["brief_starts"] });
      stream.assign("t-1.1", "echo", { a: [1, "ü"] });
      await stream.accepted("t-1.1");
      const output = outputOf(await stream.result("t-1.1"));
      must(
        JSON.stringify(JSON.parse(output)) === JSON.stringify({ a: [1, "ü"] }),
        "the payload as the result",
        `it was ${output}`,
      );
      const started = stream
        .all("taskAccepted")
        .some(({ value }) => value.startedAttemptIds.includes("t-1.1"));
      must(started, "t-1.1 in started_attempt_ids", "it is in none");
      const events = stream.events("t-1.1").map(({ name }) => name);
      const own = events.filter((name) => name === "task.received" || name === "task.started");
      must(own.length === 0, "no events of receipt and start", `${own.join(", ")} came`);
    },
  },
  {
    id: "B04",
    title: "receipt and start as events",
    rule: {
      page: RULES,
      says: "Lifecycle events are numbered per attempt from `task.received` (1) and `task.started` (2).",
    },
    scheduler: "has no feature; assigns echo",
    expected:
      "TaskAccepted, then the events `task.received` (1) and `task.started` (2), then the result; `started_attempt_ids` is empty",
    run: async (trial) => {
      const { stream } = await trial.begin();
      stream.assign("t-1.1", "echo", "hello");
      const accepted = await stream.accepted("t-1.1");
      outputOf(await stream.result("t-1.1"));
      const events = stream.events("t-1.1").map(({ sequence, name }) => `${sequence} ${name}`);
      const [first, second] = events;
      must(
        first === "1 task.received" && second === "2 task.started",
        "the events 1 task.received and 2 task.started",
        `the events were: ${events.join(", ") || "none"}`,
      );
      const brief = stream.all("taskAccepted").flatMap(({ value }) => value.startedAttemptIds);
      must(brief.length === 0, "no started_attempt_ids without the feature", `${brief.join(", ")} came`);
      const [result] = stream.results("t-1.1");
      must(accepted.index < (result?.index ?? 0), "the acceptance before the result", "it came later");
    },
  },
  {
    id: "B05",
    title: "a type without a handler is rejected at once",
    rule: { page: RULES, says: "An unknown type or a missing slot is a `TaskRejected` at once" },
    scheduler: "assigns the type `no-such-type`",
    expected: "TaskRejected with UNKNOWN_TYPE within 1 s",
    run: async (trial) => {
      const { stream } = await trial.begin();
      const sentMs = trial.changes.nowMs;
      stream.assign("t-1.1", "no-such-type");
      await mustReject(stream, "t-1.1", RejectionReason.UNKNOWN_TYPE);
      const took = trial.changes.nowMs - sentMs;
      must(took < trial.late(1_000), "the rejection within 1 s", `it took ${Math.round(took)} ms`);
    },
  },
  {
    id: "B06",
    title: "a failure has the class, code and wait that the handler chose",
    rule: {
      page: "docs/conformance.md#task-types",
      says: "fails with this code, retryable or not, after this wait",
    },
    scheduler: "assigns fail, once retryable with a wait of 7 s, once not",
    expected: "the class and code that the payload asks for, and `retry_after`",
    run: async (trial) => {
      const { stream } = await trial.begin();
      stream.assign("t-1.1", "fail", { code: "GPU_BUSY", retryable: true, retry_after: 7 });
      const again = failureOf(await stream.result("t-1.1"), FailureClass.RETRYABLE);
      must(again.code === "GPU_BUSY", "code GPU_BUSY", `it was ${again.code}`);
      must(msOf(again.retryAfter) === 7_000, "retry_after of 7 s", `it was ${msOf(again.retryAfter)} ms`);
      stream.assign("t-2.1", "fail", { code: "BAD_IMAGE", retryable: false });
      const never = failureOf(await stream.result("t-2.1"), FailureClass.NON_RETRYABLE);
      must(never.code === "BAD_IMAGE", "code BAD_IMAGE", `it was ${never.code}`);
      must(never.message !== "", "a message", "it is empty");
    },
  },
  {
    id: "B07",
    title: "an exception of a handler is a retryable failure",
    rule: {
      page: RULES,
      says: "An exception that the handler does not catch is a failure of class `RETRYABLE`, with a code of the worker's choice and the stack trace in `traceback`.",
    },
    scheduler: "assigns boom, then echo",
    expected: "class RETRYABLE, a valid code, a traceback; the next task runs",
    run: async (trial) => {
      const { stream } = await trial.begin();
      stream.assign("t-1.1", "boom");
      const failure = failureOf(await stream.result("t-1.1"), FailureClass.RETRYABLE);
      must(
        FAILURE_CODE.test(failure.code),
        `a code that matches ${FAILURE_CODE.source}`,
        `it was "${failure.code}"`,
      );
      must(failure.traceback !== "", "a traceback", "it is empty");
      must(
        failure.message.length <= 4096,
        "a message of at most 4 KiB",
        `it has ${failure.message.length} characters`,
      );
      stream.assign("t-2.1", "echo", 1);
      outputOf(await stream.result("t-2.1"));
    },
  },
  {
    id: "B08",
    title: "heartbeats come on time and name what is held",
    rule: {
      page: "docs/protocol.md#heartbeats",
      says: "A heartbeat names every attempt from its receipt until its result is acknowledged",
    },
    scheduler: `asks for a heartbeat every ${BEAT_MS / 1000} s; assigns sleep of 2 s, and acknowledges its result after 1 s`,
    expected:
      "sequences that grow by one, no gap of two intervals, the attempt in every heartbeat until the acknowledgement and in none after it",
    run: async (trial) => {
      const { stream } = await trial.begin();
      stream.ackResults = false;
      stream.assign("t-1.1", "sleep", { s: 2 });
      const accepted = await stream.accepted("t-1.1");
      await stream.result("t-1.1");
      const pending = await stream.beat("a heartbeat with result_pending", ({ running }) =>
        running.some(({ attemptId, resultPending }) => attemptId === "t-1.1" && resultPending),
      );
      must(pending.slotCount > 0, "the number of slots", "it is 0");
      await stream.nextBeats(1);
      const before = stream.received.length;
      stream.ack("t-1.1");
      await stream.beat("a heartbeat without the attempt", ({ running }) => running.length === 0);
      await stream.nextBeats(2);
      for (const [position, { value, atMs }] of stream.heartbeats.entries()) {
        const previous = stream.heartbeats[position - 1];
        if (previous === undefined) continue;
        must(
          value.sequence === previous.value.sequence + 1n,
          `sequence ${previous.value.sequence + 1n}`,
          `it was ${value.sequence}`,
        );
        const gapMs = atMs - previous.atMs;
        must(
          gapMs < trial.late(2.5 * BEAT_MS),
          `a heartbeat every ${BEAT_MS} ms`,
          `one came after ${Math.round(gapMs)} ms`,
        );
      }
      const held = stream.heartbeats.filter(({ index }) => index > accepted.index && index < before);
      const without = held.filter(({ value }) =>
        value.running.every(({ attemptId }) => attemptId !== "t-1.1"),
      );
      must(
        without.length === 0,
        "t-1.1 in every heartbeat while it is held",
        `${without.length} do not name it`,
      );
      const fastest = (trial.changes.nowMs - (stream.heartbeats[0]?.atMs ?? 0)) / stream.heartbeats.length;
      must(
        fastest > BEAT_MS / 3,
        `heartbeats about every ${BEAT_MS} ms`,
        `one came every ${Math.round(fastest)} ms`,
      );
    },
  },
  {
    id: "B12",
    title: "a result above the limit fails its task",
    rule: {
      page: "docs/protocol.md#limits",
      says: "A result that is too large fails its task with `RESULT_TOO_LARGE` at once, and is not tried again.",
    },
    scheduler: "allows results of 1,000 bytes; assigns big of 1,001 and then of 1,000 bytes",
    expected: "RESULT_TOO_LARGE, not retryable; then the result of 1,000 bytes",
    run: async (trial) => {
      const { stream } = await trial.begin({ maxResultBytes: 1_000n });
      stream.assign("t-1.1", "big", { n: 1_001 });
      const failure = failureOf(await stream.result("t-1.1"), FailureClass.NON_RETRYABLE);
      must(failure.code === "RESULT_TOO_LARGE", "code RESULT_TOO_LARGE", `it was ${failure.code}`);
      stream.assign("t-2.1", "big", { n: 1_000 });
      const output = outputOf(await stream.result("t-2.1"));
      must(output.length === 1_000, "1,000 bytes", `it has ${output.length}`);
    },
  },
  {
    id: "B13",
    title: "large payloads and results pass",
    rule: { page: "docs/protocol.md#limits", says: "| message | 4 MiB | `--max-message` |" },
    scheduler: "assigns echo with a payload of 3 MiB, and big of one byte less than the limit",
    expected: "both results; no frame above `max_message_bytes`",
    run: async (trial) => {
      const { stream } = await trial.begin({
        // A machine that is busy takes a second for frames of this size.
        ...{ heartbeatInterval: seconds(5), lease: seconds(30), reconnectGrace: seconds(15) },
        maxResultBytes: BigInt(3.5 * 1024 * 1024),
      });
      const payload = "x".repeat(3 * 1024 * 1024);
      stream.assign("t-1.1", "echo", payload);
      const echoed = outputOf(await stream.result("t-1.1"));
      must(
        echoed.length === payload.length + 2,
        `${payload.length + 2} bytes`,
        `the result has ${echoed.length}`,
      );
      stream.assign("t-2.1", "big", { n: MAX_RESULT_BYTES - 1 });
      const result = await stream.result("t-2.1");
      mustBe(result, "succeeded");
      const largest = Math.max(...stream.received.map(({ bytes }) => bytes));
      must(
        largest <= MAX_MESSAGE_BYTES,
        `frames of at most ${MAX_MESSAGE_BYTES} bytes`,
        `one has ${largest}`,
      );
    },
  },
];
