import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { LOG_EVENTS as SCHEDULER } from "../../scheduler/src/telemetry/events.ts";
import { LOG_EVENTS as WORKER } from "../../worker-sdk/src/log-events.ts";
import { ROOT } from "../support/checks.ts";

const PACKAGES = [
  {
    title: "The scheduler",
    folder: "scheduler",
    catalogue: SCHEDULER,
    // log.warn("name", ...)
    calls: /\blog\.(debug|info|warn|error)\(\s*"([^"]+)"/g,
  },
  {
    title: "A worker",
    folder: "worker-sdk",
    catalogue: WORKER,
    // log.warn({ event: "name", ... })
    calls: /\blog\.(debug|info|warn|error)\(\s*\{\s*event: "([^"]+)"/g,
  },
] as const;

describe("log events", () => {
  for (const { title, folder, catalogue, calls } of PACKAGES) {
    it(`${folder}: what is logged is in the catalogue with its level, and the other way round`, async () => {
      const text = await sources(join(ROOT, folder, "src"));
      const levels = new Map<string, string>(Object.entries(catalogue));
      const wrong = [...text.matchAll(calls)].filter(([, level, name = ""]) => levels.get(name) !== level);
      assert.deepEqual(
        wrong.map(([, level, name]) => `${name} at ${level}`),
        [],
      );
      // Names that are put together at run time stand in the catalogue with their variable part.
      const fixed = [...levels.keys()].filter((name) => !name.includes("<"));
      const made = (name: string) =>
        /^task\.(cancelled|released|failed)$/.test(name) && folder === "worker-sdk";
      assert.deepEqual(
        fixed.filter((name) => !text.includes(`"${name}"`) && !made(name)),
        [],
      );
    });

    it(`${folder}: the documents have the same names and levels`, async () => {
      const page = await readFile(join(ROOT, "docs", "logs.md"), "utf8");
      const section = page.split(/^## /m).find((part) => part.startsWith(title)) ?? "";
      const told = [...section.matchAll(/^\| `([^`]+)` \| (\w+) \|/gm)].map(([, name, level]) => [
        name,
        level,
      ]);
      assert.deepEqual(told, Object.entries(catalogue));
    });
  }
});

async function sources(folder: string): Promise<string> {
  const files = (await readdir(folder, { recursive: true })).filter(
    (name) =>
      name.endsWith(".ts") && !name.endsWith(".test.ts") && !/(telemetry\/|log-)events\.ts$/.test(name),
  );
  return (await Promise.all(files.map((name) => readFile(join(folder, name), "utf8")))).join("\n");
}
