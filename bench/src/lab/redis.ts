import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Redis } from "ioredis";
import { Child } from "./child.ts";
import type { Cleanup } from "./cleanup.ts";

/** A Redis server for BullMQ. */
export interface RedisServer {
  readonly url: string;
  /** Process id of a parent of the server. */
  readonly pid: number;
  readonly version: string;
  /** Its persistence settings. */
  readonly persistence: string;
  /** Length of these lists together. */
  lengths(...lists: string[]): Promise<number>;
  /** Size of a sorted set. */
  cardinality(set: string): Promise<number>;
  /** Empties it. */
  flush(): Promise<void>;
}

/**
 * Starts `redis-server` as BullMQ's documentation asks for production: append-only file, nothing evicted. Its
 * fsync is Redis' own default, once a second, which is weaker than a commit of PostgreSQL.
 *
 * @returns undefined when there is no `redis-server` on PATH.
 */
export async function startRedis(cleanup: Cleanup): Promise<RedisServer | undefined> {
  const version = await redisVersion();
  if (version === undefined) return undefined;
  const folder = await mkdtemp(join(tmpdir(), "muster-bench-redis-"));
  cleanup.add(folder, () => rm(folder, { recursive: true, force: true }));
  const port = await freePort();
  const persistence = "appendonly yes, appendfsync everysec";
  const child = new Child(cleanup, {
    name: "redis-server",
    program: "redis-program.ts",
    args: [
      ...["--bind", "127.0.0.1", "--port", String(port), "--dir", folder, "--save", ""],
      ...["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"],
    ],
  });
  const url = `redis://127.0.0.1:${port}`;
  const client = new Redis(url, { retryStrategy: () => 50, maxRetriesPerRequest: null });
  client.on("error", () => undefined);
  await client.ping();
  cleanup.add("Redis client", async () => client.disconnect());
  return {
    url,
    pid: child.pid,
    version,
    persistence,
    lengths: async (...lists) => {
      const lengths = await Promise.all(lists.map((list) => client.llen(list)));
      return lengths.reduce((sum, length) => sum + length, 0);
    },
    cardinality: (set) => client.zcard(set),
    flush: async () => {
      await client.flushall();
    },
  };
}

async function redisVersion(): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)("redis-server", ["--version"]);
    return /v=(\S+)/.exec(stdout)?.[1] ?? stdout.trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== "object" || address === null) throw new Error("A TCP server has no port");
  return address.port;
}
