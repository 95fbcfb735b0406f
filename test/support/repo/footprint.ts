/** What an install of the packages costs: committed figures, so that a change which adds to them shows in review. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./checks.ts";

/**
 * The packages that `npm install @muster/worker` adds besides Muster's own, each name once. A new one needs a reason in its
 * commit.
 */
export const WORKER_DEPENDENCIES: readonly string[] = `
  @bufbuild/protobuf @connectrpc/connect @connectrpc/connect-node @grpc/grpc-js @grpc/proto-loader
  @js-sdsl/ordered-map @opentelemetry/api @pinojs/redact @protobufjs/aspromise @protobufjs/base64
  @protobufjs/codegen @protobufjs/eventemitter @protobufjs/fetch @protobufjs/float @protobufjs/path
  @protobufjs/pool @protobufjs/utf8 @standard-schema/spec @types/node ansi-regex
  ansi-styles atomic-sleep cliui color-convert color-name
  colorette dateformat emoji-regex end-of-stream escalade
  fast-copy fast-safe-stringify get-caller-file help-me is-fullwidth-code-point
  joycon lodash.camelcase long minimist on-exit-leak-free
  once pino pino-abstract-transport pino-pretty pino-std-serializers
  process-warning protobufjs pump quick-format-unescaped real-require
  require-directory safe-stable-stringify secure-json-parse sonic-boom split2
  string-width strip-ansi strip-json-comments thread-stream undici-types
  wrap-ansi wrappy y18n yargs yargs-parser
`
  .trim()
  .split(/\s+/);

/** Their size on the disk, KiB. */
export const WORKER_DEPENDENCIES_KIB = 15_500;

/** Archives of the packages as `npm pack` writes them, KiB. */
export const PACKED_KIB: Readonly<Record<string, number>> = {
  "@muster/protocol": 172,
  "@muster/common": 24,
  "@muster/embedded-postgres": 35,
  "@muster/scheduler": 1_260,
  "@muster/worker": 446,
  "@muster/launcher": 96,
  "@muster/cli": 200,
};

/** What the dashboard loads before its first page is drawn, KiB of Brotli. */
export const DASHBOARD_FIRST_KIB = 185;

/** Share by which a figure may be above the real one: then it is lowered. */
const SLACK = 0.15;

/** Fails when a figure is not the real one: larger, or smaller by more than the slack. */
export function checkFigure(what: string, real: number, committed = 0): void {
  const rounded = Math.ceil(real);
  if (rounded > committed)
    throw new Error(
      `${what}: ${rounded}, more than ${committed}. Is that needed? Then raise it in test/support/repo/footprint.ts, and give ` +
        "the reason in the commit.",
    );
  if (rounded < committed * (1 - SLACK))
    throw new Error(
      `${what}: ${rounded}, less than ${committed}. Lower it in test/support/repo/footprint.ts.`,
    );
}

interface LockedPackage {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly resolved?: string;
  readonly link?: boolean;
}

/** The folders in node_modules that a package needs, from the lock file; Muster's own are followed and left out. */
export function dependencyFolders(workspace: string): readonly string[] {
  const { packages }: { packages: Readonly<Record<string, LockedPackage>> } = JSON.parse(
    readFileSync(join(ROOT, "package-lock.json"), "utf8"),
  );
  const seen = new Set<string>();
  const visit = (at: string): void => {
    for (const name of Object.keys(packages[at]?.dependencies ?? {})) {
      const folder = placeOf(name, at, packages);
      const { link, resolved } = packages[folder] ?? {};
      const target = link === true && resolved !== undefined ? resolved : folder;
      if (seen.has(target)) continue;
      seen.add(target);
      visit(target);
    }
  };
  visit(workspace);
  return [...seen].filter((folder) => folder.includes("node_modules/")).toSorted();
}

/** Where Node finds a package from a folder: in its own node_modules, or in those above. */
function placeOf(name: string, from: string, packages: Readonly<Record<string, unknown>>): string {
  for (
    let at = from;
    ;
    at = at.includes("/node_modules/") ? at.slice(0, at.lastIndexOf("/node_modules/")) : ""
  ) {
    const folder = at === "" ? `node_modules/${name}` : `${at}/node_modules/${name}`;
    if (folder in packages) return folder;
    if (at === "") throw new Error(`package-lock.json has no ${name} for ${from}`);
  }
}

/** Bytes of a package's files, without the packages inside of it. */
export function bytesOf(folder: string): number {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "node_modules" ? sum : sum + bytesOf(path);
    return entry.isFile() ? sum + statSync(join(ROOT, path)).size : sum;
  }, 0);
}
