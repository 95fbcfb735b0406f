import { Cleanup } from "./cleanup.ts";
import { PostgresServer } from "./postgres.ts";
import { type RedisServer, startRedis } from "./redis.ts";

/** What measures run on: servers are started when a measure first asks for them, and shared by all systems. */
export class Lab {
  readonly cleanup = new Cleanup();
  readonly #databaseUrl: string | undefined;
  #postgres: Promise<PostgresServer> | undefined;
  #redis: Promise<RedisServer | undefined> | undefined;

  /** @param databaseUrl A PostgreSQL server to use instead of an embedded one; its role may create databases. */
  constructor(databaseUrl: string | undefined) {
    this.#databaseUrl = databaseUrl;
  }

  postgres(): Promise<PostgresServer> {
    this.#postgres ??= PostgresServer.start(this.cleanup, this.#databaseUrl);
    return this.#postgres;
  }

  /** Undefined when this machine has no `redis-server`. */
  redis(): Promise<RedisServer | undefined> {
    this.#redis ??= startRedis(this.cleanup);
    return this.#redis;
  }
}
