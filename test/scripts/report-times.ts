/** A reporter of Node's test runner: at the end of a run, where its time went and what was skipped. */
import { cpus } from "node:os";
import { relative } from "node:path";
import { cwd } from "node:process";
import type { TestEvent } from "node:test/reporters";
import { engineOf } from "../support/real-engines.ts";

/** Files that the report names. */
const LONGEST = 10;

/** Time of the machine's processors since it was started, milliseconds. */
function processorMs(): { readonly all: number; readonly idle: number } {
  const times = cpus().map((cpu) => cpu.times);
  const all = times.flatMap((each) => Object.values(each)).reduce((sum, ms) => sum + ms, 0);
  return { all, idle: times.reduce((sum, each) => sum + each.idle, 0) };
}

const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;

// biome-ignore lint/style/noDefaultExport: Node takes a reporter from there.
export default async function* reportTimes(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const atStart = processorMs();
  const files = new Map<string, number>();
  const skipped = new Set<string>();
  for await (const { type, data } of source) {
    if (type === "test:pass" && typeof data.skip === "string" && data.skip !== "")
      skipped.add(`${data.name}: ${data.skip}`);
    if (type !== "test:summary") continue;
    if (data.file !== undefined) files.set(data.file, data.duration_ms);
    else yield shown({ tookMs: data.duration_ms, atStart, files, skipped });
  }
}

function shown(run: {
  readonly tookMs: number;
  readonly atStart: ReturnType<typeof processorMs>;
  readonly files: ReadonlyMap<string, number>;
  readonly skipped: ReadonlySet<string>;
}): string {
  const now = processorMs();
  const all = now.all - run.atStart.all;
  const idlePercent = all > 0 ? (100 * (now.idle - run.atStart.idle)) / all : 0;
  const sum = (entries: readonly (readonly [string, number])[]) =>
    entries.reduce((ms, [, each]) => ms + each, 0);
  const entries = [...run.files].toSorted(([, a], [, b]) => b - a);
  const total = sum(entries);
  const engines = entries.filter(([file]) => engineOf(file) !== undefined);
  const share = total > 0 ? sum(engines) / total : 0;
  const lines = [
    `took ${seconds(run.tookMs)}; without what needs a real engine (${engines.length} of ${entries.length} files) about ${seconds(run.tookMs * (1 - share))}, by their share of the time of all files`,
    `processors of this machine were idle for ${idlePercent.toFixed(0)} % of it`,
    ...entries.slice(0, LONGEST).map(([file, ms]) => `${seconds(ms).padStart(8)}  ${relative(cwd(), file)}`),
    ...[...run.skipped].toSorted().map((each) => `skipped  ${each}`),
  ];
  return `${lines.join("\n")}\n`;
}
