import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Clock } from "../../clock.ts";
import { CpuReader } from "./cpu-use.ts";
import { MemoryReader, share } from "./memory-use.ts";
import { PressureWatch } from "./pressure-watch.ts";

const GIB = 2 ** 30;

/** A clock whose one interval the test turns. */
function steppedClock() {
  let nowMs = 0;
  let turn: () => void = () => undefined;
  const clock: Clock = {
    monotonicMs: () => nowMs,
    after: () => () => undefined,
    every: (_, callback) => {
      turn = callback;
      return () => undefined;
    },
  };
  return {
    clock,
    step: (ms: number) => {
      nowMs += ms;
      turn();
    },
  };
}

function setUp(limits: Partial<ConstructorParameters<typeof PressureWatch>[0]["limits"]>) {
  const { clock, step } = steppedClock();
  const now = { cpu: 0, memory: 0, loopDelayMs: 0 };
  const changes: string[] = [];
  const watch = new PressureWatch({
    limits: { cpu: undefined, memory: undefined, loopDelayMs: undefined, ...limits },
    clock,
    sources: {
      cpu: () => now.cpu,
      memory: () => ({ usedBytes: now.memory * GIB, limitBytes: GIB }),
      loopDelayMs: () => now.loopDelayMs,
    },
    changed: (measure, began) => void changes.push(`${began ? "+" : "-"}${measure}`),
  });
  return { watch, now, changes, step };
}

test("a measure pauses at the high watermark and ends at the low one, not between them", () => {
  const { watch, now, changes, step } = setUp({ memory: [0.9, 0.7] });
  for (const value of [0.89, 0.9, 0.8, 0.95, 0.71, 0.7, 0.89]) {
    now.memory = value;
    step(500);
  }
  assert.deepEqual(changes, ["+memory", "-memory"]);
  assert.equal(watch.pressures.length, 0);
  now.memory = 0.95;
  step(500);
  step(1_500);
  const [pressure] = watch.pressures;
  assert.deepEqual(
    [pressure?.value, pressure?.high, pressure?.low, pressure?.ageMs],
    [0.95, 0.9, 0.7, 1_500],
  );
  assert.equal(pressure?.detail, "memory: 95 % of 1.0 GiB in use (pauses at 90 %, goes on at 70 %)");
});

test("a pause lasts a second at least, whatever the measure does", () => {
  const { now, changes, step } = setUp({ cpu: [0.9, 0.7] });
  for (const value of [0.95, 0.1, 0.1]) {
    now.cpu = value;
    step(500);
  }
  assert.deepEqual(changes, ["+cpu", "-cpu"]);
});

test("each measure has its own pause, and a probe's lasts until it says otherwise", () => {
  const { watch, now, changes, step } = setUp({ loopDelayMs: [500, 50] });
  watch.probed("the licence server is full");
  watch.probed("still full");
  now.loopDelayMs = 600;
  step(500);
  assert.deepEqual(
    watch.pressures.map(({ measure, detail }) => [measure, detail]),
    [
      ["loop_delay", "event loop: delayed by 600 ms (pauses at 500 ms, goes on at 50 ms)"],
      ["probe", "still full"],
    ],
  );
  watch.probed(undefined);
  watch.probed(undefined);
  assert.deepEqual(changes, ["+probe", "+loop_delay", "-probe"]);
});

const folder = mkdtempSync(join(tmpdir(), "muster-cgroup-"));
after(() => rmSync(folder, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(join(folder, path, ".."), { recursive: true });
  writeFileSync(join(folder, path), text);
}

test("memory and processors are shares of the cgroup's limit, without caches", () => {
  write("two/proc/self/cgroup", "0::/pod/box\n");
  write("two/sys/pod/box/memory.max", "max\n");
  write("two/sys/pod/memory.max", "100000000\n");
  write("two/sys/pod/memory.current", "99500000\n");
  write("two/sys/pod/memory.stat", "anon 1\ninactive_file 0\n");
  const roots = { proc: join(folder, "two/proc"), sys: join(folder, "two/sys") };
  const memory = new MemoryReader(roots);
  assert.equal(share(memory.read()), 0.995, "the limit of the group above counts");
  write("two/sys/pod/memory.stat", "anon 1\ninactive_file 99400000\n");
  assert.ok(share(memory.read()) < 0.995, "a cache that can be dropped is not in use");
  // Half a processor, all of it used; the machine's own share is lower than that or equal.
  write("two/sys/pod/box/cpu.max", "50000 100000\n");
  write("two/sys/pod/box/cpu.stat", "usage_usec 0\n");
  const cpu = new CpuReader(5_000, roots);
  assert.equal(cpu.read(0), undefined);
  write("two/sys/pod/box/cpu.stat", "usage_usec 1000000\n");
  assert.equal(cpu.read(2_000), 1);
});

test("cgroups of version 1 likewise", () => {
  write("one/proc/self/cgroup", "4:memory:/box\n2:cpuacct:/box\n1:cpu:/box\n0::/\n");
  write("one/sys/memory/box/memory.limit_in_bytes", "100000000\n");
  write("one/sys/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("one/sys/memory/box/memory.usage_in_bytes", "99900000\n");
  write("one/sys/memory/box/memory.stat", "total_inactive_file 400000\n");
  const roots = { proc: join(folder, "one/proc"), sys: join(folder, "one/sys") };
  assert.equal(share(new MemoryReader(roots).read()), 0.995);
  write("one/sys/cpu/box/cpu.cfs_quota_us", "50000\n");
  write("one/sys/cpu/box/cpu.cfs_period_us", "100000\n");
  write("one/sys/cpuacct/box/cpuacct.usage", "0\n");
  const cpu = new CpuReader(5_000, roots);
  cpu.read(0);
  write("one/sys/cpuacct/box/cpuacct.usage", "1000000000\n");
  assert.equal(cpu.read(2_000), 1);
});

test("without cgroups the machine counts", () => {
  const roots = { proc: join(folder, "none"), sys: join(folder, "none") };
  const use = share(new MemoryReader(roots).read());
  assert.ok(use > 0 && use < 1);
});
