/** A PostgreSQL whose clock a test sets while it runs, by libfaketime. */
import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";
import { findPrograms } from "../repo/debian.ts";
import { until } from "../waits.ts";
import { openTestDatabase } from "./postgres.ts";
import { startServer, type TestServer } from "./server.ts";

/** Finds libfaketime, as `findPrograms` does its programs; the second says why there is none, for the test's `skip`. */
export function findFaketime(): { readonly library: string } | string {
  const found = findPrograms({ package: "faketime", libraries: /^libfaketime/, programs: ["faketime"] });
  if (typeof found === "string") return found;
  // The wrapper is in usr/bin, the library in usr/lib/<machine>/faketime.
  const lib = join(dirname(found.paths.faketime), "..", "lib");
  const library = readdirSync(lib)
    .map((folder) => join(lib, folder, "faketime", "libfaketime.so.1"))
    .find((path) => existsSync(path));
  if (library === undefined)
    throw new Error(`Debian's package faketime has no libfaketime.so.1 (looked in ${lib})`);
  return { library };
}

/** A server of a test's own whose clock differs from the machine's by so many seconds as the test says. */
export class ClockServer {
  readonly url: string;
  readonly #server: TestServer;
  readonly #child: ChildProcess;
  readonly #offsetFile: string;

  private constructor(server: TestServer, child: ChildProcess, offsetFile: string) {
    this.url = server.url;
    this.#server = server;
    this.#child = child;
    this.#offsetFile = offsetFile;
    cleanUpLater(this, () => this.stop());
  }

  static async start(library: string): Promise<ClockServer> {
    const server = await startServer();
    // The embedded server makes the cluster; its program is then started once more, with the library.
    const offsetFile = join(dirname(server.dataDir), "offset");
    setOffset(offsetFile, 0);
    const pid = Number(readFileSync(await pidFile(server.dataDir), "utf8").split("\n")[0]);
    const [program = "", ...args] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").filter(Boolean);
    const { uid, gid } = statSync(`/proc/${pid}`);
    await server.postgres.stop();
    const child = spawn(program, [...args, "-c", "unix_socket_directories="], {
      cwd: "/",
      ...{ uid, gid },
      stdio: ["ignore", "ignore", "ignore"],
      env: {
        ...{ PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC", LD_PRELOAD: library },
        // Timers and waits go on as they are: only the wall clock is set, as an operator or NTP does.
        ...{ FAKETIME_DONT_FAKE_MONOTONIC: "1", FAKETIME_TIMESTAMP_FILE: offsetFile, FAKETIME_NO_CACHE: "1" },
      },
    });
    const started = new ClockServer(server, child, offsetFile);
    await until("the server answers", async () => {
      const db = openTestDatabase(server.url);
      try {
        await db.query("select 1");
        return true;
      } catch {
        return undefined;
      } finally {
        await db.close();
      }
    });
    return started;
  }

  /** Sets the clock so many seconds ahead of the machine's; negative behind it. */
  setClock(offsetS: number): void {
    setOffset(this.#offsetFile, offsetS);
  }

  async stop(): Promise<void> {
    cleanedUp(this);
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGINT");
      await ended;
    }
    await this.#server.remove();
  }
}

async function pidFile(dataDir: string): Promise<string> {
  return until("the server's pid file", () => {
    const paths = [dataDir, ...readdirSync(dataDir).map((name) => join(dataDir, name))];
    return paths.map((path) => join(path, "postmaster.pid")).find((path) => existsSync(path));
  });
}

/** In one step: the server reads it with each look at its clock. */
function setOffset(file: string, offsetS: number): void {
  const next = `${file}.next`;
  writeFileSync(next, `${offsetS < 0 ? "-" : "+"}${Math.abs(offsetS)}`);
  chmodSync(next, 0o644);
  renameSync(next, file);
}
