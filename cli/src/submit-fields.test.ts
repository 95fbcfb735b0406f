import assert from "node:assert/strict";
import { test } from "node:test";
import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { toJson } from "@bufbuild/protobuf";
import { type TaskSpec, TaskSpecSchema } from "@muster/protocol";
import { run } from "./run.ts";
import { fakeIo } from "./testing/fake-io.ts";
import { startFakeScheduler } from "./testing/fake-scheduler.ts";

/** Fields that only a request with several tasks can set. */
const ONLY_TOGETHER = new Set(["after.entry"]);

/** Every option of a task; where two exclude each other, one is in the second command. */
const FIRST = [
  ...["--queue", "nightly", "--priority", "3", "--delay", "5s", "--tag", "a", "--header", "h=1"],
  ...["--concurrency", "k=2,cancel-newest", "--cost", "slots=2", "--rate-limit", "smtp=100/1m:10"],
  ...["--circuit", "p,rate=0.3,window=2m,samples=5,open=1m,max-open=5m,probes=2"],
  ...["--fairness-key", "f", "--fairness-weight", "2", "--label", "gpu=1", "--resource", "m"],
  ...["--max-retries", "2", "--backoff", "1m,5m", "--lost-backoff", "1m", "--no-retry-timeouts"],
  ...["--max-oom-retries", "2", "--oom-label", "big=1", "--oom-cost", "slots=x2,max=8"],
  ...["--max-iterations", "9", "--run-timeout", "1h", "--queue-timeout", "2h", "--watchdog", "5m"],
  ...["--phase-timeout", "load=5m", "--phase-watchdog", "load=1m", "--after", "t-1:ended"],
  ...["--batch", "b-1", "--unique-key", "u", "--unique-while", "open", "--unique-window", "1h"],
  ...["--on-conflict", "refuse"],
];
const SECOND = [
  ...["--at", "2026-03-29T02:30:00+01:00", "--backoff", "1s,factor=3,max=1h,jitter=0.1"],
  ...["--oom-cost", "slots=+1", "--concurrency", "k=1,strict"],
];

test("every field of a task can be set on the command line", async () => {
  const specs: TaskSpec[] = [];
  await using scheduler = await startFakeScheduler({
    tasks: {
      submitTasks: ({ tasks }) => {
        specs.push(...tasks);
        return { tasks: [{ taskId: "t-1" }] };
      },
    },
  });
  for (const options of [FIRST, SECOND]) {
    const io = fakeIo();
    const code = await run(["submit", "echo", "1", ...options, "--scheduler", scheduler.address], io);
    assert.equal(code, 0, io.err());
  }
  const set = new Set(
    specs.flatMap((spec) => setFields(TaskSpecSchema, Object(toJson(TaskSpecSchema, spec)))),
  );
  const unset = allFields(TaskSpecSchema).filter((path) => !set.has(path) && !ONLY_TOGETHER.has(path));
  assert.deepEqual(unset, []);
});

test("--at and --delay exclude each other, and a phase has one duration", async () => {
  for (const [options, error] of [
    [["--at", "2026-03-29T02:30:00Z", "--delay", "5s"], /--at.*cannot be used with.*--delay/],
    [["--at", "soon"], /"soon" is no moment in ISO 8601/],
    [["--phase-timeout", "load=1m", "--phase-timeout", "load=2m"], /names the phase load again/],
    [["--phase-watchdog", "load"], /"load" is not key=value/],
  ] as const) {
    const io = fakeIo();
    assert.equal(await run(["submit", "echo", "1", ...options], io), 2);
    assert.match(io.err(), error);
  }
});

/** Paths of the fields of a message that hold values, through messages, lists and maps. */
function allFields(message: DescMessage, prefix = ""): string[] {
  return message.fields.flatMap((field) => {
    const inner = own(field);
    return inner ? allFields(inner, `${prefix}${field.jsonName}.`) : [`${prefix}${field.jsonName}`];
  });
}

/** Those of them that this JSON has. */
function setFields(message: DescMessage, json: Readonly<Record<string, unknown>>, prefix = ""): string[] {
  return message.fields.flatMap((field) => {
    const value = json[field.jsonName];
    if (value === undefined) return [];
    const inner = own(field);
    if (!inner) return [`${prefix}${field.jsonName}`];
    const values = field.fieldKind === "map" ? Object.values(Object(value)) : [value].flat();
    return values.flatMap((each) => setFields(inner, Object(each), `${prefix}${field.jsonName}.`));
  });
}

/** The message of Muster that the values of a field are, if any. */
function own(field: DescField): DescMessage | undefined {
  const { message } = field;
  return message?.typeName.startsWith("muster.") ? message : undefined;
}
