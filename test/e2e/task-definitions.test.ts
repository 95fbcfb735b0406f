import assert from "node:assert/strict";
import { readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { TaskState } from "@muster/protocol";
import { Client, InvalidPayloadError, TaskFailedError } from "@muster/worker/client";
import { defineTask } from "@muster/worker/task";
import { z } from "zod";
import { killAll, Program } from "../support/programs/program.ts";
import { type Folder, type Served, serve, temporaryFolder } from "../support/programs/serve.ts";
import { ROOT } from "../support/repo/checks.ts";

const PAGE = await readFile(join(ROOT, "docs", "task-definitions.md"), "utf8");
const FILES = [...PAGE.matchAll(/^```ts (\S+)\n([\s\S]*?)^```$/gm)].map(([, name = "", text = ""]) => ({
  name,
  text,
}));

describe("docs/task-definitions.md", () => {
  let folder: Folder;
  let served: Served;

  before(async () => {
    folder = await temporaryFolder();
    await symlink(join(ROOT, "node_modules"), join(folder.path, "node_modules"));
    for (const { name, text } of FILES) await writeFile(join(folder.path, name), text);
    served = await serve(folder);
  });

  after(async () => {
    await killAll();
    await folder.remove();
  });

  const start = (name: string) =>
    Program.start(name, pathToFileURL(join(folder.path, name)).href, {
      base: import.meta.url,
      env: { MUSTER_SCHEDULER_ADDR: served.grpc, WORKER_ID: "resizer" },
    });

  it("has the definition, its worker and its producer, and they run", async () => {
    assert.deepEqual(
      FILES.map(({ name }) => name),
      ["resize.ts", "worker.ts", "producer.ts"],
    );
    const worker = start("worker.ts");
    await worker.line("worker.startup.phase", ({ phase }) => phase === "ready");
    const producer = start("producer.ts");
    assert.deepEqual(await producer.ended, { code: 0, signal: null }, producer.tail());
    assert.deepEqual(producer.stdout.trim().split("\n"), [
      "32000 2026",
      "https://a.example/2.png?width=320",
      "https://a.example/3.png?width=64",
      "https://a.example/4.png?width=64",
      "not an image: text/plain",
    ]);
  });

  it("says what is checked: inputs before the wire, details through the database, not in lists", async () => {
    using client = new Client({ scheduler: served.grpc });
    const resize = defineTask({
      type: "image.resize",
      input: z.object({ url: z.string(), width: z.number() }),
      errors: { NOT_AN_IMAGE: z.object({ contentType: z.literal("text/plain").transform(() => "TEXT") }) },
      queue: "images",
    });
    await assert.rejects(client.submit(resize, { url: "a" } as never), InvalidPayloadError);
    const task = await client.submit(resize, { url: "https://a.example/6.txt", width: 1 });
    const error = await client
      .handle(task.id, resize)
      .result()
      .catch((thrown: unknown) => thrown);
    assert.ok(error instanceof TaskFailedError);
    assert.ok(resize.isError(error, "NOT_AN_IMAGE"));
    assert.equal(error.details.contentType, "TEXT");
    const untyped = await client
      .handle(task.id)
      .result()
      .catch((thrown: unknown) => thrown);
    assert.ok(untyped instanceof TaskFailedError);
    assert.deepEqual(untyped.details, { contentType: "text/plain" });
    const { tasks } = await client.tasks.listTasks({ states: [TaskState.FAILED] });
    const listed = tasks.find(({ id }) => id === task.id);
    assert.equal(listed?.failure?.code, "NOT_AN_IMAGE");
    assert.equal(listed?.failure?.details, "");
    assert.ok(listed?.omittedFields.includes("failure.details"), listed?.omittedFields.join(", "));
  });
});
