import assert from "node:assert/strict";
import { existsSync, globSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { ATTEMPT_MACHINE } from "../../scheduler/src/domain/tasks/attempts/attempt-machine.ts";
import { ROOT, runTool } from "../support/repo/checks.ts";

const DOCS = [
  "README.md",
  "CONTRIBUTING.md",
  ...(await readdir(join(ROOT, "docs"), { recursive: true }))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
];

describe("the documents", () => {
  it("explain every reason code, and no other", async () => {
    const folder = join(ROOT, "scheduler", "src", "domain", "explain");
    const sources = (await readdir(folder, { recursive: true })).filter(
      (name) => /(?<!\.test)\.ts$/.test(name) && !name.startsWith("testing"),
    );
    const code = (await Promise.all(sources.map((name) => readFile(join(folder, name), "utf8")))).join("\n");
    const given = new Set([...code.matchAll(/"([A-Z][A-Z_]{3,})"/g)].map(([, name]) => name));
    const text = await readFile(join(ROOT, "docs", "explanations.md"), "utf8");
    const found = new Set([...text.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, name]) => name));
    assert.deepEqual([...found].sort(), [...given].sort());
  });

  it("list every setting of the scheduler with its variable and default", async () => {
    const { code, stdout, stderr } = await runTool("node", ["cli/src/main.ts", "serve", "--help"]);
    assert.equal(code, 0, stderr);
    const settings = stdout.split("\n").filter((line) => line.startsWith("  --"));
    assert.ok(settings.length > 20);
    const text = await readFile(join(ROOT, "docs", "operations.md"), "utf8");
    for (const setting of settings)
      assert.ok(text.includes(setting.trimEnd()), `operations.md lacks:\n${setting}`);
  });

  it("draw every transition of an attempt that changes its state, and no other", async () => {
    const text = await readFile(join(ROOT, "docs", "concepts.md"), "utf8");
    const section = text.slice(text.indexOf("\n## Attempt\n"), text.indexOf("\n## Epoch\n"));
    const drawn = [...section.matchAll(/^ {2}(\w+) --> (\w+): (\w+)$/gm)].map(([, from, to, name]) =>
      [name, from, to].join(" "),
    );
    const known = Object.entries(ATTEMPT_MACHINE.transitions).flatMap(([name, states]) =>
      Object.entries(states)
        .filter(([from, to]) => from !== to)
        .map(([from, to]) => [name, from, to].join(" ")),
    );
    assert.deepEqual(drawn.sort(), known.sort());
  });

  it("link to files that exist", async () => {
    for (const doc of DOCS) {
      const text = await readFile(join(ROOT, doc), "utf8");
      for (const [, target = ""] of text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g))
        assert.ok(existsSync(join(ROOT, dirname(doc), target)), `${doc} links to ${target}`);
    }
  });

  it("answer where to look for what a reader asks first", async () => {
    const text = await readFile(join(ROOT, "docs", "architecture.md"), "utf8");
    const answers = new Map(
      [...text.matchAll(/^\| (.+?\?) \| (.+?) \|/gm)].map(([, question = "", first = ""]) => [
        question,
        first,
      ]),
    );
    assert.deepEqual(
      [
        "How is a task claimed?",
        "How does a lease expire?",
        "What happens to a result while PostgreSQL is down?",
        "Where do I add a task field?",
      ].map((question) => answers.get(question)),
      [
        "`scheduler/src/dispatch/claiming/dispatcher.ts`",
        "`scheduler/src/dispatch/sessions/lease-reaper.ts`",
        "`scheduler/src/dispatch/attempts/result-committer.ts`",
        "[extending.md](extending.md)",
      ],
    );
  });

  it("name sources that exist", async () => {
    const named =
      /`((?:bench|cli|deploy|examples|gen|lint|packages|proto|scheduler|test|worker-sdk)\/[\w.*/-]+\.\w+)`/g;
    let count = 0;
    for (const doc of DOCS) {
      const text = await readFile(join(ROOT, doc), "utf8");
      for (const [, path = ""] of text.matchAll(named)) {
        if (path.startsWith("bench/results/")) continue; // What a run of the benchmarks writes.
        count += 1;
        assert.notEqual(
          globSync(path, { cwd: ROOT }).length,
          0,
          `${doc} names ${path}, which does not exist`,
        );
      }
    }
    assert.ok(count > 100, `only ${count} names were found`);
  });

  it("link to headings that exist", async () => {
    for (const doc of DOCS) {
      const text = await readFile(join(ROOT, doc), "utf8");
      for (const [, target = "", heading = ""] of text.matchAll(/\]\((?!https?:)([^)#]*)#([^)]+)\)/g)) {
        const path = target === "" ? doc : join(dirname(doc), target);
        const there = await readFile(join(ROOT, path), "utf8");
        assert.ok(anchors(there).has(heading), `${doc} links to #${heading} of ${path}`);
      }
    }
  });
});

/** The anchors of a page's headings: lower case, without punctuation, and numbered from the second one of a name on. */
function anchors(text: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (const [, heading = ""] of text.replaceAll(/^```[\s\S]*?^```$/gm, "").matchAll(/^#+ (.+)$/gm)) {
    const name = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, "")
      .replaceAll(" ", "-");
    const others = [...found].filter(
      (each) => each === name || (/^-\d+$/.test(each.slice(name.length)) && each.startsWith(name)),
    );
    found.add(others.length === 0 ? name : `${name}-${others.length}`);
  }
  return found;
}
