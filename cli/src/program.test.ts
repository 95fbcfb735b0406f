import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { execPath } from "node:process";
import { test } from "node:test";
import { promisify } from "node:util";
import { COMMANDS } from "./commands/commands.ts";
import { createProgram } from "./program.ts";
import { fakeIo } from "./testing/fake-io.ts";

const help = async (argv: readonly string[]) =>
  (await createProgram(argv, fakeIo(), () => undefined)).helpInformation();

test("a command has the same line of help before and after it is defined", async () => {
  const names = Object.values(COMMANDS).flatMap((entries) =>
    entries.map(({ usage }) => usage.split(" ")[0] ?? ""),
  );
  assert.equal(names.length, 45);
  assert.equal(await help(names), await help([]));
});

test("a value that is the name of a command defines that one as well, and nothing else changes", async () => {
  const program = await createProgram(["why", "task:tasks", "queues"], fakeIo(), () => undefined);
  const defined = program.commands
    .filter((command) => command.description() !== "")
    .map((each) => each.name());
  assert.deepEqual(
    defined.filter((name) => ["why", "queues", "tasks"].includes(name)),
    ["queues", "why"],
  );
});

/** Prints the packages that a command line loads. */
const LOADED = `
import { registerHooks } from "node:module";
const loaded = new Set();
registerHooks({
  load(url, context, next) {
    const [, name] = /.*[/]node_modules[/]((?:@[^/]+[/])?[^/]+)/.exec(url) ?? [];
    if (name !== undefined) loaded.add(name);
    return next(url, context);
  },
});
const { main } = await import("@muster/cli/main");
await main(process.argv.slice(1));
console.error(JSON.stringify([...loaded].sort()));
`;

test("`muster --help` loads no command, and takes a third of the time that it takes with them", async () => {
  const flags = ["--conditions=muster-source", "--input-type=module", "--eval", LOADED, "--", "--help"];
  const { stderr } = await promisify(execFile)(execPath, flags, { cwd: import.meta.dirname });
  assert.deepEqual(JSON.parse(stderr), ["commander", "picocolors"]);
});
