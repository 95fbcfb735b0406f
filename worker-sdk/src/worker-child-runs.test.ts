import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { defineTask } from "./contract/define-task.ts";
import { testWorker } from "./test-kit/test-worker.ts";

const scan = defineTask({
  type: "page.scan",
  input: z.object({ page: z.number() }),
  output: z.string(),
  errors: { BLANK: {} },
});

test("a parent, its child and its grandchild run on one slot, one at a time", async () => {
  let running = 0;
  let most = 0;
  const counted = async <T>(work: () => Promise<T>): Promise<T> => {
    most = Math.max(most, ++running);
    const value = await work();
    running -= 1;
    return value;
  };
  await using worker = await testWorker({
    concurrency: 1,
    tasks: {
      grandparent: async (ctx) => {
        const { parent } = await counted(() => Promise.resolve({ parent: "p" }));
        return [parent, await ctx.run("parent"), await counted(() => Promise.resolve("gp"))];
      },
      parent: async (ctx) => ["c", await ctx.run("child", { n: 1 })],
      child: (ctx) => counted(() => Promise.resolve(ctx.payload)),
    },
  });
  const { output, state, failure } = await worker.run("grandparent");
  assert.deepEqual([state, failure], ["succeeded", undefined]);
  assert.deepEqual(output, ["p", ["c", { n: 1 }], "gp"]);
  assert.equal(most, 1);
});

test("several children at once free the slot once, and the handler goes on when all have ended", async () => {
  const order: string[] = [];
  await using worker = await testWorker({
    concurrency: 1,
    tasks: {
      book: async (ctx) => {
        const pages = [1, 2, 3].map((page) =>
          ctx.run<number>("page", { page }).then((result) => {
            order.push(`result ${result}`);
            return result;
          }),
        );
        return Promise.all(pages);
      },
      page: (ctx) => {
        const { page } = ctx.payload as { page: number };
        order.push(`page ${page}`);
        return page * 10;
      },
    },
  });
  const run = worker.start("book");
  assert.deepEqual((await run.ended).output, [10, 20, 30]);
  assert.deepEqual(order, ["page 1", "page 2", "page 3", "result 10", "result 20", "result 30"]);
  assert.deepEqual(
    run.children.map(({ type, input }) => [type, input]),
    [1, 2, 3].map((page) => ["page", { page }]),
  );
});

test("the error of a child is that of the client, with the details of its definition", async () => {
  await using worker = await testWorker(
    {
      concurrency: 1,
      tasks: {
        book: async (ctx) => {
          try {
            return await ctx.run(scan, { page: 3 });
          } catch (error) {
            return scan.isError(error, "BLANK") ? `blank: ${error.taskId}` : String(error);
          }
        },
      },
    },
    {
      children: {
        "page.scan": () => {
          throw scan.error("BLANK");
        },
      },
    },
  );
  assert.equal((await worker.run("book")).output, "blank: t-2");
});

test("a child that the worker cannot run and no answer is given for is refused by name", async () => {
  await using worker = await testWorker({ tasks: { book: (ctx) => ctx.run("page", 1) } });
  const { failure } = await worker.run("book");
  assert.match(failure?.message ?? "", /^ctx.run\("page"\): the worker has no handler for the type/);
});

test("another attempt that makes the same call gets the same child, and that of another input its own", async () => {
  let runs = 0;
  await using worker = await testWorker({
    concurrency: 1,
    tasks: {
      book: async (ctx) => {
        const first = ctx.attempt.number;
        const results = [];
        for (let page = first; page <= 3; page++) results.push(await ctx.run("page", { page }));
        results.push(await ctx.run("page", { page: 3 }));
        if (first === 1) throw new Error("the first attempt fails");
        return results;
      },
      page: (ctx) => `run ${++runs} of page ${Object(ctx.payload).page}`,
    },
  });
  assert.equal((await worker.run("book", null, { taskId: "t-9" })).state, "failed");
  const second = await worker.run("book", null, { taskId: "t-9", attempt: 2 });
  assert.deepEqual(second.output, ["run 2 of page 2", "run 3 of page 3", "run 4 of page 3"]);
  assert.equal(runs, 4);
});

test("a cancelled parent does not wait for its child, nor for its slot", async () => {
  const gate = Promise.withResolvers<void>();
  await using worker = await testWorker({
    concurrency: 1,
    prefetch: 1,
    tasks: { book: (ctx) => ctx.run("page"), page: () => gate.promise },
  });
  const run = worker.start("book");
  await run.until(({ waitsWithoutSlot }) => waitsWithoutSlot);
  run.cancel("no longer needed");
  assert.equal((await run.ended).state, "cancelled");
  const next = worker.start("page");
  assert.equal(next.started, false);
  gate.resolve();
  assert.equal((await next.ended).state, "succeeded");
});

test("a handler that waits for something else frees its slot, and takes it before new tasks start", async () => {
  const order: string[] = [];
  const outside = Promise.withResolvers<void>();
  const other = Promise.withResolvers<void>();
  await using worker = await testWorker({
    concurrency: 1,
    prefetch: 1,
    tasks: {
      export: async (ctx) => {
        {
          await using slot = await ctx.releaseSlot("the billing system");
          assert.ok(slot);
          await outside.promise;
          order.push("ended outside");
        }
        order.push("has its slot");
      },
      other: async (ctx) => {
        order.push(`other ${ctx.payload}`);
        await other.promise;
      },
    },
  });
  const exporting = worker.start("export");
  await exporting.until(({ waitsWithoutSlot }) => waitsWithoutSlot);
  const first = worker.start("other", 1);
  await first.until(({ started }) => started);
  const second = worker.start("other", 2);
  outside.resolve();
  await new Promise(setImmediate);
  other.resolve();
  await Promise.all([first.ended, exporting.ended, second.ended]);
  assert.deepEqual(order, ["other 1", "ended outside", "has its slot", "other 2"]);
  assert.equal(exporting.waitsWithoutSlot, false);
});

test("no phase is stuck while its handler waits without its slot, and its threshold counts anew afterwards", async () => {
  const page = Promise.withResolvers<void>();
  const rest = Promise.withResolvers<void>();
  await using worker = await testWorker({
    concurrency: 1,
    tasks: {
      book: (ctx) =>
        ctx.phase("scan", async () => {
          await ctx.run("page");
          await rest.promise;
        }),
      page: () => page.promise,
    },
  });
  const run = worker.start("book", null, { watchdogs: { phasesS: { scan: 60 } } });
  const stuck = () => run.events.filter(({ name }) => name === "task.scan.stuck").length;
  await run.until(({ waitsWithoutSlot }) => waitsWithoutSlot);
  await worker.clock.pass(600);
  assert.equal(stuck(), 0);
  page.resolve();
  await run.until(({ waitsWithoutSlot }) => !waitsWithoutSlot);
  await worker.clock.pass(59);
  assert.equal(stuck(), 0);
  await worker.clock.pass(2);
  assert.equal(stuck(), 1);
  rest.resolve();
  assert.equal((await run.ended).state, "succeeded");
});

test("waiting counts for the run timeout", async () => {
  await using worker = await testWorker({
    concurrency: 1,
    tasks: { book: (ctx) => ctx.run("page"), page: (ctx) => aborted(ctx.signal) },
  });
  const run = worker.start("book", null, { timeouts: { runS: 60 } });
  await run.until(({ waitsWithoutSlot }) => waitsWithoutSlot);
  await worker.clock.pass(61);
  assert.equal((await run.ended).failure?.code, "TIMED_OUT");
});

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
}
