import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getuid } from "node:process";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";
import { type FoundPrograms, findPrograms } from "../repo/debian.ts";
import { freePort } from "../telemetry/prometheus.ts";
import { until } from "../waits.ts";

/** PgBouncer on this machine. */
export type PgBouncerProgram = FoundPrograms<"pgbouncer">;

/** How long a server connection is its client's. */
export type PoolMode = "session" | "transaction" | "statement";

/** Finds `pgbouncer`, as `findPrograms` does; a text says why there is none, for the test's `skip`. */
export function findPgBouncer(): PgBouncerProgram | string {
  return findPrograms({
    package: "pgbouncer",
    libraries: /^lib(c-ares|cares|event)/,
    programs: ["pgbouncer"],
  });
}

/** A running PgBouncer with its defaults, in front of one PostgreSQL server. */
export class PgBouncer {
  /** The database's URL by way of the pooler. */
  readonly url: string;
  readonly pid: number;
  readonly #reload: (mode: PoolMode) => Promise<void>;
  readonly #end: () => Promise<void>;

  private constructor(parts: {
    url: string;
    pid: number;
    reload: (mode: PoolMode) => Promise<void>;
    end: () => Promise<void>;
  }) {
    this.url = parts.url;
    this.pid = parts.pid;
    this.#reload = parts.reload;
    this.#end = parts.end;
  }

  /**
   * @param databaseUrl Of the database, with user and password; every other database of its server is served too.
   * @param options.mode `session`, PgBouncer's default, unless told otherwise.
   * @param options.users Further users with their passwords.
   * @param options.settings Further lines of the section `[pgbouncer]`; `ignore_startup_parameters` for example.
   */
  static async start(
    program: PgBouncerProgram,
    databaseUrl: string,
    options: {
      mode?: PoolMode;
      users?: Readonly<Record<string, string>>;
      settings?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<PgBouncer> {
    const target = new URL(databaseUrl);
    const folder = mkdtempSync(join(tmpdir(), "muster-pgbouncer-"));
    // It refuses to run as root, and reads its files as the account that it changes to.
    chmodSync(folder, 0o755);
    const port = await freePort();
    const users = {
      [decodeURIComponent(target.username)]: decodeURIComponent(target.password),
      ...options.users,
    };
    const file = join(folder, "pgbouncer.ini");
    const configure = (mode: PoolMode) =>
      writeFileSync(
        file,
        [
          "[databases]",
          `* = host=${target.hostname} port=${target.port || 5432}`,
          "[pgbouncer]",
          "listen_addr = 127.0.0.1",
          `listen_port = ${port}`,
          "unix_socket_dir =",
          `auth_file = ${join(folder, "users.txt")}`,
          `pool_mode = ${mode}`,
          ...Object.entries(options.settings ?? {}).map(([name, value]) => `${name} = ${value}`),
          "",
        ].join("\n"),
      );
    writeFileSync(
      join(folder, "users.txt"),
      Object.entries(users)
        .map(([name, password]) => `${quoted(name)} ${quoted(password)}\n`)
        .join(""),
    );
    configure(options.mode ?? "session");
    const child = spawn(program.paths.pgbouncer, [...(getuid?.() === 0 ? ["-u", "nobody"] : []), file], {
      env: { ...process.env, ...program.env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    const end = async () => {
      cleanedUp(child);
      child.kill("SIGKILL");
      await exited;
      rmSync(folder, { recursive: true, force: true });
    };
    cleanUpLater(child, end);
    const says = (what: string, words: RegExp, after = 0) =>
      until(
        what,
        async () => {
          if (child.exitCode !== null) throw new Error(`PgBouncer exited with ${child.exitCode}: ${said}`);
          return words.test(said.slice(after)) ? true : undefined;
        },
        () => said,
      );
    try {
      await says("PgBouncer listens", /process up/);
    } catch (error) {
      await end();
      throw error;
    }
    const url = new URL(databaseUrl);
    url.hostname = "127.0.0.1";
    url.port = String(port);
    return new PgBouncer({
      url: url.href,
      pid: child.pid ?? 0,
      reload: async (mode) => {
        const mark = said.length;
        configure(mode);
        child.kill("SIGHUP");
        await says("PgBouncer has read its file again", /got SIGHUP/, mark);
      },
      end,
    });
  }

  /** Changes the pool mode of the running pooler, as an operator's reload does. */
  reload(mode: PoolMode): Promise<void> {
    return this.#reload(mode);
  }

  /** Ends it and removes its files. */
  stop(): Promise<void> {
    return this.#end();
  }
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}
