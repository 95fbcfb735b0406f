/** Starts schedulers for tests. */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nothingLeftOf } from "./left-behind.ts";
import { Program } from "./program.ts";

/** A folder for one test. */
export interface Folder {
  readonly path: string;
  /** Removes it once no process is left that was started with it: PostgreSQL outlives a killed scheduler for a moment. */
  remove(): Promise<void>;
}

/** Makes a folder that PostgreSQL, which runs as an account of its own under root, may pass through. */
export async function temporaryFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), "muster-e2e-"));
  await chmod(path, 0o711);
  return {
    path,
    remove: async () => {
      await nothingLeftOf(path);
      await rm(path, { recursive: true, force: true });
    },
  };
}

/** A scheduler as `npm start` runs it. */
export interface Served {
  readonly program: Program;
  /** `host:port` for workers and clients. */
  readonly grpc: string;
  /** `http://host:port`. */
  readonly http: string;
}

/** Runs what `npm start` runs, with its embedded PostgreSQL in `folder`, and waits until it serves. */
export async function serve(folder: Folder, args: readonly string[] = []): Promise<Served> {
  const program = Program.start("muster serve", "../../../cli/bin/muster.js", {
    base: import.meta.url,
    args: [
      ...["serve", "--log-format", "json"],
      ...["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", ...args],
    ],
    // A variable, so that every process of the tree has the folder's name in its environment.
    env: { DATABASE_URL: "", MUSTER_DATA_DIR: join(folder.path, "data") },
  });
  const line = await program.line("scheduler.started");
  return { program, grpc: String(line.grpc_addr), http: `http://${String(line.http_addr)}` };
}
