import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { ManualClock } from "../testing/manual-clock.ts";
import { MemoryLimit } from "./memory-limit.ts";

const MIB = 1024 * 1024;

test("a process is measured where no cgroup can be made", {
  skip: process.platform !== "linux",
}, async () => {
  const script = `globalThis.held = Buffer.alloc(${200 * MIB}, 1); console.log("held"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const clock = new ManualClock();
    const nowhere = { proc: "/nonexistent", sys: "/nonexistent" };
    const [small, large] = [150, 4_000].map((mib) => new MemoryLimit(mib * MIB, nowhere));
    assert.ok(small && large);
    assert.deepEqual(small.within(["node"]), ["node"]);
    await once(child.stdout, "data");
    const killed: string[] = [];
    small.follow(child.pid ?? 0, clock, () => killed.push("small"));
    large.follow(child.pid ?? 0, clock, () => killed.push("large"));
    for (let n = 0; n < 3; n++) clock.advance(250);
    assert.deepEqual(killed, ["small"]);
    assert.match(small.evidence(false) ?? "", /^it took 2\d\d MiB of its limit of 150 MiB$/);
    assert.equal(large.evidence(false), undefined);
    small.end();
    large.end();
  } finally {
    child.kill("SIGKILL");
  }
});
