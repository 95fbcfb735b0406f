import assert from "node:assert/strict";
import { test } from "node:test";
import { create, equals, fromBinary } from "@bufbuild/protobuf";
import { TaskEventsSchema, WorkerMessageSchema } from "@muster/protocol";
import { durationFromMs } from "../../duration.ts";
import type { LoggedEvent } from "../outbox/in-flight.ts";
import { EventsFrame, encodeEvent } from "./events-frame.ts";

const EVENTS: readonly LoggedEvent[] = [
  { sequence: 1, name: "task.received", elapsedMs: 0, attributes: undefined },
  { sequence: 2 ** 40, name: "task.laden_größe.started", elapsedMs: 61_000.5, attributes: {} },
  {
    sequence: 3,
    name: "task.load.completed",
    elapsedMs: 12.345,
    attributes: { elapsed_ms: "12", model: "日本", empty: "" },
  },
];

const messageOf = ({ sequence, name, elapsedMs, attributes }: LoggedEvent) => ({
  ...{ attemptId: "t-1.1", sequence: BigInt(sequence), name },
  ...{ elapsed: durationFromMs(elapsedMs), attributes: { ...attributes } },
});

test("events written field by field say what the generated encoder says, one by one and together", () => {
  const expected = create(TaskEventsSchema, { events: EVENTS.map(messageOf) });
  const frame = new EventsFrame();
  for (const event of EVENTS) frame.add("t-1.1", event);
  const { kind } = fromBinary(WorkerMessageSchema, frame.finish());
  assert.equal(kind.case, "taskEvents");
  assert.ok(equals(TaskEventsSchema, kind.value, expected));
  const single = EVENTS.map((event) => {
    const message = fromBinary(WorkerMessageSchema, encodeEvent("t-1.1", event)).kind;
    assert.equal(message.case, "taskEvent");
    return message.value;
  });
  assert.ok(equals(TaskEventsSchema, create(TaskEventsSchema, { events: single }), expected));
});
