import assert from "node:assert/strict";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import type { KubeConfig } from "@kubernetes/client-node";
import { systemClock } from "../clock.ts";
import { ClusterApi } from "./cluster-api.ts";
import { ObjectWatch } from "./object-watch.ts";
import type { ClusterObject } from "./pod.ts";

const object = (name: string, resourceVersion: string) => ({
  metadata: { name, uid: name, resourceVersion },
});

/** A server that answers each request by the next of these, and what was asked. */
async function serve(...answers: ((response: ServerResponse) => void)[]) {
  const asked: URL[] = [];
  const server = createServer((request, response) => {
    asked.push(new URL(request.url ?? "", "http://x"));
    const answer = answers.shift();
    // The last watch stays open.
    if (answer) answer(response);
    else response.writeHead(200).flushHeaders();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const config = { applyToHTTPSOptions: async () => undefined } as unknown as KubeConfig;
  return { server, asked, api: new ClusterApi(config, `http://127.0.0.1:${port}`) };
}

const list =
  (version: string, ...items: object[]) =>
  (response: ServerResponse) => {
    response.end(JSON.stringify({ metadata: { resourceVersion: version }, items }));
  };
const changes =
  (...sent: object[]) =>
  (response: ServerResponse) => {
    response.end(sent.map((change) => `${JSON.stringify(change)}\n`).join(""));
  };

describe("the watch of objects", () => {
  it("goes on from the last version, lists anew after 410, and reports what has gone meanwhile", async () => {
    const expired = {
      kind: "Status",
      code: 410,
      reason: "Expired",
      message: "too old resource version: 3 (9)",
    };
    const { server, asked, api } = await serve(
      list("1", object("a", "1"), object("b", "1")),
      changes(
        { type: "MODIFIED", object: object("a", "2") },
        { type: "BOOKMARK", object: { metadata: { resourceVersion: "3" } } },
      ),
      changes({ type: "ERROR", object: expired }),
      list("9", object("a", "2"), object("c", "8")),
    );
    const seen: string[] = [];
    const failures: unknown[] = [];
    const stop = new AbortController();
    const opened = Promise.withResolvers<void>();
    const watch = new ObjectWatch<ClusterObject>({
      ...{ api, clock: systemClock, path: "/pods", query: { labelSelector: "x" } },
      changed: ({ metadata }) => seen.push(`${metadata?.name} ${metadata?.resourceVersion}`),
      gone: ({ metadata }) => seen.push(`${metadata?.name} gone`),
      listed: () => seen.push("listed"),
      opened: () => {
        if (asked.length === 5) opened.resolve();
      },
      failed: (error) => failures.push(error),
    });
    const running = watch.run(stop.signal);
    await opened.promise;
    stop.abort();
    await running;
    server.closeAllConnections();
    server.close();
    assert.deepEqual(seen, ["a 1", "b 1", "listed", "a 2", "b gone", "c 8", "listed"]);
    assert.deepEqual(
      asked.map(({ searchParams }) => searchParams.get("resourceVersion")),
      [null, "1", "3", null, "9"],
    );
    assert.deepEqual(failures, []);
  });

  it("says what failed, and what a proxy in between answered", async () => {
    const { server, api } = await serve((response) => {
      response.writeHead(502).end("<html>Bad Gateway</html>");
    });
    const failed = Promise.withResolvers<Error>();
    const stop = new AbortController();
    const watch = new ObjectWatch<ClusterObject>({
      ...{ api, clock: systemClock, path: "/pods", query: {} },
      changed: () => undefined,
      gone: () => undefined,
      listed: () => undefined,
      opened: () => undefined,
      failed: failed.resolve,
    });
    const running = watch.run(stop.signal);
    assert.equal((await failed.promise).message, "status 502: <html>Bad Gateway</html>");
    stop.abort();
    await running;
    server.closeAllConnections();
    server.close();
  });
});
