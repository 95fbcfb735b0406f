/** The account that runs PostgreSQL when the scheduler runs as root. */
import { EmbeddedPostgresError, messageOf } from "../errors.ts";
import { type Account, run } from "./run.ts";

/** Names of the account; macOS has a user `_postgres` of its own. */
const names = process.platform === "darwin" ? ["_postgres", "postgres"] : ["postgres"];

/**
 * The account that PostgreSQL runs as when the scheduler runs as root: the user `postgres`, created when
 * missing as a system user without a login. initdb needs a user with a name; a number alone is not enough.
 *
 * @throws EmbeddedPostgresError `NO_ACCOUNT`
 */
export async function postgresAccount(log: (line: string) => void, signal: AbortSignal): Promise<Account> {
  const found = await findAccount(signal);
  if (found) return found;
  const attempts: string[] = [];
  for (const [command, args] of creators) {
    try {
      const { code, output } = await run(command, args, { timeoutMs: 30_000, signal });
      // Whatever the exit code is: another scheduler may have created the user a moment before.
      const made = await findAccount(signal);
      if (made) {
        log("created the system user postgres: PostgreSQL refuses to run as root");
        return made;
      }
      attempts.push(`${command} ended with ${code}: ${output}`);
    } catch (error) {
      signal.throwIfAborted();
      attempts.push(messageOf(error));
    }
  }
  throw new EmbeddedPostgresError(
    "NO_ACCOUNT",
    `PostgreSQL refuses to run as root, there is no user "postgres", and it could not be created ` +
      `(${attempts.join("; ")}). Create it ("useradd --system postgres"), start the scheduler as an ordinary ` +
      `user, or set DATABASE_URL to a PostgreSQL of your own.`,
  );
}

const home = "/var/lib/postgresql";

/** Commands that create the user: with a group of its own, with the existing group, on BusyBox. */
const creators: [string, string[]][] = [
  [
    "useradd",
    ["--system", "--user-group", "--no-create-home", "--home-dir", home, "--shell", "/bin/false", "postgres"],
  ],
  [
    "useradd",
    [
      "--system",
      "--gid",
      "postgres",
      "--no-create-home",
      "--home-dir",
      home,
      "--shell",
      "/bin/false",
      "postgres",
    ],
  ],
  ["adduser", ["-S", "-D", "-H", "-h", home, "-s", "/bin/false", "postgres"]],
];

async function findAccount(signal: AbortSignal): Promise<Account | undefined> {
  for (const name of names) {
    const uid = await idOf("-u", name, signal);
    const gid = await idOf("-g", name, signal);
    if (uid && gid !== undefined) return { name, uid, gid };
  }
  return undefined;
}

/** Undefined for a missing user, which `id` reports by its exit code. */
async function idOf(flag: "-u" | "-g", name: string, signal: AbortSignal): Promise<number | undefined> {
  const { code, output } = await run("id", [flag, name], { timeoutMs: 30_000, signal });
  const id = Number.parseInt(output, 10);
  return code === 0 && id >= 0 ? id : undefined;
}
