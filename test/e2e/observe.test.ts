/** Runs the examples of docs/observe.md. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { env } from "node:process";
import { after, before, describe, it } from "node:test";
import { MECHANISM_NAMES, MECHANISMS } from "../../scheduler/src/domain/mechanisms/mechanism.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { ROOT, runTool, toolEnv } from "../support/repo/checks.ts";

const TEXT = await readFile(join(ROOT, "docs", "observe.md"), "utf8");
const BLOCKS = new Map(
  [...TEXT.matchAll(/^```(.+)\n([\s\S]*?)^```$/gm)].map(([, kind = "", text = ""]) => [kind, text]),
);

describe("docs/observe.md", () => {
  let fleet: Fleet;

  before(async () => {
    const serve = BLOCKS.get("sh serve")?.trim() ?? "";
    assert.match(serve, /^npx muster serve /);
    fleet = await Fleet.start({ args: serve.split(" ").slice(3) });
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("has the mechanisms of the registry", () => {
    const rows = MECHANISM_NAMES.map((name) => {
      const { does, otherwise, counts } = MECHANISMS[name];
      return `| \`${name}\` | ${does} | ${otherwise} | ${counts} |`;
    });
    const table = TEXT.split("\n").filter((line) =>
      /^\| `[a-z_]+` \| .* (attempt|circuit|task|worker) \|$/.test(line),
    );
    assert.deepEqual(table, rows);
  });

  it("lists the modes of the example with muster doctor", async () => {
    const { code, stdout, stderr } = await runTool(
      "bash",
      ["-euo", "pipefail", "-c", BLOCKS.get("sh run") ?? "false"],
      { env: { ...toolEnv(), MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc, NODE_OPTIONS: env.NODE_OPTIONS } },
    );
    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stdout, /configuration\.modes/);
    assert.match(stdout, /recovery observe, unaccepted observe/);
    assert.ok(!/circuits (observe|off)/.test(stdout), stdout);
  });
});
