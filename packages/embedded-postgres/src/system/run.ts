/** Runs programs of PostgreSQL in a fixed environment, as another account where needed. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { EmbeddedPostgresError, messageOf, systemErrorCode } from "../errors.ts";

/** A user of this machine that root runs programs as. */
export interface Account {
  name: string;
  uid: number;
  gid: number;
}

/** How a process ended: an exit code or the name of a signal. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** What {@link run} needs besides the command. */
export interface RunOptions {
  /** The account to run as; undefined: that of this process. */
  account?: Account | undefined;
  /** Written to the program's standard input, which is then closed. */
  input?: string;
  /** Called for each line of either output stream. */
  onLine?: (line: string) => void;
  /** Milliseconds after which the program is killed. */
  timeoutMs: number;
  signal?: AbortSignal | undefined;
}

/** The whole output of a program, both streams in the order of their lines, and how it ended. */
export interface RunResult extends Exit {
  output: string;
}

/**
 * PostgreSQL reads PG*, LC_* and TZ from its environment. A fixed environment makes its messages, which are parsed, and
 * its defaults the same on every machine, and keeps the scheduler's secrets out of another user's process.
 */
const environment = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LC_ALL: "C",
  TZ: "UTC",
};

/**
 * Starts a program in the fixed environment, with `/` as its working directory: the account may have no access to that of this process.
 *
 * @throws EmbeddedPostgresError `NO_ACCOUNT` when the system does not allow to run as the account, and the
 * system's own error when the program cannot be started
 */
export async function start(
  command: string,
  args: string[],
  account: Account | undefined,
  stdin: "ignore" | "pipe" = "ignore",
): Promise<ChildProcess> {
  const child = spawn(command, args, {
    cwd: "/",
    env: environment,
    stdio: [stdin, "pipe", "pipe"],
    ...(account && { uid: account.uid, gid: account.gid }),
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) => reject(account ? explainSpawn(error, account) : error));
  });
  return child;
}

function explainSpawn(error: Error, account: Account): Error {
  const code = systemErrorCode(error);
  if (code !== "EPERM" && code !== "EINVAL") return error;
  return new EmbeddedPostgresError(
    "NO_ACCOUNT",
    `PostgreSQL refuses to run as root, and this system does not let root start a program as the user ` +
      `${account.name} (uid ${account.uid}): ${messageOf(error)}. Start the scheduler as an ordinary user, ` +
      `allow the container CAP_SETUID and CAP_SETGID, or set DATABASE_URL to a PostgreSQL of your own.`,
    { cause: error },
  );
}

/** Calls `onLine` for each line of both streams; resolves when the program has ended and both are drained. */
export function follow(child: ChildProcess, onLine: (line: string) => void): Promise<Exit> {
  for (const stream of [child.stdout, child.stderr]) {
    if (stream) createInterface({ input: stream }).on("line", onLine);
  }
  return new Promise((resolve) => {
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
}

/**
 * Runs a program to its end. An abort or the timeout ends it with SIGTERM, on which PostgreSQL's tools clean up; the
 * promise settles when the process has ended.
 *
 * @throws what {@link start} throws; the signal's reason when it was aborted; START_FAILED on the timeout
 */
export async function run(command: string, args: string[], options: RunOptions): Promise<RunResult> {
  options.signal?.throwIfAborted();
  const child = await start(command, args, options.account, options.input === undefined ? "ignore" : "pipe");
  const lines: string[] = [];
  const timeout = AbortSignal.timeout(options.timeoutMs);
  const end = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  const kill = () => child.kill("SIGTERM");
  end.addEventListener("abort", kill);
  // For a program that ends without reading its input, the exit code decides, not the broken pipe.
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(options.input);
  const exit = await follow(child, (line) => {
    lines.push(line);
    options.onLine?.(line);
  });
  end.removeEventListener("abort", kill);
  options.signal?.throwIfAborted();
  if (timeout.aborted && exit.code !== 0) {
    throw new EmbeddedPostgresError(
      "START_FAILED",
      `${command} did not end within ${options.timeoutMs / 1000} s and was stopped. Its last lines: ` +
        `${lines.slice(-3).join(" | ") || "none"}. See whether the disk is slow or full, then start again.`,
    );
  }
  return { ...exit, output: lines.join("\n") };
}
