import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env, execPath } from "node:process";
import { after, describe, it } from "node:test";
import { BUNDLES_VARIABLE } from "../support/programs/bundled.ts";
import { nothingLeftOf } from "../support/programs/left-behind.ts";
import { ROOT } from "../support/repo/checks.ts";

/** A run of the bench, and a way to wait for its words. */
function startBench(args: readonly string[], mark: string) {
  const child = spawn(execPath, [join(ROOT, "bench/src/main.ts"), "--quick", "--out", mark, ...args], {
    cwd: ROOT,
    // The mark is in the environment of everything that it starts.
    env: {
      ...env,
      NODE_TEST_CONTEXT: undefined,
      NODE_OPTIONS: "--conditions=muster-source",
      BENCH_DATABASE_URL: env.TEST_DATABASE_URL ?? "",
      BENCH_BUNDLES: env[BUNDLES_VARIABLE] ? join(env[BUNDLES_VARIABLE], "bench/src") : "",
      BENCH_TEST_MARK: mark,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      for (const listener of listeners) listener();
    });
  }
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  return {
    child,
    ended,
    said: () => said,
    saying: (words: string) =>
      new Promise<void>((resolve, reject) => {
        const look = () => {
          if (said.includes(words)) resolve();
        };
        listeners.add(look);
        look();
        void ended.then(() => reject(new Error(`the bench ended without saying "${words}":\n${said}`)));
      }),
  };
}

interface Sample {
  readonly measure: string;
  readonly subject: string;
  readonly run: number;
  readonly values: Readonly<Record<string, number>>;
  readonly skipped?: string;
}

describe("npm run bench -- --quick", () => {
  const folders: string[] = [];
  const folder = () => {
    const made = mkdtempSync(join(tmpdir(), "muster-bench-test-"));
    folders.push(made);
    return made;
  };
  after(() => {
    for (const made of folders) rmSync(made, { recursive: true, force: true });
  });

  it("takes every measure of every system, writes JSON and charts, and leaves nothing behind", async () => {
    const out = folder();
    const bench = startBench([], out);
    assert.equal(await bench.ended, 0, bench.said());
    const report = JSON.parse(readFileSync(join(out, "results.json"), "utf8"));
    assert.equal(report.format, 1);
    assert.equal(report.quick, true);
    assert.ok(report.machine.cores > 0 && /^\d/.test(report.machine.postgres));
    const samples: readonly Sample[] = report.samples;
    const of = (measure: string) => samples.filter((sample) => sample.measure === measure);
    const subjects = (measure: string) => [...new Set(of(measure).map(({ subject }) => subject))].sort();
    assert.deepEqual([...new Set(samples.map(({ measure }) => measure))].sort(), [
      ...["bulk-cancel", "classes", "depth", "fleet-idle", "fleet-loss", "fleet-storm", "flow-control"],
      ...["growth", "latency", "sdk-cost", "sustained", "throughput"],
    ]);
    assert.deepEqual(subjects("throughput"), ["bullmq", "floor", "graphile-1000", "muster", "pg-boss-work"]);
    assert.deepEqual(subjects("sustained"), ["muster"]);
    assert.deepEqual(subjects("latency"), [
      ...["bullmq", "grpc-js", "muster", "pg-boss-work"],
      ...["sdk", "sdk-stream", "tcp"],
    ]);
    assert.deepEqual(subjects("fleet-loss"), ["cut off", "killed"]);
    const features = ["circuit", "concurrency-key", "fairness-key", "none", "rate-limit"];
    assert.deepEqual(subjects("flow-control"), features);
    for (const { measure, subject, run, values, skipped } of samples) {
      assert.equal(run, 1);
      const name = `${measure} of ${subject}`;
      if (skipped !== undefined) {
        assert.match(skipped, /redis-server/, name);
        continue;
      }
      assert.ok(Object.keys(values).length > 0, name);
      for (const [key, value] of Object.entries(values)) {
        // JSON has no NaN: what could not be computed is null.
        assert.ok(Number.isFinite(value), `${name}: ${key} is ${value}`);
        // Other measures, and windows, last a fraction of a second here, in which a busy machine may do nothing.
        const drained = ["throughput", "sustained", "latency"].includes(measure);
        if (drained && /(?<!window_\d+)_per_s$/.test(key))
          assert.ok(value > 0, `${name}: ${key} is ${value}`);
      }
    }
    const [storm] = of("fleet-storm");
    assert.equal(storm?.values.submits_failed, 0);
    assert.equal(storm?.values.tasks_rerun, 0);
    const charts = readdirSync(out).filter((file) => file.endsWith(".svg"));
    for (const chart of ["latency.svg", "sustained.svg", "throughput.svg"]) assert.ok(charts.includes(chart));
    assert.match(readFileSync(join(out, "throughput.svg"), "utf8"), /^<svg [\s\S]*Muster/);
    await nothingLeftOf(out);
  });

  it("ends at Ctrl-C and leaves nothing behind", async () => {
    const out = folder();
    const bench = startBench(["sustained", "--runs", "100", "--systems", "muster"], out);
    await bench.saying("sustained: Muster");
    bench.child.kill("SIGINT");
    assert.equal(await bench.ended, 0, bench.said());
    assert.ok(existsSync(join(out, "results.json")), "what was measured is kept");
    await nothingLeftOf(out);
  });

  it("leaves nothing behind when it is killed", async () => {
    const out = folder();
    const bench = startBench(["sustained", "--runs", "100", "--systems", "muster"], out);
    await bench.saying("sustained: Muster");
    bench.child.kill("SIGKILL");
    await bench.ended;
    await nothingLeftOf(out);
  });

  it("says which measures and systems there are", async () => {
    const bench = startBench(["throughput", "--systems", "muster,mustard"], folder());
    assert.equal(await bench.ended, 2);
    assert.match(
      bench.said(),
      /^"mustard" is no system; there are muster, floor, [^\n]*\n[^\n]*--help[^\n]*\n$/,
    );
  });
});
