import assert from "node:assert/strict";
import { test } from "node:test";
import { Children } from "./children.ts";

const parent = { taskId: "t-1", queue: "default", signal: new AbortController().signal };

test("a child with a name and a unique key, or an empty name, is refused before a connection is opened", async () => {
  const children = new Children({ scheduler: "127.0.0.1:1" });
  await assert.rejects(children.submit(parent, "t", null, { name: "a", uniqueKey: "k" }), {
    name: "TypeError",
    message: "ctx.submit(): name excludes unique and uniqueKey; give one of them.",
  });
  await assert.rejects(children.submit(parent, "t", null, { name: "" }), /name is ""; give a text/);
  const aborted = {
    taskId: "t-1",
    queue: "default",
    signal: AbortSignal.abort(new Error("the handler has to stop")),
  };
  await assert.rejects(children.submit(aborted, "t", null), /the handler has to stop/);
  children.close();
  await assert.rejects(children.submit(parent, "t", null), /after the worker had ended/);
});
