/** Complete cases of attempts that have to stop: cancellation, hard timeouts, revocation. */
import { FailureClass, RejectionReason } from "@muster/protocol";
import type { ConformanceCase } from "../../case.ts";
import { must } from "../../mismatch.ts";
import { seconds } from "../../peer/durations.ts";
import type { WorkerStream } from "../../peer/worker-stream.ts";
import { failureOf, mustBe, mustReject, outputOf } from "../outcomes.ts";

const RULES = "docs/protocol.md#rules";
const OUTCOMES = "docs/protocol.md#what-becomes-of-an-attempt-that-has-to-stop";
const FOUR = ["t-1.1", "t-2.1", "t-3.1", "t-4.1"];

/** Fills every slot. */
async function fill(stream: WorkerStream, type: string, payload: unknown): Promise<void> {
  for (const id of FOUR) stream.assign(id, type, payload);
  for (const id of FOUR) await stream.started(id);
}

async function mustTimeOut(stream: WorkerStream, attemptId: string): Promise<void> {
  const failure = failureOf(await stream.result(attemptId), FailureClass.TIMED_OUT);
  must(failure.code === "TIMED_OUT", "code TIMED_OUT", `it was ${failure.code}`);
}

/** Ids C04 to C09b. */
export const STOPS: readonly ConformanceCase[] = [
  {
    id: "C04",
    title: "a cancelled handler stops",
    rule: { page: RULES, says: "**A cancellation is a request.**" },
    scheduler: "cancels sleep of 30 s",
    expected: "the outcome `cancelled`",
    run: async (trial) => {
      const { stream } = await trial.begin();
      stream.assign("t-1.1", "sleep", { s: 30 });
      await stream.started("t-1.1");
      stream.cancel("t-1.1");
      mustBe(await stream.result("t-1.1"), "cancelled");
    },
  },
  {
    id: "C05",
    title: "a handler that does not stop is said to be cancelling",
    rule: { page: RULES, says: "After `CancelAttempt` the result is still wanted, whichever it is." },
    scheduler: "cancels stubborn of 2.5 s",
    expected: "`cancelling` in heartbeats until the handler returns; a result",
    run: async (trial) => {
      const { stream } = await trial.begin();
      stream.assign("t-1.1", "stubborn", { s: 2.5 });
      await stream.started("t-1.1");
      stream.cancel("t-1.1");
      await stream.beat("a heartbeat with cancelling", ({ running }) =>
        running.some(({ attemptId, cancelling }) => attemptId === "t-1.1" && cancelling),
      );
      await stream.result("t-1.1");
    },
  },
  {
    id: "C05b",
    title: "a value after a cancellation is no success",
    rule: {
      page: OUTCOMES,
      says: "a value that it returns after the cancellation is reported as `cancelled`",
    },
    scheduler: "cancels stubborn of 1.5 s, which returns a value",
    expected: "the outcome `cancelled`",
    run: async (trial) => {
      const { stream } = await trial.begin();
      stream.assign("t-1.1", "stubborn", { s: 1.5 });
      await stream.started("t-1.1");
      stream.cancel("t-1.1");
      mustBe(await stream.result("t-1.1"), "cancelled");
    },
  },
  {
    id: "C06",
    title: "a cancellation because of a timeout is a timeout",
    rule: { page: RULES, says: "With `timed_out` set, report a failure of class `TIMED_OUT`." },
    scheduler: "cancels sleep of 30 s with `timed_out`",
    expected: "a failure of class and code TIMED_OUT",
    run: async (trial) => {
      const { stream } = await trial.begin();
      stream.assign("t-1.1", "sleep", { s: 30 });
      await stream.started("t-1.1");
      stream.cancel("t-1.1", { timedOut: true });
      await mustTimeOut(stream, "t-1.1");
    },
  },
  {
    id: "C06b",
    title: "a value after a timeout is a timeout",
    rule: { page: OUTCOMES, says: "a value that it returns after the limit is reported as `TIMED_OUT`" },
    scheduler: "cancels stubborn of 1.5 s with `timed_out`; another one has a run timeout of 0.5 s",
    expected: "a failure of class and code TIMED_OUT for both",
    run: async (trial) => {
      const { stream } = await trial.begin();
      stream.assign("t-1.1", "stubborn", { s: 1.5 });
      stream.assign("t-2.1", "stubborn", { s: 1.5 }, { runTimeout: seconds(0.5) });
      await stream.started("t-1.1");
      stream.cancel("t-1.1", { timedOut: true });
      await mustTimeOut(stream, "t-1.1");
      await mustTimeOut(stream, "t-2.1");
    },
  },
  {
    id: "C07",
    title: "hard timeouts are kept by the worker itself",
    rule: { page: OUTCOMES, says: "The worker keeps `run_timeout` from the start of the handler" },
    scheduler:
      "assigns sleep of 30 s with a run timeout of 1 s, and phases of 20 s with a limit of 0.7 s for `first`; sends nothing more",
    expected: "a failure of class and code TIMED_OUT for both",
    run: async (trial) => {
      const { stream } = await trial.begin();
      stream.assign("t-1.1", "sleep", { s: 30 }, { runTimeout: seconds(1) });
      stream.assign("t-2.1", "phases", { s: 20 }, { phaseTimeouts: { first: seconds(0.7) } });
      await mustTimeOut(stream, "t-1.1");
      await mustTimeOut(stream, "t-2.1");
    },
  },
  {
    id: "C08",
    title: "a revoked attempt is forgotten",
    rule: { page: RULES, says: "After `RevokeAttempt` nothing is wanted any more." },
    scheduler: "revokes sleep of 30 s in every slot, and assigns four attempts",
    expected: "no results of the revoked ones; they leave the heartbeats; the new ones start",
    run: async (trial) => {
      const { stream } = await trial.begin();
      await fill(stream, "sleep", { s: 30 });
      for (const id of FOUR) stream.revoke(id);
      await stream.beat("a heartbeat without attempts", ({ running }) => running.length === 0);
      const next = FOUR.map((id) => id.replace(".1", ".2"));
      for (const id of next) stream.assign(id, "sleep", { s: 0.1 });
      for (const id of next) mustBe(await stream.result(id), "succeeded");
      const came = FOUR.filter((id) => stream.results(id).length > 0);
      must(came.length === 0, "no results of revoked attempts", `${came.join(", ")} came`);
    },
  },
  {
    id: "C09",
    title: "a revoked handler that goes on keeps its slot",
    rule: {
      page: OUTCOMES,
      says: "Its slot is free when the handler has returned: until then a worker rejects with `NO_SLOT`",
    },
    scheduler:
      "revokes stubborn of 3 s in every slot, and assigns echo at once and again when the handlers have returned",
    expected: "NO_SLOT; then echo runs; no results of the revoked ones",
    run: async (trial) => {
      const { stream } = await trial.begin();
      await fill(stream, "stubborn", { s: 3 });
      for (const id of FOUR) stream.revoke(id);
      stream.assign("t-5.1", "echo", 1);
      await mustReject(stream, "t-5.1", RejectionReason.NO_SLOT);
      await stream.beat("a heartbeat without attempts", ({ running }) => running.length === 0);
      stream.assign("t-5.2", "echo", 1);
      outputOf(await stream.result("t-5.2"));
      const came = FOUR.filter((id) => stream.results(id).length > 0);
      must(came.length === 0, "no results of revoked attempts", `${came.join(", ")} came`);
    },
  },
  {
    id: "C09b",
    title: "heartbeats say that a revoked handler has its slot",
    rule: { page: OUTCOMES, says: "and lists it with `revoked` in every heartbeat" },
    scheduler: "revokes stubborn of 2.5 s in every slot",
    expected: "heartbeats list the four with `revoked` until the handlers return, then not any more",
    run: async (trial) => {
      const { stream } = await trial.begin();
      await fill(stream, "stubborn", { s: 2.5 });
      for (const id of FOUR) stream.revoke(id);
      await stream.beat("a heartbeat with four revoked attempts", ({ running }) =>
        FOUR.every((id) => running.some(({ attemptId, revoked }) => attemptId === id && revoked)),
      );
      await stream.beat("a heartbeat without attempts", ({ running }) => running.length === 0);
    },
  },
];
