import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Client, MusterError, type TaskHandle, type UniqueOptions } from "@muster/worker/client";
import { SchedulerPair } from "../support/fleet/scheduler-pair.ts";

/** Keys of the submits that a kill interrupts, and the answers after which it comes. */
const KEYS = 12;
const ANSWERS_BEFORE_KILL = 60;
const ROUNDS = 15;

describe("unique keys at two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start();
  });

  after(() => pair.stop());

  it("F26: a task that fails frees its key, and so does one that is cancelled", async () => {
    const queue = "freed";
    const worker = await pair.fleet.worker("freed-1", { queue });
    const submit = (client: Client, type: string) =>
      client.submit(type, {}, { queue, uniqueKey: "order-7", retry: { maxRetries: 0 } });
    const failed = await submit(pair.atOne, "fail");
    await assert.rejects(failed.result());
    await worker.end();
    const waiting = await submit(pair.atTwo, "echo");
    assert.notEqual(waiting.id, failed.id);
    const again = await submit(pair.atOne, "echo");
    assert.deepEqual(
      [again.id, again.duplicate, again.conflict],
      [waiting.id, true, { outcome: "returned", holderState: "queued" }],
    );
    const refused = MusterError.from(await failed.retry().catch((error: unknown) => error));
    assert.deepEqual([refused.codeName, refused.reason], ["FailedPrecondition", "UNIQUE_KEY_HELD"]);
    assert.match(refused.message, new RegExp(`"order-7" is held by ${waiting.id}, which is queued`));
    await pair.fleet.taskReason(failed.id, "FAILED", 0, {
      evidence: { unique_key: new RegExp(`^order-7: held by ${waiting.id}, which is queued`) },
    });
    await waiting.cancel("the test needs the key");
    assert.equal((await failed.retry()).state, "queued");
    const { task } = await pair.atTwo.tasks.getTask({ uniqueKey: { queue, key: "order-7" } });
    assert.equal(task?.id, failed.id);
  });

  it("F26: of the submits that replace a waiting task the last one runs", async () => {
    const queue = "debounced";
    const unique: UniqueOptions = { key: "site-4", onConflict: "replace" };
    const first = await pair.atOne.submit("echo", 1, { queue, unique });
    const handles: TaskHandle[] = [];
    for (const n of [2, 3, 4])
      handles.push(await (n % 2 === 0 ? pair.atTwo : pair.atOne).submit("echo", n, { queue, unique }));
    assert.deepEqual(
      handles.map(({ id, conflict }) => [id, conflict?.outcome]),
      handles.map(() => [first.id, "replaced"]),
    );
    await pair.fleet.worker("debounced-1", { queue });
    assert.equal(await first.result(), 4);
    assert.deepEqual(await pair.fleet.events(first.id), [
      ...["created", "replaced", "replaced", "replaced"],
      ...["assigned", "accepted", "started", "succeeded"],
    ]);
    const next = await pair.atOne.submit("echo", 5, { queue, unique });
    assert.notEqual(next.id, first.id, "a task that ended frees its key");
    assert.equal(await next.result(), 5);
  });

  it("F33: a key has one task when a scheduler is killed while submits ask both for it", async () => {
    const queue = "killed";
    const ids = new Map<string, Set<string>>();
    let answers = 0;
    let lost = 0;
    const killed = Promise.withResolvers<void>();
    const submit = async (client: Client, key: string, n: number) => {
      const onConflict = n % 3 === 0 ? "replace" : "return";
      const options = { queue, unique: { key, while: "open", onConflict } as const, timeoutS: 20 };
      const { id } = await client.submit("echo", n, options);
      ids.set(key, (ids.get(key) ?? new Set()).add(id));
      answers += 1;
      if (answers === ANSWERS_BEFORE_KILL) void pair.two.program.end("SIGKILL").then(() => killed.resolve());
    };
    const producer = async (client: Client) => {
      for (let round = 0; round < ROUNDS; round++)
        await Promise.all(
          Array.from({ length: KEYS }, async (_, n) => {
            const key = `key-${n}`;
            try {
              await submit(client, key, round);
            } catch (error) {
              assert.equal(MusterError.from(error).codeName, "Unavailable", String(error));
              lost += 1;
              await submit(pair.atOne, key, round);
            }
          }),
        );
    };
    await Promise.all([
      producer(pair.atOne),
      producer(pair.atTwo),
      producer(pair.atOne),
      producer(pair.atTwo),
    ]);
    await killed.promise;
    assert.ok(lost > 0, "submits were interrupted");
    for (const [key, each] of ids) assert.equal(each.size, 1, `${key}: ${[...each].join()}`);
    const rows = await pair.fleet.db.query<{ key: string; tasks: number }>(
      "select unique_key as key, count(*)::int as tasks from muster.task where unique_key like 'key-%' group by 1",
    );
    assert.deepEqual(new Set(rows.map(({ tasks }) => tasks)), new Set([1]));
    assert.equal(rows.length, KEYS);
    await pair.fleet.worker("killed-1", { queue });
    for (const [key, [id = ""]] of ids) {
      await pair.atOne.handle(id).result();
      assert.equal(pair.fleet.runs(id).length, 1);
      const next = await pair.atOne.submit("echo", "next", { queue, unique: { key, while: "open" } });
      assert.notEqual(next.id, id, `${key} is free after the end of its task`);
      await next.result();
    }
  });
});
