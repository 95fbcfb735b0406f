/**
 * `muster conformance`: the TypeScript SDK passes its cases, a worker that does not gets a report, and docs/conformance.md lists
 * them.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process, { env, execPath } from "node:process";
import { after, before, describe, it } from "node:test";
import { LEVELS } from "../../cli/src/conformance/case.ts";
import { CASES, casesOf } from "../../cli/src/conformance/cases/cases.ts";
import { startMuster } from "../../cli/src/testing/muster-process.ts";
import { bundled } from "../support/programs/bundled.ts";
import { ROOT } from "../support/repo/checks.ts";
import { CONFORMANCE, withConformanceTables } from "../support/repo/conformance-tables.ts";
import { WAIT_MS, within } from "../support/waits.ts";

const WORKER = [execPath, bundled(join(ROOT, "examples", "conformance-worker", "worker.ts"))];

/** Without CI the basic level, and a case of each kind that the SDK once failed, or that is easily broken. */
const SOME = ["R01", "R02", "R10", "R16", "C05b", "C06b", "C09b", "C12", "C16"];

/** Other tests run at the same time, some of which take every processor for seconds. */
const BUSY = ["--jobs", "3", "--patience", "5"];

interface Report {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly cases: readonly {
    readonly id: string;
    readonly outcome: string;
    readonly came?: string;
    readonly reason?: string;
    readonly messages?: readonly string[];
    readonly output?: string;
  }[];
}

/** Runs the suite with its environment as a developer has it. */
async function conformance(...args: string[]) {
  const variables = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value ?? ""]));
  return startMuster(["conformance", ...args], { env: variables }).ended;
}

function reportOf(stdout: Buffer): Report {
  return JSON.parse(stdout.toString());
}

describe("muster conformance", () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "muster-conformance-"));
  });

  after(() => rm(folder, { recursive: true, force: true }));

  it("passes the TypeScript SDK", { timeout: 240_000 }, async () => {
    const basic = await conformance("--list", "--level", "basic", "--json");
    const ids: string[] = JSON.parse(basic.stdout.toString()).map(({ id }: { id: string }) => id);
    const some = env.CI ? [] : [...ids, ...SOME].flatMap((id) => ["--case", id]);
    const { exitCode, stdout, stderr } = await conformance("--json", ...BUSY, ...some, "--", ...WORKER);
    assert.equal(stderr, "");
    const { cases, failed, skipped } = reportOf(stdout);
    assert.deepEqual(
      cases.filter(({ outcome }) => outcome !== "passed"),
      [],
    );
    assert.ok(cases.length > 20);
    assert.deepEqual([failed, skipped, exitCode], [0, 0, 0]);
  });

  it("says what was expected and what came, in each form of the report", async () => {
    const junit = join(folder, "report.xml");
    const worker = ["sh", "-c", "printf 'no <scheduler> & no \"hope\"\\033\\n'; exit 3"];
    const args = ["--case", "B01", "--case", "b05", "--junit", junit];
    const [text, json] = await Promise.all([
      conformance(...args, "--", ...worker),
      conformance("--json", "--case", "B01", "--", ...worker),
    ]);
    assert.deepEqual([text.exitCode, text.stderr], [1, ""]);
    const shown = text.stdout.toString();
    for (const part of [
      ...["FAILED  B01", "the document: docs/protocol.md#a-streams-life", "expected: stream 1 with Hello"],
      ...["came: the worker's process had ended with exit code 3", 'no <scheduler> & no "hope"'],
      ...[
        "the messages in order",
        "the worker's process starts: sh -c",
        "FAILED  B05",
        "0 passed, 2 failed in",
      ],
    ])
      assert.ok(shown.includes(part), `${part}\n\n${shown}`);
    const xml = await readFile(junit, "utf8");
    assert.match(
      xml,
      /^<\?xml version="1.0" encoding="UTF-8"\?>\n<testsuites name="muster conformance" tests="2" failures="2"/,
    );
    assert.match(xml, /<testcase classname="conformance.basic" name="B05 a type without a handler/);
    assert.ok(
      xml.includes("no &lt;scheduler&gt; &amp; no &quot;hope&quot;?&#10;") ||
        xml.includes("&quot;hope&quot;?"),
    );
    assert.equal(json.exitCode, 1);
    const [first] = reportOf(json.stdout).cases;
    assert.equal(first?.outcome, "failed");
    assert.match(first?.came ?? "", /ended with exit code 3/);
    assert.ok((first?.messages?.length ?? 0) > 1);
  });

  it("refuses what cannot be run, with a remedy", async () => {
    const [missing, none, unknown, unwritable] = await Promise.all([
      conformance("--case", "B01", "--", join(folder, "no-such-worker")),
      conformance(),
      conformance("--case", "B99", "--", "true"),
      conformance("--case", "B01", "--junit", join(folder, "none", "x.xml"), "--", "false"),
    ]);
    assert.deepEqual([missing.exitCode, none.exitCode, unknown.exitCode, unwritable.exitCode], [2, 2, 2, 1]);
    assert.match(missing.stderr, /the worker cannot be started: .*no-such-worker.*ENOENT/);
    assert.match(none.stderr, /no command of a worker is given/);
    assert.match(unknown.stderr, /there is no case B99/);
    assert.match(unwritable.stderr, /the report cannot be written to .*x\.xml: ENOENT/);
  });

  it("ends its workers when it is interrupted", async () => {
    const pidFile = join(folder, "pid");
    const worker = ["sh", "-c", `echo $$ > '${pidFile}'; exec sleep 60`];
    await using suite = startMuster(["conformance", "--case", "B01", "--", ...worker], {
      env: { PATH: env.PATH ?? "" },
    });
    const { value: pid } = await within("the worker's process id", WAIT_MS, async () => {
      const text = existsSync(pidFile) ? await readFile(pidFile, "utf8") : "";
      return text.endsWith("\n") ? Number(text) : undefined;
    });
    suite.kill("SIGINT");
    assert.equal((await suite.ended).exitCode, 130);
    assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
  });
});

/** A text as it reads, whatever its line breaks. */
function flowing(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}

/** The anchors of a page, as GitHub makes them of its headings. */
function anchors(page: string): readonly string[] {
  return [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

describe("the cases of the conformance suite", () => {
  it("are listed in docs/conformance.md", async () => {
    const document = await readFile(CONFORMANCE, "utf8");
    assert.equal(
      document,
      withConformanceTables(document),
      "run `node test/scripts/conformance-tables.ts` and commit docs/conformance.md",
    );
  });

  it("have ids of their own, each with the letter of its level", () => {
    assert.equal(new Set(CASES.map(({ id }) => id)).size, CASES.length);
    const letters = { basic: "B", resilient: "R", complete: "C" };
    for (const { id, level } of CASES) assert.match(id, new RegExp(`^${letters[level]}\\d\\db?$`));
    const counts = LEVELS.map((level) => casesOf(level).length);
    assert.deepEqual(
      counts,
      [...counts].sort((one, other) => one - other),
    );
    assert.equal(counts.at(-1), CASES.length);
  });

  it("quote sentences that the documents have, in a section that exists", async () => {
    for (const { id, rule } of CASES) {
      const [path = "", anchor = ""] = rule.page.split("#");
      const page = await readFile(join(ROOT, path), "utf8");
      assert.ok(flowing(page).includes(flowing(rule.says)), `${id}: ${path} does not say "${rule.says}"`);
      assert.ok(anchors(page).includes(anchor), `${id}: ${path} has no section ${anchor}`);
    }
  });
});
