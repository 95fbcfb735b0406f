/** Every path on which an attempt ends or is given back, as a walk over two schedulers. */
import assert from "node:assert/strict";
import { WakeUp } from "../../scheduler/src/background/wake-up.ts";
import type { AdmissionPath } from "../../scheduler/src/dispatch/admission/release-path.ts";
import { RetryPolicies } from "../../scheduler/src/dispatch/attempts/retry-policies.ts";
import type { ChangeRequest } from "../../scheduler/src/dispatch/changes/task-changer.ts";
import { decideTermination } from "../../scheduler/src/dispatch/sessions/termination-reasons.ts";
import { DatabaseUnavailableError } from "../../scheduler/src/domain/errors.ts";
import type { Store } from "../../scheduler/src/store/store.ts";
import { failed, SUCCEEDED } from "../store/fixture.ts";
import type { TestDispatch } from "./dispatch-fixture.ts";

/** Two schedulers on one database, in which nothing waits and no worker is registered. */
export interface Walk {
  readonly store: Store;
  readonly a: TestDispatch;
  readonly b: TestDispatch;
}

export interface Path {
  readonly name: string;
  /** How the task left, each time that it did. */
  readonly paths: readonly AdmissionPath[];
  readonly limit?: number;
  /** Answers the task whose paths are compared. */
  readonly walk: (walk: Walk) => Promise<number>;
}

const RELEASED = { kind: "released", reason: "drain" } as const;

/** The attempt ends the task in the database without this scheduler. */
async function endElsewhere(store: Store, taskId: number): Promise<void> {
  const task = (await store.getTask(taskId)) ?? assert.fail(`there is no task ${taskId}`);
  const key = { taskId, epoch: task.epoch };
  const decision = { kind: "finish", state: "succeeded", detail: "" } as const;
  const [result] = await store.commitResults([{ key, decision, acceptAgeMs: 1, startAgeMs: 1 }]);
  assert.ok(result?.applied);
}

/** A task whose attempt a worker has accepted. */
async function accepted(dispatch: TestDispatch) {
  const worker = await dispatch.connect("w");
  const id = await dispatch.submit();
  return { worker, id, key: await worker.accept() };
}

/** Ends every session, as a scheduler does ten minutes after the last heartbeat. */
async function reap(store: Store) {
  const asOf = new Date((await store.databaseTime()).getTime() + 600_000);
  return store.reapSessions(
    { asOf, graceMs: 0, heldBy: undefined },
    10,
    decideTermination(new RetryPolicies({ of: () => undefined }, {}), "lost"),
  );
}

export const PATHS: readonly Path[] = [
  {
    name: "a success",
    paths: ["finished"],
    walk: async ({ a }) => {
      const { worker, id, key } = await accepted(a);
      worker.report(key, SUCCEEDED);
      return id;
    },
  },
  {
    name: "a failure that is not tried again",
    paths: ["finished"],
    walk: async ({ a }) => {
      const { worker, id, key } = await accepted(a);
      worker.report(key, failed("non_retryable"));
      return id;
    },
  },
  {
    name: "a cancellation of a running task",
    paths: ["finished"],
    walk: async ({ a }) => {
      const { worker, id, key } = await accepted(a);
      assert.equal(await a.dispatch.control.cancel(id, "no longer needed"), "asked");
      worker.report(key, { kind: "cancelled", message: "" });
      return id;
    },
  },
  {
    name: "a failure that is tried again, with its backoff",
    paths: ["requeued"],
    walk: async ({ a }) => {
      const { worker, id, key } = await accepted(a);
      worker.report(key, failed());
      return id;
    },
  },
  {
    name: "a retry of a task that ended",
    paths: ["finished", "finished"],
    walk: async ({ a }) => {
      const { worker, id, key } = await accepted(a);
      worker.report(key, failed("non_retryable"));
      await a.until(({ released }) => released.length === 1);
      assert.equal(await a.dispatch.control.retry(id), "queued");
      worker.report(await worker.accept(), SUCCEEDED);
      return id;
    },
  },
  {
    name: "an attempt that its worker released, and that runs again",
    paths: ["requeued", "finished"],
    walk: async ({ a }) => {
      const { worker, id, key } = await accepted(a);
      worker.report(key, RELEASED);
      worker.report(await worker.accept(), SUCCEEDED);
      return id;
    },
  },
  {
    name: "an attempt that was taken from its worker here, and whose task runs again",
    paths: ["requeued", "finished"],
    walk: async ({ a }) => {
      const { worker, id, key } = await accepted(a);
      assert.ok(await a.dispatch.revocations.revoke(id, "why", 0));
      const next = await worker.accept();
      assert.deepEqual(next, { taskId: id, epoch: 2 });
      worker.report(key, SUCCEEDED);
      worker.report(next, SUCCEEDED);
      return id;
    },
  },
  {
    name: "an attempt that was taken from its worker by another scheduler",
    paths: ["stale"],
    walk: async ({ a, b }) => {
      const { id } = await accepted(a);
      assert.ok(await b.dispatch.revocations.revoke(id, "why", 60_000));
      assert.equal(a.rule.held(id), 1, "this scheduler has not read the command");
      await a.dispatch.control.runCommands("a", () => assert.fail("nothing is superseded"));
      return id;
    },
  },
  {
    name: "an assignment that its worker rejected",
    paths: ["requeued"],
    walk: async ({ a }) => {
      const worker = await a.connect("w");
      const id = await a.submit();
      const { key } = await worker.assigned();
      a.dispatch.reportHandler.handleRejected(worker.session, key, "unknown_type", "");
      return id;
    },
  },
  {
    name: "an assignment that was not accepted in time, accepted late after all",
    paths: ["requeued", "finished"],
    walk: async ({ a }) => {
      const { committer, lapsed, reportHandler } = a.dispatch;
      const worker = await a.connect("w");
      const id = await a.submit();
      const { key } = await worker.assigned();
      const attempt = worker.session.attempts.get(id) ?? assert.fail("not held");
      worker.session.drain();
      const written = committer.endAttempt(worker.session, attempt, { kind: "unaccepted" });
      lapsed.add(worker.session, attempt, written);
      assert.ok((await written).applied);
      assert.equal(a.rule.held(id), 0);
      reportHandler.handleAccepted(worker.session, [key]);
      await a.until(({ total }) => total === 1);
      worker.report(key, SUCCEEDED);
      return id;
    },
  },
  {
    name: "the goodbye of a worker that holds an attempt",
    paths: ["requeued"],
    walk: async ({ a }) => {
      const { worker, id } = await accepted(a);
      await worker.goodbye();
      return id;
    },
  },
  {
    name: "the fatal report of a worker",
    paths: ["requeued"],
    walk: async ({ a }) => {
      const { worker, id } = await accepted(a);
      await a.dispatch.sessionReports.handleFatal(worker.session, {
        phase: "work",
        exceptionClass: "E",
        exceptionMessage: "",
        exitCode: 1,
      } as never);
      return id;
    },
  },
  {
    name: "a newer process of the same worker id",
    paths: ["requeued"],
    walk: async ({ a }) => {
      const { worker, id } = await accepted(a);
      await worker.drop();
      await a.connect("w", { slots: 0 });
      return id;
    },
  },
  {
    name: "a lost worker, reaped here",
    paths: ["requeued"],
    walk: async ({ a, store }) => {
      const { worker, id } = await accepted(a);
      await worker.drop();
      const reaped = await reap(store);
      for (const gone of reaped) a.dispatch.terminator.recordTermination(gone, "lost");
      return id;
    },
  },
  {
    name: "a lost worker, reaped by another scheduler",
    paths: ["session_dropped"],
    walk: async ({ a, b, store }) => {
      const { worker, id } = await accepted(a);
      await worker.drop();
      const reaped = await reap(store);
      for (const gone of reaped) b.dispatch.terminator.recordTermination(gone, "lost");
      assert.equal(a.rule.held(id), 1, "this scheduler has not heard of it");
      await a.dispatch.terminator.dropMoved();
      return id;
    },
  },
  {
    name: "a lost worker whose task is assigned again before its scheduler noticed",
    paths: ["overtaken", "finished"],
    walk: async ({ a, store }) => {
      const lost = await a.connect("w-lost");
      const id = await a.submit();
      await lost.accept();
      await lost.drop();
      await reap(store);
      const other = await a.connect("w-other");
      a.dispatch.dispatcher.lookAgain();
      await a.idle();
      // As the poll does: this scheduler counts the lost attempt still, the database does not.
      await a.dispatch.concurrencyKeys.refresh(store);
      a.dispatch.dispatcher.lookAgain();
      const key = await other.accept();
      await a.dispatch.terminator.dropMoved();
      assert.equal(a.rule.held(id), 1, "the drop of the old session released the new attempt");
      other.report(key, SUCCEEDED);
      return id;
    },
  },
  {
    name: "a session that moved to another scheduler with its attempt",
    paths: ["session_dropped"],
    walk: async ({ a, b }) => {
      const { worker, id, key } = await accepted(a);
      await worker.drop();
      const moved = await b.connect("w", { uuid: worker.uuid, inFlight: [key] });
      assert.equal(b.rule.held(id), 1, "the other scheduler counts it");
      await a.dispatch.terminator.dropMoved();
      assert.equal(a.rule.held(id), 0);
      moved.report(key, SUCCEEDED);
      await b.until(({ total }) => total === 0);
      assert.deepEqual(b.rule.released, [{ taskId: id, path: "finished" }]);
      return id;
    },
  },
  {
    name: "a session that ended while an attempt was claimed for it",
    paths: ["session_dropped"],
    walk: async ({ a }) => {
      const worker = await a.connect("w");
      const dropped = Promise.withResolvers<void>();
      a.nextClaim = async (claim) => {
        const claimed = await claim();
        await a.dispatch.terminator.terminateSession(worker.session, "finished");
        dropped.resolve();
        return claimed;
      };
      const id = await a.submit();
      await dropped.promise;
      return id;
    },
  },
  {
    name: "a reconnect with the attempt",
    paths: ["finished"],
    walk: async ({ a }) => {
      const { worker, id, key } = await accepted(a);
      await worker.drop();
      const again = await a.connect("w", { uuid: worker.uuid, inFlight: [key] });
      assert.equal(a.rule.held(id), 1);
      assert.deepEqual(a.rule.released, []);
      again.report(key, SUCCEEDED);
      return id;
    },
  },
  {
    name: "a reconnect of a worker that never received the assignment",
    paths: ["requeued"],
    walk: async ({ a }) => {
      const worker = await a.connect("w");
      const id = await a.submit();
      await worker.assigned();
      await worker.drop();
      await a.connect("w", { uuid: worker.uuid, slots: 0 });
      return id;
    },
  },
  {
    name: "a reconnect without the attempt, which ended elsewhere",
    paths: ["not_resumed"],
    walk: async ({ a, store }) => {
      const { worker, id } = await accepted(a);
      await worker.drop();
      await endElsewhere(store, id);
      await a.connect("w", { uuid: worker.uuid });
      return id;
    },
  },
  {
    name: "a result of an attempt that ended elsewhere",
    paths: ["stale"],
    walk: async ({ a, store }) => {
      const { worker, id, key } = await accepted(a);
      await endElsewhere(store, id);
      worker.report(key, SUCCEEDED);
      return id;
    },
  },
  {
    name: "a claim that another scheduler won",
    paths: ["claim_lost"],
    walk: async ({ a, b, store }) => {
      const worker = await b.connect("w-other", { slots: 0 });
      await a.connect("w");
      a.nextClaim = async (claim) => {
        const openClass = await classId(store);
        const [waiting] = await store.waitingTasks([openClass], 1);
        const wanted = [{ taskId: waiting?.id ?? 0, sessionId: worker.session.id }];
        const [taskClass] = await store.classesById([openClass]);
        await (taskClass?.concurrency ? store.claimKeyed(wanted) : store.claim(wanted));
        return claim();
      };
      return a.submit();
    },
  },
  {
    name: "a claim that found the key of its task held at another scheduler, until that frees it",
    paths: ["turned_back", "finished"],
    walk: async ({ a, b, store }) => {
      const concurrency = [{ key: "turned-back", limit: 1 }];
      const other = await b.connect("w-other", { slots: 1 });
      await b.submit({ concurrency });
      const held = await other.accept();
      const worker = await a.connect("w");
      const id = await a.submit({ concurrency });
      await a.until(({ released }) => released.length === 1);
      other.session.drain();
      other.report(held, SUCCEEDED);
      await b.until(({ total }) => total === 0);
      a.dispatch.dispatcher.hinted([await classId(store)]);
      worker.report(await worker.accept(), SUCCEEDED);
      return id;
    },
  },
  {
    name: "a claim that the database refused, tried again",
    paths: ["claim_failed", "finished"],
    walk: async ({ a }) => {
      const worker = await a.connect("w");
      a.nextClaim = () => Promise.reject(new Error("the disk is full"));
      const id = await a.submit();
      await a.until(({ released }) => released.length === 1);
      a.dispatch.dispatcher.lookAgain();
      worker.report(await worker.accept(), SUCCEEDED);
      return id;
    },
  },
  {
    name: "a claim that was committed and whose answer did not arrive",
    // It went back into the window, and the second claim of it finds it assigned.
    paths: ["claim_failed", "finished", "claim_lost"],
    walk: async ({ a }) => {
      const worker = await a.connect("w");
      a.nextClaim = async (claim) => {
        await claim();
        throw new DatabaseUnavailableError("the connection broke", true, undefined);
      };
      const id = await a.submit();
      worker.report(await worker.accept(), SUCCEEDED);
      return id;
    },
  },
  {
    name: "a claim of a task that is in a queue of other workers meanwhile",
    paths: ["requeued"],
    walk: async ({ a, b }) => {
      const id = await a.submit();
      a.nextClaim = async (claim) => {
        await change(b, id, { kind: "move", queue: "elsewhere", createQueue: true });
        return claim();
      };
      const { session } = await a.connect("w");
      await a.until(({ released }) => released.length === 1);
      assert.deepEqual([session.attempts.size, a.heldTasks.length], [0, 0]);
      return id;
    },
  },
  {
    name: "another priority of a task that is held back, then its cancellation with others",
    paths: ["changed_in_queue", "cancelled_in_queue"],
    limit: 0,
    walk: async ({ a }) => {
      await a.connect("w");
      const id = await a.submit();
      assert.ok(a.dispatch.admission.isHeld(id));
      await change(a, id, { kind: "set_priority", priority: 3 });
      await a.idle();
      assert.ok(a.dispatch.admission.isHeld(id), "it is held back again, in its new place");
      await change(a, id, { kind: "cancel" });
      assert.ok(!a.dispatch.admission.isHeld(id));
      return id;
    },
  },
  {
    name: "a cancellation of a task that is held back",
    paths: ["cancelled_in_queue"],
    limit: 0,
    walk: async ({ a }) => {
      await a.connect("w");
      const id = await a.submit();
      assert.ok(a.dispatch.admission.isHeld(id));
      assert.equal(await a.dispatch.control.cancel(id, "no longer needed"), "cancelled");
      assert.ok(!a.dispatch.admission.isHeld(id));
      return id;
    },
  },
  {
    name: "an operator's hold of a task that is held back",
    paths: ["held_in_queue"],
    limit: 0,
    walk: async ({ a }) => {
      await a.connect("w");
      const id = await a.submit();
      assert.ok(a.dispatch.admission.isHeld(id));
      assert.equal(await a.dispatch.control.hold(id, "not today"), "held");
      assert.ok(!a.dispatch.admission.isHeld(id));
      return id;
    },
  },
  {
    name: "a start deadline that passes while the task is held back",
    paths: ["overdue_in_queue"],
    limit: 0,
    walk: async ({ a, store }) => {
      await a.connect("w");
      const id = await a.submit({ options: { timeouts: { queueWaitMs: 1 } } });
      assert.ok(a.dispatch.admission.isHeld(id));
      const wakeUp = new WakeUp({ ...a.dispatch, store });
      // The deadline is a millisecond away by the database's clock.
      while (a.dispatch.admission.isHeld(id)) await wakeUp.runOnce();
      return id;
    },
  },
];

/** Changes one task as an operation on many does. */
async function change(
  { dispatch }: TestDispatch,
  taskId: number,
  what: ChangeRequest["change"],
): Promise<void> {
  const filter = {
    ...{ taskIds: [taskId], states: [], queues: [], types: [], details: [], failureCodes: [], tags: [] },
    ...{ errorText: undefined, workerId: undefined, batchId: undefined, uniqueKey: undefined },
    ...{ minAgeMs: undefined, maxAgeMs: undefined, minEndedAgeMs: undefined, maxEndedAgeMs: undefined },
  };
  const never = new AbortController().signal;
  const request = { change: what, filter, reason: "a test", dryRun: false, from: undefined };
  for await (const { done, left } of dispatch.changer.run(request, never, never))
    assert.deepEqual([done, left], [1, undefined]);
}

async function classId(store: Store): Promise<number> {
  const [ids] = [[...(await store.openClassIds())]];
  return ids[0] ?? assert.fail("no class has an open task");
}
