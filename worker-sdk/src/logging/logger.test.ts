import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { execPath } from "node:process";
import { test } from "node:test";
import { promisify } from "node:util";

const SCRIPT = `
import { createProgramLogger } from ${JSON.stringify(new URL("./logger.ts", import.meta.url).href)};
const log = createProgramLogger("info").child({ worker_id: "w", task_id: "t-1" });
log.info({ event: "mine", task_id: "t-2", level: "loud", msg: "fact" }, "text");
log.error(new TypeError("broken"), "failed");
log.debug({ event: "hidden" });
`;

test("a line has every key once, whatever the child is bound to and the handler passes", async () => {
  const { stdout } = await promisify(execFile)(execPath, [
    "--conditions=muster-source",
    "--input-type=module",
    "--eval",
    SCRIPT,
  ]);
  const [line = "", failed = "", ...more] = stdout.trim().split("\n");
  assert.deepEqual(more, []);
  const keys = [...line.matchAll(/"(\w+)":/g)].map(([, key]) => key);
  assert.deepEqual(keys.toSorted(), [...new Set(keys)].toSorted(), line);
  const { time, ...facts } = JSON.parse(line);
  assert.equal(typeof time, "string");
  assert.deepEqual(facts, {
    level: "info",
    worker_id: "w",
    event: "mine",
    task_id: "t-2",
    level_: "loud",
    msg_: "fact",
    msg: "text",
  });
  assert.equal(JSON.parse(failed).err.message, "broken");
});
