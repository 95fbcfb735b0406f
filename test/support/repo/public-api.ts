/** The public API of the worker SDK as text, so that a change of it shows in review. */
import { readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ROOT, runTool } from "./checks.ts";

const PACKAGE = join(ROOT, "worker-sdk");
const REPORTS = join(PACKAGE, "api");

interface Manifest {
  readonly name: string;
  readonly exports: Readonly<Record<string, { readonly types: string }>>;
}

/** A top-level declaration of a file, without comments. */
interface Declaration {
  readonly name: string;
  readonly text: string;
}

/** What a file of declarations holds. */
interface Declarations {
  readonly own: ReadonlyMap<string, readonly Declaration[]>;
  /** Names from other files of the package: where each comes from, and its name there. */
  readonly from: ReadonlyMap<string, { readonly path: string; readonly name: string }>;
  readonly exported: readonly string[];
}

/** Fails when a report is not what the sources say. */
export async function checkPublicApi(): Promise<void> {
  const stale: string[] = [];
  for (const { path, text } of await reports()) {
    const kept = await readFile(path, "utf8").catch(() => "");
    if (kept !== text) stale.push(path.slice(ROOT.length));
  }
  if (stale.length > 0)
    throw new Error(
      `the public API has changed: ${stale.join(", ")}. If that is meant, run npm run api and commit it.`,
    );
}

/** Writes every report. */
export async function writePublicApi(): Promise<void> {
  for (const { path, text } of await reports()) await writeFile(path, text);
}

async function reports(): Promise<{ path: string; text: string }[]> {
  const { code, stdout } = await runTool("tsc", ["-b", "worker-sdk"]);
  if (code !== 0) throw new Error(`tsc -b worker-sdk exited with ${code}\n${stdout}`);
  const { name, exports }: Manifest = JSON.parse(await readFile(join(PACKAGE, "package.json"), "utf8"));
  return Object.entries(exports).map(([entry, { types }]) => {
    const title = entry === "." ? name : `${name}/${entry.slice(2)}`;
    const file = entry === "." ? "index" : entry.slice(2);
    return { path: join(REPORTS, `${file}.api.md`), text: report(title, join(PACKAGE, types)) };
  });
}

/** The exported declarations of an entry, and those that they refer to, sorted by name. */
function report(title: string, entry: string): string {
  const files = new Map<string, Declarations>();
  const read = (path: string): Declarations => {
    const known = files.get(path) ?? parse(readFileSync(path, "utf8"), path);
    files.set(path, known);
    return known;
  };
  const find = (path: string, name: string): { path: string; found: readonly Declaration[] } | undefined => {
    const { own, from } = read(path);
    const found = own.get(name);
    if (found !== undefined) return { path, found };
    const source = from.get(name);
    return source === undefined ? undefined : find(source.path, source.name);
  };
  const exported = read(entry).exported.toSorted();
  const shown = new Map<string, string>();
  const wanted = exported.map((name) => ({ path: entry, name }));
  for (const { path, name } of wanted) {
    const place = shown.has(name) ? undefined : find(path, name);
    if (place === undefined) continue;
    const text = place.found.map((declaration) => declaration.text).join("\n");
    shown.set(name, text);
    for (const [word] of text.matchAll(/[A-Za-z_$][\w$]*/g)) wanted.push({ path: place.path, name: word });
  }
  const section = (names: readonly string[]) => names.map((name) => shown.get(name)).join("\n\n");
  const reached = [...shown.keys()].filter((name) => !exported.includes(name)).toSorted();
  return [
    `# ${title}`,
    "",
    "Written by `npm run api`; `npm run check` compares it with the sources.",
    "",
    ...(exported.length === 0 ? ["It exports nothing."] : ["```ts", section(exported), "```"]),
    ...(reached.length === 0
      ? []
      : ["", "Not exported, but named above:", "", "```ts", section(reached), "```"]),
    "",
  ].join("\n");
}

/** Reads what `tsc` writes: declarations begin and end at the start of a line. */
function parse(source: string, path: string): Declarations {
  const own = new Map<string, Declaration[]>();
  const from = new Map<string, { path: string; name: string }>();
  const exported: string[] = [];
  for (const statement of statements(source.replaceAll(/^\s*\/\*\*[\s\S]*?\*\/\n/gm, ""))) {
    const list = /^(import|export) (?:type )?\{([^}]*)\}(?: from "([^"]+)")?;$/.exec(statement);
    if (list !== null) {
      const [, keyword, names = "", module] = list;
      for (const [, there = "", here = there] of names.matchAll(/(?:type )?([\w$]+)(?: as ([\w$]+))?/g)) {
        const file = module === undefined ? undefined : declarationsOf(module, path);
        if (file !== undefined) from.set(here, { path: file, name: there });
        if (keyword === "export") exported.push(here);
      }
      continue;
    }
    const pattern =
      /^(export )?(?:declare )?(?:abstract )?(?:class|interface|type|const|let|function|enum|namespace) ([\w$]+)/;
    const [, isExported, name] = pattern.exec(statement) ?? [];
    if (name === undefined) continue;
    own.set(name, [...(own.get(name) ?? []), { name, text: statement.replace(/^export (declare )?/, "") }]);
    if (isExported !== undefined && !exported.includes(name)) exported.push(name);
  }
  return { own, from, exported };
}

/** The file of a module: of the package itself, or of the shared code that users see through it. */
function declarationsOf(module: string, importer: string): string | undefined {
  if (module.startsWith(".")) return join(dirname(importer), module.replace(/\.[jt]s$/, ".d.ts"));
  const [, shared] = /^@muster\/common\/(.+)$/.exec(module) ?? [];
  return shared === undefined ? undefined : join(ROOT, "packages", "common", "dist", `${shared}.d.ts`);
}

function statements(source: string): string[] {
  const found: string[] = [];
  for (const line of source.split("\n")) {
    if (line === "" || line.startsWith("//")) continue;
    const last = found.at(-1);
    if (last !== undefined && (/^[\s}]/.test(line) || !/[;}]$/.test(last)))
      found[found.length - 1] = `${last}\n${line}`;
    else found.push(line);
  }
  return found;
}
