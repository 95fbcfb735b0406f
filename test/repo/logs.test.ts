import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { LAUNCHER_LOG_EVENTS as LAUNCHER } from "../../launcher/src/log-events.ts";
import { LOG_EVENTS as SUPERVISOR } from "../../launcher/src/supervise/log-events.ts";
import { LOG_EVENTS as SCHEDULER } from "../../scheduler/src/telemetry/logs/events.ts";
import { LOG_EVENTS as WORKER } from "../../worker-sdk/src/logging/log-events.ts";
import { repeatedKeys } from "../support/programs/log-lines.ts";
import { ROOT } from "../support/repo/checks.ts";

/** In the scheduler, in `muster run` and in `muster launcher` the compiler refuses an event that the catalogue lacks. */
const PACKAGES = [
  { title: "The scheduler", folder: "scheduler/src", catalogue: SCHEDULER },
  { title: "`muster run`", folder: "launcher/src/supervise", catalogue: SUPERVISOR },
  { title: "`muster launcher`", folder: "launcher/src", catalogue: LAUNCHER },
  { title: "A worker", folder: "worker-sdk/src", catalogue: WORKER },
] as const;

/** Names that are put together at run time. */
const MADE =
  /^task\.(cancelled|released|failed)$|^worker\.(launch_failed|startup_timeout|killed|oom_killed)$/;

describe("log events", () => {
  for (const { title, folder, catalogue } of PACKAGES) {
    it(`${folder}: what is in the catalogue is logged`, async () => {
      const text = await sources(join(ROOT, folder));
      // Names with a variable part are made at run time.
      const fixed = Object.keys(catalogue).filter((name) => !name.includes("<"));
      assert.deepEqual(
        fixed.filter((name) => !text.includes(`"${name}"`) && !MADE.test(name)),
        [],
      );
    });

    it(`${folder}: the documents have the same names and levels`, async () => {
      const page = await readFile(join(ROOT, "docs", "logs.md"), "utf8");
      const section = page.split(/^## /m).find((part) => part.startsWith(title)) ?? "";
      const found = [...section.matchAll(/^\| `([^`]+)` \| ([\w, ]+) \|/gm)].map(([, name, level]) => [
        name,
        level,
      ]);
      assert.deepEqual(found, Object.entries(catalogue));
    });
  }

  it("worker-sdk/src: every event that is named anywhere is in the catalogue, at that level", async () => {
    const text = await sources(join(ROOT, "worker-sdk", "src"));
    const levels = new Map<string, string>(Object.entries(WORKER));
    // `event: "name"` in whatever object becomes a line; a template has a variable part.
    const named = [...text.matchAll(/\bevent: (?:"([^"]+)"|`([^`]+)`)/g)].map(
      ([, name, template = ""]) =>
        name ?? template.replace(/\$\{[^}]*name[^}]*\}/, "<phase>").replace(/\$\{[^}]*\}/, "<change>"),
    );
    assert.ok(named.length > 30, `${named.length} events were found`);
    assert.deepEqual(
      named.filter((name) => !levels.has(name)),
      [],
    );
    const calls = [...text.matchAll(/\blog\.(debug|info|warn|error)\(\s*\{\s*event: "([^"]+)"/g)];
    const wrong = calls.filter(([, level = "", name = ""]) => !levels.get(name)?.split(", ").includes(level));
    assert.deepEqual(
      wrong.map(([, level, name]) => `${name} at ${level}`),
      [],
    );
  });
});

describe("keys of log lines", () => {
  it("are found when they stand there twice, at any depth", () => {
    assert.deepEqual(repeatedKeys('{"a":1,"b":{"a":2},"c":["a",{"d":"\\"d\\":"}]}'), []);
    assert.deepEqual(repeatedKeys('{"pid":1,"event":"x","pid":2}'), ["pid"]);
    assert.deepEqual(repeatedKeys('{"a":{"b":1,"b":2},"c":[{"d":1},{"d":1,"d":2}]}'), ["b", "d"]);
  });
});

async function sources(folder: string): Promise<string> {
  const files = (await readdir(folder, { recursive: true })).filter(
    (name) =>
      name.endsWith(".ts") && !name.endsWith(".test.ts") && !/(^|\/|telemetry\/|log-)events\.ts$/.test(name),
  );
  return (await Promise.all(files.map((name) => readFile(join(folder, name), "utf8")))).join("\n");
}
