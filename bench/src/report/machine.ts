import { createRequire } from "node:module";
import { arch, cpus, release, totalmem, type } from "node:os";
import type { Lab } from "../lab/lab.ts";

/** Where and with what was measured. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly node: string;
  readonly postgres: string;
  readonly postgresSettings: Readonly<Record<string, string>>;
  /** Undefined when there was none. */
  readonly redis: string | undefined;
  readonly redisPersistence: string | undefined;
  /** Of the packages that were compared. */
  readonly packages: Readonly<Record<string, string>>;
}

const PACKAGES = ["graphile-worker", "pg-boss", "bullmq", "ioredis", "pg", "@grpc/grpc-js"];

/** Describes this machine; starts the servers to ask for their versions. */
export async function describeMachine(lab: Lab): Promise<Machine> {
  const postgres = await lab.postgres();
  const redis = await lab.redis();
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? "unknown",
    cores: processors.length,
    memoryGib: Math.round(totalmem() / 1024 ** 3),
    kernel: `${type()} ${release()} ${arch()}`,
    node: process.version,
    postgres: postgres.version,
    postgresSettings: postgres.settings,
    redis: redis?.version,
    redisPersistence: redis?.persistence,
    packages: Object.fromEntries(PACKAGES.map((name) => [name, versionOf(name)])),
  };
}

/** Version of an installed package, read from the package.json above its entry point: many do not export it. */
function versionOf(name: string): string {
  const require = createRequire(import.meta.url);
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      const { version } = require(`${folder}/${name}/package.json`) as { version: string };
      return version;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "MODULE_NOT_FOUND")) throw error;
    }
  }
  return "not installed";
}
