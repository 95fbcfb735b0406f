/** Makes the order for a driver from a launch command: the environment with secrets, and the connection to the scheduler. */
import { readFileSync } from "node:fs";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { LaunchCommand, SecretVariable } from "@muster/protocol";
import type { LaunchOrder } from "./driver.ts";
import type { Environment } from "./environment.ts";

/** Variables of the launcher that workers inherit: those of the connection to the scheduler. */
const CONNECTION = [
  "MUSTER_SCHEDULER_ADDR",
  "MUSTER_TOKEN",
  "MUSTER_TLS_CA",
  "MUSTER_TLS_CERT",
  "MUSTER_TLS_KEY",
];

/** Those of a login on the launcher's machine. */
const LOGIN = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"];

/** Drivers whose workers have the file system of an image: paths of the launcher's machine mean nothing there. */
const WITH_IMAGE: ReadonlySet<string | undefined> = new Set(["docker"]);

/** A secret that is not where its reference says. */
export class SecretError extends Error {}

/**
 * The order of a launch command.
 *
 * @param env Environment of the launcher with its connection to the scheduler.
 * @throws SecretError when the launcher does not have a secret.
 */
export function toLaunchOrder(command: LaunchCommand, env: Environment): LaunchOrder {
  const { launchId, pool, workerId, launchTemplate: template, startupTimeout } = command;
  const names = WITH_IMAGE.has(template?.driver.case) ? CONNECTION : [...LOGIN, ...CONNECTION];
  const inherited = names.flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const secrets = (template?.secrets ?? []).map((secret) => [secret.name, secretOf(secret, env)] as const);
  return {
    launchId,
    pool,
    workerId,
    command: template?.command ?? [],
    engine: template?.driver ?? { case: undefined },
    env: {
      ...Object.fromEntries(inherited),
      ...template?.env,
      ...Object.fromEntries(secrets),
      MUSTER_LAUNCH_ID: launchId,
      MUSTER_POOL: pool,
      WORKER_ID: workerId,
    },
    secretNames: secrets.map(([name]) => name),
    startupTimeoutMs: startupTimeout ? durationMs(startupTimeout) : 0,
  };
}

function secretOf({ name, source }: SecretVariable, env: Environment): string {
  switch (source.case) {
    case "launcherVariable": {
      const value = env[source.value];
      if (value === undefined)
        throw new SecretError(`the secret ${name} is missing: the launcher has no variable ${source.value}`);
      return value;
    }
    case "launcherFile":
      try {
        return readFileSync(source.value, "utf8").replace(/\r?\n$/, "");
      } catch (error) {
        throw new SecretError(
          `the secret ${name} is missing: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    default:
      throw new SecretError(`the secret ${name} has a source that this launcher does not know; upgrade it`);
  }
}
