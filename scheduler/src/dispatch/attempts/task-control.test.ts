import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "../../store/store.ts";
import { recordedLog } from "../testing/recorded-log.ts";
import { TaskControl, type TaskControlParts } from "./task-control.ts";

test("of the commands of other schedulers, only supersede ends a stream; an unknown one is logged", async () => {
  const commands = ["pause_of_later_version", "supersede"].map((kind, index) => ({
    sessionId: index + 1,
    kind: kind as Command["kind"],
    body: {},
  }));
  const { log, events } = recordedLog();
  // Only what these commands need.
  const parts: Pick<TaskControlParts, "log"> & { store: Pick<TaskControlParts["store"], "takeCommands"> } = {
    store: { takeCommands: async () => commands },
    log,
  };
  const superseded: number[] = [];
  await new TaskControl(parts as TaskControlParts).runCommands("s-1", (id) => void superseded.push(id));
  assert.deepEqual(superseded, [2]);
  assert.deepEqual(events, ["command.unknown"]);
});
