import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { MemoryWatch } from "./memory-watch.ts";

/** A `/proc` and a `/sys/fs/cgroup` of files. */
function machine(files: Record<string, string>) {
  const root = mkdtempSync(join(tmpdir(), "muster-cgroup-"));
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  for (const [path, text] of Object.entries(files)) write(path, text);
  return {
    write,
    watch: new MemoryWatch(7, { proc: join(root, "proc"), sys: join(root, "sys") }),
    [Symbol.dispose]: () => rmSync(root, { recursive: true }),
  };
}

test("version 2: the difference of oom_kill counts, not its height", () => {
  using box = machine({ "proc/7/cgroup": "0::/pod/a\n", "sys/pod/a/memory.events": "oom 3\noom_kill 3\n" });
  box.watch.look();
  assert.equal(box.watch.evidence(), undefined);
  box.write("sys/pod/a/memory.events", "oom 4\noom_kill 4\n");
  assert.match(box.watch.evidence() ?? "", /^cgroup oom_kill 3 -> 4 in .*sys\/pod\/a\/memory\.events$/);
});

test("version 1, and a container whose path is that of the host", () => {
  using box = machine({
    "proc/7/cgroup": "9:cpu,memory:/docker/abc\n0::/docker/abc\n",
    "sys/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
  });
  box.watch.look();
  box.write("sys/memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
  assert.match(box.watch.evidence() ?? "", /oom_kill 0 -> 1/);
});

test("a process that is moved is followed", () => {
  using box = machine({
    "proc/7/cgroup": "0::/start\n",
    "sys/start/memory.events": "oom_kill 0\n",
    "sys/moved/memory.events": "oom_kill 5\n",
  });
  box.watch.look();
  box.write("proc/7/cgroup", "0::/moved\n");
  box.watch.look();
  box.write("sys/moved/memory.events", "oom_kill 6\n");
  assert.match(box.watch.evidence() ?? "", /5 -> 6 in .*moved/);
});

test("without cgroups it says nothing", () => {
  using box = machine({});
  box.watch.look();
  assert.equal(box.watch.evidence(), undefined);
});
