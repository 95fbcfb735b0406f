import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, mkdtemp, rm, stat } from "node:fs/promises";
import { createServer, type Server as TcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { layoutOf } from "../data-folder/layout.ts";
import { startEmbeddedPostgres } from "../embedded-postgres.ts";
import { findBinaries } from "./binaries.ts";
import { type ServerRequest, startServer } from "./server.ts";

describe("a server's port", () => {
  let temp: string;
  let request: ServerRequest;
  let taken: { port: number; server: TcpServer };
  const lines: string[] = [];

  before(async () => {
    temp = await mkdtemp(join(tmpdir(), "muster-server-"));
    await chmod(temp, 0o711);
    const dataDir = join(temp, "data");
    const database = await startEmbeddedPostgres({
      dataDir,
      stateRoot: join(temp, "state"),
      log: () => undefined,
    });
    await database.stop();
    const { cluster } = layoutOf(dataDir);
    const { uid, gid } = await stat(cluster);
    const account = uid === process.getuid?.() ? undefined : { name: "postgres", uid, gid };
    const log = (line: string) => void lines.push(line);
    const { signal } = new AbortController();
    const binaries = await findBinaries({ account, stateRoot: join(temp, "state"), log, signal });
    request = { binaries, account, cluster, log, signal };
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(typeof address === "object" && address);
    taken = { port: address.port, server };
  });

  after(async () => {
    taken?.server.close();
    await rm(temp, { recursive: true, force: true });
  });

  it("is another one when the free one was taken in between", async () => {
    const choices = [taken.port, taken.port];
    const pickPort = async () => choices.shift() ?? (await unusedPort());
    const server = await startServer({ ...request, pickPort });
    await server.stop();
    assert.deepEqual(await server.exited, { code: 0, signal: null });
    assert.notEqual(server.port, taken.port);
    assert.equal(lines.filter((line) => line.includes(`took port ${taken.port}`)).length, 2);
  });

  it("is given up after the fifth that was taken in between", async () => {
    let choices = 0;
    const pickPort = async () => {
      choices += 1;
      return taken.port;
    };
    await assert.rejects(startServer({ ...request, pickPort }), {
      name: "EmbeddedPostgresError",
      code: "PORT_TAKEN",
      message: new RegExp(`Port ${taken.port} .*4 other ports`),
    });
    assert.equal(choices, 5);
  });

  it("can be given, and is refused when it is taken", async () => {
    const options = { dataDir: join(temp, "data"), stateRoot: join(temp, "state"), log: () => undefined };
    await assert.rejects(startEmbeddedPostgres({ ...options, port: taken.port }), {
      name: "EmbeddedPostgresError",
      code: "PORT_TAKEN",
      message: new RegExp(`Port ${taken.port} .*is taken by another program,`),
    });
    const port = await unusedPort();
    const database = await startEmbeddedPostgres({ ...options, port });
    await database.stop();
    assert.equal(database.port, port);
    assert.equal(new URL(database.url).port, String(port));
  });
});

async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  assert.ok(typeof address === "object" && address);
  return address.port;
}
