import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { FailureClass } from "../generated/muster/v1/failure_pb.ts";
import {
  FixedBackoffSchema,
  RetryPolicySchema,
  type TaskState as State,
  TaskSchema,
  TaskState,
} from "../generated/muster/v1/task_pb.ts";
import { readContent } from "./content.ts";
import { plain } from "./plain.ts";
import { plainTask } from "./plain-task.ts";

const AT = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

describe("plain objects", () => {
  it("have names, dates, seconds and numbers, and only what is set", () => {
    const task = create(TaskSchema, {
      id: "t-1",
      state: TaskState.QUEUED,
      createTime: timestampFromMs(AT),
      timeouts: { run: durationFromMs(1_500), phases: { load: durationFromMs(250) } },
      payloadBytes: 12n,
      progress: { doneCount: 9_007_199_254_740_993n, totalCount: 7n },
      requirements: { cost: { gpu: 2n } },
    });
    const { state, createTime, timeouts, payloadBytes, progress, requirements, failure, finishTime } = plain(
      TaskSchema,
      task,
    );
    assert.equal(state, "queued");
    assert.deepEqual(createTime, new Date(AT));
    assert.deepEqual(timeouts, { runS: 1.5, phasesS: { load: 0.25 } });
    assert.deepEqual(
      [payloadBytes, requirements?.cost, failure, finishTime],
      [12, { gpu: 2 }, undefined, undefined],
    );
    assert.deepEqual(
      [progress?.doneCount, progress?.totalCount],
      ["9007199254740993", 7],
      "no digit is lost",
    );
  });

  it("have the chosen case of a oneof, and the number of a state of a newer version", () => {
    const value = create(FixedBackoffSchema, { delays: [durationFromMs(500)] });
    const policy = plain(RetryPolicySchema, create(RetryPolicySchema, { backoff: { case: "fixed", value } }));
    assert.deepEqual(policy, { fixed: { delaysS: [0.5] } });
    assert.equal(plain(TaskSchema, create(TaskSchema, { state: 99 as State })).state, "99");
    assert.ok(!("state" in plain(TaskSchema, create(TaskSchema))));
  });

  it("of a task hold the values of payload and result, which JSON.stringify writes", () => {
    const json = (text: string) => Buffer.from(text);
    const task = plainTask(
      create(TaskSchema, {
        id: "t-1",
        taskType: "greet",
        state: TaskState.FAILED,
        payload: json('{"name":"Ada"}'),
        payloadBytes: 14n,
        contentType: "application/json",
        createTime: timestampFromMs(AT),
        failure: { failureClass: FailureClass.NON_RETRYABLE, code: "NO", details: '{"n":1}' },
        attempts: [{ id: "t-1.1", failure: { failureClass: FailureClass.WORKER_LOST, details: "no JSON" } }],
        output: Buffer.from([1, 2]),
        outputBytes: 2n,
        outputContentType: "image/png",
        omittedFields: ["output", "attempts"],
      }),
    );
    assert.deepEqual(task.payload, { contentType: "application/json", bytes: 14, json: { name: "Ada" } });
    assert.deepEqual(task.result, { contentType: "image/png", bytes: 2 });
    assert.deepEqual([...(task.result?.data ?? [])], [1, 2]);
    assert.deepEqual(task.failure?.details, { n: 1 });
    assert.deepEqual(
      [task.attempts[0]?.failure?.failureClass, task.attempts[0]?.failure?.details],
      ["worker_lost", "no JSON"],
    );
    assert.deepEqual(task.omittedFields, ["result", "attempts"]);
    const written = JSON.parse(JSON.stringify(task));
    assert.deepEqual(
      [written.type, written.state, written.createTime],
      ["greet", "failed", "2026-01-02T03:04:05.678Z"],
    );
    assert.deepEqual(written.result, { contentType: "image/png", bytes: 2 });
  });

  it("of a task have its measurements and the facts of its failures as they were given", () => {
    const kinds = {
      turn: { kind: { case: "number", value: 3 } },
      model: { kind: { case: "text", value: "" } },
      cached: { kind: { case: "flag", value: false } },
      newer: {},
    } as const;
    const task = plainTask(
      create(TaskSchema, {
        failure: { code: "A", facts: kinds },
        attempts: [{ id: "t-1.1", measured: { tokens_in: 1.5 }, failure: { code: "B" } }],
        measured: { calls: 2 },
      }),
    );
    const { failure, attempts, measured } = JSON.parse(JSON.stringify(task));
    assert.deepEqual(failure.facts, { turn: 3, model: "", cached: false });
    assert.deepEqual([attempts[0].measured, measured], [{ tokens_in: 1.5 }, { calls: 2 }]);
    assert.ok(!("facts" in attempts[0].failure));
  });

  it("show no content that was left out of the message", () => {
    const { payload } = plainTask(create(TaskSchema, { payloadBytes: 5n, contentType: "text/plain" }));
    assert.deepEqual([payload, payload.data], [{ contentType: "text/plain", bytes: 5 }, undefined]);
  });

  it("read JSON, text and bytes by their media type and what they really hold", () => {
    const kinds = [
      ["[1]", "", "json"],
      ["[1", "application/json", "text"],
      ['"a"', "application/ld+json; charset=utf-8", "json"],
      ["<a/>", "image/svg+xml", "text"],
      ["a", "text/plain; charset=utf-16", "binary"],
      ["a", "application/octet-stream", "binary"],
    ] as const;
    for (const [text, type, kind] of kinds)
      assert.equal(readContent(Buffer.from(text), type).kind, kind, type);
    assert.equal(readContent(Buffer.from([0xff]), "text/plain").kind, "binary");
  });
});
