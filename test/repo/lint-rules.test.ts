import assert from "node:assert/strict";
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ROOT, runTool } from "../support/repo/checks.ts";

/** A rule in `lint/`, code that breaks it where it holds, and the same code where it is allowed. */
interface Case {
  readonly rule: string;
  readonly code: string;
  readonly forbidden: string;
  readonly allowed: string;
}

const CASES: readonly Case[] = [
  {
    rule: "domain-stands-alone",
    code: 'import "../clock.ts";',
    forbidden: "scheduler/src/domain/task.ts",
    allowed: "scheduler/src/dispatch/task.ts",
  },
  {
    rule: "domain-stands-alone",
    code: 'import "@muster/protocol";',
    forbidden: "scheduler/src/domain/task.ts",
    allowed: "scheduler/src/rpc/task.ts",
  },
  {
    rule: "domain-subfolder-stands-alone",
    code: 'import "../../store/store.ts";',
    forbidden: "scheduler/src/domain/explain/task.ts",
    allowed: "scheduler/src/domain/explain/waiting/task.ts",
  },
  {
    rule: "domain-depth-stands-alone",
    code: 'import "../../../store/store.ts";',
    forbidden: "scheduler/src/domain/explain/waiting/task.ts",
    allowed: "scheduler/src/store/postgres/tasks/task.ts",
  },
  {
    rule: "domain-stands-alone",
    code: 'import "@muster/common/rolling-file";',
    forbidden: "scheduler/src/domain/task.ts",
    allowed: "scheduler/src/telemetry/task.ts",
  },
  {
    rule: "packages-stand-alone",
    code: 'import "@muster/protocol";',
    forbidden: "packages/common/src/text/text.ts",
    allowed: "worker-sdk/src/text.ts",
  },
  {
    rule: "packages-stand-alone",
    code: 'import type { Store } from "@muster/scheduler";',
    forbidden: "packages/embedded-postgres/src/server/server.ts",
    allowed: "test/support/scheduler.ts",
  },
  {
    rule: "packages-by-name",
    code: 'import "../../packages/common/src/text/text.ts";',
    forbidden: "cli/src/api/wait.ts",
    allowed: "test/store/wait.ts",
  },
  {
    rule: "store-by-its-interface",
    code: 'import "../store/postgres/claim.ts";',
    forbidden: "scheduler/src/dispatch/claim.ts",
    allowed: "scheduler/src/dispatch/claim.test.ts",
  },
  {
    rule: "store-by-its-interface",
    code: 'export type { Row } from "../store/postgres/rows.ts";',
    forbidden: "scheduler/src/background/monitor.ts",
    allowed: "scheduler/src/telemetry/sampler.ts",
  },
  {
    rule: "store-by-its-interface",
    code: 'import type { Row } from "../store/postgres/rows.ts";',
    forbidden: "scheduler/src/rpc/pages.ts",
    allowed: "scheduler/src/main.ts",
  },
  {
    rule: "store-by-its-interface",
    code: 'import type { Row } from "../store/postgres/rows.ts";',
    forbidden: "scheduler/src/queries/explainer.ts",
    allowed: "scheduler/src/main.ts",
  },
  {
    rule: "edge-on-top",
    code: 'import { fromTask } from "../rpc/convert/task.ts";',
    forbidden: "scheduler/src/queries/overview/overview.ts",
    allowed: "scheduler/src/http/front-page.ts",
  },
  {
    rule: "edge-on-top",
    code: 'import { Health } from "../http/health.ts";',
    forbidden: "scheduler/src/background/monitor.ts",
    allowed: "scheduler/src/rpc/health.ts",
  },
  {
    rule: "edge-on-top",
    code: 'import type { Handlers } from "../../rpc/server/handlers.ts";',
    forbidden: "scheduler/src/dispatch/attempts/task-control.ts",
    allowed: "scheduler/src/rpc/services/tasks/task-service.ts",
  },
  {
    rule: "background-apart",
    code: 'import { Loop } from "../background/loop.ts";',
    forbidden: "scheduler/src/http/health.ts",
    allowed: "scheduler/src/telemetry/loops.ts",
  },
  {
    rule: "background-apart",
    code: 'import type { DatabaseWatch } from "../../background/database-watch.ts";',
    forbidden: "scheduler/src/rpc/server/guarded.ts",
    allowed: "scheduler/src/telemetry/metrics/database-measures.ts",
  },
  {
    rule: "dispatch-below-queries",
    code: 'export type { Overview } from "../../queries/overview.ts";',
    forbidden: "scheduler/src/dispatch/sessions/workers/fleet-view.ts",
    allowed: "scheduler/src/rpc/convert/overview.ts",
  },
  {
    rule: "store-below-dispatch",
    code: 'import type { Session } from "../../dispatch/sessions/session.ts";',
    forbidden: "scheduler/src/store/postgres/sessions.ts",
    allowed: "scheduler/src/queries/fleet/sessions.ts",
  },
  {
    rule: "pg-in-postgres-store",
    code: 'import pg from "pg";',
    forbidden: "scheduler/src/store/store.ts",
    allowed: "scheduler/src/store/postgres/database.ts",
  },
  {
    rule: "pg-in-postgres-store",
    code: 'import { Client } from "pg";',
    forbidden: "packages/common/src/clock.ts",
    allowed: "packages/embedded-postgres/src/bring-up.ts",
  },
  {
    rule: "pg-in-postgres-store",
    code: 'export const pg = await import("pg");',
    forbidden: "cli/src/commands/tasks/task.ts",
    allowed: "test/support/database.ts",
  },
  {
    rule: "pg-in-postgres-store",
    code: 'export type Pool = import("pg").Pool;',
    forbidden: "examples/pool.ts",
    allowed: "scheduler/src/store/postgres/pool.test.ts",
  },
  {
    rule: "protocol-at-the-edge",
    code: 'import type { Task } from "@muster/protocol";',
    forbidden: "scheduler/src/dispatch/session.ts",
    allowed: "scheduler/src/rpc/from-domain.ts",
  },
  {
    rule: "opentelemetry-in-telemetry",
    code: 'import { trace } from "@opentelemetry/api";',
    forbidden: "worker-sdk/src/attempt/execute.ts",
    allowed: "worker-sdk/src/tracing/metrics.ts",
  },
  {
    rule: "opentelemetry-in-telemetry",
    code: 'import { metrics } from "@opentelemetry/api";',
    forbidden: "scheduler/src/background/monitor.ts",
    allowed: "scheduler/src/telemetry/metrics.ts",
  },
  {
    rule: "packages-by-name",
    code: 'import "../../scheduler/src/clock.ts";',
    forbidden: "cli/src/api/wait.ts",
    allowed: "test/store/wait.ts",
  },
  {
    rule: "packages-by-name",
    code: 'import "../../worker-sdk/src/index.ts";',
    forbidden: "examples/ocr/worker.ts",
    allowed: "test/e2e/worker.ts",
  },
  {
    rule: "scheduler-and-worker-apart",
    code: 'import { Worker } from "@muster/worker";',
    forbidden: "scheduler/src/main.ts",
    allowed: "examples/ocr/worker.ts",
  },
  {
    rule: "scheduler-and-worker-apart",
    code: 'import { startScheduler } from "@muster/scheduler";',
    forbidden: "worker-sdk/src/worker.test.ts",
    allowed: "test/support/scheduler.ts",
  },
  {
    rule: "cli-through-the-api",
    code: 'export const scheduler = await import("@muster/scheduler");',
    forbidden: "cli/src/commands/tasks/tasks.ts",
    allowed: "cli/src/commands/scheduler/serve.ts",
  },
  {
    rule: "cli-through-the-api",
    code: 'import { startScheduler } from "@muster/scheduler";',
    forbidden: "launcher/src/launcher.ts",
    allowed: "test/support/scheduler.ts",
  },
  {
    rule: "scheduler-and-worker-apart",
    code: 'import { Launcher } from "@muster/launcher";',
    forbidden: "scheduler/src/main.ts",
    allowed: "cli/src/commands/pools/launcher.ts",
  },
  {
    rule: "packages-by-name",
    code: 'import "../../../launcher/src/launcher.ts";',
    forbidden: "cli/src/commands/pools/launcher.ts",
    allowed: "test/e2e/driver.ts",
  },
  {
    rule: "environment-in-options",
    code: "export const home = process.env.HOME;",
    forbidden: "scheduler/src/http/health.ts",
    allowed: "scheduler/src/config/config.ts",
  },
  {
    rule: "environment-in-options",
    code: 'import { env, pid } from "node:process";',
    forbidden: "worker-sdk/src/logging/logger.ts",
    allowed: "worker-sdk/src/options/options.ts",
  },
  {
    rule: "time-in-clocks",
    code: "export const at = Date.now();",
    forbidden: "scheduler/src/dispatch/sessions.ts",
    allowed: "scheduler/src/clock.ts",
  },
  {
    rule: "time-in-clocks",
    code: "setTimeout(() => undefined, 1);",
    forbidden: "worker-sdk/src/attempt/phases/phase-watchdog.ts",
    allowed: "worker-sdk/src/clock.ts",
  },
  {
    rule: "time-in-clocks",
    code: "globalThis.setInterval(() => undefined, 1);",
    forbidden: "cli/src/output/tasks/wait-display.ts",
    allowed: "cli/src/clock.ts",
  },
  {
    rule: "time-in-clocks",
    code: 'import { setTimeout as sleep } from "node:timers/promises";',
    forbidden: "cli/src/api/wait.ts",
    allowed: "cli/src/api/wait.test.ts",
  },
];

interface Report {
  readonly diagnostics: readonly {
    readonly category: string;
    readonly message: string;
    readonly location: { readonly path: string };
  }[];
}

/** Biome's stdin does not run plugins, so the cases are files in a copy of the configuration. */
describe("the import rules", () => {
  let folder: string;
  let messages: ReadonlyMap<string, string>;
  const found = new Map<string, string[]>();
  const readersFiles: string[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "muster-lint-"));
    await cp(join(ROOT, "lint"), join(folder, "lint"), { recursive: true });
    await copyFile(join(ROOT, "biome.json"), join(folder, "biome.json"));
    messages = await ruleMessages();
    for (const [index, { code, forbidden, allowed }] of CASES.entries()) {
      for (const path of [forbidden, allowed]) {
        const file = join(folder, String(index), path);
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, `${code}\n`);
      }
    }
    // As a reader saves the README's examples: at the top of the checkout.
    await writeFile(join(folder, "submit.ts"), 'console.log("saved")\n');
    const { stdout } = await runTool(
      "biome",
      ["lint", "--vcs-enabled=false", "--max-diagnostics=none", "--reporter=json", "."],
      { cwd: folder },
    );
    const report: Report = JSON.parse(stdout);
    for (const { category, message, location } of report.diagnostics) {
      if (location.path === "submit.ts") readersFiles.push(message);
      if (category === "plugin") found.set(location.path, [...(found.get(location.path) ?? []), message]);
    }
  });

  after(() => rm(folder, { recursive: true }));

  for (const [index, { rule, code, forbidden, allowed }] of CASES.entries()) {
    it(`${rule}: ${code} fires in ${forbidden} and not in ${allowed}`, () => {
      assert.ok(
        found.get(`${index}/${forbidden}`)?.includes(messages.get(rule) ?? ""),
        `found ${JSON.stringify(found.get(`${index}/${forbidden}`) ?? [])}`,
      );
      assert.deepEqual(found.get(`${index}/${allowed}`), undefined);
    });
  }

  it("leave out what a reader saves at the top of the checkout", () => {
    assert.deepEqual(readersFiles, []);
  });

  it("has a case for every rule", async () => {
    const rules = (await readdir(join(ROOT, "lint"))).map((file) => file.replace(".grit", ""));
    assert.deepEqual(rules.sort(), [...new Set(CASES.map(({ rule }) => rule))].sort());
  });
});

async function ruleMessages(): Promise<Map<string, string>> {
  const read = (await readdir(join(ROOT, "lint"))).map(async (file) => {
    const [, message = ""] = /message="([^"]+)"/.exec(await readFile(join(ROOT, "lint", file), "utf8")) ?? [];
    return [file.replace(".grit", ""), message] as const;
  });
  return new Map(await Promise.all(read));
}
