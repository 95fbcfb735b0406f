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
      const { does, otherwise, counts, perQueue } = MECHANISMS[name];
      return `| \`${name}\` | ${does} | ${otherwise} | ${counts} | ${perQueue ? "yes" : "no"} |`;
    });
    const table = TEXT.split("\n").filter((line) => /^\| `[a-z_]+` \| .* (yes|no) \|$/.test(line));
    assert.deepEqual(table, rows);
  });

  const run = async (kind: string): Promise<string> => {
    const { code, stdout, stderr } = await runTool(
      "bash",
      ["-euo", "pipefail", "-c", BLOCKS.get(kind) ?? "false"],
      { env: { ...toolEnv(), MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc, NODE_OPTIONS: env.NODE_OPTIONS } },
    );
    assert.equal(code, 0, `${stdout}${stderr}`);
    return stdout;
  };

  it("lists the modes of the example with muster doctor", async () => {
    const stdout = await run("sh doctor");
    assert.match(stdout, /configuration\.modes.*recovery observe, unaccepted observe/);
    assert.ok(!/circuits (observe|off)/.test(stdout), stdout);
  });

  it("sets the modes of a queue and takes them back", async () => {
    const lines = (await run("sh run")).split("\n");
    assert.equal(lines[0], "nightly has mode=attempt_limits=observe,poison=off");
    assert.ok(lines.some((line) => /^nightly\t.*mode=attempt_limits=observe,poison=off/.test(line)));
    assert.equal(lines.at(-2), "nightly has no settings of its own");
  });
});
