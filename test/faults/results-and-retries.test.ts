import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TaskFailedError } from "@muster/worker/client";
import { Fleet, H } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";

describe("results, retries and keys", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start({ schedulers: 2 });
    await fleet.worker("results-1", { slots: 4 });
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("F22: a result beyond the limit fails its task at once and no other", async () => {
    const gate = fleet.gate();
    const neighbour = await fleet.client.submit("gate", { gate: gate.path });
    await fleet.ran(neighbour.id);
    const handle = await fleet.client.submit("big", { bytes: 1024 * 1024 + 1 });
    const error = await failure(handle.result());
    assert.equal(error.code, "RESULT_TOO_LARGE");
    assert.match(error.message, /1048577.*1048576/);
    await fleet.taskReason(handle.id, "FAILED", 0, {
      evidence: {
        attempt: /^t-\d+\.1 on results-1: failed \(RESULT_TOO_LARGE: /,
        last_error: /^RESULT_TOO_LARGE: .*1048577.*1048576/,
        worker: /^results-1$/,
      },
      commands: ["--max-result", `muster retry ${handle.id}`],
    });
    assert.equal(fleet.runs(handle.id).length, 1);
    assert.deepEqual(await fleet.events(handle.id), [
      ...["created", "assigned", "accepted", "started", "failed"],
    ]);
    gate.open();
    assert.deepEqual(await neighbour.result(), { worker: "results-1", attempt: 1 });
    assert.equal(fleet.runs(neighbour.id).length, 1);
    const largest = await fleet.client.submit<Uint8Array>("big", { bytes: 1024 * 1024 });
    assert.equal((await largest.result()).byteLength, 1024 * 1024);
  });

  it("F25: a task that always fails ends with every attempt on record", async () => {
    // The first wait outlasts any machine; the remedy of its explanation ends it.
    const handle = await fleet.client.submit("fail", null, { retry: { maxRetries: 2, delaysS: [60, 0.05] } });
    await fleet.taskReason(handle.id, "WAITING_FOR_RETRY", H, {
      evidence: {
        attempt: /^1$/,
        run_time: /^\d{4}-.+Z$/,
        error_code: /^ON_PURPOSE$/,
        error_message: /^it failed on purpose$/,
        worker: /^results-1$/,
      },
      commands: [`muster retry ${handle.id}`],
    });
    assert.equal((await fleet.task(handle.id)).detail, "retry");
    await handle.retry();
    const error = await failure(handle.result());
    assert.equal(error.task.detail, "RETRIES_EXHAUSTED");
    assert.equal(error.code, "ON_PURPOSE");
    const ended = await fleet.taskReason(handle.id, "RETRIES_EXHAUSTED", 0, {
      evidence: { last_error: /^ON_PURPOSE: it failed on purpose$/, worker: /^results-1$/ },
      commands: [`muster retry ${handle.id}`],
    });
    const { attempts } = await fleet.task(handle.id);
    const all = ended.reason.evidence.filter(({ key }) => key === "attempt").map(({ value }) => value);
    assert.deepEqual(
      attempts.map(({ id, number, outcome }) => `${id} ${number} ${outcome}`),
      [`${handle.id}.1 1 requeued:retry`, `${handle.id}.2 2 requeued:retry`],
      `the explanation names ${all.join("; ")}`,
    );
    for (const [at, end] of ["requeued:retry", "requeued:retry", "failed"].entries())
      assert.match(
        all[at] ?? "",
        new RegExp(`^${handle.id}\\.${at + 1} on \\S+: ${end} \\(ON_PURPOSE: it failed`),
      );
    assert.equal(fleet.runs(handle.id).length, 3);
    assert.deepEqual(await fleet.events(handle.id), [
      ...["created", "assigned", "accepted", "started", "requeued:retry", "retry_requested"],
      ...["assigned", "accepted", "started", "requeued:retry"],
      ...["assigned", "accepted", "started", "failed"],
    ]);
  });

  it("F25: the waits between attempts are kept", async () => {
    const handle = await fleet.client.submit("fail", null, { retry: { maxRetries: 2, delaysS: [0.3, 0.6] } });
    await failure(handle.result());
    const { events } = await fleet.client.fleet.listEvents({ taskId: handle.id });
    const at = (name: string) =>
      events
        .filter((event) => event.name === name)
        .map(({ time }) => Number(time?.seconds ?? 0n) * 1_000 + (time?.nanos ?? 0) / 1e6);
    const [, second = 0, third = 0] = at("assigned");
    const [first = 0, again = 0] = at("requeued:retry");
    assert.ok(second - first >= 300, `retried after ${second - first} ms`);
    assert.ok(third - again >= 600, `retried after ${third - again} ms`);
  });

  it("F26: a key is taken once, whoever submits it and wherever", async () => {
    const uniqueKey = "page-42";
    const first = await fleet.client.submit("echo", "first", { uniqueKey });
    assert.equal(first.duplicate, false);
    const again = await fleet.client.submit("echo", "second", { uniqueKey });
    assert.deepEqual([again.id, again.duplicate], [first.id, true]);
    await first.result();
    await fleet.taskReason(again.id, "SUCCEEDED", 0, {
      evidence: {
        unique_key: /^page-42: /,
        worker: /^results-1$/,
      },
    });
    assert.equal(await again.result(), "first");
    const afterwards = await fleet.client.submit("echo", "third", { uniqueKey });
    assert.deepEqual([afterwards.id, afterwards.duplicate], [first.id, true], "an ended task keeps its key");
    assert.equal(fleet.runs(first.id).length, 1);
  });

  it("F26: racing submits at two schedulers make one task", async () => {
    const { Client } = await import("@muster/worker/client");
    const clients = fleet.schedulers.map(({ grpc }) => new Client({ scheduler: grpc }));
    for (let round = 0; round < 10; round++) {
      const handles = await Promise.all(
        Array.from({ length: 16 }, (_, n) =>
          (clients[n % clients.length] ?? fleet.client).submit("echo", { n }, { uniqueKey: `race-${round}` }),
        ),
      );
      const ids = new Set(handles.map(({ id }) => id));
      assert.equal(ids.size, 1, `round ${round}: ${[...ids].join()}`);
      assert.equal(handles.filter(({ duplicate }) => !duplicate).length, 1);
      await handles[0]?.result();
      assert.equal(fleet.runs([...ids][0] ?? "").length, 1);
    }
    for (const client of clients) client.close();
  });
});

async function failure(result: Promise<unknown>): Promise<TaskFailedError> {
  try {
    await result;
  } catch (error) {
    assert.ok(error instanceof TaskFailedError, String(error));
    return error;
  }
  throw new Error("the task succeeded");
}
