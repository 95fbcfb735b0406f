import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getuid } from "node:process";
import { ServerProgram } from "../programs/server-program.ts";
import { type FoundPrograms, findPrograms } from "../repo/debian.ts";
import { freePort } from "../telemetry/prometheus.ts";

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
  readonly #server: ServerProgram;
  readonly #configure: (mode: PoolMode) => void;

  private constructor(url: string, server: ServerProgram, configure: (mode: PoolMode) => void) {
    this.url = url;
    this.pid = server.pid;
    this.#server = server;
    this.#configure = configure;
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
    const server = await ServerProgram.start({
      ...{ name: "PgBouncer", program: program.paths.pgbouncer, env: program.env, folder, signal: "SIGKILL" },
      args: [...(getuid?.() === 0 ? ["-u", "nobody"] : []), file],
      isReady: ({ errors }) => /process up/.test(errors),
    });
    const url = new URL(databaseUrl);
    url.hostname = "127.0.0.1";
    url.port = String(port);
    return new PgBouncer(url.href, server, configure);
  }

  /** Changes the pool mode of the running pooler, as an operator's reload does. */
  async reload(mode: PoolMode): Promise<void> {
    const mark = this.#server.errors.length;
    this.#configure(mode);
    this.#server.kill("SIGHUP");
    await this.#server.until("has read its file again", () =>
      /got SIGHUP/.test(this.#server.errors.slice(mark)),
    );
  }

  /** Ends it and removes its files. */
  stop(): Promise<void> {
    return this.#server.stop();
  }
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}
