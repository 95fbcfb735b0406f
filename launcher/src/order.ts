/** Makes the order for a driver from a launch command: the environment with secrets, and the connection to the scheduler. */
import { readFileSync } from "node:fs";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { LaunchCommand, SecretVariable } from "@muster/protocol";
import type { LaunchOrder, SecretSource } from "./driver.ts";
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

/** Drivers whose workers are not on the launcher's file system: its paths mean nothing there. */
const ELSEWHERE: ReadonlySet<string | undefined> = new Set(["docker", "hook"]);

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
  const names = ELSEWHERE.has(template?.driver.case) ? CONNECTION : [...LOGIN, ...CONNECTION];
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
    secretSources: (template?.secrets ?? []).flatMap(({ source }): SecretSource[] =>
      source.case === "launcherFile"
        ? [{ file: source.value }]
        : source.case === "launcherVariable"
          ? [{ variable: source.value }]
          : [],
    ),
    startupTimeoutMs: startupTimeout ? durationMs(startupTimeout) : 0,
  };
}

/** A secret as the launcher has it now; undefined when it is gone. */
export function readSecret(source: SecretSource, env: Environment): string | undefined {
  if ("variable" in source) return env[source.variable];
  try {
    return secretFile(source.file);
  } catch (error) {
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}

function secretFile(path: string): string {
  return readFileSync(path, "utf8").replace(/\r?\n$/, "");
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
        return secretFile(source.value);
      } catch (error) {
        throw new SecretError(
          `the secret ${name} is missing: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    default:
      throw new SecretError(`the secret ${name} has a source that this launcher does not know; upgrade it`);
  }
}
