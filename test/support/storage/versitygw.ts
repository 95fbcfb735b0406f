/** An S3 service for tests: the Versity S3 Gateway. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process, { env } from "node:process";
import { keptFolder } from "../programs/kept-folder.ts";
import { ServerProgram } from "../programs/server-program.ts";
import { freePort } from "../telemetry/prometheus.ts";

/** The versions of the Versity S3 Gateway and of what it is made of. */
const MODULE = join(import.meta.dirname, "versitygw");

const PROGRAM = "github.com/versity/versitygw/cmd/versitygw";

/**
 * Finds the Versity S3 Gateway, an S3 service on a folder. No registry has the program. In CI (the variable `CI` is set) it
 * is compiled with Go from its modules and kept in the temporary folder: 90 s of processor time once, 61 MB.
 *
 * @returns The program, or why there is none, for the test's `skip`.
 * @throws Error when Go cannot compile it: CI must not pass without this test.
 */
export function findVersitygw(): { readonly program: string } | string {
  const installed = (env.PATH ?? "")
    .split(delimiter)
    .map((folder) => join(folder, "versitygw"))
    .find((path) => existsSync(path));
  const program = installed ?? join(keptFolder(), `muster-versitygw-${moduleHash()}`);
  if (existsSync(program)) return { program };
  if (!env.CI) return "versitygw is not on the PATH (with CI=1 it is compiled with Go)";
  compile(program);
  return { program };
}

/** The first digits of the hash of all files, so that a change of a version compiles it anew. */
function moduleHash(): string {
  const hash = createHash("sha256");
  for (const file of readdirSync(MODULE).sort()) hash.update(readFileSync(join(MODULE, file)));
  return hash.digest("hex").slice(0, 16);
}

function compile(program: string): void {
  process.stdout.write("Compiling an S3 service for its tests; this takes a minute, once.\n");
  const unfinished = `${program}.${process.pid}`;
  const flags = ["-trimpath", "-buildvcs=false", "-ldflags=-s -w"];
  execFileSync("go", ["build", ...flags, "-o", unfinished, PROGRAM], { cwd: MODULE, stdio: "inherit" });
  renameSync(unfinished, program);
}

/** A running S3 service. */
export interface Versitygw {
  /** Options of an `S3Store`: endpoint, region, bucket and credentials. */
  readonly options: {
    readonly endpoint: string;
    readonly region: string;
    readonly bucket: string;
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  };
  /** Variables that a program's `S3Store` reads the same from. */
  readonly env: Readonly<Record<string, string>>;
  /** Folder of the bucket. */
  readonly folder: string;
  stop(): Promise<void>;
}

/** Starts the service with an empty bucket. */
export async function startVersitygw(program: string, bucket = "muster"): Promise<Versitygw> {
  const folder = mkdtempSync(join(tmpdir(), "muster-versitygw-run-"));
  mkdirSync(join(folder, "data", bucket), { recursive: true });
  const port = await freePort();
  const credentials = { accessKeyId: "muster", secretAccessKey: "muster-secret" };
  const endpoint = `http://127.0.0.1:${port}`;
  const server = await ServerProgram.start({
    ...{ name: "the S3 service", program, folder, signal: "SIGTERM" },
    args: ["--port", `127.0.0.1:${port}`, "--quiet", "--keep-alive", "posix", join(folder, "data")],
    env: {
      ROOT_ACCESS_KEY_ID: credentials.accessKeyId,
      ROOT_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    },
    isReady: () =>
      fetch(endpoint).then(
        () => true,
        () => false,
      ),
  });
  return {
    options: { endpoint, region: "us-east-1", bucket, credentials },
    env: {
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    },
    folder: join(folder, "data", bucket),
    stop: () => server.stop(),
  };
}
