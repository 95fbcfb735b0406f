import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "../../store/store.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { recordedLog } from "../testing/recorded-log.ts";
import { TaskControl, type TaskControlParts } from "./task-control.ts";

const TAKEN_BY = "s-1";

/** A control of which commands are read, with only what they need. */
function controlOf(given: Partial<TaskControlParts>) {
  const clock = new ManualClock();
  const { log, events } = recordedLog();
  const commands: Command[] = [];
  const store: Pick<TaskControlParts["store"], "takeCommands"> = {
    takeCommands: async () => commands.splice(0),
  };
  const revoked: string[] = [];
  const revocations: TaskControlParts["revocations"] = {
    carryOut: ({ sessionId, body }) => void revoked.push(`${sessionId}: ${body.task_id}.${body.epoch}`),
    tryAgain: () => void revoked.push("again"),
  };
  const control = new TaskControl({ store, clock, log, revocations, ...given } as TaskControlParts);
  const superseded: number[] = [];
  const run = (...taken: Command[]) => {
    commands.push(...taken);
    return control.runCommands(TAKEN_BY, (id) => void superseded.push(id));
  };
  return { clock, events, revoked, superseded, run };
}

test("every read of commands tries earlier revocations again before it carries out new ones", async () => {
  const { revoked, run } = controlOf({});
  await run({ sessionId: 7, kind: "revoke", body: { task_id: "1", epoch: "2", reason: "why" } });
  await run();
  assert.deepEqual(revoked, ["again", "7: 1.2", "again"]);
});

test("of the commands of other schedulers, only supersede ends a stream; an unknown one is logged", async () => {
  const { events, superseded, run } = controlOf({});
  const later = "pause_of_later_version" as Command["kind"];
  await run({ sessionId: 1, kind: later, body: {} }, { sessionId: 2, kind: "supersede", body: {} });
  assert.deepEqual(superseded, [2]);
  assert.deepEqual(events, ["command.unknown"]);
});

test("a cancellation that arrives before the answer of the claim reaches the attempt, and only that one", async () => {
  const attempts = new Map<number, { epoch: number }>();
  const asked: string[] = [];
  const { clock, run } = controlOf({
    registry: { byId: () => ({ attempts }) } as unknown as TaskControlParts["registry"],
    reportHandler: {
      requestCancel: (sessionId: number, key: { taskId: number; epoch: number }, reason: string) => {
        if (attempts.get(key.taskId)?.epoch !== key.epoch) return false;
        asked.push(`${sessionId}: ${key.taskId}.${key.epoch} ${reason}`);
        return true;
      },
    } as unknown as TaskControlParts["reportHandler"],
  });
  const cancel = (taskId: number): Command => ({
    sessionId: 7,
    kind: "cancel",
    body: { task_id: String(taskId), epoch: "2", reason: "why" },
  });
  await run(cancel(1), cancel(2), cancel(3));
  attempts.set(1, { epoch: 2 });
  attempts.set(2, { epoch: 3 });
  await run();
  await run();
  assert.deepEqual(asked, ["7: 1.2 why"]);
  await clock.pass(30_000);
  await run();
  attempts.set(3, { epoch: 2 });
  await run();
  assert.deepEqual(asked, ["7: 1.2 why"], "given up after 30 s");
});
