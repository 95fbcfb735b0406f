/** Builds the page into `scheduler/dashboard`, compressed: `npm run build --workspace dashboard`. */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { argv, stdout } from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { brotliCompressSync, constants } from "node:zlib";
import { build, type Metafile } from "esbuild";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** Where `@muster/scheduler` has it. */
export const TARGET = fileURLToPath(new URL("../scheduler/dashboard/", import.meta.url));

/** A file of the page. */
export interface BuiltFile {
  readonly name: string;
  readonly bytes: number;
  readonly compressedBytes: number;
  /** The first page needs it. */
  readonly first: boolean;
}

/**
 * Builds the page.
 *
 * @param folder What else is in it is removed.
 */
export async function buildDashboard(folder = TARGET): Promise<readonly BuiltFile[]> {
  const { outputFiles, metafile } = await build({
    entryPoints: { main: join(HERE, "src/main.tsx") },
    bundle: true,
    splitting: true,
    format: "esm",
    target: ["chrome120", "firefox121", "safari17"],
    jsx: "automatic",
    minify: true,
    conditions: ["muster-source", "production"],
    define: { "process.env.NODE_ENV": '"production"' },
    legalComments: "none",
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    outdir: join(HERE, "out"),
    write: false,
    metafile: true,
    logLevel: "warning",
  });
  const icon = await readFile(join(HERE, "src/icon.svg"));
  const iconName = `icon-${createHash("sha256").update(icon).digest("hex").slice(0, 8)}.svg`;
  const names = Object.keys(metafile.outputs).map((path) => basename(path));
  const main = requireName(names, /^main-.*\.js$/);
  const first = new Set([...neededFirst(metafile, main), requireName(names, /^main-.*\.css$/), iconName]);
  const page = (await readFile(join(HERE, "src/index.html"), "utf8"))
    .replace("{icon}", iconName)
    .replace("{style}", requireName(names, /^main-.*\.css$/))
    .replace("{script}", main)
    .replace("{preloads}", preloads([...first].filter((name) => name.endsWith(".js") && name !== main)));
  const contents = new Map<string, Uint8Array>([
    ...outputFiles.map(({ path, contents: bytes }) => [basename(path), bytes] as const),
    [iconName, icon],
    ["index.html", Buffer.from(page)],
  ]);
  const files: BuiltFile[] = [];
  const compressed = new Map<string, Buffer>();
  for (const [name, bytes] of contents) {
    const params = {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    };
    const small = brotliCompressSync(bytes, { params });
    compressed.set(`${name}.br`, small);
    files.push({
      name,
      bytes: bytes.length,
      compressedBytes: small.length,
      first: first.has(name) || name === "index.html",
    });
  }
  if (!(await isThere(folder, compressed))) {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    for (const [name, bytes] of compressed) await writeFile(join(folder, name), bytes);
  }
  return files;
}

/** A page that is there already stays untouched: a scheduler may be reading it. */
async function isThere(folder: string, files: ReadonlyMap<string, Buffer>): Promise<boolean> {
  const names = await readdir(folder).catch(() => []);
  if (names.length !== files.size || !names.every((name) => files.has(name))) return false;
  const same = await Promise.all(
    names.map(async (name) => files.get(name)?.equals(await readFile(join(folder, name))) === true),
  );
  return same.every(Boolean);
}

/** The chunks that the script imports before it runs, and those of the first page. */
function neededFirst({ outputs }: Metafile, main: string): string[] {
  const byName = new Map(Object.entries(outputs).map(([path, output]) => [basename(path), output]));
  const found = new Set<string>();
  const follow = (name: string): void => {
    if (found.has(name)) return;
    found.add(name);
    for (const { path, kind } of byName.get(name)?.imports ?? [])
      if (kind === "import-statement") follow(basename(path));
  };
  follow(main);
  for (const [name, { entryPoint }] of byName)
    if (entryPoint?.endsWith("pages/overview/overview.tsx")) follow(name);
  return [...found];
}

function preloads(names: readonly string[]): string {
  return names.map((name) => `<link rel="modulepreload" href="assets/${name}">`).join("\n    ");
}

function requireName(names: readonly string[], pattern: RegExp): string {
  const found = names.find((name) => pattern.test(name));
  if (found === undefined) throw new Error(`the build wrote no file like ${pattern}`);
  return found;
}

if (import.meta.url === pathToFileURL(argv[1] ?? "").href) {
  const files = await buildDashboard();
  const kib = (list: readonly BuiltFile[]) =>
    Math.round(list.reduce((sum, { compressedBytes }) => sum + compressedBytes, 0) / 102.4) / 10;
  stdout.write(
    `dashboard: ${files.length} files, ${kib(files)} KiB compressed, ${kib(files.filter(({ first }) => first))} KiB at first load\n`,
  );
}
