/** Runs the examples of pages of the documentation against a scheduler of their own. */
import assert from "node:assert/strict";
import { readFile, symlink, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";
import { bundledCommands } from "../programs/bundled.ts";
import { killAll, Program } from "../programs/program.ts";
import { type Folder, temporaryFolder } from "../programs/serve.ts";
import { ROOT, runTool, type ToolRun, toolEnv } from "../repo/checks.ts";
import { Fleet } from "./fleet.ts";

/**
 * `npx muster` without npm, which would take more processor time than the command. The README's test runs the real one.
 */
const NPX = 'npx() { "$@"; }';

/**
 * The examples of one page, or of several that share a scheduler. Each is a code block whose first line has its kind and its
 * name: `sh run`, `ts batch.ts`. Pages that share one have other names.
 */
export class DocExamples {
  readonly #blocks: ReadonlyMap<string, string>;
  readonly #folder: Folder;
  readonly fleet: Fleet;

  private constructor(blocks: ReadonlyMap<string, string>, folder: Folder, fleet: Fleet) {
    this.#blocks = blocks;
    this.#folder = folder;
    this.fleet = fleet;
  }

  /** @param pages Paths in the repository. */
  static async start(...pages: readonly string[]): Promise<DocExamples> {
    const texts = await Promise.all(pages.map((page) => readFile(join(ROOT, page), "utf8")));
    const blocks = texts.flatMap((text) => [...text.matchAll(/^```(.+)\n([\s\S]*?)^```$/gm)]);
    const named = blocks.map(([, name = ""]) => name).filter((name) => name.includes(" "));
    const twice = named.filter((name, index) => named.indexOf(name) !== index);
    assert.deepEqual(twice, [], "blocks of the same name: only the last one of them would run");
    const folder = await temporaryFolder();
    // Where a reader's file in the checkout would find the packages.
    await symlink(join(ROOT, "node_modules"), join(folder.path, "node_modules"));
    return new DocExamples(
      new Map(blocks.map(([, name = "", source = ""]) => [name, source])),
      folder,
      await Fleet.start(),
    );
  }

  /** Where `files` and `shell` with `inFolder` work. */
  get folder(): string {
    return this.#folder.path;
  }

  /** Writes blocks as files into the folder in which `shell` runs commands with `inFolder`. */
  async files(...names: readonly string[]): Promise<void> {
    for (const name of names) await this.file(name, (text) => text);
  }

  /** Writes a block as a file, with what only the machine of a reader has replaced. */
  async file(name: string, replace: (text: string) => string): Promise<void> {
    const [, file = ""] = name.split(" ");
    await writeFile(join(this.#folder.path, file), replace(this.#block(name)));
  }

  /** Runs a block of shell commands, which must succeed. @param options.env Further variables. */
  async shell(
    name: string,
    {
      inFolder = false,
      env: variables = {},
    }: { inFolder?: boolean; env?: Readonly<Record<string, string>> } = {},
  ): Promise<ToolRun> {
    const env = toolEnv();
    const place = inFolder ? `cd '${this.#folder.path}'\n` : "";
    const ran = await runTool("bash", ["-euo", "pipefail", "-c", `${NPX}\n${place}${this.#block(name)}`], {
      env: {
        ...env,
        PATH: [...bundledCommands(), env.PATH].join(delimiter),
        MUSTER_SCHEDULER_ADDR: this.fleet.scheduler.grpc,
        ...variables,
      },
    });
    assert.equal(ran.code, 0, `${ran.stdout}${ran.stderr}`);
    return ran;
  }

  /** Runs a block of TypeScript, which must succeed; returns what it writes. */
  async program(name: string, variables: Readonly<Record<string, string>> = {}): Promise<string> {
    const [, file = ""] = name.split(" ");
    const path = join(this.#folder.path, file);
    await writeFile(path, this.#block(name));
    const program = Program.start(file, pathToFileURL(path).href, {
      base: import.meta.url,
      env: { MUSTER_SCHEDULER_ADDR: this.fleet.scheduler.grpc, ...variables },
    });
    assert.deepEqual(await program.ended, { code: 0, signal: null }, program.tail());
    return program.stdout.trim();
  }

  /** What a page says that a program writes: its block of text with the program's name. */
  expected(file: string): string {
    return this.#block(`text ${file}`).trim();
  }

  /** Kills every program, drops the database and removes the files. */
  async stop(): Promise<void> {
    await killAll();
    await this.fleet.stop();
    await this.#folder.remove();
  }

  #block(name: string): string {
    const block = this.#blocks.get(name);
    assert.ok(block, `the page has no block "${name}"; it has ${[...this.#blocks.keys()].join(", ")}`);
    return block;
  }
}
