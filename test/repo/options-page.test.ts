/** What the page of every option refuses: docs/guide/options.md itself is compared by the repository's checks. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { undocumented } from "../support/repo/documented.ts";
import { type OptionTables, readOptionTables } from "../support/repo/options/option-tables.ts";
import { SdkSources } from "../support/repo/options/sdk-sources.ts";
import { readVariables } from "../support/repo/options/variable-rows.ts";

const SOURCE = `
/** Options of the call. */
export interface CallOptions extends Pick<SharedOptions, "signal"> {
  /** Timeout of the call in seconds. @default \`WORKER_EXAMPLE_S\`, else 30 */
  readonly timeoutS?: number;
  /** How often it is tried again. */
  readonly tries?: number;
  readonly name: string;
  /** What it costs, in whole units from 0. @default none */
  readonly cost?: Rule | { readonly units?: number };
  /** Finds the kind of an error. @default every error is of one kind */
  readonly classify?: (error: Seen) => Kind;
}

/** Shared. */
export interface SharedOptions {
  /** Aborts the call. @default none */
  readonly signal?: AbortSignal;
}

/** How it grows. */
export type Rule = "double" | "triple";

/** Kind of an error. */
export interface Kind {
  /** Its code. @default none */
  readonly code?: string;
}

/** A caller gets it and writes none. */
export interface Seen {
  readonly code?: string;
}

export class Caller {
  call(options: CallOptions): void {}
  find(name: string, { queue = "" }: { queue?: string } = {}): void {}
}
`;

describe("the page of every option", () => {
  let folder: string;
  let read: OptionTables;
  let bare: readonly string[];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "muster-options-"));
    const manifest = { name: "example", exports: { ".": { "muster-source": "./index.ts" } } };
    await writeFile(join(folder, "package.json"), JSON.stringify(manifest));
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ files: ["index.ts"] }));
    await writeFile(join(folder, "index.ts"), SOURCE);
    using sources = new SdkSources(folder);
    read = readOptionTables(sources);
    bare = undocumented(sources);
  });

  after(() => rm(folder, { recursive: true }));

  it("lists the options of the types that a caller writes, and no other type", () => {
    const names = read.tables.map(({ name, options }) => [name, ...options.map((option) => option.name)]);
    assert.deepEqual(names.toSorted(), [
      ["CallOptions", "timeoutS", "tries", "name", "cost", "cost.units", "classify"],
      ["Kind", "code"],
      ["Rule"],
      ["SharedOptions", "signal"],
    ]);
    const [table] = read.tables;
    assert.deepEqual(table?.includes, ["SharedOptions"]);
    assert.deepEqual(table?.options[0], {
      name: "timeoutS",
      type: "number",
      default: "`WORKER_EXAMPLE_S`, else 30",
      meaning: "Timeout of the call in seconds.",
    });
    assert.equal(table?.options[2]?.default, undefined, "it has to be given");
    assert.equal(table?.options[3]?.type, "Rule | object");
    assert.equal(read.tables.find(({ name }) => name === "Rule")?.written, '"double" | "triple"');
  });

  it("refuses an option without a comment, a default or a unit, and options without a type", () => {
    assert.deepEqual(read.faults, [
      "CallOptions.tries: has no @default",
      "CallOptions.tries: is a number whose comment has neither a unit nor a range",
      "CallOptions.name: has no comment",
      "CallOptions.cost.units: has no comment",
      "CallOptions.cost.units: is a number whose comment has neither a unit nor a range",
      "Caller.find: has options in its signature ({ queue?: string }); give them an exported type",
    ]);
  });

  it("stands beside a check of every export and member: each has a comment", () => {
    const missing = ["CallOptions.name", "Caller", "Caller.call", "Caller.find", "Seen.code"];
    assert.deepEqual(bare, missing);
  });

  it("lists the variables of the defaults, and refuses one that is read and not listed", () => {
    const { rows, faults } = readVariables(read.tables, []);
    const [row] = rows;
    assert.equal(row?.variable, "WORKER_EXAMPLE_S");
    assert.equal(row?.default, "30");
    // The worker's own variables, which the options of this example do not name.
    assert.ok(
      faults.some((fault) => fault.startsWith("variable WORKER_MAX_CONCURRENCY: is read, and no @default")),
    );
  });
});
